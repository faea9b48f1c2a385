"""Fonts of a report: checked before a run, kept in it under names of its own, told by its ledger."""

import hashlib

import pytest
import yaml

from camaudit import audit
from flows.commands.verify import verified
from pipeline.checks.font_files import font_fault
from pipeline.errors import ConfigError
from pipeline.findings.custody.recorded_files import files_told_by
from pipeline.findings.spec import FONTS_FOLDER
from reports.page.read_back import read_report
from tests.pipeline.planted import plant
from tests.reports.page.test_scripts import font_with


def with_fonts(folder, *fonts):
    config = plant(folder, 4, explain={"methods": ["gradcam"]})
    content = yaml.safe_load(config.read_text())
    content["report"] = {**content.get("report", {}), "title": "Audit 肺結", "fonts": [str(font) for font in fonts]}
    config.write_text(yaml.safe_dump(content, allow_unicode=True))
    return config


def test_a_run_keeps_the_fonts_that_its_configuration_names(tmp_path):
    font_with(tmp_path, "結", "Second")
    font_with(tmp_path, "肺", "Secret-place")
    run = audit(with_fonts(tmp_path, "Secret-place.ttf", "Second.ttf"))
    kept = sorted(path.name for path in (run.folder / FONTS_FOLDER).iterdir())
    assert kept == ["00.ttf", "01.ttf"]
    recorded = files_told_by(run.folder / "ledger.jsonl")
    content = (tmp_path / "Secret-place.ttf").read_bytes()
    assert recorded[f"{FONTS_FOLDER}/00.ttf"] == hashlib.sha256(content).hexdigest()
    assert "Audit肺結" in "".join(read_report(run.folder / "report.pdf").pages).replace(" ", "")
    (run.folder / FONTS_FOLDER / "00.ttf").write_bytes(content + b"\0")
    sentences = " ".join(failure.sentence for failure in verified(run.folder, None).failures)
    assert f"{FONTS_FOLDER}/00.ttf" in sentences


def test_what_is_no_font_is_refused_before_the_run(tmp_path):
    (tmp_path / "notes.ttf").write_text("no font")
    config = with_fonts(tmp_path, "notes.ttf")
    with pytest.raises(ConfigError, match=r"report\.fonts.*notes\.ttf is no TrueType font; give a \.ttf file"):
        audit(config)
    assert not list(tmp_path.glob("runs/*/*/run.json"))


def test_each_fault_of_a_font_is_named(tmp_path):
    whole = font_with(tmp_path, "肺")
    assert font_fault(whole) is None
    assert "cannot be read" in str(font_fault(tmp_path / "none.ttf"))
    (tmp_path / "cut.ttf").write_bytes(whole.read_bytes()[:150])
    assert "lacks" in str(font_fault(tmp_path / "cut.ttf"))
    (tmp_path / "cff.otf").write_bytes(b"OTTO" + whole.read_bytes()[4:])
    assert "PostScript outlines" in str(font_fault(tmp_path / "cff.otf"))
