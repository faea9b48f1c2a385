"""What one series is: one image, several that each stand, or none; never its pieces."""

import numpy as np
import pytest
from pydicom.uid import generate_uid

from tests.field.making import AFFINE, RAMP, SHAPE, image_of, refused, scanned, series
from tests.pipeline.studies.writers import save


def shapes(root):
    studies, _, numbers = scanned(root)
    return [study.image.array.shape for study in studies], numbers


@pytest.mark.parametrize(
    "value",
    [
        {"EchoTime": lambda index: f"2.9{index % 2}"}, {"TemporalPositionIdentifier": lambda index: index + 1},
        {"AcquisitionNumber": lambda index: index // 2}, {"AcquisitionNumber": lambda index: index},
        {"ImageType": lambda index: ["ORIGINAL", "PRIMARY", f"T{index}"]},
    ],
    ids=["echo", "time", "blocks", "acquisition", "type"],
)  # fmt: skip
def test_what_varies_along_one_stack_does_not_tear_it(tmp_path, value):
    save(tmp_path / "a" / "mr", series(**value))
    found, _ = shapes(tmp_path / "a")
    assert found == [SHAPE]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FrameOfReferenceUID", lambda _: generate_uid()), ("PatientID", lambda index: f"P{index}"),
        ("StudyInstanceUID", lambda _: generate_uid()), ("EchoTime", lambda index: 3 + index),
        ("ImageOrientationPatient", lambda index: [1, 0, 0, 0, 1, 0] if index else [0, 1, 0, 0, 0, -1]),
        ("PixelSpacing", lambda index: [0.8, 0.7] if index else [0.8, 0.75]),
    ],
)  # fmt: skip
def test_pieces_are_no_images(tmp_path, name, value):
    folder = save(tmp_path / "a" / "mr", series(**{name: value}))
    found, numbers = shapes(tmp_path / "a")
    assert (found, numbers.images, numbers.excluded) == ([], 1, {"mixed_series": 6})
    assert any(name in key for key in numbers.differing)
    refused(image_of(folder), "mixed_series")


def test_an_attribute_that_some_slices_lack_takes_none_of_them_away(tmp_path):
    save(tmp_path / "a" / "mr", series(PatientID=lambda index: "P" if index else None))
    found, numbers = shapes(tmp_path / "a")
    assert (found, numbers.excluded) == ([], {"mixed_series": 6})


def passes(shift, step=5.0):
    affine = AFFINE.copy()
    affine[2, 2] = step
    first = series(RAMP, affine, AcquisitionNumber=1)
    moved = affine.copy()
    moved[2, 3] += shift
    second = series(RAMP + 300, moved, AcquisitionNumber=2)
    return first + second


@pytest.mark.parametrize("shift", [2.5, 21.3, 1.0, 32.0, 0.0], ids=["between", "overlap", "beside", "gap", "same"])
def test_two_passes_are_two_volumes(tmp_path, shift):
    images = passes(shift)
    folder = save(tmp_path / "a" / "ct", images)
    studies, _, _ = scanned(tmp_path / "a")
    assert [study.image.array.shape for study in studies] == [SHAPE] * 2
    lows = sorted(float(study.image.array.min()) for study in studies)
    assert lows == [0.0, 300.0]
    assert not hasattr(image_of(folder), "volume")


def test_passes_that_alternate_are_told_by_the_reader(tmp_path):
    folder = save(tmp_path, passes(2.5))
    refused(image_of(folder), "mixed_series", "AcquisitionNumber")


def test_a_second_pass_that_follows_on_is_one_volume(tmp_path):
    save(tmp_path / "a" / "ct", passes(30.0))
    found, _ = shapes(tmp_path / "a")
    assert found == [(*SHAPE[:2], 12)]


def test_a_planning_view_is_set_aside_and_a_broken_slice_is_not(tmp_path):
    images = series()
    scout = series(np.zeros((12, 14, 1), np.int16))[0]
    scout.ImageType, scout.ImageOrientationPatient = ["ORIGINAL", "PRIMARY", "LOCALIZER"], [1, 0, 0, 0, 0, -1]
    save(tmp_path / "a" / "ct", [*images, scout])
    found, numbers = shapes(tmp_path / "a")
    assert (found, numbers.excluded) == ([SHAPE], {"localizer": 1})
    images[0].RescaleSlope = 0
    save(tmp_path / "b" / "ct", images)
    found, numbers = shapes(tmp_path / "b")
    assert (found, numbers.excluded) == ([], {"not_readable": 6})
