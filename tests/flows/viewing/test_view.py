"""``camaudit view`` and ``camaudit report --html`` with what is wrong: one line, exit code 2, nothing written."""

import json
import re
import shutil
import socket
import webbrowser

import pytest

from flows.viewing.server import Viewing
from pipeline.findings.results import SCHEMA_VERSION
from tests.old_runs.test_old_runs import KEPT
from tests.reports.viewer.example_run import write_viewed_run


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return write_viewed_run(tmp_path_factory.mktemp("viewed") / "run", volumes="none")


@pytest.fixture
def run(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "run")


def without_ledger(run):
    (run / "ledger.jsonl").unlink()


def with_table(content):
    return lambda run: (run / "per_study.csv").write_bytes(content)


def score_of(text):
    def change(run):
        table = (run / "per_study.csv").read_text()
        changed = re.sub(r"(?<=,)[01](\.\d+)?(?=[,\r\n])", text, table)
        assert changed != table
        (run / "per_study.csv").write_text(changed)

    return change


WRONG_RUNS = {
    "results cut": lambda run: (run / "results.json").write_text("{"),
    "results deep": lambda run: (run / "results.json").write_text("[" * 100_000),
    "no table": lambda run: (run / "per_study.csv").unlink(),
    "no ledger": without_ledger,
    "table of bytes": with_table(b"study,status\n\xff\xfe,analysed\n"),
    "table without columns": with_table(b"study,status\nS-CT,analysed\n"),
    "table with a long field": with_table(b"study,status\n" + b"x" * 200_000 + b",analysed\n"),
    "score in words": score_of("high"),
    "score without end": score_of("inf"),
    "score that is none": score_of("nan"),
}


@pytest.mark.parametrize("command", [("view",), ("report", "--html")])
@pytest.mark.parametrize("name", WRONG_RUNS)
def test_a_run_that_cannot_be_shown_is_refused_in_a_line(camaudit, run, command, name):
    WRONG_RUNS[name](run)
    before = sorted(run.rglob("*"))
    code, out, err = camaudit(command[0], run, *command[1:])
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("camaudit: ")
    assert sorted(run.rglob("*")) == before


@pytest.mark.parametrize("command", [("view",), ("report", "--html")])
@pytest.mark.parametrize("where", ["none", "empty", "file", "long"])
def test_what_is_no_run_is_refused_in_a_line(camaudit, tmp_path, command, where):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    code, out, err = camaudit(command[0], tmp_path / ("x" * 5000 if where == "long" else where), *command[1:])
    assert (code, out, err.count("\n")) == (2, "", 1)


EARLIER = [folder for folder in KEPT if not folder.name.endswith(f"-results{SCHEMA_VERSION}")]


@pytest.mark.parametrize("folder", EARLIER, ids=lambda path: path.name)
def test_a_run_of_an_earlier_version_is_refused_in_a_line(camaudit, folder):
    for command in (["view", folder], ["report", folder, "--html"]):
        code, out, err = camaudit(*command)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "and this version of camaudit reads schema" in err


@pytest.mark.parametrize("target", ["none/report.html", "", "run/results.json", "report", "report.pdf"])
def test_a_page_goes_to_no_folder_and_over_no_other_file(camaudit, run, tmp_path, target):
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    code, out, err = camaudit("report", run, "--html", "-o", tmp_path / target)
    assert (code, out) == (2, "")
    assert "cannot be written" in err or "is no page's name" in err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_taken_port_and_a_folder_that_is_none_are_refused_in_a_line(camaudit, run, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, out, err = camaudit("view", run, "--port", taken.getsockname()[1])
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "Address already in use" in err
    (tmp_path / "file").write_text("")
    for folder in ("file", "none/reviews"):
        code, out, err = camaudit("view", run, "--reviews", tmp_path / folder)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "--reviews" in err


@pytest.mark.parametrize("found", [True, False])
def test_a_missing_browser_is_told_of_and_the_address_stays(camaudit, run, monkeypatch, found):
    asked = []
    monkeypatch.setattr(Viewing, "serve_forever", lambda self: None)
    monkeypatch.setattr(webbrowser, "open", lambda address: asked.append(address) or found)
    code, out, err = camaudit("view", run, "--open")
    assert code == 0
    assert out.splitlines()[1:] == asked
    assert ("no browser was found" in err) is not found


def test_a_run_without_cases_is_shown(camaudit, run, tmp_path):
    fields = json.loads((run / "results.json").read_bytes())
    (run / "results.json").write_text(json.dumps(fields | {"cases": []}))
    code, out, _ = camaudit("report", run, "--html", "-o", tmp_path / "report.html")
    assert code != 2, "it is altered, and says so"
    assert out.strip() == str(tmp_path / "report.html")
