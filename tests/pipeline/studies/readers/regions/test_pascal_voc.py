"""Pascal VOC's boxes, counted by hand; and XML that is out to do harm."""

import pytest

from pipeline.errors import Reason
from tests.pipeline.studies.readers.regions.pictures import read, rows_of, write
from tests.pipeline.studies.writers import refusal

SIZE = "<size><width>9</width><height>6</height><depth>1</depth></size>"


def voc_box(left, top, right, bottom, name="nodule"):
    corners = f"<xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
    return f"<object><name>{name}</name><difficult>0</difficult><bndbox>{corners}</bndbox></object>"


def voc(path, *boxes, name="a.png", size=SIZE, head=""):
    content = f"<annotation><folder>SECRET</folder><filename>{name}</filename>{size}{''.join(boxes)}</annotation>"
    return write(path, f"{head}{content}")


def test_boxes_by_hand(tmp_path):
    path = voc(tmp_path / "a.xml", voc_box(1, 1, 2, 1), voc_box(9, 6, 9, 6), voc_box(4, 3, 5, 5, "mass"))
    mask = read(path)
    assert rows_of(mask.marked) == ["##.......", *["........."] * 4, "........#"]
    assert mask.header == {
        "mask drawn from": "boxes",
        "annotation": "box",
        "box pixels": "counted from 1, first and last included (Pascal VOC)",
    }
    assert read(path, "mass").marked.sum() == 6


def test_a_box_from_0_is_cut_at_the_edge_and_a_part_s_box_is_not_the_objects(tmp_path):
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    inner = voc_box(0, 0, 2, 1).replace("</object>", f"{part}</object>")
    assert read(voc(tmp_path / "a.xml", inner)).marked.sum() == 2


def test_no_object_is_an_empty_mask_and_another_image_or_size_is_refused(tmp_path):
    assert not read(voc(tmp_path / "a.xml")).marked.any()
    other = voc(tmp_path / "SECRETb.xml", voc_box(1, 1, 2, 2), name="b.png")
    refusal(Reason.MASK_MISSING_ENTRY, lambda: read(other), excluded=True)
    assert read(other, key="b").marked.sum() == 4
    larger = voc(tmp_path / "SECRETc.xml", voc_box(1, 1, 2, 2), size=SIZE.replace("9", "10"))
    refusal(Reason.OTHER_GRID, lambda: read(larger), excluded=True)
    assert "image size in the annotation" in read(voc(tmp_path / "d.xml", voc_box(1, 1, 2, 2), size="")).header
    assert read(voc(tmp_path / "e.xml", voc_box(1, 1, 2, 2), name="")).marked.sum() == 4


@pytest.mark.parametrize(
    ("wrong", "reason", "excluded"),
    [
        (voc_box(3, 3, 2, 4), Reason.NOT_READABLE, False),
        (voc_box("nan", 3, 2, 4), Reason.NOT_READABLE, False),
        (voc_box("1,5", 1, 2, 4), Reason.NOT_READABLE, False),
        (voc_box("\u0661", 1, 2, 4), Reason.NOT_READABLE, False),
        (voc_box("1_0", 1, 12, 4), Reason.NOT_READABLE, False),
        (voc_box(-9, 1, 2, 4), Reason.OTHER_GRID, True),
        (voc_box(1, 1, 20, 4), Reason.OTHER_GRID, True),
        (voc_box(1, 1, 2, 4, ""), Reason.NOT_READABLE, False),
        ("<object><name>nodule</name></object>", Reason.NOT_READABLE, False),
    ],
)
def test_what_is_no_box_is_refused(tmp_path, wrong, reason, excluded):
    path = voc(tmp_path / "SECRET.xml", wrong)
    words = refusal(reason, lambda: read(path), excluded=excluded)
    assert ("comma" in words) == ("1,5" in wrong)


LAUGHS = "".join(f'<!ENTITY l{number} "{f"&l{number - 1};" * 10 if number else "SECRET"}">' for number in range(10))


@pytest.mark.parametrize(
    "head",
    [
        f"<!DOCTYPE annotation [{LAUGHS}]>",
        '<?xml version="1.0"?><!DOCTYPE annotation [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE annotation SYSTEM "http://127.0.0.1:9/SECRET.dtd">',
        "<!DOCTYPE annotation>",
    ],
)
def test_a_document_type_is_refused(tmp_path, head):
    path = voc(tmp_path / "SECRET.xml", voc_box(1, 1, 2, 2, "&l9;" if "l9" in head else "&x;"), head=head)
    words = refusal(Reason.NOT_READABLE, lambda: read(path))
    assert "document type" in words


@pytest.mark.parametrize(
    "content",
    [
        "<annotation>",
        "<annotation>&x;</annotation>",
        "<annotation></annotation><annotation/>",
        "<annotation>\x00</annotation>",
        f"<annotation>{'<a>' * 200}{'</a>' * 200}</annotation>",
        '<?xml version="1.0" encoding="SECRET-9"?><annotation/>',
    ],
)
def test_what_is_not_xml_or_too_deep_is_refused(tmp_path, content):
    path = write(tmp_path / "SECRET.xml", content)
    refusal(Reason.NOT_READABLE, lambda: read(path))


def test_other_xml_is_no_mask(tmp_path):
    path = write(tmp_path / "SECRET.xml", "<!-- <annotation> --><report/>")
    refusal(Reason.UNSUPPORTED_FORMAT, lambda: read(path))
