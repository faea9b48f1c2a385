"""``make conformance``: a report is held against its claim, by us and by veraPDF where it is installed."""

import shutil

import pikepdf
import pytest

from reports.pdf import render
from tests import conformance
from tests.reports import example


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return render(example.write_run(tmp_path_factory.mktemp("run")))


def without_validator(name):
    return None if name == "verapdf" else shutil.which(name)


def validator(folder, says, code=0):
    """Return the folder of a program that stands in for veraPDF."""
    program = folder / "verapdf"
    program.write_text(f'#!/bin/sh\necho "{says} $*"\nexit {code}\n')
    program.chmod(0o755)
    return program.parent


def test_without_a_validator_it_says_so(report, capsys, monkeypatch):
    monkeypatch.setattr(conformance.shutil, "which", without_validator)
    assert conformance.main([report]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "report.pdf: claims PDF/A-3a, PDF/UA-1"
    assert out[-1].startswith("veraPDF is not on PATH")


def test_a_claim_that_does_not_hold_is_an_error(report, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(conformance.shutil, "which", without_validator)
    damaged = tmp_path / "damaged.pdf"
    with pikepdf.open(report) as pdf:
        pdf.Root.MarkInfo.Marked = False
        pdf.save(damaged)
    assert conformance.main([damaged]) == 1
    assert "marked: the catalog does not say that the file is tagged" in capsys.readouterr().out


@pytest.mark.parametrize(("says", "code", "expected"), [("PASS", 0, 0), ("FAIL", 1, 1), ("FAIL", 0, 1)])
def test_a_validator_is_asked_for_every_claim(report, tmp_path, capsys, monkeypatch, says, code, expected):
    folder = validator(tmp_path, says, code)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    assert conformance.main([report]) == expected
    out = capsys.readouterr().out
    assert f"veraPDF, 3a: {says}" in out
    assert f"veraPDF, ua1: {says}" in out


@pytest.mark.skipif(shutil.which("verapdf") is None, reason="veraPDF is not installed")
def test_verapdf_agrees(report):
    assert conformance.main([report]) == 0
