"""One pixel path, held against dcmtk: what a picture's bits, sign, tables and polarity make of it, in all mixtures."""

import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image
from pydicom.dataelem import DataElement

from tests.field.images.test_pixels import table
from tests.field.making import film, image_of

SHAPE = (14, 12)
ROUNDING = 1.6  # of 255: theirs is in 8 bits, and rounds a table's entries once more


def drawn(seed):
    """Return a picture's attributes and words, drawn at random: bits, sign, window or table, polarity, padding."""
    rng = np.random.default_rng(seed)
    allocated = int(rng.choice([8, 16, 16, 16]))
    stored = int(rng.integers(max(6, allocated - 8), allocated + 1))
    high = int(rng.integers(stored - 1, allocated))
    signed = bool(rng.integers(2))
    low, top = (-(2 ** (stored - 1)), 2 ** (stored - 1) - 1) if signed else (0, 2**stored - 1)
    values = rng.integers(low, top + 1, SHAPE)
    values.ravel()[:2] = low, top
    shift = high + 1 - stored
    words = ((values & (2**stored - 1)) << shift).astype(np.uint16 if allocated == 16 else np.uint8)
    if signed and shift + stored < allocated:  # the sign goes on to the word's end
        words |= np.where(values < 0, (2**allocated - 1) ^ (2 ** (shift + stored) - 1), 0).astype(words.dtype)
    about = {
        "BitsStored": stored, "HighBit": high, "PixelRepresentation": int(signed),
        "PhotometricInterpretation": str(rng.choice(["MONOCHROME1", "MONOCHROME2"])),
        "PresentationLUTShape": str(rng.choice(["", "IDENTITY", "INVERSE"])),
    }  # fmt: skip
    slope, intercept = float(rng.choice([1, 1, 2, 0.5, -1])), float(rng.choice([0, -1024, 100]))
    about |= {"RescaleSlope": slope, "RescaleIntercept": intercept}
    if rng.integers(2):
        about["PixelPaddingValue"] = low
    span = (top - low) * abs(slope)
    middle = (low + top) / 2 * slope + intercept
    display = str(rng.choice(["none", "window", "sigmoid", "table"]))
    if display in ("window", "sigmoid"):
        width = max(2, round(span * float(rng.uniform(0.2, 0.9))))
        about |= {"WindowCenter": round(middle + span * float(rng.uniform(-0.2, 0.2))), "WindowWidth": width}
        about |= {"VOILUTFunction": "SIGMOID"} if display == "sigmoid" else {}
    if display == "table":  # tables follow the modality transform: whole numbers
        about |= {"RescaleSlope": 1.0, "RescaleIntercept": 0.0}
        entries = min(2**stored, 4096)
        first = int(rng.integers(low, max(low + 1, top - entries + 2)))
        made = (2**12 - 1) * np.linspace(0, 1, entries) ** float(rng.uniform(0.5, 2))
        made = made[::-1] if rng.integers(2) else made
        about["VOILUTSequence"] = [table(first, made.astype(np.uint16), 12)]
        if signed:
            descriptor = [entries % 65536, first, 12]
            about["VOILUTSequence"][0][0x00283002] = DataElement(0x00283002, "SS", descriptor)
    return about, words, (low, top), display


def grey_level(about, span):
    """Return what of 255 dcmtk's whole numbers lose: a stored value where there are few, two under half steps."""
    if about["RescaleSlope"] % 1 == 0 and span > 2**7:
        return 0
    lost = 1 if about["RescaleSlope"] % 1 == 0 else 2  # stored values
    return lost * 255 / (about["WindowWidth"] / abs(about["RescaleSlope"]) if "WindowWidth" in about else span)


@pytest.mark.skipif(shutil.which("dcm2pnm") is None, reason="dcmtk is not installed")
@pytest.mark.parametrize("seed", range(60))
def test_a_picture_is_shown_as_dcmtk_shows_it(tmp_path, seed):
    about, words, (low, top), display = drawn(seed)
    path = film(tmp_path / "a.dcm", words, **about)
    option = {"none": ["--no-windowing"], "table": ["--use-voi-lut", "1"]}.get(display, ["--use-window", "1"])
    subprocess.run(["dcm2pnm", *option, "+op", str(path), str(tmp_path / "a.pgm")], check=True, capture_output=True)
    theirs = np.asarray(Image.open(tmp_path / "a.pgm")).astype(np.float64)
    image = image_of(path, voi="apply")
    ours = image.volume.array
    ends = sorted(value * about["RescaleSlope"] + about["RescaleIntercept"] for value in (low, top))
    lowest, highest = (0, 2**12 - 1) if display == "table" else ends
    shown = (ours - lowest) / (highest - lowest) * 255
    if about["PhotometricInterpretation"] == "MONOCHROME1" and about["PresentationLUTShape"] == "IDENTITY":
        assert "against" in image.header["photometric"]  # the two contradict each other, and dcmtk takes the second
        shown = 255 - shown
    np.testing.assert_allclose(shown, theirs, atol=ROUNDING + grey_level(about, top - low))
    assert ("pixel padding" in image.header) is ("PixelPaddingValue" in about)


ENCODERS = {
    "lossless": (["dcmcjpeg", "+e1"], "dcmdjpeg", 0), "extended": (["dcmcjpeg", "+ee", "+q", "95"], "dcmdjpeg", 2),
    "baseline": (["dcmcjpeg", "+eb", "+q", "95"], "dcmdjpeg", 2), "JPEG-LS": (["dcmcjpls"], "dcmdjpls", 0),
    "near JPEG-LS": (["dcmcjpls", "+en"], "dcmdjpls", 0), "run lengths": (["dcmcrle"], "dcmdrle", 0),
}  # fmt: skip


@pytest.mark.skipif(shutil.which("dcmcjpeg") is None, reason="dcmtk is not installed")
@pytest.mark.parametrize("stored", [8, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_compressed_pixels_are_those_that_dcmtk_decodes(tmp_path, encoder, signed, stored):
    encode, decode, tolerance = ENCODERS[encoder]
    low, top = (-(2 ** (stored - 1)), 2 ** (stored - 1) - 1) if signed else (0, 2**stored - 1)
    rows, columns = np.mgrid[0:16, 0:24]
    values = (low + (top - low) * (rows * 24 + columns) / (16 * 24 - 1)).astype(np.int64)
    words = values.astype(np.uint8 if stored == 8 else np.uint16)
    about = {"BitsStored": stored, "HighBit": stored - 1, "PixelRepresentation": int(signed)}
    film(tmp_path / "a.dcm", words, **about, RescaleSlope=1, RescaleIntercept=0)
    if subprocess.run([*encode, "a.dcm", "b.dcm"], cwd=tmp_path, capture_output=True, check=False).returncode:
        pytest.skip("dcmtk does not encode such pixels so")
    subprocess.run([decode, "b.dcm", "c.dcm"], cwd=tmp_path, capture_output=True, check=True)
    ours, theirs = (image_of(tmp_path / f"{name}.dcm") for name in "bc")
    np.testing.assert_allclose(ours.volume.array, theirs.volume.array, atol=tolerance)
    if not tolerance:  # what is lost is rendered anew by the encoder, on a scale of its own
        np.testing.assert_allclose(ours.volume.array, values, atol=2)
