"""Small finished runs over DICOM archives full of planted names, for every kind of export.

``volumes``: an oblique CT whose files come in the reverse order, with overlapping masks of two experts; a CT without a
finding; a CT of a tilted gantry; a NIfTI. ``radiographs``: two projections without a frame of reference.
"""

from pathlib import Path

import nibabel
import numpy as np
import yaml
from pydicom.uid import UID

from tests.flows.test_nobody_is_identified import _SERIAL, plant_names
from tests.pipeline.planted import plant, write_manifest
from tests.pipeline.steps import begin, finish, read_run, work
from tests.pipeline.studies.writers import OBLIQUE, grid, nifti, projection, save, segmentation, slices

SHAPE = (24, 22, 10)
"""Columns, rows, slices."""

SPACING = (1.0, 1.5, 2.0)
BLOCK = (slice(6, 12), slice(8, 14), slice(2, 6))  # in the middle along no axis: a mirrored one shows
FLAT_FACTORY = """
import torch
from torch import nn

def build():
    network = nn.Sequential(
        nn.AvgPool2d(2), nn.Conv2d(1, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2)
    )
    with torch.no_grad():
        network[1].weight[:] = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
        network[1].bias[:] = torch.tensor([-0.3, -0.5])
        network[5].weight[:] = torch.tensor([[-500.0, 0.0], [500.0, 0.0]])
        network[5].bias[:] = torch.tensor([1.0, -1.0])
    return network
"""


def ct(patient, affine, *, marked=True):
    """Return the slices of a CT with a bright block, every free field full of secrets."""
    values = np.zeros(SHAPE, np.int16)
    values[BLOCK] = int(marked)
    images = slices(values, affine)
    for number, image in enumerate(images):
        plant_names(image)
        image.SpecificCharacterSet = "ISO_IR 100"
        image.PatientName, image.PatientID = f"M\u00fcller^SECRET{patient}", f"SECRETID{patient}"
        image.StudyInstanceUID, image.SeriesInstanceUID = (f"1.2.{part}.{patient}.{_SERIAL}" for part in (3, 4))
        image.FrameOfReferenceUID = f"1.2.5.{patient}.{_SERIAL}"
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.6.{patient}.{number}.{_SERIAL}")
        image.RescaleType = "HU"
    return images


def outlined(grow):
    """Return a reader's mask (slice, row, column, segment) of the block."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[tuple(slice(part.start - grow, part.stop + grow) for part in BLOCK)] = 1
    return np.ascontiguousarray(mask.transpose(2, 1, 0)[..., None])


def audited(config):
    """Run an audit and return its folder."""
    folder = begin(config)
    for shard in range(read_run(folder)[0].shards):
        work(folder, shard)
    finish(folder)
    return folder


def volumes(folder: Path) -> Path:
    """Return the folder of a finished run over volumes."""
    config = plant(folder, 1, report={"cases": "all", "pictures": "all"})
    archive = folder / "archive"
    oblique = grid(OBLIQUE, SPACING, (10, -20, 30))
    images = ct(1, oblique)
    save(archive / "oblique", images, list(range(len(images)))[::-1])
    for reader, grow in (("anna", 0), ("ben", 1)):
        segmentation(archive / f"SECRET_{reader}.dcm", images, outlined(grow), ["lesion"])
    save(archive / "clear", ct(2, grid(np.eye(3), SPACING, (0, 0, 0)), marked=False))
    tilted = grid(np.eye(3), SPACING, (0, 0, 0))
    tilted[1, 2] = 0.5
    save(archive / "tilted", ct(3, tilted))
    values = np.zeros(SHAPE, np.float32)
    values[BLOCK] = 1
    nifti(archive / "plain.nii.gz", values, oblique)
    nibabel.save(nibabel.Nifti1Image(outlined(0)[..., 0].transpose(2, 1, 0), oblique), archive / "plain_mask.nii.gz")
    none = {"mask:anna": "", "mask:ben": "", "label": "", "site": "a"}
    masks = {"mask:anna": "SECRET_anna.dcm", "mask:ben": "SECRET_ben.dcm", "label": "lesion"}
    rows = [
        {"study": "SECRETSTUDY1", "patient": "SECRET^1", "image": "oblique", **none, **masks},
        {"study": "SECRETSTUDY2", "patient": "SECRET^2", "image": "clear", **none},
        {"study": "SECRETSTUDY3", "patient": "SECRET^3", "image": "tilted", **none, "label": "lesion"},
        {"study": "SECRETSTUDY4", "patient": "SECRET^4", "image": "plain.nii.gz", **none,
         "mask:anna": "plain_mask.nii.gz", "label": "lesion"},
    ]  # fmt: skip
    write_manifest(archive, rows)
    return audited(config)


def radiographs(folder: Path) -> Path:
    """Return the folder of a finished run over projections."""
    config = plant(folder, 1)
    content = yaml.safe_load(config.read_text())
    content["prepare"] = [{"_target_": "Resize", "spatial_size": [24, 32]}]
    (folder / "planted_network.py").write_text(FLAT_FACTORY)
    content["explain"] = {"methods": ["gradcam"]}  # one segment alone
    config.write_text(yaml.safe_dump(content))
    archive, rows = folder / "archive", []
    for number in (1, 2):
        values = np.zeros((24, 32), np.uint16)
        values[4:10, 20:28] = 1
        projection(archive / f"film{number}.dcm", values, PixelSpacing=[0.5, 0.25], PatientOrientation=["L", "F"])
        rows.append({"study": f"SECRETFILM{number}", "patient": f"SECRET^{number}", "image": f"film{number}.dcm",
                     "label": "lesion"})  # fmt: skip
    write_manifest(archive, rows)
    return audited(config)
