"""The results case by case are the results as a whole, however their file is laid out."""

import hashlib
import json

import pytest

from pipeline.errors import OutputError
from pipeline.findings.results import load_results
from reports.pdf import render
from reports.run_files import RESULTS, opened_run
from tests.reports import example


@pytest.fixture
def run(tmp_path):
    return example.write_run(tmp_path / "run")


def shown(run):
    """Return the results with their cases, and whether those stay in the file."""
    with opened_run(run) as opened:
        results = opened.results
        stored = not isinstance(results.cases, tuple)
        assert results.cases[-1] == list(results.cases)[-1] == results.cases[len(results.cases) - 1 :][0]
        return results.model_copy(update={"cases": tuple(results.cases)}), stored


def test_cases_are_read_when_they_are_asked_for(run):
    assert shown(run) == (load_results(run), True)


def test_the_hashes_are_those_of_whole_files(run):
    with opened_run(run) as opened:
        expected = {name: hashlib.sha256((run / name).read_bytes()).hexdigest() for name in opened.files}
        assert {RESULTS, "per_study.csv"} <= set(expected)
        assert dict(opened.hashes) == expected


@pytest.mark.parametrize("indent", [None, 2, 4])
def test_another_layout_is_read_whole(run, indent):
    path = run / RESULTS
    path.write_text(json.dumps(json.loads(path.read_text()), indent=indent), encoding="utf-8")
    assert shown(run) == (load_results(run), False)


@pytest.mark.parametrize("twice", ['{\n "cases": [\n ],', '{"c\\u0061ses": [],'])
def test_cases_that_are_named_twice_are_read_as_ever(run, twice):
    path = run / RESULTS
    path.write_text(path.read_text().replace("{", twice, 1), encoding="utf-8")
    results, _ = shown(run)
    assert results == load_results(run)


def test_a_case_that_is_wrong_is_told_as_ever(run):
    path = run / RESULTS
    path.write_text(path.read_text().replace('"panels":', '"panel":', 1), encoding="utf-8")
    with pytest.raises(OutputError, match=r"cases\.0\.panels?"):
        render(run)


def test_what_replaces_a_file_is_not_read(run):
    expected = load_results(run).cases
    with opened_run(run) as opened:
        (run / "other").write_text("{}", encoding="utf-8")
        (run / "other").replace(run / RESULTS)
        assert tuple(opened.results.cases) == expected
