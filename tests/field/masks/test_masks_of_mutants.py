"""Masks whose header is wrong in one attribute: the mask as drawn, or a sentence that names what is wrong."""

import numpy as np
import pytest

from pipeline.errors import StudyError
from tests.field.images.test_one_reading import loaded
from tests.field.making import AFFINE, film, image_of, mask, series, volume
from tests.field.mutants import mutants, write
from tests.pipeline.studies.readers.masks.test_rtstruct import circle, structure_set
from tests.pipeline.studies.writers import segmentation


def stored(tmp_path, kind):
    images = series(np.zeros((10, 8, 3), np.int16))
    marks = np.zeros((3, 8, 10), np.uint8)
    marks[1, 2:4, 2:4] = 1
    drawn = marks if kind == "LABELMAP" else marks[..., None].astype(bool)
    path = segmentation(tmp_path / "m.dcm", images, drawn, ["Mass"], kind=kind)
    return path, volume(tmp_path / "ct", images)


def outlined(tmp_path, _):
    image = volume(tmp_path / "ct", series(np.zeros((40, 40, 5), np.int16)))
    return structure_set(tmp_path / "m.dcm", [("Mass", [circle(20, 20, 2, 5)])], AFFINE), image


def captured(tmp_path, _):
    marks = np.eye(20, 30, dtype=np.uint8) * 255
    path = film(tmp_path / "m.dcm", marks, SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    return path, image_of(film(tmp_path / "x.dcm", np.zeros((20, 30), np.uint16)))


@pytest.mark.parametrize(
    ("make", "kind"),
    [(stored, "BINARY"), (stored, "LABELMAP"), (outlined, ""), (captured, "")],
    ids=["binary", "label map", "structures", "capture"],
)
def test_a_wrong_attribute_is_named(tmp_path, make, kind):
    path, image = make(tmp_path, kind)
    drawn = mask(path, image, label="mass").marked
    read, refusals = 0, set()
    for number, (name, changed) in enumerate(mutants(loaded(path))):
        if name.count(",") and number % 4:  # in sequences, whose items are many and alike
            continue
        found = mask(write(tmp_path / "changed.dcm", changed), image, label="mass")
        if isinstance(found, StudyError):
            assert "damaged, or is not" not in str(found), (name, str(found))
            refusals.add(str(found))
        else:
            assert np.array_equal(found.marked, drawn) or "structures without contours" in found.header, name
            read += 1
    assert read > 50
    assert len(refusals) > 5
