"""What a run's folder says by itself: a crate, a card, a registry's table, a tracker's figures."""

import csv
import hashlib
import json
import sys
from types import ModuleType

import pytest

from flows.commands.exporting.export import export_run
from flows.commands.exporting.request import ExportRequest
from pipeline.conclusions.reporting_items import ReportingItems, reporting_items
from pipeline.errors import ConfigError, OutputError
from pipeline.findings.results import load_results
from pipeline.verify.verify import verify_run
from reports.exports.assess_ai import registry_rows
from reports.exports.figures import figures_of
from reports.exports.model_card import card_of, write_model_card
from tests.flows.test_nobody_is_identified import found_in


def test_a_crate_holds_the_public_files_and_says_what_made_them(known, tmp_path):
    crate = tmp_path / "crate"
    account = export_run(ExportRequest(known.run, ro_crate=crate))
    files = {str(path.relative_to(crate)) for path in crate.rglob("*") if path.is_file()}
    assert account.files == len(files)
    assert not any("private" in name for name in files)
    names = ("results.json", "report.pdf", "ledger.jsonl", "run.json", "per_study.csv")
    assert {f"run/{name}" for name in names} <= files
    metadata = json.loads((crate / "ro-crate-metadata.json").read_text())
    graph = {entity["@id"]: entity for entity in metadata["@graph"]}
    assert graph["./"]["conformsTo"]["@id"] == "https://w3id.org/ro/wfrun/process/0.5"
    assert {part["@id"] for part in graph["./"]["hasPart"]} == files - {"ro-crate-metadata.json"}
    action = graph["#run"]
    assert action["@type"] == "CreateAction"
    for reference in (action["instrument"], action["agent"], *action["object"], *action["result"]):
        assert reference["@id"] in graph
    for name in files - {"ro-crate-metadata.json", "run/ledger.jsonl"}:
        assert graph[name]["sha256"] == hashlib.sha256((crate / name).read_bytes()).hexdigest()
    assert graph["#model"]["identifier"] == f"sha256:{load_results(known.run).model.sha256}"
    assert verify_run(crate / "run").failures == (), "what is handed on verifies as the run does"


def test_a_crate_is_read_by_the_library(known, tmp_path):
    rocrate = pytest.importorskip("rocrate.rocrate")
    export_run(ExportRequest(known.run, ro_crate=tmp_path / "crate"))
    crate = rocrate.ROCrate(str(tmp_path / "crate"))
    assert crate.dereference("#run")["instrument"]["name"] == "camaudit"
    assert crate.dereference("run/results.json").type == "File"


def test_a_card_says_what_is_stated_and_what_is_not(known, tmp_path):
    results = load_results(known.run)
    stated = results.model_copy(update={"intended_use": "find | nodules *only*", "statements": {"users": ("A", "B")}})
    card, fields = write_model_card(stated, tmp_path / "card.md")
    text, content = card.read_text(), json.loads(fields.read_text())
    assert content["Intended use"]["Intended use"] == "find | nodules *only*"
    assert "| Intended use | find \\| nodules \\*only\\* |" in text
    assert content["Intended use"]["Intended users"] == "A; B"
    assert content["Intended use"]["Known risks and misuse"] == "Not stated"
    assert content["Model"]["Training data"] == "Not stated"
    assert content["Evaluation data"]["Studies"] == "4 in = 4 analysed + 0 excluded + 0 failed"
    shown = {estimate.metric for estimate in results.classification}
    assert {name.split(",")[0] for name in content["Classification"]} == shown
    for name, verdict in card_of(results)["Criteria"].items():
        assert any(name == each.criterion and verdict.startswith(each.answer) for each in results.verdicts)
    undefined = [row for row in content["Explanation maps against experts' masks"].values() if "undefined" in row]
    assert all("None" not in row for row in undefined)


def test_a_registry_gets_a_row_for_each_study_and_label(known, film, tmp_path):
    account = export_run(ExportRequest(known.run, assess_ai=tmp_path / "rows.csv"))
    assert account.places == [tmp_path / "rows.csv"]
    with (tmp_path / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["study"] for row in rows] == [audit.study for audit in known.audits]
    assert {(row["ai_result"], row["reference"], row["concordance"]) for row in rows} == {
        ("positive", "positive", "concordant"),
        ("negative", "negative", "concordant"),
    }
    assert found_in((tmp_path / "rows.csv").read_text()) == []
    results, audit = load_results(known.run), known.audits[0]
    disagreeing = audit.model_copy(update={"predicted": (), "strata": {"site": "=HYPERLINK()"}})
    (row,) = registry_rows(results, disagreeing)
    assert (row["concordance"], row["site"]) == ("discordant", "'=HYPERLINK()")
    (row,) = registry_rows(results, audit.model_copy(update={"reference": None}))
    assert (row["reference"], row["concordance"]) == ("", "")
    failed = audit.model_copy(update={"status": "failed", "reason": "truncated", "probabilities": {}})
    (row,) = registry_rows(results, failed)
    assert (row["ai_output"], row["ai_result"], row["status"], row["reason"]) == ("", "", "failed", "truncated")


class Tracker(ModuleType):
    """A module in a tracker's place that notes what it is told."""

    def __init__(self, name):
        super().__init__(name)
        self.told_of = {}

    def set_experiment(self, name):
        self.told_of["experiment"] = name

    def start_run(self, run_name):
        self.told_of["run"] = run_name
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.told_of["ended"] = True

    def set_tags(self, tags):
        self.told_of["tags"] = tags

    def log_metrics(self, metrics):
        self.told_of["metrics"] = metrics

    def Settings(self, **settings):
        return settings

    def init(self, **arguments):
        self.told_of |= arguments
        return self

    def log(self, metrics):
        self.told_of["metrics"] = metrics

    def finish(self):
        self.told_of["ended"] = True


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_tracker_gets_ids_and_figures_and_nothing_else(name, known, monkeypatch):
    tracker = Tracker(name)
    monkeypatch.setitem(sys.modules, name, tracker)
    export_run(ExportRequest(known.run, **{name: "audits"}))
    results = load_results(known.run)
    assert tracker.told_of["metrics"] == figures_of(results)
    assert tracker.told_of["metrics"]["studies.analysed"] == 4
    assert tracker.told_of["metrics"]["gradcam.iou.reference_positive"] == pytest.approx(
        next(each.value for each in results.estimates if (each.metric, each.method) == ("iou", "gradcam"))
    )
    assert all(isinstance(value, (int, float)) for value in tracker.told_of["metrics"].values())
    assert tracker.told_of["ended"]
    words = json.dumps(tracker.told_of)
    assert results.model.sha256 in words
    assert not any(audit.study in words or audit.patient in words for audit in known.audits)


def test_a_tracker_that_is_not_there_or_fails_is_said_in_a_line(known, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigError, match=r"--mlflow: needs mlflow, which is not installed; pip install"):
        export_run(ExportRequest(known.run, mlflow="audits"))
    broken = Tracker("wandb")
    broken.init = lambda **_: 1 / 0
    monkeypatch.setitem(sys.modules, "wandb", broken)
    with pytest.raises(OutputError, match=r"--wandb: the run was not logged: ZeroDivisionError"):
        export_run(ExportRequest(known.run, wandb="audits"))


def test_the_items_that_reviewers_ask_for_are_written_from_the_run_alone(known, tmp_path):
    path = tmp_path / "items.json"
    account = export_run(ExportRequest(known.run, reporting_items=path))
    assert account.files == 1
    assert account.places == [path]
    assert ReportingItems.model_validate_json(path.read_bytes()) == reporting_items(load_results(known.run))
