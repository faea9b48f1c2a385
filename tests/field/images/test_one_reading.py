"""One reading of a header: what the scan calls usable is read, and what it excludes is refused for the same reason."""

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataelem import DataElement

from pipeline.errors import StudyError
from pipeline.studies.index.headers import describe
from tests.field.making import RAMP, image_of, scanned, series
from tests.field.mutants import mutants, write
from tests.pipeline.studies.readers.images.enhanced import enhanced
from tests.pipeline.studies.writers import dicom, dot, save


def ct():
    (image,) = series(RAMP[..., :1], EchoTime=3, AcquisitionNumber=1, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])
    image[0x00280120] = DataElement(0x00280120, "SS", -2000)
    return image


def cr():
    image = dicom("1.2.840.10008.5.1.4.1.1.1", dot((6, 5), (1, 1)).astype(np.uint16))
    image.Modality, image.PixelSpacing, image.PatientOrientation = "CR", [0.1, 0.1], ["L", "F"]
    image.WindowCenter, image.WindowWidth, image.PresentationLUTShape = 40, 400, "IDENTITY"
    return image


def us():
    image = dicom("1.2.840.10008.5.1.4.1.1.6.1", dot((6, 5), (1, 1)).astype(np.uint8))
    image.Modality, image.NumberOfFrames, image.PixelAspectRatio = "US", 1, [1, 1]
    return image


def rgb():
    image = us()
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PlanarConfiguration = 3, "RGB", 0
    image.PixelData = bytes(90)
    return image


def in_frames(folder):
    return loaded(enhanced(folder / "e.dcm", dot((7, 5, 3), (1, 1, 1)), np.diag([-1.0, -1, 1, 1])))


def loaded(path):
    """Return a file all of whose elements are parsed: those that are not are written back as they were."""
    image = dcmread(path)
    image.walk(lambda _, element: element.value)
    return image


def in_own_frames(folder):
    rescales = ((1, 0), (2, 3), (1, 5))
    path = enhanced(folder / "e.dcm", dot((7, 5, 3), (1, 1, 1)), np.diag([-1.0, -1, 1, 1]), own=True, rescales=rescales)
    return loaded(path)


@pytest.mark.parametrize("make", [ct, cr, us, rgb, in_frames, in_own_frames], ids=lambda make: make.__name__)
def test_usable_is_readable(tmp_path, make):
    """Every attribute absent, empty, in other value representations, with more or fewer values: one verdict.

    And no class's name in it.
    """
    verdicts = set()
    for name, image in mutants(make(tmp_path) if "frames" in make.__name__ else make()):
        path = write(tmp_path / "a.dcm", image)
        with path.open("rb") as file:
            facts = describe(file, path.stat().st_size)
        stated = facts["reason"] or facts.get("fault")
        found = image_of(path)
        reason = found.reason if isinstance(found, StudyError) else None
        assert stated == reason, (name, stated, found)
        assert not isinstance(found, StudyError) or "damaged, or is not" not in str(found), (name, str(found))
        verdicts.add(reason)
    assert len(verdicts) > 3


@pytest.mark.parametrize("place", [0, 3])
def test_usable_is_readable_for_one_slice_of_a_series(tmp_path, place):
    """A slice that is wrong in one attribute never leaves a shorter volume behind."""
    images = series(RAMP[..., :5])
    for number, (name, image) in enumerate(mutants(images[place])):
        if number % 7 or "SeriesInstanceUID" in name or "SOPClassUID" in name:
            continue
        root = tmp_path / str(number)
        folder = save(root / "ct", images)
        write(folder / f"SECRET{place:03}.dcm", image)
        studies, _, _ = scanned(root)
        found = image_of(folder)
        assert bool(studies) is not isinstance(found, StudyError), (name, found)
        assert all(not isinstance(study, StudyError) for study in studies), name
        if studies:
            assert studies[0].image.array.shape == found.volume.array.shape, name


def test_a_number_is_a_number_in_any_value_representation(tmp_path):
    images = series()
    for image in images:
        image[0x00280030] = DataElement(0x00280030, "UT", "0.8\\0.7")
        image[0x00280010] = DataElement(0x00280010, "IS", "14")
        image[0x00200032] = DataElement(0x00200032, "FD", [float(one) for one in image.ImagePositionPatient])
    save(tmp_path / "a" / "ct", images)
    (study,) = scanned(tmp_path / "a")[0]
    np.testing.assert_array_equal(study.image.array, RAMP)
    np.testing.assert_allclose(study.image.geometry.spacing, (0.7, 0.8, 2.5))


def test_an_empty_orientation_on_a_film_is_none(tmp_path):
    image = cr()
    image.ImageOrientationPatient = None
    (tmp_path / "a").mkdir()
    image.save_as(tmp_path / "a" / "x.dcm", enforce_file_format=True)
    assert scanned(tmp_path / "a")[2].usable == 1
    assert image_of(tmp_path / "a" / "x.dcm").volume.array.shape == (6, 5)
