"""``camaudit run --if-new``, ``status``, ``history`` and ``prune`` over the nights of one audit."""

import json
import re
import shutil

import pytest

from pipeline.runs.nights.heartbeat import at_work
from reports.charts.control import control_words
from tests.pipeline.planted import plant
from tests.reports.charts.test_other_charts import watched

RUN = ("--set", "run.engine=local", "--set", "explain.methods=gradcam")


@pytest.fixture(scope="module")
def audit(tmp_path_factory):
    from tests.pipeline.runs.test_run import complete

    config = plant(tmp_path_factory.mktemp("audit"), 3, explain={"methods": ["gradcam"]})
    complete(config)
    complete(config)
    return config


@pytest.fixture
def audits(audit, tmp_path):
    shutil.copytree(audit.parent, tmp_path / "audit")
    return tmp_path / "audit" / "runs" / "planted"


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_second_night_costs_a_line(tmp_path, camaudit):
    config = plant(tmp_path, 3)
    code, out, _ = camaudit("run", config, "--if-new", "-q", *RUN)
    assert code == 0
    audits = tmp_path / "runs" / "planted"
    before, names = size_of(tmp_path), sorted(path.name for path in audits.iterdir())
    code, again, err = camaudit("run", config, "--if-new", "-q", *RUN)
    assert (code, again) == (0, out)
    assert "nothing new since " in err
    assert size_of(tmp_path) - before < 100_000
    assert {path.name for path in audits.iterdir()} == {"nights.jsonl", *names}
    code, out, _ = camaudit("status", audits, "--json")
    (run,) = json.loads(out)["runs"]
    assert (run["state"], len(run["nothing_new"])) == ("finished", 1)


def test_status_of_an_audit_and_of_a_run(audits, camaudit):
    code, out, _ = camaudit("status", audits)
    assert code == 0
    assert "2 finished" in out
    run = sorted(audits.glob("*/run.json"))[0].parent
    with at_work(run):
        code, out, _ = camaudit("status", run, "--json")
    answer = json.loads(out)
    assert answer["audit"] == "planted"
    assert [(known["run"], known["state"]) for known in answer["runs"]] == [(run.name, "running")]


def test_a_metrics_file_for_prometheus(audits, tmp_path, camaudit):
    path = tmp_path / "camaudit.prom"
    code, _, _ = camaudit("status", audits, "--prometheus", path)
    assert code == 0
    text = path.read_text()
    assert 'camaudit_runs{audit="planted",state="finished"} 2\n' in text
    assert 'camaudit_studies{audit="planted",outcome="analysed"} 3\n' in text
    names = {line.split("{")[0] for line in text.splitlines() if not line.startswith("#")}
    assert names == {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert text.endswith("\n")
    assert [left.name for left in tmp_path.iterdir() if left.name.startswith(".camaudit")] == []


@pytest.mark.parametrize(("ending", "begins"), [("svg", b"<?xml"), ("pdf", b"%PDF-")])
def test_history_as_table_and_plot(ending, begins, audits, tmp_path, camaudit):
    plot = tmp_path / f"trend.{ending}"
    code, out, _ = camaudit("history", audits, "--plot", plot)
    assert code == 0
    assert "accuracy of classifier" in out
    assert out.splitlines()[-1] == str(plot)
    assert plot.read_bytes().startswith(begins)
    code, out, _ = camaudit("history", audits, "--json", "--last", 1)
    (row,) = json.loads(out)["rows"]
    assert (row["found"], row["computed"]) == (3, 0)
    assert len(row["figures"]) == 3


def test_what_a_process_left_that_was_killed_in_a_runs_start_harms_nobody(audits, camaudit):
    runs = sorted(path.parent for path in audits.glob("*/run.json"))
    newer = audits / runs[-1].name.replace("Z-", "9Z-")
    shutil.copytree(runs[-1], newer, ignore=lambda _folder, names: set(names) - {"run.json"})
    code, out, _ = camaudit("status", audits)
    assert code == 0
    assert "2 finished, 1 interrupted" in out
    assert f"{newer.name}: has not begun: its start is being written, or its process ended in it" in out
    code, out, _ = camaudit("verify", newer)
    assert (code, out.count("FAILED")) == (36, 1)
    assert "the run has not begun" in out
    assert camaudit("history", audits)[0] == 0
    code, out, err = camaudit("run", audits.parents[1] / "audit.yaml", "-q", *RUN)
    assert code == 0, err
    code, out, _ = camaudit("prune", audits, "--keep", "30")
    assert code == 0
    assert f"removed  {newer.name}" in out
    assert len(runs) + 1 == len([path for path in audits.glob("*/run.json") if path.parent != newer])
    assert not newer.exists()


def test_history_says_what_the_chart_of_a_growing_cohort_can_see(audits, tmp_path, camaudit):
    newest = sorted(audits.glob("*/results.json"))[-1]
    results = json.loads(newest.read_text())
    results["verdicts"][0]["control"] = watched().model_dump(mode="json")
    newest.write_text(json.dumps(results))
    code, out, _ = camaudit("history", audits, "--plot", tmp_path / "trend.svg")
    assert code == 0
    assert all(sentence in out.splitlines() for sentence in control_words(watched()))
    assert "a false alarm every 1,234 runs" in (tmp_path / "trend.svg").read_text()
    code, out, _ = camaudit("history", audits, "--json")
    assert json.loads(out)["control"][results["verdicts"][0]["criterion"]]["per_run"] == 5


def test_a_plot_of_another_kind_is_refused_before_anything_is_read(tmp_path, camaudit):
    code, _, err = camaudit("history", tmp_path, "--plot", tmp_path / "trend.docx")
    assert code == 2
    assert "--plot: must end in .svg or .pdf, not 'trend.docx'" in err


def test_what_cannot_be_read_is_named(audits, camaudit):
    newest = sorted(audits.glob("*/results.json"))[-1]
    newest.write_text(re.sub(r'"schema_version": \d+', '"schema_version": 1', newest.read_text(), count=1))
    code, out, _ = camaudit("history", audits)
    assert code == 0
    assert f"left out: {newest.parent.name}: results.json: is of schema 1" in out
    assert str(audits) not in out


def test_prune_says_what_goes_and_a_dry_run_removes_nothing(audits, camaudit):
    first, second = sorted(path.parent for path in audits.glob("*/run.json"))
    shutil.rmtree(second / "shards")  # nothing refers to the first any more
    code, out, _ = camaudit("prune", audits, "--keep", 1, "--dry-run")
    assert code == 0
    assert f"would go {first.name}" in out
    assert first.exists()
    code, out, _ = camaudit("prune", audits, "--keep", 1)
    assert f"removed  {first.name}" in out
    assert "1 run removed" in out
    assert not first.exists()
    assert second.exists()
    code, out, _ = camaudit("history", audits)
    assert "1 earlier run was removed by camaudit prune" in out


@pytest.mark.parametrize("command", ["status", "history", "prune"])
def test_a_folder_that_holds_no_run(command, tmp_path, camaudit):
    code, out, err = camaudit(command, tmp_path)
    assert (code, out) == (2, "")
    assert "holds no run" in err


@pytest.mark.parametrize("command", ["status", "history", "prune"])
def test_looking_at_runs_loads_no_torch(command, audits):
    import subprocess
    import sys

    program = (
        "import sys\nfrom flows.cli import app\n"
        f"app([{command!r}, {str(audits)!r}], standalone_mode=False)\n"
        "print([name for name in ('torch', 'monai', 'prefect') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
