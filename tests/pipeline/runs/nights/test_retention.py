"""What may go, and what never does: whoever refers to a run keeps it."""

import json
import shutil

import pytest

from flows.scheduling.keeping import keep_newest
from pipeline.checks.config_checks import checked_config
from pipeline.errors import OutputError
from pipeline.findings.shards import runs_named
from pipeline.runs.exclusive import exclusive
from pipeline.runs.nights.heartbeat import at_work
from pipeline.runs.nights.night_log import REMOVED, read_nights
from pipeline.runs.nights.retention import plan_retention, remove_runs
from tests.pipeline.planted import plant
from tests.pipeline.runs.test_run import change, complete
from tests.pipeline.steps import begin, lock


def silent(_text):
    pass


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """Four nights: the first two compute (another map each), the last two only carry over."""
    config = plant(tmp_path_factory.mktemp("nights"), 3, explain={"methods": ["gradcam"]}, criteria=[])
    runs = [complete(config)[0]]
    change(config, explain={"methods": ["hirescam"]})
    runs += [complete(config)[0] for _ in range(3)]
    return config, runs


@pytest.fixture
def audits(nights, tmp_path):
    config, runs = nights
    shutil.copytree(config.parent, tmp_path / "audit")
    return tmp_path / "audit" / "runs" / "planted", [run.name for run in runs]


def gone(plan):
    return [run.run for run in plan.removable]


def test_what_a_kept_run_refers_to_stays(audits):
    folder, names = audits
    assert runs_named(folder / names[3] / "shards" / "reused.parquet") == {names[1]}
    plan = plan_retention(folder, 1)
    assert gone(plan) == [names[0], names[2]]
    assert {kept.run: kept.reason for kept in plan.kept} == {
        names[1]: f"{names[3]} refers to it",
        names[3]: "among the newest 1",
    }
    assert gone(plan_retention(folder, 3)) == [names[0]]
    assert gone(plan_retention(folder, 30)) == []


def test_removal_says_each_name_and_the_rest_verifies(audits):
    from pipeline.verify.verify import verify_run

    folder, names = audits
    before = verify_run(folder / names[3]).failures
    plan = remove_runs(folder, 1, silent)
    assert sorted(path.parent.name for path in folder.glob("*/run.json")) == [names[1], names[3]]
    (entry,) = [entry for entry in read_nights(folder) if entry.event == REMOVED]
    assert entry.body["runs"] == gone(plan)
    assert verify_run(folder / names[3]).failures == before
    assert gone(remove_runs(folder, 1, silent)) == []


def test_a_run_under_way_stays_and_an_audit_under_way_refuses(audits):
    folder, names = audits
    with at_work(folder / names[0]):
        assert gone(plan_retention(folder, 1)) == [names[2]]
    with exclusive(folder, silent), pytest.raises(OutputError, match="is held by process"):
        remove_runs(folder, 1, silent)
    assert len(list(folder.glob("*/run.json"))) == 4


def test_an_interrupted_run_that_the_next_would_carry_over_stays(nights, tmp_path):
    config = tmp_path / "audit" / "audit.yaml"
    shutil.copytree(nights[0].parent, config.parent)
    change(config, explain={"methods": ["layercam"]})
    interrupted = begin(config)
    plan = plan_retention(interrupted.parent, 1)
    assert interrupted.name not in gone(plan)


def mark(folder, name, **update):
    path = folder / name / "results.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **update}))


def test_a_signed_run_stays(audits):
    folder, names = audits
    with (folder / names[0] / "ledger.jsonl").open("a") as file:
        file.write(json.dumps({"event": "report.signed"}) + "\n")
    assert gone(plan_retention(folder, 1)) == [names[2]]


def test_a_run_that_another_audit_is_held_against_stays(audits):
    folder, names = audits
    other = folder.parent / "other" / names[3]
    shutil.copytree(folder / names[3], other)
    mark(other.parent, names[3], changes=[{"kind": "predecessor", "run_a": f"planted/{names[0]}"}])
    assert gone(plan_retention(folder, 1)) == [names[2]]
    mark(other.parent, names[3], changes=[{"kind": "previous", "run_a": f"planted/{names[0]}"}])
    assert gone(plan_retention(folder, 1)) == [names[0], names[2]]


def test_the_first_run_under_a_lock_stays(tmp_path):
    config = plant(tmp_path, 3, explain={"methods": ["gradcam"]})
    lock(config)
    runs = [complete(config)[0].name for _ in range(3)]
    folder = config.parent / "runs" / "planted"
    shutil.rmtree(folder / runs[1] / "shards")  # nothing of it is referred to
    plan = plan_retention(folder, 1)
    assert {kept.run: kept.reason for kept in plan.kept}[runs[0]] == "the first run under its lock"
    assert gone(plan) == [runs[1]]


def test_where_references_cannot_be_told_nothing_goes(audits):
    folder, names = audits
    (folder / names[3] / "shards" / "reused.parquet").write_bytes(b"damaged")
    with pytest.raises(OutputError, match="which maps it refers to cannot be told"):
        remove_runs(folder, 1, silent)
    assert len(list(folder.glob("*/run.json"))) == 4


def test_a_link_to_a_run_elsewhere_is_left_alone(audits, tmp_path):
    folder, names = audits
    elsewhere = tmp_path / "elsewhere"
    (folder / names[0]).rename(elsewhere)
    (folder / names[0]).symlink_to(elsewhere)
    assert gone(remove_runs(folder, 1, silent)) == [names[2]]
    assert (elsewhere / "run.json").exists()


def kept_by(folder, said, *overrides):
    config = folder.parents[1] / "audit.yaml"
    keep_newest(checked_config(config, overrides).config, said.append)


def test_a_schedule_keeps_what_the_configuration_says_and_removes_what_prune_would(audits):
    folder, names = audits
    said = []
    kept_by(folder, said)  # nothing is said of it
    assert [path.name for path in sorted(folder.glob("2*"))] == names
    assert said == []
    kept_by(folder, said, "keep.nightly=1")
    assert [path.name for path in sorted(folder.glob("2*"))] == [names[1], names[3]]
    assert said == [f"keep.nightly: removed {names[0]}, {names[2]}; 2 runs are kept"]
    kept_by(folder, said, "keep.nightly=1")
    assert len(said) == 1


def test_a_run_that_has_ended_well_is_not_failed_by_what_cannot_be_removed(audits):
    folder, names = audits
    (folder / names[3] / "shards" / "reused.parquet").write_bytes(b"damaged")
    said = []
    kept_by(folder, said, "keep.nightly=1")
    assert [path.name for path in sorted(folder.glob("2*"))] == names
    assert len(said) == 1
    assert said[0].startswith("keep.nightly: no run was removed: ")
