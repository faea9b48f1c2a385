"""Text: nothing that a file's header holds can become markup, vanish or overflow."""

import random
import unicodedata

import pytest
from reportlab.platypus import Paragraph

from reports.page.fonts import BOLD, REGULAR, drawable, width_of
from reports.page.layout import BODY, CONTENT, SMALL, columns, paragraph, small, table
from reports.page.text import CUT, DASH, Markup, bold, clean, coloured, cut, digest, fitted, inline, joined, link

NASTY = (
    '<img src="/etc/passwd">',
    "<b>unclosed & <font color=red>",
    "a & b &amp; c",
    "]]> <!-- -->",
    "肺結節 폐결절",
    "ריאה رئة",
    "\x00\x07\x1b[31m",
    "\ud800 lone surrogate",
    "\u202eevil\u202c \u200b\u00ad",
    "x" * 5000,
    "пневмоторакс №7",
    "%s %d {0} \\ ' \"",
    "",
    None,
    3.5,
)


@pytest.mark.parametrize("value", NASTY)
def test_data_is_escaped_and_drawable(value):
    text = inline(value)
    assert "<" not in str(text).replace("<br/>", "")
    assert all(drawable(character) for character in clean(value) if character != "\n")
    for size in (BODY, SMALL):
        Paragraph(text, size).wrap(100, 10_000)


def test_random_strings_lay_out_in_any_width():
    draw = random.Random(3)
    alphabet = [chr(draw.randrange(1, 0x3000)) for _ in range(400)] + list("<>&\"'/ \n\t")
    for _ in range(150):
        text = "".join(draw.choice(alphabet) for _ in range(draw.randrange(1, 60)))
        made = Paragraph(joined(text, bold(text), coloured(text, "#123456")), SMALL)
        made.wrap(40, 10_000)


@pytest.mark.parametrize("font", [REGULAR, BOLD])
def test_both_faces_have_the_signs_that_the_report_itself_uses(font):
    assert all(drawable(sign) for sign in "\u2014\u2713\u2715?\u2013\u00b7\u00d7\u2026\u2022\u2212")
    assert width_of("—", 10, font) > 0


def test_what_cannot_be_shown_is_named():
    assert clean("肺\x07") == "[U+80BA][U+0007]"
    assert clean("a\u202eb") == "a[U+202E]b"
    assert clean("e\u0301") == "é"
    assert clean("a\tb\u00a0c\u2028d") == "a b c d"
    assert clean(None) == DASH
    assert unicodedata.category(clean("\ue000")[0]) != "Co"


def test_markup_passes_once_and_data_never():
    assert bold("<i>") == "<b>&lt;i&gt;</b>"
    assert joined("<", bold("&")) == "&lt;<b>&amp;</b>"
    assert isinstance(inline("x"), Markup)
    assert link("a", 'k"><b>') == '<a href="#k&quot;&gt;&lt;b&gt;">a</a>'


def test_hashes_break():
    assert digest("0123456789abcdef" * 2) == "0123456789abcdef 0123456789abcdef"
    assert digest("0123456789abcdef", 12) == "0123456789ab"


@pytest.mark.parametrize("value", ["W" * 5000, "two words", "<x>", "肺" * 40])
def test_a_line_fits_its_width(value):
    line = fitted(value, 80, 7)
    assert width_of(line, 7) <= 80
    assert line == value or line.endswith("…")


def test_cells_wrap_instead_of_overflowing():
    shape = columns(("A", 1), ("B", 1, True))
    made = table(shape, [("y" * 5000, "z" * 500)])
    width, height = made.wrap(sum(column.width for column in shape), 10_000)
    assert width == pytest.approx(sum(column.width for column in shape))
    assert 200 < height < 300
    assert len(made.split(width, 150)) == 2


@pytest.mark.parametrize("make", [lambda value: value, bold, small, lambda value: [small(value)]])
def test_a_long_value_is_cut_in_a_cell_and_says_so(make):
    shape = columns(("A", 1), ("B", 1))
    made = table(shape, [(make("long " * 2000), "short")])
    cell = made._cellvalues[1][0]
    assert [part.getPlainText() for part in cell][-1] == CUT
    assert made.wrap(CONTENT, 10_000)[1] < 300


def test_a_long_head_leaves_room_for_its_table():
    made = table(columns(("long head " * 500, 1), ("B", 9)), [("a", "b")])
    assert made.wrap(CONTENT, 10_000)[1] < 150


@pytest.mark.parametrize("most", [10, 100])
def test_a_value_is_cut_in_a_paragraph_too(most):
    assert cut("x" * most, most) == "x" * most
    assert cut("x" * (most + 1), most) == "x" * most + f" {CUT}"
    assert str(inline("y" * 10_000)).endswith(CUT)
    assert len(inline("y" * 10_000)) < 4000


def test_a_paragraph_opens_no_file(monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr("reportlab.lib.utils.open_for_read", lambda *name, **_: opened.append(name))
    paragraph('<img src="/etc/passwd">', bold('<img src="/etc/hosts"/>')).wrap(300, 300)
    assert opened == []
