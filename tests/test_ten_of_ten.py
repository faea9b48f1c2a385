"""Ten hits of ten are never worse than nine, from the images to the report."""

import json
import re

import pytest

from tests.reports.test_pdf import text_of
from tests.ten_of_ten import BOUNDS, audited, line

ORDER = ("NOT MET", "INCONCLUSIVE", "MET")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return {hits: audited(tmp_path_factory.mktemp("hits") / "audit", hits) for hits in (10, 9)}


def answers_in_json(run):
    verdicts = json.loads((run.folder / "results.json").read_text())["verdicts"]
    return [ORDER.index(verdict["answer"]) for verdict in verdicts], [
        verdict["estimate"]["value"] for verdict in verdicts
    ]


def test_ten_of_ten_are_as_good_as_nine_at_every_bound_and_better_at_some(runs):
    (ten, of_ten), (nine, of_nine) = answers_in_json(runs[10]), answers_in_json(runs[9])
    assert (set(of_ten), set(of_nine)) == ({1.0}, {0.9})
    assert all(first >= second for first, second in zip(ten, nine, strict=True))
    at = BOUNDS.index(0.69)
    assert (ORDER[ten[at]], ORDER[nine[at]]) == ("MET", "INCONCLUSIVE")
    assert [ORDER[answer] for answer in nine[:3]] == ["MET", "MET", "MET"]
    assert ORDER[ten[-1]] == "INCONCLUSIVE"  # ten patients show no rate of 0.8


def test_the_reports_say_so(runs):
    def answers(run):
        cover = text_of(run.folder / "report.pdf", "-l", "1")
        rows = re.findall(r"at least (\S+) +[\d.]+ +\[.*?\].*? (NOT MET|INCONCLUSIVE|MET)$", cover, re.MULTILINE)
        assert [float(bound) for bound, _ in rows] == list(BOUNDS), cover
        return [ORDER.index(answer) for _, answer in rows]

    said = {hits: answers(run) for hits, run in runs.items()}
    assert said == {hits: answers_in_json(run)[0] for hits, run in runs.items()}


def test_the_lines_that_the_documents_show(runs):
    assert line(runs[10].results.verdicts[4]) == "at least 0.69: 1.00 [0.69, 1.00] MET"
    assert line(runs[9].results.verdicts[4]) == "at least 0.69: 0.90 [0.55, 1.00] INCONCLUSIVE"
