"""Small synthetic copies of public data sets' and archives' folders, as they lie on a disk."""

import json
import zlib
from pathlib import Path

import numpy as np
import SimpleITK
from pydicom.uid import generate_uid

from tests.field.making import AFFINE, RAMP, SHAPE, series
from tests.pipeline.studies.writers import dot, nifti, save, segmentation

INDEX = (5, 3, 2)
STRUCTURES = ("liver", "spleen", "lung_upper_lobe_left")


def volume(path, array=RAMP, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    return nifti(path, array, affine)


def mark(value=1, index=INDEX):
    return dot(SHAPE, index, value)


def total_segmentator(root, subjects=3):
    for number in range(subjects):
        folder = root / f"s{number:04d}"
        volume(folder / "ct.nii.gz")
        for structure in STRUCTURES:
            volume(folder / "segmentations" / f"{structure}.nii.gz", mark())
    lines = [f"s{number:04d};SECRET;{'mf'[number % 2]};SECRET;test" for number in range(subjects)]
    (root / "meta.csv").write_text("\n".join(["image_id;age;gender;institute;split", *lines]))
    return root


OLD, NEW = ("t1", "t1ce", "t2", "flair"), ("t1n", "t1c", "t2w", "t2f")


def brats(root, names, *, group=""):
    for name in names:
        between, modalities, third = ("-", NEW, 3) if "-" in name else ("_", OLD, 4)
        folder = root / group / name
        for modality in modalities:
            volume(folder / f"{name}{between}{modality}.nii.gz")
        drawn = mark() + mark(2, (1, 1, 1)) + mark(third, (2, 2, 2))
        volume(folder / f"{name}{between}seg.nii.gz", drawn)
    return root


def meta_image(path, array, packed=False):
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.T))
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ AFFINE
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(image, str(path), packed)
    return image


def luna(root, count=3):
    """Write scans of which the first two have a nodule, one of them of two."""
    lines = ["seriesuid,coordX,coordY,coordZ,diameter_mm"]
    for number in range(count):
        name = f"1.3.6.1.4.1.14519.5.2.1.6279.6001.{number}97063290435517743842424"
        image = meta_image(root / f"subset{number}" / f"{name}.mhd", RAMP)
        lungs = mark(3) + mark(4, (1, 1, 1)) + mark(5, (2, 2, 2))
        meta_image(root / "seg-lungs-LUNA16" / f"{name}.mhd", lungs, packed=True)
        for index in (INDEX, (9, 10, 4))[: (2, 1, 0)[min(number, 2)]]:
            place = image.TransformIndexToPhysicalPoint(index)
            lines.append(",".join([name, *map(repr, place), "1.0"]))
    (root / "annotations.csv").write_text("\n".join(lines))
    return root


def grand_challenge(root):
    for name in ("a1", "b2"):
        meta_image(root / "images" / "ct" / f"{name}.mha", RAMP, packed=True)
        meta_image(root / "images" / "pet" / f"{name}.mha", RAMP)
        meta_image(root / "images" / "liver-segmentation" / f"{name}.mha", mark(), packed=True)
    return root


def patient(number):
    """Return a CT series of a patient of its own, and a segmentation of it once it is saved."""
    images = series(PatientID=f"SECRET{number}", SeriesInstanceUID=generate_uid(), StudyInstanceUID=generate_uid(),
                    FrameOfReferenceUID=generate_uid())  # fmt: skip
    for image in images:
        image.PatientName = f"SECRET^{number}"
    return images


def drawn(path, images):
    path.parent.mkdir(parents=True, exist_ok=True)
    masks = np.zeros((SHAPE[2], SHAPE[1], SHAPE[0], 1), np.uint8)
    masks[INDEX[2], INDEX[1], INDEX[0]] = 1
    return segmentation(path, images, masks, ["Liver"])


def tcia(root, count=2):
    columns = "Series UID,Collection,Data Description URI,Subject ID,Study UID,Modality,Number of Images,File Location"
    download = root / "manifest-1600709154662"
    for number in range(count):
        images = patient(number)
        study = download / "COLL" / f"SECRET{number}" / "01-01-2000-NA-CT-1"
        save(study / "2.000000-THORAX-1", images)
        drawn(study / "300.000000-Segmentation-9" / "1-1.dcm", images)
    download.mkdir(exist_ok=True)
    (download / "metadata.csv").write_text(f"{columns}\n")
    (download / "LICENSE").write_text("text")
    return root


def xnat(root, count=2):
    for number in range(count):
        images = patient(number)
        session = root / f"SECRET{number}" / f"SECRET{number}_MR1"
        save(session / "SCANS" / "1" / "DICOM", images)
        (session / "SCANS" / "1" / "scan_1_catalog.xml").write_text("<Catalog/>")
        drawn(session / "ASSESSORS" / "seg" / "SEG" / "s.dcm", images)
        (session / "SCANS" / "1" / "SNAPSHOTS").mkdir(exist_ok=True)
        (session / "SCANS" / "1" / "SNAPSHOTS" / "1_qc.gif").write_bytes(b"GIF89a")
    return root


def orthanc(root, count=2):
    """Write attachments: DICOM, its JSON, and one that Orthanc has packed (a size, then zlib)."""
    for number in range(count):
        images = patient(number)
        paths = save(root.parent / f"plain{number}", images)
        seg = drawn(root.parent / f"plain{number}-seg" / "s.dcm", images)
        for at, path in enumerate([*sorted(paths.iterdir()), seg]):
            attach(root, number * 100 + at, path.read_bytes())
            attach(root, 5000 + number * 100 + at, json.dumps({"0010,0010": "SECRET"}).encode())
    attach(root, 9999, (400).to_bytes(8, "little") + zlib.compress(b"x" * 400))
    (root / "index").write_bytes(b"SQLite format 3\0" + bytes(84))
    return root


def attach(root, number, content):
    digits = f"{number * 2654435761 % 2**32:08x}"
    place = root / digits[:2] / digits[2:4] / f"{digits}-1111-2222-3333-444455556666"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return Path(place)
