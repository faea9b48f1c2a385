"""Scripts: in order, joined, or marked; never silently reversed, never dropped."""

import shutil
import subprocess
from pathlib import Path

import pikepdf
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from pipeline.errors import OutputError
from reports.page.fonts import BOLD, REGULAR, drawable, fallback_fonts, width_of
from reports.page.scripts import joined_up, runs_right_to_left, shown_in_order, unjoinable
from reports.page.text import clean, fitted
from reports.pdf import render
from tests.reports import example

HEBREW = "בית חולים"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("שלום", "םולש"),
        ("abc שלום", "abc םולש"),
        ("שלום abc", "םולש abc"),
        ("בית 12", "12 תיב"),
        ("בית (12) שלום", "םולש (12) תיב"),
        ("a (שלום) b", "a (םולש) b"),
        ("גיל < 60 שנה", "הנש 60 > ליג"),
        ("site=שלום", "site=םולש"),
        ("ab)(", "ab)("),
    ],
)
def test_a_line_stands_in_its_order(text, shown):
    assert shown_in_order(text) == shown


def test_arabic_letters_are_joined_and_none_is_lost():
    assert [hex(ord(letter)) for letter in joined_up("سلام")] == ["0xfeb3", "0xfefc", "0xfee1"]
    assert sum("\u064b" <= mark <= "\u0652" for mark in joined_up("مُحَمَّد")) == 4
    assert joined_up(HEBREW) == HEBREW
    assert all(drawable(letter) for letter in joined_up("سلام عليكم مُحَمَّد الله"))


def test_what_runs_from_the_right_is_known():
    assert runs_right_to_left("x א")
    assert runs_right_to_left("سلام")
    assert not runs_right_to_left("Süd № 7 пример 肺")


@pytest.mark.parametrize("text", ["नमस्ते", "ไทย", "ລາວ", "བོད", "မြန်မာ", "ខ្មែរ", "ܣܘܪܝܝܐ", "ߒߞߏ", "肺"])
def test_a_script_that_cannot_be_shown_is_marked(text):
    marked = clean(text)
    assert marked == "".join(f"[U+{ord(letter):04X}]" for letter in text)
    assert all(unjoinable(letter) or not drawable(letter) for letter in text)


def font_with(folder, characters, name="Extra"):
    """Write a TrueType font with square glyphs for a few characters, as wide as high."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 900), (900, 900), (900, 0)):
        pen.lineTo(corner)
    pen.closePath()
    names = [".notdef", *(f"glyph{ord(character):04X}" for character in characters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(character): f"glyph{ord(character):04X}" for character in characters})
    builder.setupGlyf(dict.fromkeys(names, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": name, "styleName": "Regular", "psName": name})
    builder.setupOS2(sTypoAscender=900)
    builder.setupPost()
    path = folder / f"{name}.ttf"
    builder.save(path)
    return path


def test_a_fallback_font_shows_what_the_first_lacks(tmp_path):
    path = font_with(tmp_path, "肺結")
    assert clean("肺結") == "[U+80BA][U+7D50]"
    with fallback_fonts([path]):
        assert clean("a肺結節") == "a肺結[U+7BC0]"
        for face in (REGULAR, BOLD):
            assert width_of("a肺a", 10, face) == pytest.approx(10 + 2 * width_of("a", 10, face))
        assert fitted("肺" * 100, 50, 10).endswith("…")
    assert clean("肺") == "[U+80BA]"


def test_fallback_fonts_are_asked_in_their_order(tmp_path):
    first, second = font_with(tmp_path, "肺", "First"), font_with(tmp_path, "肺結", "Second")
    for order, expected in (([first, second], {"First", "Second"}), ([second, first], {"Second"})):
        with fallback_fonts(order):
            run = example.write_run(tmp_path / f"run{len(expected)}", example.results(title="肺結"))
            assert fonts_of(render(run)) >= expected
            assert expected == {"First", "Second"} or "First" not in fonts_of(run / "report.pdf")


def fonts_of(path):
    with pikepdf.open(path) as pdf:
        names = [
            str(item.BaseFont) for item in pdf.objects if isinstance(item, pikepdf.Dictionary) and "/BaseFont" in item
        ]
    return {name.partition("+")[2] for name in names}


def test_a_file_that_is_no_font_is_refused(tmp_path):
    (tmp_path / "no.ttf").write_bytes(b"no font")
    for path in (tmp_path / "no.ttf", tmp_path / "missing.ttf"):
        with (
            pytest.raises(OutputError, match=r"cannot be used as a font; give a TrueType font"),
            fallback_fonts([path]),
        ):
            pass


def test_a_run_brings_its_fonts(tmp_path):
    run = example.write_run(tmp_path, example.results(title="Audit 肺結"))
    assert "[U+80BA]" in words_of(render(run))
    (run / "fonts").mkdir()
    font_with(run / "fonts", "肺結", "1-extra")
    first = render(run).read_bytes()
    assert "Audit肺結" in words_of(run / "report.pdf")
    assert render(run).read_bytes() == first


def words_of(path):
    from reports.page.read_back import read_report

    return "".join(read_report(path).pages)


def actual_texts(path):
    with pikepdf.open(path) as pdf:
        return [
            str(item.ActualText)
            for item in pdf.objects
            if isinstance(item, pikepdf.Dictionary) and "/ActualText" in item
        ]


def test_words_from_the_right_are_read_in_their_order_over_lines_and_pages(tmp_path):
    standard = f"{HEBREW} (12) " * 40 + "سلام"
    report = render(example.write_run(tmp_path, example.results(title=f"{HEBREW} abc", reference_standard=standard)))
    texts = actual_texts(report)
    assert f"{HEBREW} abc" in texts
    assert standard.strip() in texts


def test_poppler_reads_it_too(tmp_path):
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext (poppler-utils) is not installed")
    report = render(example.write_run(tmp_path, example.results(title=HEBREW)))
    words = subprocess.run(["pdftotext", Path(report), "-"], capture_output=True, check=True).stdout.decode()
    assert HEBREW in words
