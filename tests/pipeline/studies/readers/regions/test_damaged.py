"""Files of regions that were damaged by chance: each is a mask or a reason, in words of our own."""

import random

import numpy as np
import pytest

from pipeline.errors import StudyError
from pipeline.studies.readers import MaskRequest, read_image, read_mask
from tests.pipeline.studies.readers.regions import (
    test_aim,
    test_dicom_report,
    test_labelme,
    test_lidc,
    test_pascal_voc,
    test_via,
)
from tests.pipeline.studies.readers.regions.pictures import picture, write
from tests.pipeline.studies.writers import dot, names_nobody, save, slices

WANTED = MaskRequest("nodule", key="a", reader="reader1")
PIECES = (b"-1", b"nan", b"1e308", b"<", b'"', b"{", b"[", b"\0", b"9" * 20, b"null", b",", b"&x;", b"\xff", b"1,5")


def written(folder, images):
    """Yield a file of each format, and the image that it is of."""
    (first, *_), flat = images, picture()
    mask = test_labelme.shape("mask", [[5.0, 2.0], [7.0, 3.0]], mask=test_labelme.png(np.ones((2, 3), np.uint8)))
    outline = test_labelme.shape("polygon", [[0, 0], [4, 0], [4, 2]])
    yield test_labelme.labelme(folder / "l.json", outline, mask), flat
    yield test_via.exported(folder / "v.json", test_via.entry(test_via.RECT)), flat
    yield test_pascal_voc.voc(folder / "p.xml", test_pascal_voc.voc_box(1, 1, 2, 2)), flat
    yield write(folder / "y.txt", "0 0.5 0.5 0.2 0.2\n0 0.1 0.1 0.5 0.1 0.5 0.5\n"), flat
    volume = read_image(save(folder / "ct", images))
    drawn = test_aim.markup("TwoDimensionPolyline", test_aim.BOX, first.SOPInstanceUID)
    yield test_aim.aim(folder / "a.xml", test_aim.annotation(drawn)), volume
    edge = test_lidc.roi(first.SOPInstanceUID, test_lidc.frame(1, 1, 5, 4))
    yield test_lidc.lidc(folder / "d.xml", test_lidc.session(test_lidc.nodule(edge))), volume
    yield test_dicom_report.report(folder / "s.dcm", images, test_dicom_report.group(first)), volume


def damaged(content, rng):
    harmed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.randrange(len(harmed))
        match rng.randrange(4):
            case 0:
                harmed[place] = rng.randrange(256)
            case 1:
                del harmed[place : place + rng.randrange(1, 40)]
            case 2:
                harmed[place : place + rng.randrange(3)] = rng.choice(PIECES)
            case 3:
                harmed[place] ^= 1 << rng.randrange(8)
        harmed = harmed or bytearray(b"x")
    return bytes(harmed)


def outcome(path, image):
    """Return "read", or the reason of a refusal, whose words name nobody and no class of a library."""
    try:
        marked = read_mask(path, image, WANTED).marked
    except StudyError as error:
        refusal = error
    else:
        assert marked.shape == image.volume.geometry.shape
        return "read"
    names_nobody(str(refusal))
    assert "Error" not in str(refusal)
    return refusal.reason


@pytest.mark.parametrize("seed", range(7))
def test_a_damaged_file_is_a_mask_or_a_reason(tmp_path, seed):
    write(tmp_path / "classes.txt", "nodule\n")
    images = slices(dot((9, 6, 4), (1, 2, 3)), test_aim.AFFINE)
    path, image = list(written(tmp_path, images))[seed]
    whole, rng, outcomes = path.read_bytes(), random.Random(seed), set()
    assert read_mask(path, image, WANTED).marked.any()
    for _ in range(150):
        path.write_bytes(damaged(whole, rng))
        outcomes.add(outcome(path, image))
    assert len(outcomes) > 1
