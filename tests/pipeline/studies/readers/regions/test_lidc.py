"""LIDC-IDRI's reading sessions, their edge maps counted by hand."""

import numpy as np
import pytest

from pipeline.errors import Reason
from pipeline.studies.readers import MaskRequest, read_image, read_mask
from tests.pipeline.studies.readers.regions.pictures import rows_of, write
from tests.pipeline.studies.writers import dot, grid, refusal, save, slices

AFFINE = grid(np.diag([-1, -1, 1]), (0.7, 0.7, 2.5), (20.0, 30.0, 0.0))
SHAPE = (9, 7, 4)  # columns, rows, slices


def frame(left, top, right, bottom):
    """Return the pixels of a rectangle's rim, one after the other."""
    across, down = range(left, right + 1), range(top, bottom + 1)
    return [
        *((x, top) for x in across), *((right, y) for y in down[1:]), *((x, bottom) for x in across[-2::-1]),
        *((left, y) for y in down[-2:0:-1]),
    ]  # fmt: skip


@pytest.fixture
def study(tmp_path):
    images = slices(dot(SHAPE, (1, 2, 3)), AFFINE)
    return read_image(save(tmp_path / "ct", images, [2, 0, 3, 1])), [image.SOPInstanceUID for image in images]


def roi(instance, points, inclusion="TRUE"):
    edge = "".join(f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for x, y in points)
    return (
        f"<roi><imageZposition>-12.5</imageZposition><imageSOP_UID>{instance}</imageSOP_UID>"
        f"<inclusion>{inclusion}</inclusion>{edge}</roi>"
    )


def nodule(*rois):
    return f"<unblindedReadNodule><noduleID>SECRET</noduleID>{''.join(rois)}</unblindedReadNodule>"


def session(*marks):
    return f"<readingSession><servicingRadiologistID>SECRET</servicingRadiologistID>{''.join(marks)}</readingSession>"


def lidc(path, *sessions):
    return write(
        path,
        '<?xml version="1.0" encoding="UTF-8"?><LidcReadMessage uid="1.3.6.1" xmlns="http://www.nih.gov">'
        f"<ResponseHeader><SeriesInstanceUid>1.3.9</SeriesInstanceUid></ResponseHeader>{''.join(sessions)}"
        "</LidcReadMessage>",
    )


def read(path, image, reader="reader1", label="nodule"):
    return read_mask(path, image, MaskRequest(label, key="x", reader=reader))


def test_each_session_is_a_reader_and_an_edge_map_is_outside(tmp_path, study):
    image, instances = study
    path = lidc(
        tmp_path / "a.xml",
        session(nodule(roi(instances[1], frame(1, 1, 5, 4)), roi(instances[2], frame(2, 2, 4, 4)))),
        session(nodule(roi(instances[1], frame(0, 0, 8, 6)))),
        session(),
        session(nodule(roi(instances[3], [(4, 4)]), roi(instances[3], frame(1, 1, 3, 3)))),
    )
    first = read(path, image)
    assert rows_of(first.marked[..., 1].T) == [".........", ".........", "..###....", "..###....", *["........."] * 3]
    assert np.argwhere(first.marked[..., 2]).tolist() == [[3, 3]]
    assert first.marked.sum() == 7
    assert first.header == {"mask drawn from": "edge maps, their own pixels outside"}
    assert read(path, image, "Reader_2").marked.sum() == 7 * 5
    assert not read(path, image, "r3").marked.any()  # looked, and marked nothing
    assert read(path, image, "r4").header["nodules marked by a point, left out"] == "1"
    for reader in ("expert", "reader0", "reader5", "reader01234"):
        refusal(Reason.MASK_MISSING_ENTRY, lambda: read(path, image, reader), excluded=True)  # noqa: B023


def test_the_only_session_needs_no_number(tmp_path, study):
    image, instances = study
    assert read(
        lidc(tmp_path / "a.xml", session(nodule(roi(instances[0], frame(0, 0, 2, 2))))), image, "expert"
    ).marked[1, 1, 0]


def test_what_is_excluded_is_taken_out_of_its_own_nodule_alone(tmp_path, study):
    image, instances = study
    hole = roi(instances[0], frame(2, 1, 6, 5), "FALSE")
    path = lidc(
        tmp_path / "a.xml",
        session(nodule(hole, roi(instances[0], frame(0, 0, 8, 6))), nodule(roi(instances[0], frame(3, 2, 5, 4)))),
    )
    assert rows_of(read(path, image).marked[..., 0].T) == [
        ".........", ".#######.", ".##...##.", ".##.#.##.", ".##...##.", ".#######.", ".........",
    ]  # fmt: skip


def test_slanted_edges_follow_the_outline(tmp_path, study):
    image, instances = study
    diamond = [(4, 1), (5, 2), (6, 3), (5, 4), (4, 5), (3, 4), (2, 3), (3, 2)]
    path = lidc(tmp_path / "a.xml", session(nodule(roi(instances[0], diamond))))
    assert rows_of(read(path, image).marked[..., 0].T) == [
        ".........", ".........", "....#....", "...###...", "....#....", ".........", ".........",
    ]  # fmt: skip


def test_small_nodules_and_marks_of_none(tmp_path, study):
    image, instances = study
    other = f"<nonNodule><nonNoduleID>9</nonNoduleID><imageSOP_UID>{instances[0]}</imageSOP_UID></nonNodule>"
    small = nodule(roi(instances[0], [(3, 3)]))
    only = lidc(tmp_path / "SECRET.xml", session(small, other))
    refusal(Reason.MASK_WITHOUT_AREA, lambda: read(only, image), excluded=True)
    path = lidc(tmp_path / "b.xml", session(small, other, nodule(roi(instances[0], frame(1, 1, 3, 3)))))
    assert read(path, image).header["marks that are no nodule, left out"] == "1"
    none = lidc(tmp_path / "c.xml", session(other))
    assert not read(none, image).marked.any()
    flat = lidc(tmp_path / "SECRETd.xml", session(nodule(roi(instances[0], [(1, 1), (2, 1), (3, 1)]))))
    refusal(Reason.MASK_WITHOUT_AREA, lambda: read(flat, image), excluded=True)


def test_other_series_and_slices_that_are_missing_are_refused(tmp_path, study):
    image, instances = study
    path = lidc(tmp_path / "SECRET.xml", session(nodule(roi("1.2.3.99", frame(1, 1, 5, 4)))))
    refusal(Reason.OTHER_IMAGE, lambda: read(path, image), excluded=True)
    part = nodule(roi(instances[0], frame(1, 1, 5, 4)), roi("1.2.3.99", frame(1, 1, 5, 4)))
    words = refusal(Reason.OTHER_IMAGE, lambda: read(lidc(path, session(part)), image), excluded=True)
    assert words.startswith("1 of the reader's 2 outlines")


@pytest.mark.parametrize(
    ("points", "reason", "excluded"),
    [
        ([(1.5, 1), (3, 1), (3, 3)], Reason.NOT_READABLE, False),
        ([("1,0", 1), (3, 1), (3, 3)], Reason.NOT_READABLE, False),
        ([("nan", 1), (3, 1), (3, 3)], Reason.NOT_READABLE, False),
        ([("1e300", 1), (3, 1), (3, 3)], Reason.NOT_READABLE, False),
        ([], Reason.NOT_READABLE, False),
        ([(-1, 1), (3, 1), (3, 3)], Reason.OTHER_GRID, True),
        ([(1, 1), (9, 1), (3, 3)], Reason.OTHER_GRID, True),
    ],
)
def test_what_is_no_edge_map_is_refused(tmp_path, study, points, reason, excluded):
    image, instances = study
    path = lidc(tmp_path / "SECRET.xml", session(nodule(roi(instances[0], points))))
    refusal(reason, lambda: read(path, image), excluded=excluded)


def test_labels_are_nodules_and_radiographs_are_refused(tmp_path, study):
    image, instances = study
    path = lidc(tmp_path / "SECRET.xml", session(nodule(roi(instances[0], frame(1, 1, 3, 3)))))
    assert read(path, image, label="lung nodule").marked.sum() == 1
    refusal(Reason.MASK_MISSING_LABEL, lambda: read(path, image, label="effusion"), excluded=True)
    radiograph = write(tmp_path / "SECRETx.xml", "<IdriReadMessage><CXRreadingSession/></IdriReadMessage>")
    refusal(Reason.UNSUPPORTED_FORMAT, lambda: read(radiograph, image))
