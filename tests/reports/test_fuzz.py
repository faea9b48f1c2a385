"""Strings that nobody expects, in every field of text that a run has: the report is whole and shows them."""

import random
import re
import shutil
import subprocess
import unicodedata

import pikepdf
import pytest

from pipeline.findings.results import WrongAnswer
from reports.page.read_back import read_report
from reports.page.text import CUT, clean
from reports.pdf import render
from reports.tagged.metadata import read_claim
from reports.tagged.preflight import preflight
from tests.reports import example
from tests.reports.test_pdf import nasty

STRINGS = {
    "markup": '<b>bold</b> <img src="/etc/passwd"/> & &amp; <a href="#x">y</a> <para> ]]> <!-- -->',
    "unclosed": "<b><font color=red><i>",
    "control": "a\x00b\x07c\x1b[31md\x7fe\x85f",
    "surrogate": "half \ud800 pair",
    "bidi": "abc \u202egnp.exe\u202c def \u2066x\u2069",
    "hebrew": "בית חולים (12) שלום",
    "arabic": "مستشفى سلام ١٢",
    "scripts": "नमस्ते ไทย 肺 ខ្មែរ",
    "emoji": "nodule 🫁 👩🏽\u200d⚕️",
    "accents": "Z\u0301\u0302\u0303\u0304 e\u0301",
    "percent": "%s %d {0} {x} \\ ' \" $1 \\n",
    "pdf": ") Tj ET EMC /P <</MCID 0>> BDC endstream endobj (",
    "spaces": "a\u00a0b\u2003c\u3000d\u2028e\tf",
    "long word": "W" * 10_000,
    "long words": "long words " * 1000,
    "newlines": "one\ntwo\r\nthree\rfour",
}


def printed(text):
    """Return how a text stands on a page, without white space."""
    return "".join(clean(text.encode("utf-8", "replace").decode()).split())


def read_aloud(path):
    """Return all words as the structure gives them: in their order, whatever the page's."""
    with pikepdf.open(path) as pdf:
        return "".join(
            "".join(str(item.ActualText).split())
            for item in pdf.objects
            if isinstance(item, pikepdf.Dictionary) and "/ActualText" in item
        )


@pytest.mark.parametrize("kind", STRINGS)
def test_a_string_in_every_field_breaks_nothing_and_vanishes_nowhere(tmp_path, kind):
    text = STRINGS[kind]
    report = render(example.write_run(tmp_path, nasty(text)))
    with pikepdf.open(report) as pdf:
        assert preflight(pdf) == ()
        assert read_claim(pdf).archive == "A"
        assert len(pdf.pages) < 60
    pages = "".join(read_report(report).pages)
    expected = printed(text)
    if kind in ("hebrew", "arabic"):
        assert expected in read_aloud(report)
    elif len(expected) > 2000:
        assert expected[:60] in pages
        assert "".join(CUT.split()) in pages
    else:
        assert pages.count(expected) >= 8, "it stands in the sections, not in one place only"
    assert "root:" not in pages


def test_random_strings_are_printed_or_marked(tmp_path):
    draw = random.Random(11)
    alphabet = [chr(draw.randrange(0x20, 0x3000)) for _ in range(300)] + list("<>&\"'() \n\t")
    for _ in range(3):
        text = "".join(draw.choice(alphabet) for _ in range(60))
        report = render(example.write_run(tmp_path, nasty(text)))
        with pikepdf.open(report) as pdf:
            assert preflight(pdf) == ()
        aloud = "".join(read_report(report).pages) + read_aloud(report)
        for part in re.split(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]+", printed(text)):
            assert unicodedata.normalize("NFC", part[1:-1]) in aloud  # at its ends words may change their order


def test_a_site_name_of_two_thousand_characters_takes_no_page_of_its_own(tmp_path):
    plain = render(example.write_run(tmp_path / "plain"))
    facts = {"site": {"S" * 2000: 41}}
    changed = example.results(cohort_facts=facts, organisation="O" * 2000)
    long = render(example.write_run(tmp_path / "long", changed))
    with pikepdf.open(plain) as before, pikepdf.open(long) as after:
        assert len(after.pages) <= len(before.pages) + 2


@pytest.mark.parametrize("tool", [("qpdf", "--check"), ("pdfinfo", "-struct-text"), ("pdffonts",)])
def test_other_programs_read_it(tmp_path, tool):
    if shutil.which(tool[0]) is None:
        pytest.skip(f"{tool[0]} is not installed")
    report = render(example.write_run(tmp_path, nasty(STRINGS["markup"] + STRINGS["hebrew"])))
    done = subprocess.run([*tool, report], capture_output=True, check=False)
    assert done.returncode == 0
    assert b"rror:" not in done.stderr
    if tool[0] == "pdfinfo":
        said = done.stdout.decode()
        assert all(f"\n{' ' * depth}{tag}" in said for depth, tag in ((2, "H1"), (2, "Sect"), (4, "H2")))
        assert "/Scope /Column" in said


def test_what_stands_beside_each_other_may_be_longer_than_a_page(tmp_path):
    reasons = tuple(f"reason {number}: " + "the cohort was chosen after a look at it " * 60 for number in range(4))
    kinds = tuple(
        WrongAnswer(
            reference=("nodule", f"label {number}"), answered=(), patients=1, studies=("S0012", f"X{number:04}")
        )
        for number in range(160)
    )
    found = example.results(exploratory=reasons, wrong_answers=kinds)
    text = " ".join("".join(read_report(render(example.write_run(tmp_path, found))).pages).split())
    assert all(f"X{number:04}" in text for number in range(160))
    assert text.count("Whatthisreportisandisnot") == 1
