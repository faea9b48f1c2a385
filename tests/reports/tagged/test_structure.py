"""The structure of drawn pages: what each thing is, whole across pages, in reading order."""

import pytest
from reportlab.graphics.shapes import Drawing, Rect, String
from reportlab.platypus import Image, KeepTogether, PageBreak, Spacer
from reportlab.platypus import Paragraph as PlainParagraph
from reportlab.platypus import Table as PlainTable

from reports.page import fonts
from reports.page.layout import (
    SMALL,
    Chip,
    Heading,
    Table,
    bullets,
    callout,
    columns,
    facts,
    note,
    paragraph,
    small,
    subheading,
    table,
    title,
    together,
)
from reports.page.text import bold, inline, joined, link
from reports.tagged.preflight import preflight
from reports.tagged.roles import described
from tests.reports.tagged.pages import drawn, elements_of, words_beside, words_by_element

TREE = ("tree", "content", "marks", "parents", "tags", "roles", "nesting", "links", "figures", "header cells", "tables")


def faults(pdf, rules=TREE):
    return [fault.what for fault in preflight(pdf) if fault.rule in rules]


def test_headings_paragraphs_and_lists_are_what_they_are():
    story = [title("Report"), Heading("First", 0, "a"), paragraph("words"), *bullets(["one", "two"]),
             *subheading("Below"), *bullets(["three"]), Heading("Case", 1, "b"), *subheading("Deeper")]  # fmt: skip
    pdf = drawn(story, 400)
    assert words_by_element(pdf) == [
        ("H1", "Report"),
        ("Sect H2", "First"),
        ("Sect P", "words"),
        ("Sect L LI Lbl", "•"),
        ("Sect L LI LBody", "one"),
        ("Sect L LI Lbl", "•"),
        ("Sect L LI LBody", "two"),
        ("Sect H3", "Below"),
        ("Sect L LI Lbl", "•"),
        ("Sect L LI LBody", "three"),
        ("Sect H3", "Case"),
        ("Sect H4", "Deeper"),
    ]
    assert [len(node.kids) for node in elements_of(pdf) if node.tag == "L"] == [2, 1]
    assert faults(pdf, (*TREE, "headings")) == []


def test_no_level_of_headings_is_jumped_over():
    pdf = drawn([Heading("Study", 0, "a"), *subheading("Scores"), paragraph("x")])
    assert words_by_element(pdf) == [("H1", "Study"), ("Sect H2", "Scores"), ("Sect P", "x")]
    assert faults(pdf, (*TREE, "headings", "first heading")) == []


def test_a_paragraph_over_pages_is_one_paragraph():
    words = " ".join(f"word{number}" for number in range(300))
    pdf = drawn([paragraph("before"), paragraph(words), *bullets([words])])
    assert len(pdf.pages) > 3
    before, text, label, body = words_by_element(pdf)
    assert (before[1], text, label[0]) == ("before", ("P", words), "L LI Lbl")
    assert body == ("L LI LBody", words)
    assert faults(pdf) == []


def rows(tag_path, texts):
    return [(f"{tag_path} P", text) for text in texts]


def test_a_table_over_pages_is_one_table_and_its_repeated_head_is_the_pages():
    body = [(f"a{row}", f"b{row}") for row in range(30)]
    pdf = drawn([table(columns(("First", 1), ("Second", 1)), body)])
    assert len(pdf.pages) > 2
    expected = rows("Table TR TH", ("First", "Second"))
    expected += [pair for row in body for pair in rows("Table TR TD", row)]
    assert words_by_element(pdf) == expected
    assert [beside.split() for beside in words_beside(pdf)[1:]] == [["First", "Second"]] * (len(pdf.pages) - 1)
    nodes = elements_of(pdf)
    assert sum(node.tag == "TR" for node in nodes) == 31
    assert faults(pdf) == []


def test_a_row_over_pages_is_one_row():
    long = " ".join(f"word{number}" for number in range(120))
    parts = [small("one"), small(long), small("last")]
    rows_ = [["First", "Second"], ["x", "y"], [parts, "short"], ["u", "v"]]
    cells = [[small(cell) if isinstance(cell, str) else cell for cell in row] for row in rows_]
    style = [("FONT", (0, 0), (-1, -1), fonts.REGULAR, 7)]
    pdf = drawn([Table(cells, colWidths=[200, 60], style=style, repeatRows=1, splitInRow=1)], 110)
    assert len(pdf.pages) > 2
    nodes = elements_of(pdf)
    assert sum(node.tag == "TR" for node in nodes) == 4
    assert sum(node.tag in ("TD", "TH") for node in nodes) == 8
    assert [words for _, words in words_by_element(pdf)][2:] == [
        "x", "y", "one", long, "last", "short", "u", "v",
    ]  # fmt: skip
    assert faults(pdf) == []


def test_facts_have_row_headers_and_empty_cells_are_cells():
    pdf = drawn([facts([("Name", "value"), ("Nothing", "")])])
    nodes = elements_of(pdf)
    heads = [node for node in nodes if node.tag == "TH"]
    assert [head.attributes["/Scope"] for head in heads] == ["/Row", "/Row"]
    assert sum(node.tag == "TD" for node in nodes) == 2
    assert faults(pdf) == []


def test_spans_are_told():
    made = Table([["a", "b"], ["group", ""], ["c", "d"]], repeatRows=1, colWidths=[60, 60])
    made.setStyle([("SPAN", (0, 1), (1, 1)), ("FONT", (0, 0), (-1, -1), fonts.REGULAR, 7)])
    pdf = drawn([made])
    spans = [int(node.attributes["/ColSpan"]) for node in elements_of(pdf) if "/ColSpan" in node.attributes]
    assert spans == [2]
    assert faults(pdf) == []


def test_layouts_are_read_as_what_stands_in_them():
    inner = table(columns(("H", 1)), [("cell",)])
    inner._argW = [100]
    pdf = drawn([callout(paragraph("said"), *bullets(["point"])), callout(inner), together([note("under")])])
    assert words_by_element(pdf) == [
        ("Div P", "said"),
        ("Div L LI Lbl", "•"),
        ("Div L LI LBody", "point"),
        ("Div Table TR TH P", "H"),
        ("Div Table TR TD P", "cell"),
        ("P", "under"),
    ]
    assert faults(pdf) == []


def test_words_in_a_badge_are_words():
    pdf = drawn([table(columns(("Answer", 1)), [(Chip("MET", "good"),)])])
    assert words_by_element(pdf)[1] == ("Table TR TD P", "✓ MET")


def picture():
    drawing = Drawing(50, 50)
    drawing.add(Rect(0, 0, 40, 40))
    drawing.add(String(1, 1, "in it", fontName=fonts.REGULAR))
    return drawing


def test_figures_have_the_text_that_they_are_given(tmp_path):
    pdf = drawn([described(picture(), "a square"), Table([[described(picture(), "another"), ""]], colWidths=[90, 90])])
    figures = [node for node in elements_of(pdf) if node.tag == "Figure"]
    assert [figure.alt for figure in figures] == ["a square", "another"]
    assert [figure.parent.tag for figure in figures] == ["Document", "Div"]
    assert faults(pdf) == []


def test_a_figure_without_words_is_a_fault(tmp_path):
    assert faults(drawn([picture()])) == ["a figure on page 1 has no alternative text"]
    assert faults(drawn([callout(picture())])) == ["a figure on page 1 has no alternative text"]


def test_foreign_flowables_are_tagged_or_told():
    pdf = drawn(
        [PlainParagraph("plain", SMALL), KeepTogether([PlainParagraph("kept", SMALL)]), Spacer(1, 5), PageBreak()]
    )
    assert words_by_element(pdf) == [("P", "plain"), ("P", "kept")]
    assert faults(pdf) == []
    style = [("FONT", (0, 0), (-1, -1), fonts.REGULAR, 7)]
    pdf = drawn([PlainTable([["a", "b"]], style=style), PlainTable([["h"], ["c"]], style=style, repeatRows=1)])
    assert words_by_element(pdf) == [("Div P", "a"), ("Div P", "b"), ("Table TR TH", "h"), ("Table TR TD", "c")]
    assert faults(pdf) == []


def test_a_table_of_a_foreign_class_is_told():
    class Own(PlainTable):
        pass

    pdf = drawn([Own([["a"]], style=[("FONT", (0, 0), (-1, -1), fonts.REGULAR, 7)])])
    assert faults(pdf) == ["a Div holds words or drawings of its own, which belong to nothing that is read"]


def test_a_link_inside_a_paragraph_stands_where_its_words_do():
    text = joined("see ", link("case 7", "seven"), " and ", bold("more"), " of it")
    pdf = drawn([Heading("Case seven", 0, "seven"), paragraph(text), paragraph(link("all of it", "seven"))], 300)
    assert words_by_element(pdf)[1:] == [
        ("P", "see and more of it"),
        ("P Link", "case 7"),
        ("P Link", "all of it"),
    ]
    first = next(node for node in elements_of(pdf) if node.tag == "P")
    assert [isinstance(kid, int) for kid in pdf.get_object(first.number, 0).K] == [
        True,
        False,
        True,
    ]  # the link is in its place
    assert faults(pdf) == []


def test_what_readers_need_beside_the_tree():
    pdf = drawn([paragraph("x"), PageBreak(), paragraph("y")])
    assert [page.obj.Tabs for page in pdf.pages] == ["/S", "/S"]
    assert faults(pdf, ("marked", "tab order", "page labels")) == []


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_mark_has_one_owner_whatever_is_drawn(count):
    story = [paragraph("p"), callout(small("c"), table(columns(("a", 1), ("b", 1)), [("1", "2")] * 9)),
             described(picture(), "d"), facts([("k", ["v", bold("w"), inline("x")])])] * count  # fmt: skip
    pdf = drawn(story, 700)
    assert faults(pdf) == []
    assert preflight(pdf)  # it is no archive file, only tagged


def test_words_at_the_ends_of_lines_are_apart():
    pdf = drawn([paragraph("alpha " * 40)])
    assert set(words_by_element(pdf)[0][1].split()) == {"alpha"}


def test_an_image_is_a_figure(tmp_path):
    from PIL import Image as Picture

    path = tmp_path / "x.png"
    Picture.new("L", (4, 4)).save(path)
    pdf = drawn([described(Image(str(path), 20, 20), "four by four")])
    assert [node.alt for node in elements_of(pdf) if node.tag == "Figure"] == ["four by four"]
