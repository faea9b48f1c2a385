"""Images as people have reported them in public threads, rebuilt; each names its thread."""

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian, generate_uid

from pipeline.errors import StudyError
from tests.field.making import AFFINE, RAMP, SHAPE, film, image_of, refused, scanned, series, volume
from tests.pipeline.studies.writers import save

# what is one volume


def test_an_export_that_lost_most_of_an_echo(tmp_path):
    """dcm2niix issue 82: 3 slices of the first echo among 61 of the second: not a volume with two contrasts in it."""
    images = series(EchoTime=lambda index: "4.92" if index in (1, 4) else "7.38")
    folder = save(tmp_path / "a" / "mr", images)
    _, rows, numbers = scanned(tmp_path / "a")
    assert (rows, numbers.excluded) == ((), {"mixed_series": 6})
    assert numbers.differing == {"EchoTime": 1}
    refused(image_of(folder), "mixed_series", "EchoTime")


def test_phases_of_contrast_in_one_series_with_a_scout(tmp_path):
    """dcm2niix issue 721: phases told by AcquisitionNumber alone, all at one place, and a scout of another size."""
    phases = [image for number in (1, 2, 3) for image in series(RAMP + 100 * number, AcquisitionNumber=number)]
    scout = series(np.zeros((20, 22, 1), np.int16))[0]
    scout.ImageType, scout.ImageOrientationPatient = ["ORIGINAL", "PRIMARY", "LOCALIZER"], [0, 1, 0, 0, 0, -1]
    save(tmp_path / "a" / "ct", [*phases, scout])
    studies, _, numbers = scanned(tmp_path / "a")
    assert sorted(float(study.image.array.min()) for study in studies) == [100, 200, 300]
    assert numbers.excluded == {"localizer": 1}


def test_phases_that_nothing_tells_apart(tmp_path):
    """dcm2niix issue 409's kin: the same places three times, and no attribute that parts them."""
    save(tmp_path / "a" / "mr", [image for _ in range(3) for image in series()])
    _, rows, numbers = scanned(tmp_path / "a")
    assert (rows, numbers.excluded) == ((), {"several_volumes": 18})


def test_two_bodies_in_one_series(tmp_path):
    """dcm2niix issue 1009: brain and spine in one series, each a volume of its own."""
    far = AFFINE.copy()
    far[2, 3] += 400
    save(tmp_path / "a" / "mr", [*series(AcquisitionNumber=1), *series(RAMP, far, AcquisitionNumber=2)])
    studies, _, _ = scanned(tmp_path / "a")
    assert [study.image.array.shape for study in studies] == [SHAPE] * 2


# pixels


def test_a_slope_for_each_slice(tmp_path):
    """PET: each slice is scaled to its own maximum (pydicom threads on RescaleSlope)."""
    images = series(RescaleSlope=lambda index: 0.5 + index, RescaleIntercept=0)
    expected = RAMP * (0.5 + np.arange(SHAPE[2]))
    np.testing.assert_allclose(volume(tmp_path, images).volume.array, expected)


@pytest.mark.parametrize("slope", ["1.0E-05", "3.0517578125e-5", "+2", " 1 ", "1e0"])
def test_slopes_as_vendors_write_them(tmp_path, slope):
    images = series(RescaleSlope=slope, RescaleIntercept="-0")
    np.testing.assert_allclose(volume(tmp_path, images).volume.array, RAMP * float(slope), rtol=1e-6)


def test_an_overlay_in_the_unused_bits(tmp_path):
    """pydicom threads on bright dots: bits above those stored hold an overlay, not the picture."""
    words = (RAMP % 4096).astype(np.uint16)
    with_overlay = words | np.where(RAMP % 3 == 0, 0xF000, 0).astype(np.uint16)
    about = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0}
    np.testing.assert_array_equal(volume(tmp_path, series(with_overlay, **about)).volume.array, words)


# one reading


def test_a_file_that_is_no_part_10_file(tmp_path):
    """dcm2niix issue 82: a data set without preamble and meta group: no image for the scan, refused by the reader."""
    (image,) = series(RAMP[..., :1])
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "x.dcm"
    image.save_as(path, enforce_file_format=True)
    content = path.read_bytes()
    path.write_bytes(content[content.index(b"\x08\x00\x05\x00") if b"\x08\x00\x05\x00" in content else 300 :])
    _, rows, numbers = scanned(tmp_path / "a")
    assert (rows, numbers.usable) == ((), 0)
    assert isinstance(image_of(path), StudyError)


def test_a_meta_group_that_states_the_wrong_encoding(tmp_path):
    """pydicom threads: explicit VR is stated and implicit VR written; scan and reader agree, whatever they say."""
    images = series()
    folder = save(tmp_path / "a" / "ct", images)
    for path in folder.iterdir():
        dataset = dcmread(path)
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        dataset.save_as(path, implicit_vr=True, little_endian=True)
        path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2\0", b"1.2.840.10008.1.2.1"[:18]))
    studies, _, _ = scanned(tmp_path / "a")
    found = image_of(folder)
    assert bool(studies) is not isinstance(found, StudyError)


def test_colour_volumes_are_ruled_out_by_their_header(tmp_path):
    """RGB NIfTI of fractional anisotropy maps; a header of a terabyte in a file of some bytes."""
    import nibabel

    (tmp_path / "a").mkdir()
    colours = np.zeros((4, 5, 6), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(colours, AFFINE), tmp_path / "a" / "fa.nii.gz")
    header = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), AFFINE).header
    header["dim"] = [3, 10000, 10000, 10000, 1, 1, 1, 1]
    (tmp_path / "a" / "huge.nii").write_bytes(header.binaryblock + bytes(108))
    _, rows, numbers = scanned(tmp_path / "a")
    assert (rows, numbers.excluded) == ((), {"not_a_single_channel": 1, "too_large": 1})


@pytest.mark.parametrize("kind", ["turned", "cmyk", "animated", "deep colour"])
def test_pictures_that_their_header_rules_out(tmp_path, kind):
    """JPEGs of phones are stored turned; scans of films as CMYK; what a reader refuses is not usable in a scan."""
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / ("x.jpg" if kind in ("turned", "cmyk") else "x.png")
    picture = Image.fromarray(np.zeros((20, 30, 3), np.uint8))
    if kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        picture.save(path, exif=exif)
    elif kind == "cmyk":
        picture.convert("CMYK").save(path)
    elif kind == "animated":
        picture.save(path, save_all=True, append_images=[picture, picture.rotate(90)])
    else:
        path.write_bytes(deep_colour())
    found = image_of(path)
    assert isinstance(found, StudyError)
    assert scanned(tmp_path / "a")[2].excluded == {str(found.reason): 1}


def deep_colour():
    """Return a PNG of 16 bits a colour, which Pillow does not write."""
    import struct
    import zlib

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + bytes(30 * 6) for _ in range(20))
    header = struct.pack(">IIBBBBB", 30, 20, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


# empty is not absent


@pytest.mark.parametrize(
    ("attribute", "readable"),
    [
        ("WindowCenter", True), ("NumberOfFrames", True), ("PixelSpacing", True), ("BitsStored", False),
        ("PhotometricInterpretation", False), ("PatientOrientation", True), ("ImageType", True), ("PatientID", True),
    ],
)  # fmt: skip
def test_an_empty_attribute_of_a_film(tmp_path, attribute, readable):
    """Anonymisers blank what they do not know."""
    path = film(
        tmp_path / "a" / "x.dcm", np.arange(600, dtype=np.uint16).reshape(20, 30), WindowCenter=9, WindowWidth=9
    )
    dataset = dcmread(path)
    setattr(dataset, attribute, None)
    if attribute == "WindowCenter":
        dataset.WindowWidth = None
    dataset.save_as(path)
    found = image_of(path, voi="apply")
    assert isinstance(found, StudyError) is not readable, found
    assert scanned(tmp_path / "a")[2].usable == int(readable)


def test_series_without_uids_of_their_own(tmp_path):
    """Anonymised sets with one series UID for all: images are told apart by what the gate compares, or not taken."""
    shared = generate_uid()
    for name, step in (("p1", 0.0), ("p2", 7.0)):
        affine = AFFINE.copy()
        affine[0, 3] += step
        save(tmp_path / "a" / name, series(RAMP, affine, SeriesInstanceUID=shared, PatientID=name))
    studies, _, numbers = scanned(tmp_path / "a")
    assert [study.image.array.shape for study in studies] == [SHAPE] * 2 or numbers.excluded == {"mixed_series": 12}
