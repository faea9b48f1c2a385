"""Small synthetic archives as people have them, and the product's doors to them."""

from pathlib import Path

import numpy as np
from pydicom import Dataset

from pipeline.errors import ArchiveError, Reason, StudyError
from pipeline.files import written
from pipeline.studies.index.catalogue import open_catalogue
from pipeline.studies.index.scan import scan, summary
from pipeline.studies.list_studies import list_studies
from pipeline.studies.listing.write_manifest import write_manifest
from pipeline.studies.pseudonyms import Pseudonyms
from pipeline.studies.read_study import read_study
from pipeline.studies.readers import MaskRequest, ReadOptions, read_image, read_mask
from tests.pipeline.studies.writers import dicom, grid, nifti, save, slices

AFFINE = grid(np.diag([-1, -1, 1]), (0.7, 0.8, 2.5), (20.0, 30.0, 0.0))
SHAPE = (12, 14, 6)
NAMES = Pseudonyms(b"k" * 64)
RAMP = (np.arange(np.prod(SHAPE)) % 2000).astype(np.int16).reshape(SHAPE)


def item(**attributes):
    made = Dataset()
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def series(array=RAMP, affine=AFFINE, **attributes):
    """Return slices; an attribute may be a function of the slice's index, and None removes it."""
    images = slices(array, affine)
    for index, image in enumerate(images):
        for name, value in attributes.items():
            stated = value(index) if callable(value) else value
            if stated is None:
                delattr(image, name)
            else:
                setattr(image, name, stated)
    return images


def volume(folder, images=None):
    """Write a series and return its image."""
    return read_image(save(folder, series() if images is None else images))


def film(path, array, **attributes):
    """Write a CR of stored values (rows, columns) and return its path."""
    image = dicom("1.2.840.10008.5.1.4.1.1.1", array)
    image.Modality, image.PixelSpacing = "CR", [0.1, 0.1]
    for name, value in attributes.items():
        setattr(image, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save_as(path, enforce_file_format=True)
    return path


def label_map(path, array, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    return nifti(path, array, affine)


def scanned(root):
    """Scan an archive: the studies that its manifest gives (or their refusals), their rows, and the summary."""
    root = Path(root).resolve()
    with open_catalogue(root.parent / f"{root.name}.sqlite", root) as catalogue:
        scan(root, catalogue, workers=0, on_files=lambda _: None)
        numbers = summary(root, catalogue)
        manifest = root.parent / f"{root.name}.csv"
        try:
            write_manifest(root, catalogue, manifest, NAMES, written)
        except ArchiveError:
            return [], (), numbers
    rows = list_studies(root, manifest)
    return [attempt(lambda row=row: read_study(row, NAMES)) for row in rows], rows, numbers


def listed(root, text):
    """Return the only study of a manifest, or its refusal."""
    (root.parent / "m.csv").write_text(text)
    (row,) = list_studies(root, root.parent / "m.csv")
    return attempt(lambda: read_study(row, NAMES))


def attempt(read):
    """Return what is read, or its refusal, which names no class of ours or of a library's."""
    try:
        return read()
    except StudyError as error:
        refusal = error
    assert "Error" not in str(refusal)
    return refusal


def mask(path, image, **wanted):
    return attempt(lambda: read_mask(path, image, MaskRequest(**wanted)))


def image_of(path, **options):
    return attempt(lambda: read_image(path, ReadOptions(**options)))


def refused(found, reason, *words):
    """Tell whether an image is refused, or the only mask of a study whose image can be read."""
    if isinstance(found, StudyError):
        why, said = found.reason, str(found)
    else:
        (fault,) = found.mask_faults
        why, said = fault.reason, fault.message
    assert why is Reason(reason), (why, said)
    assert all(word in said for word in words), said
    return True
