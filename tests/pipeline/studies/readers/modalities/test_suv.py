"""Body-weight SUV against values worked out by hand from QIBA's formula, vendor by vendor, and what it refuses."""

import warnings

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from pipeline.errors import Reason
from pipeline.studies.readers import ReadOptions, read_image
from tests.pipeline.studies.readers.images.enhanced import enhanced
from tests.pipeline.studies.writers import grid, refusal, slices
from tests.pipeline.studies.writers import save as save_valid

AFFINE = grid(np.diag([-1, -1, 1]), (4.0, 4.0, 3.0), (20.0, 30.0, 0.0))
STORED = np.full((4, 5, 3), 1000, np.int16)
SUV = ReadOptions(pet="suv_bw")
HALF_LIFE = 6586.2  # F-18, seconds


def injection(**attributes):
    made = Dataset()
    made.RadionuclideTotalDose, made.RadionuclideHalfLife = 370e6, HALF_LIFE
    made.RadiopharmaceuticalStartTime = "100000.00"
    return changed(made, attributes)


def changed(dataset, attributes):
    with warnings.catch_warnings(action="ignore"):  # of values that are none
        for name, value in attributes.items():
            if value is None:
                delattr(dataset, name)
            else:
                setattr(dataset, name, value)
    return dataset


def series(injected=None, **attributes):
    """Return PET slices: 74 kg, 370 MBq at 10:00:00, scanned one half-life later; slope 2."""
    images = slices(STORED, AFFINE)
    for number, image in enumerate(images):
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.128"
        image.Modality, image.Units, image.DecayCorrection = "PT", "BQML", "START"
        image.CorrectedImage, image.PatientWeight = ["DECY", "ATTN", "SCAT"], 74.0
        image.SeriesDate = image.AcquisitionDate = "20200101"
        image.SeriesTime, image.AcquisitionTime = "114946.2", f"115{number}00"
        image.RescaleSlope, image.RescaleType = 2, "BQML"
        image.RadiopharmaceuticalInformationSequence = [injected if injected is not None else injection()]
        changed(image, {name: value(number) if callable(value) else value for name, value in attributes.items()})
    return images


def save(folder, images):
    with warnings.catch_warnings(action="ignore"):
        return save_valid(folder, images)


def level(folder, images, options=SUV):
    image = read_image(save(folder, images), options)
    (value,) = set(image.volume.array.ravel().tolist())
    return value, image.header["pet units"]


def test_from_activity_corrected_to_the_start(tmp_path):
    """2000 Bq/mL x 74,000 g / (370 MBq / 2) = 0.8."""
    value, units = level(tmp_path, series())
    assert value == pytest.approx(0.8, rel=1e-6)
    assert units == "g/mL: SUV by body weight, from BQML"


def test_as_stored_is_the_default(tmp_path):
    assert level(tmp_path, series(), ReadOptions()) == (2000.0, "BQML, as stored")


def test_corrected_to_the_injection(tmp_path):
    value, _ = level(tmp_path, series(DecayCorrection="ADMIN", SeriesTime=None))
    assert value == pytest.approx(0.4, rel=1e-6)


def test_an_injection_with_its_date(tmp_path):
    """Two half-lives before: a quarter of the activity is left."""
    injected = injection(RadiopharmaceuticalStartDateTime="20200101081013.8", RadiopharmaceuticalStartTime="100000")
    assert level(tmp_path, series(injected))[0] == pytest.approx(1.6, rel=1e-6)


def test_an_injection_before_midnight(tmp_path):
    injected = injection(RadiopharmaceuticalStartTime="233000")
    images = series(injected, SeriesTime="011946.2", AcquisitionTime="012000")
    assert level(tmp_path, images)[0] == pytest.approx(0.8, rel=1e-6)


def test_a_series_that_was_made_later_tells_its_start_by_frame_reference_times(tmp_path):
    """Two beds of 600 s: counts lie, on the mean, a little before the middle of a frame (T/2 - lambda T^2/24)."""
    mean = np.log(np.log(2) / HALF_LIFE * 600 / (1 - 2 ** (-600 / HALF_LIFE))) / (np.log(2) / HALF_LIFE)
    assert mean == pytest.approx(298.42, abs=0.01)
    images = series(
        SeriesTime="180000",
        AcquisitionTime=lambda number: ("114946.2", "114946.2", "120146.2")[number],
        FrameReferenceTime=lambda number: round(1000 * (mean + (0, 0, 720)[number])),
        ActualFrameDuration=600_000,
    )
    assert level(tmp_path, images)[0] == pytest.approx(0.8, rel=1e-5)


def test_a_series_that_was_made_later_by_ge_tells_its_start(tmp_path):
    images = series(SeriesTime="180000")
    for image in images:
        image.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", "20200101114946.20")
    assert level(tmp_path, images)[0] == pytest.approx(0.8, rel=1e-6)


def philips(images, **factors):
    for image in images:
        block = image.private_block(0x7053, "Philips PET Private Group", create=True)
        for element, value in factors.items():
            block.add_new(int(element[1:], 16), "DS", value)
    return images


def test_philips_counts(tmp_path):
    assert level(tmp_path / "a", philips(series(Units="CNTS"), x00="0.0005", x09="7"))[0] == pytest.approx(1.0)
    value, units = level(tmp_path / "b", philips(series(Units="CNTS"), x09="3"))
    assert value == pytest.approx(2.4, rel=1e-6)
    assert units == "g/mL: SUV by body weight, from CNTS by Philips' activity concentration scale factor"
    nothing = save(tmp_path / "c", series(Units="CNTS"))
    assert "private scale factors" in refusal(Reason.NOT_READABLE, lambda: read_image(nothing, SUV))
    zero = save(tmp_path / "d", philips(series(Units="CNTS"), x00="0"))
    refusal(Reason.NOT_READABLE, lambda: read_image(zero, SUV))


def test_what_is_stored_as_suv_stays(tmp_path):
    assert level(tmp_path / "a", series(Units="GML", PatientWeight=None)) == (
        2000.0,
        "g/mL: SUV by body weight, as stored (GML)",
    )
    lean = save(tmp_path / "b", series(Units="GML", SUVType="LBMJANMA"))
    refusal(Reason.UNSUPPORTED_FORMAT, lambda: read_image(lean, SUV))


@pytest.mark.parametrize(
    ("attributes", "word"),
    [
        ({"PatientWeight": None}, "PatientWeight"),
        ({"PatientWeight": 0}, "PatientWeight"),
        ({"PatientWeight": lambda number: 70 + number}, "3 different values of PatientWeight"),
        ({"Units": None}, "Units"),
        ({"CorrectedImage": ["DECY"]}, "ATTN"),
        ({"CorrectedImage": None}, "ATTN and DECY"),
        ({"SeriesTime": None}, "SeriesDate and SeriesTime"),
        ({"SeriesTime": "SECRET"}, "SeriesTime"),
        ({"SeriesDate": "20201332"}, "SeriesDate"),
        ({"AcquisitionDate": None}, "AcquisitionDate"),
        ({"SeriesTime": "180000"}, "FrameReferenceTime"),
        ({"SeriesTime": "180000", "FrameReferenceTime": 0, "ActualFrameDuration": 600_000}, "different starts"),
        ({"RescaleIntercept": 3}, "RescaleIntercept"),
        ({"RadiopharmaceuticalInformationSequence": []}, "0 items of RadiopharmaceuticalInformationSequence"),
        ({"RadiopharmaceuticalInformationSequence": lambda _: [injection(), injection()]}, "2 items"),
    ],
)
def test_what_is_needed_and_not_stated_is_named(tmp_path, attributes, word):
    path = save(tmp_path, series(**attributes))
    assert word in refusal(Reason.NOT_READABLE, lambda: read_image(path, SUV))
    assert read_image(path).header["pet units"].endswith("as stored")


@pytest.mark.parametrize(
    ("attributes", "word"),
    [
        ({"RadionuclideTotalDose": None}, "RadionuclideTotalDose"),
        ({"RadionuclideTotalDose": 370}, "RadionuclideTotalDose"),  # in MBq
        ({"RadionuclideHalfLife": None}, "RadionuclideHalfLife"),
        ({"RadionuclideHalfLife": 0}, "RadionuclideHalfLife"),
        ({"RadiopharmaceuticalStartTime": None}, "RadiopharmaceuticalStartTime"),
        ({"RadiopharmaceuticalStartTime": "1000,5"}, "RadiopharmaceuticalStartTime"),
        ({"RadiopharmaceuticalStartDateTime": "20200102100000"}, "RadiopharmaceuticalStartDateTime"),
        ({"RadiopharmaceuticalStartDateTime": "20200101100000+0200"}, "zone"),
    ],
)
def test_what_an_injection_has_to_state_is_named(tmp_path, attributes, word):
    path = save(tmp_path, series(injection(**attributes)))
    assert word in refusal(Reason.NOT_READABLE, lambda: read_image(path, SUV))


@pytest.mark.parametrize("attributes", [{"DecayCorrection": "NONE"}, {"DecayCorrection": None}, {"Units": "PROPCPS"}])
def test_units_and_corrections_without_a_way_to_suv_are_refused(tmp_path, attributes):
    path = save(tmp_path, series(**attributes))
    reason = Reason.NOT_READABLE if attributes == {"DecayCorrection": None} else Reason.UNSUPPORTED_FORMAT
    refusal(reason, lambda: read_image(path, SUV))


def test_other_modalities_are_read_as_ever_and_enhanced_pet_is_refused(tmp_path):
    assert "pet units" not in read_image(save(tmp_path / "ct", slices(STORED, AFFINE)), SUV).header
    path = enhanced(tmp_path / "SECRET.dcm", STORED, AFFINE, kind="1.2.840.10008.5.1.4.1.1.130")
    dataset = dcmread(path)
    dataset.Modality = "PT"
    dataset.save_as(path)
    refusal(Reason.UNSUPPORTED_FORMAT, lambda: read_image(path, SUV))
