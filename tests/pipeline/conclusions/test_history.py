"""Earlier runs' criteria are carried from run to run, and only from results that are as their ledger has them."""

from pathlib import Path

import pytest

from camaudit import audit
from pipeline.conclusions.history import MOST_RUNS, earlier_points
from pipeline.findings.results import load_results
from tests.pipeline.planted import plant
from tests.reports.example import results, verdicts


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Three runs of one audit, one after the other."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("history")
        patch.setenv("CAMAUDIT_STATE", str(folder / "state"))
        patch.setenv("CAMAUDIT_REGISTER", str(folder / "state"))
        config = plant(folder / "audit", 3, explain={"methods": ["gradcam"]})
        return [Path(audit(config).folder) for _ in range(3)]


def test_each_run_holds_the_criteria_of_those_before_it(folders):
    runs = [load_results(folder) for folder in folders]
    assert [len({point.run for point in run.history}) for run in runs] == [0, 1, 2]
    assert runs[2].history == (*runs[0].points(), *runs[1].points())
    first = runs[2].history[0]
    assert (first.run, first.criterion) == (runs[0].run, runs[0].verdicts[0].criterion)
    assert (first.value, first.bound) == (runs[0].verdicts[0].estimate.value, runs[0].verdicts[0].bound)
    assert first.bound is not None


def test_a_changed_or_missing_run_ends_the_chain(folders):
    path = folders[1] / "results.json"
    before = path.read_bytes()
    assert earlier_points(folders[2], folders[1].name)
    path.write_bytes(before.replace(b'"MET"', b'"NOT MET"') + b"\n")
    assert earlier_points(folders[2], folders[1].name) == ()
    path.write_bytes(before)
    assert earlier_points(folders[2], "20200101T000000000Z-0000") == ()
    assert earlier_points(folders[2], None) == ()


def test_criteria_that_were_not_locked_have_no_lock():
    assert {point.lock for point in results(exploratory=("never locked",)).points()} == {None}
    assert {point.lock for point in results().points()} == {results().lock.criteria}
    assert len(results().points()) == len(verdicts())
    assert MOST_RUNS >= 100
