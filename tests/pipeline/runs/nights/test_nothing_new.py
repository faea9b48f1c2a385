"""A night that brings nothing new costs a line; whatever a run follows from, when it changes the night is a run."""

import csv
import shutil

import pytest

from pipeline.checks.config_checks import checked_config
from pipeline.findings.custody.ledger import LedgerError
from pipeline.runs.nights import nothing_new
from pipeline.runs.nights.night_log import NIGHTS_FILE, nights_without_news
from pipeline.runs.nights.nothing_new import note_nothing_new, run_without_news
from reports.pdf import render
from tests.pipeline.planted import plant, write_manifest, write_study
from tests.pipeline.runs.test_run import change, complete
from tests.pipeline.steps import begin, lock


@pytest.fixture(scope="module")
def first_night(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    config = plant(folder, 3, explain={"methods": ["gradcam"]})
    run, _ = complete(config)
    reported(run)
    return folder


def reported(run):
    from pipeline.runs.run import Run

    with Run.open(run) as opened:
        opened.note("report.rendered", [render(run).name])


@pytest.fixture
def night(first_night, tmp_path):
    """A copy of the audit as its first night left it: its configuration, and the run."""
    shutil.copytree(first_night, tmp_path / "audit")
    config = tmp_path / "audit" / "audit.yaml"
    return config, next(config.parent.glob("runs/planted/*/run.json")).parent


def looked(config, **options):
    return run_without_news(checked_config(config), **options)


def test_nothing_is_new_the_night_after(night):
    config, run = night
    before = size_of(config.parent / "runs" / "planted")
    assert looked(config) == run
    note_nothing_new(checked_config(config), run, "camaudit schedule")
    note_nothing_new(checked_config(config), run, "camaudit schedule")
    assert size_of(config.parent / "runs" / "planted") - before < 3_000
    assert len(nights_without_news(run.parent)[run.name]) == 2


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_log_of_nights_that_was_altered_is_refused(night):
    config, run = night
    note_nothing_new(checked_config(config), run, "camaudit schedule")
    path = run.parent / NIGHTS_FILE
    path.write_text(path.read_text().replace("schedule", "schedulE"))
    with pytest.raises(LedgerError):
        note_nothing_new(checked_config(config), run, "camaudit schedule")


def add_study(config, run, monkeypatch):
    archive = config.parent / "archive"
    with (archive / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    write_manifest(archive, [*rows, write_study(archive, 9, True)])


def remove_study(config, run, monkeypatch):
    table = config.parent / "archive" / "manifest.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))


def change_image(config, run, monkeypatch):
    archive = config.parent / "archive"
    shutil.copy(archive / "study01.nii.gz", archive / "study00.nii.gz")


def change_label(config, run, monkeypatch):
    table = config.parent / "archive" / "manifest.csv"
    table.write_text(table.read_text().replace("lesion", "clear", 1))


def change_site(config, run, monkeypatch):
    table = config.parent / "archive" / "manifest.csv"
    table.write_text(table.read_text().replace(",a\n", ",c\n", 1).replace(",a\r\n", ",c\r\n", 1))


def change_patient(config, run, monkeypatch):
    table = config.parent / "archive" / "manifest.csv"
    table.write_text(table.read_text().replace("patient00", "patient77"))


def change_network(config, run, monkeypatch):
    code = config.parent / "planted_network.py"
    code.write_text(code.read_text().replace("-0.3", "-0.31"))


def change_criterion(config, run, monkeypatch):
    change(config, criteria=[{"metric": "accuracy", "at_least": 0.7}])


def change_title(config, run, monkeypatch):
    change(config, report={"title": "Another"})


def change_program(config, run, monkeypatch):
    program = nothing_new.this_program
    monkeypatch.setattr(nothing_new, "this_program", lambda device: program(device).model_copy(update={"digest": "0"}))


def add_lock(config, run, monkeypatch):
    lock(config)


def change_results(config, run, monkeypatch):
    path = run / "results.json"
    path.write_text(path.read_text().replace('"title": "Saliency audit"', '"title": "Sound"'))


def lose_report(config, run, monkeypatch):
    (run / "report.pdf").unlink()


def interrupt_the_next(config, run, monkeypatch):
    begin(config)


@pytest.mark.parametrize(
    "news",
    [
        add_study, remove_study, change_image, change_label, change_site, change_patient, change_network,
        change_criterion, change_title, change_program, add_lock, change_results, lose_report, interrupt_the_next,
    ],
)  # fmt: skip
def test_whatever_a_run_follows_from_is_news(news, night, monkeypatch):
    config, run = night
    news(config, run, monkeypatch)
    assert looked(config) is None


def test_a_study_that_failed_is_to_be_tried_again(tmp_path):
    config = plant(tmp_path, 3, explain={"methods": ["gradcam"]})
    (tmp_path / "archive" / "study02.nii.gz").write_bytes(b"half a file")
    run, results = complete(config)
    reported(run)
    assert results.flow.failed or results.flow.excluded
    assert (looked(config) is None) == bool(results.flow.failed)


def test_an_audit_without_a_run_has_news_and_no_model_is_loaded(tmp_path, monkeypatch):
    config = plant(tmp_path, 3)
    monkeypatch.setattr(nothing_new, "open_auditor", None)
    assert looked(config) is None
