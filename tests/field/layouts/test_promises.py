"""What the page of formats promises of DICOM as it is met: no UIDs, classes long retired, films without a spacing."""

import numpy as np
import pytest
from pydicom.uid import generate_uid

from tests.field.making import RAMP, film, image_of, refused, scanned, series
from tests.pipeline.studies.writers import dicom, dot, save

RETIRED = ("1.2.840.10008.5.1.4.1.1.6", "1.2.840.10008.5.1.4.1.1.3")
PICTURE = dot((6, 5), (1, 1)).astype(np.uint8)


def anonymised(**changes):
    """Return a series whose instance UIDs are emptied, and stand in the meta headers alone."""
    images = series(**changes)
    for image in images:
        image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        image.SOPInstanceUID = None
    return images


def write(folder, images):
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        image.save_as(folder / f"{number:03}.dcm", enforce_file_format=False)
    return folder


@pytest.mark.parametrize("how", ["empty", "absent"])
def test_instances_that_the_meta_header_alone_tells_apart(tmp_path, how):
    images = anonymised()
    if how == "absent":
        for image in images:
            del image.SOPInstanceUID
    write(tmp_path / "a" / "ct", images)
    (study,), _, numbers = scanned(tmp_path / "a")
    np.testing.assert_array_equal(study.image.array, RAMP)
    assert (numbers.usable, numbers.excluded) == (1, {})
    np.testing.assert_array_equal(image_of(tmp_path / "a" / "ct").volume.array, RAMP)


def test_slices_that_nothing_tells_apart_are_never_counted_as_copies(tmp_path):
    """One UID for all: each differs from the first, so that the series is doubtful, not short."""
    images = anonymised()
    for image in images:
        image.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    write(tmp_path / "a" / "ct", images)
    studies, _, numbers = scanned(tmp_path / "a")
    assert (studies, numbers.usable) == ([], 0)
    assert refused(image_of(tmp_path / "a" / "ct"), "mixed_series")


def test_no_instance_anywhere_is_a_reason(tmp_path):
    images = anonymised()
    for image in images:
        image.file_meta.MediaStorageSOPInstanceUID = ""
    write(tmp_path / "a" / "ct", images)
    assert scanned(tmp_path / "a")[2].usable == 0
    assert refused(image_of(tmp_path / "a" / "ct"), "not_readable", "SOPInstanceUID")


@pytest.mark.parametrize("kind", RETIRED)
@pytest.mark.parametrize("modality", ["US", "", None])
def test_retired_ultrasound(tmp_path, kind, modality):
    image = dicom(kind, PICTURE)
    if modality is None:
        del image.Modality
    else:
        image.Modality = modality
    save(tmp_path / "a", [image])
    (study,), _, _ = scanned(tmp_path / "a")
    np.testing.assert_array_equal(study.image.array, PICTURE)
    assert study.image.geometry.unit == "px"


def test_retired_ultrasound_in_frames_is_chosen_from(tmp_path):
    image = dicom(RETIRED[1], PICTURE)
    image.Modality, image.NumberOfFrames = "US", 2
    image.PixelData = bytes(30) + PICTURE.tobytes()
    path = save(tmp_path / "a", [image]) / "SECRET000.dcm"
    assert refused(image_of(path), "several_volumes")
    np.testing.assert_array_equal(image_of(path, volume=1).volume.array, PICTURE)


@pytest.mark.parametrize("stated", [{}, {"ImagerPixelSpacing": None}])
def test_a_film_without_a_spacing_is_in_pixels(tmp_path, stated):
    path = film(tmp_path / "a" / "x.dcm", PICTURE, PixelSpacing=None, **stated)
    (study,), _, _ = scanned(tmp_path / "a")
    assert (study.image.geometry.unit, study.image.geometry.spacing) == ("px", (1.0, 1.0))
    assert image_of(path).header["pixel spacing"] == "not stated; distances in pixels"


@pytest.mark.parametrize("spacing", [[0, 0], [-0.1, 0.1]])
def test_a_film_whose_spacing_is_none_is_refused(tmp_path, spacing):
    path = film(tmp_path / "a" / "x.dcm", PICTURE, PixelSpacing=spacing)
    assert scanned(tmp_path / "a")[2].usable == 0
    assert refused(image_of(path), "no_geometry", "not two numbers above 0")
