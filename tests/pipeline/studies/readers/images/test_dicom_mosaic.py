"""Siemens mosaics: real ones (of nibabel's tests) against dcm2niix, small ones against tiles laid by hand."""

import gzip
import shutil
import struct
import subprocess
from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom import dcmread

from pipeline.errors import Reason
from pipeline.studies.readers import ReadOptions, read_image
from pipeline.studies.readers.modalities.csa_header import csa_texts
from pipeline.studies.readers.shared.volume_choice import VolumeChoice
from tests.field.making import scanned
from tests.pipeline.studies.writers import OBLIQUE, grid, refusal, slices

REAL = Path(nibabel.__file__).parent / "nicom" / "tests" / "data"
MOSAICS = ("siemens_dwi_0.dcm.gz", "siemens_dwi_1000.dcm.gz")
AFFINE = grid(OBLIQUE, (1.5, 1.25, 3.5), (20.0, 30.0, -9.0))
SHAPE = (4, 6, 5)  # columns, rows, slices


def csa(**texts):
    """Return a private header of these texts, as the vendor's format has it."""
    content = b"SV10\4\3\2\1" + struct.pack("<II", len(texts), 77)
    for name, values in texts.items():
        content += name.encode().ljust(64, b"\0") + struct.pack("<i4siii", len(values), b"FD", 4, len(values), 77)
        for value in values:
            raw = value.encode() + b"\0"
            content += struct.pack("<4i", len(raw), len(raw), 77, len(raw)) + raw.ljust((len(raw) + 3) // 4 * 4, b"\0")
    return content


def tiled(array, affine=AFFINE, *, sense=1, **attributes):
    """Return an array (column, row, slice) as a mosaic; the vendor's formula puts it where the affine says."""
    columns, rows, count = array.shape
    side = int(np.ceil(np.sqrt(count)))
    picture = np.zeros((side * rows, side * columns), np.int16)
    for index in range(count):
        top, left = index // side * rows, index % side * columns
        picture[top : top + rows, left : left + columns] = array[..., index].T
    lps = np.diag([-1, -1, 1, 1]) @ affine
    (image,) = slices(picture.T[..., None], affine)
    corner = lps[:3, 3] - lps[:3, 0] * (side - 1) * columns / 2 - lps[:3, 1] * (side - 1) * rows / 2
    image.ImagePositionPatient = [round(float(part), 6) for part in corner]
    normal = sense * lps[:3, 2] / np.linalg.norm(lps[:3, 2])
    image.Modality, image.ImageType = "MR", ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    image.SpacingBetweenSlices = float(np.linalg.norm(lps[:3, 2]))
    content = csa(NumberOfImagesInMosaic=[str(count)], SliceNormalVector=[f"{part:.8f}" for part in normal])
    image.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", content)
    for name, value in attributes.items():
        setattr(image, name, value)
    return image


def saved(folder, *images):
    folder.mkdir(exist_ok=True)
    for number, image in enumerate(images):
        image.save_as(folder / f"SECRET{number}.dcm", enforce_file_format=True)
    return folder


def real(name, **attributes):
    """Return a real header; its pixels are zeros there, and noise here."""
    dataset = dcmread(BytesIO(gzip.decompress((REAL / name).read_bytes())))
    noise = np.random.default_rng(len(name)).integers(0, 4096, (dataset.Rows, dataset.Columns), np.uint16)
    dataset.PixelData = noise.tobytes()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def by_scan(folder):
    """Return how many images a scan calls usable, and why not the others; the usable ones are read."""
    studies, _, numbers = scanned(folder)
    assert all(study.image.geometry.shape == SHAPE for study in studies)
    return numbers.usable, dict(numbers.excluded)


RAMP = (np.arange(np.prod(SHAPE)) + 1).astype(np.int16).reshape(SHAPE)


def test_tiles_are_slices_where_they_lie(tmp_path):
    image = read_image(saved(tmp_path, tiled(RAMP, RescaleSlope=2, RescaleIntercept=-5)))
    np.testing.assert_array_equal(image.volume.array, RAMP * 2.0 - 5)
    np.testing.assert_allclose(image.volume.geometry.affine, AFFINE, atol=1e-5)
    assert image.header["mosaic"] == "5 slices of 3 x 3 tiles"


def test_slices_may_follow_to_the_other_side(tmp_path):
    turned = AFFINE.copy()
    turned[:3, 2] *= -1
    image = read_image(saved(tmp_path, tiled(RAMP, turned)))
    np.testing.assert_allclose(image.volume.geometry.affine, turned, atol=1e-5)


@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="dcm2niix is not installed")
@pytest.mark.parametrize("name", MOSAICS)
def test_a_real_mosaic_lies_where_dcm2niix_puts_it(tmp_path, name):
    folder = tmp_path / "in"
    folder.mkdir()
    real(name).save_as(folder / "a.dcm")
    subprocess.run(
        ["dcm2niix", "-z", "n", "-f", "out", "-o", tmp_path, folder], check=True, capture_output=True, text=True
    )
    theirs = nibabel.as_closest_canonical(nibabel.load(tmp_path / "out.nii"))
    image = read_image(folder / "a.dcm")
    ours = nibabel.as_closest_canonical(nibabel.Nifti1Image(image.volume.array, image.volume.geometry.affine))
    np.testing.assert_array_equal(np.asarray(theirs.dataobj), ours.get_fdata())
    np.testing.assert_allclose(theirs.affine, ours.affine, atol=1e-3)
    assert (ours.shape, len(np.unique(ours.get_fdata()))) == ((128, 128, 48), 4096)


def test_one_of_several_mosaics_is_chosen_by_its_b_value(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in MOSAICS:
        real(name, SeriesInstanceUID="1.2.3", FrameOfReferenceUID="1.2.4").save_as(folder / name)
    plain, weighted = (read_image(folder, ReadOptions(volume=VolumeChoice(b_value=b))) for b in (0, 1000))
    assert plain.volume.array[0, 0, 0] == real(MOSAICS[0]).pixel_array[0, 0]
    assert weighted.volume.array[0, 0, 0] == real(MOSAICS[1]).pixel_array[0, 0] != plain.volume.array[0, 0, 0]
    assert plain.header["volume"] == "2 volumes (b_value 0, 1000; index 0 to 1): b_value 0 chosen"
    words = refusal(Reason.SEVERAL_VOLUMES, lambda: read_image(folder))
    assert words.endswith("archive.volume would choose one: b_value 0, 1000; index 0 to 1")


def test_times_of_mosaics_are_counted(tmp_path):
    folder = saved(tmp_path, *(tiled(RAMP + 1000 * n, AcquisitionNumber=9 - n) for n in range(3)))
    times = [read_image(folder, ReadOptions(volume=VolumeChoice(time=time))) for time in range(3)]
    assert [int(image.volume.array[0, 0, 0]) for image in times] == [2001, 1001, 1]


def without_private(image):
    del image[0x00291010]


def private(content):
    def changed(image):
        image[0x00291010].value = content

    return changed


def header(number, normal=("0", "0", "1"), **more):
    return private(csa(NumberOfImagesInMosaic=[number], SliceNormalVector=list(normal), **more))


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (without_private, Reason.MOSAIC),
        (private(b""), Reason.MOSAIC),
        (private(b"SV10"), Reason.MOSAIC),
        (private(b"\0" * 500), Reason.MOSAIC),
        (private(b"SV10\4\3\2\1" + b"\xff" * 8), Reason.MOSAIC),
        (private(csa(NumberOfImagesInMosaic=["5"])[:-3]), Reason.MOSAIC),
        (private(csa(NumberOfImagesInMosaic=["5"])), Reason.MOSAIC),
        (header("0"), Reason.MOSAIC),
        (header("-5"), Reason.MOSAIC),
        (header("five"), Reason.MOSAIC),
        (header("50"), Reason.MOSAIC),
        (header("99999999999999999999"), Reason.MOSAIC),
        (header("5", ("nan", "0", "1")), Reason.MOSAIC),
        (header("5", ("0", "1")), Reason.MOSAIC),
        (header("5", ("1", "0", "0")), Reason.NO_GEOMETRY),
        (lambda image: delattr(image, "SpacingBetweenSlices"), Reason.NO_GEOMETRY),
        (lambda image: setattr(image, "SpacingBetweenSlices", 0), Reason.NO_GEOMETRY),
        (lambda image: setattr(image, "ImagePositionPatient", None), Reason.NO_GEOMETRY),
        (lambda image: setattr(image, "PhotometricInterpretation", "RGB"), Reason.NOT_A_SINGLE_CHANNEL),
    ],
)
def test_what_does_not_tell_its_slices_is_refused_by_scan_and_reader(tmp_path, harm, reason):
    image = tiled(RAMP)
    harm(image)
    folder = saved(tmp_path / "in", image)
    refusal(reason, lambda: read_image(folder))
    assert by_scan(folder) == (0, {reason: 1})


def test_the_scan_takes_a_mosaic_for_an_image(tmp_path):
    assert by_scan(saved(tmp_path / "in", tiled(RAMP), tiled(RAMP))) == (2, {})


def test_mosaics_among_slices_and_of_other_series_are_refused(tmp_path):
    mosaic, other = tiled(RAMP), tiled(RAMP, SeriesInstanceUID="1.2.3")
    refusal(Reason.MIXED_SERIES, lambda: read_image(saved(tmp_path / "a", mosaic, other)))
    refusal(Reason.MIXED_SERIES, lambda: read_image(saved(tmp_path / "b", mosaic, *slices(RAMP, AFFINE))))
    refusal(Reason.MOSAIC, lambda: read_image(saved(tmp_path / "c", *slices(RAMP, AFFINE), mosaic)))


def test_the_private_header_is_read_as_it_is_written():
    texts = csa_texts(csa(A=["x", "", "yz"], B=[], C=["12345678"]))
    assert texts == {"A": ("x", "yz"), "C": ("12345678",)}
    content = real(MOSAICS[1])[0x00291010].value
    assert csa_texts(content)["NumberOfImagesInMosaic"] == ("48",)
    assert csa_texts(content)["B_value"] == ("1000",)
    for cut in range(0, len(content), 97):
        csa_texts(content[:cut])
