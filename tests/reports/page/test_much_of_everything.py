"""Many criteria, sites and runs with long names: no page is left to a heading, and names can be told apart."""

import re
import shutil
import subprocess

import pytest

from pipeline.findings.plotted.differences import GroupDifference
from pipeline.findings.plotted.history import RunPoint
from pipeline.findings.results import Results
from reports.page.text import fitted_at_both_ends
from reports.pdf import render
from tests.reports import example

pytestmark = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext (poppler-utils) is missing")

CRITERIA, SITES, RUNS = 25, 30, 12
LONG = "A criterion that was named on a long afternoon, with the population and the visit window of the whole study"
SITE = "University Hospital of a rather long name, department"


def criteria():
    four = example.verdicts()
    return tuple(
        four[number % 4].model_copy(update={"criterion": f"{LONG} {number}", "bound": 0.3, "side": "at_least"})
        for number in range(CRITERIA)
    )


def earlier_runs():
    return tuple(
        RunPoint(run=f"run-{month}", finished_at=f"2026-{month + 1:02d}-07T02:00:00+00:00",
                 criterion=verdict.criterion, value=0.5, low=0.4, high=0.6, bound=0.5, patients=40, answer="MET",
                 lock="a" * 64)
        for month in range(RUNS) for verdict in criteria()
    )  # fmt: skip


def difference(site, metric, method="gradcam", **facts):
    named = {"column": "site", "group": f"site={SITE} {site}", "among": "reference_positive", "method": method}
    common = {"value": -0.1, "low": -0.4, "high": 0.4, "confidence": 0.95, "interval": "exact", "p": 0.4,
              "p_adjusted": 1.0, "family": 60, "patients": 5 + site, "patients_rest": 40}  # fmt: skip
    return GroupDifference.model_validate({**named, **common, "metric": metric, **facts})


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    asked = ("iou", "hit_rate")
    groups = [example.estimate(metric, "gradcam", 0.3, group=f"site={SITE} {site}", patients=4 + site)
              for metric in asked for site in range(SITES)]  # fmt: skip
    rated = {"label": "nodule", "method": "classifier", "among": "all", "own": 0.8, "rest": 0.9}
    none = {"value": None, "low": None, "high": None, "p": None, "p_adjusted": None, "reason": "too few of them"}
    results: Results = example.results(
        verdicts=criteria(), history=earlier_runs(), cases=(),
        answers={"MET": 7, "NOT MET": 6, "INCONCLUSIVE": 6, "NOT EVALUATED": 6},
        estimates=(*(part for part in example.estimates() if part.group is None), *groups),
        group_differences=tuple(difference(site, metric) for metric in asked for site in range(SITES)),
        answer_differences=tuple(difference(site, metric, **rated, **(none if metric == "auroc" and site < 4 else {}))
                                 for metric in ("auroc", "calibration") for site in range(SITES)),
    )  # fmt: skip
    return render(example.write_run(tmp_path_factory.mktemp("much"), results))


@pytest.fixture(scope="module")
def pages(report):
    made = subprocess.run(["pdftotext", "-layout", report, "-"], capture_output=True, check=True).stdout.decode()
    return made.split("\f")[:-1]


def test_no_page_is_left_to_a_heading(pages):
    lines = [sum(bool(line.strip()) for line in page.splitlines()) for page in pages]
    assert min(lines) > 20, lines
    last = [next(line for line in reversed(page.splitlines()[:-1]) if line.strip() and "SHA-256" not in line)
            for page in pages]  # fmt: skip
    assert not [line for line in last if re.match(r"\s*\d+ [A-Z]", line)], "a heading stands at a page's foot"


def test_everybody_is_there_and_told_from_the_others(pages):
    text = "\n".join(pages)
    for site in range(10, SITES):
        assert re.search(rf"site: Univ\S*\u2026\S*t {site} ", text), site
    for number in (0, 1, 2, 4):  # the first six of a number of criteria with an estimate
        assert re.search(rf"\u2026.*whole study {number}\b", text), number


def test_groups_of_the_answers_are_counted_where_they_are_not_shown(pages):
    text = " ".join("".join(pages).split())
    assert "AUROC is not compared in 4 groups: too few of them." in text
    assert "Probability minus" in text
    assert text.count("\u22120.10 [\u22120.40, 0.40]") >= 2 * SITES


def test_without_a_case_no_page_says_that_there_is_none(pages):
    (page,) = (page for page in pages if "No case is shown" in page)
    assert len(page.split()) > 100


def test_names_are_shortened_in_their_middle():
    first, second = (fitted_at_both_ends(f"{SITE} {site}", 70, 7) for site in (3, 4))
    assert first.endswith(" 3")
    assert second == first[:-1] + "4"
    assert first.startswith("Univ")
    assert "\u2026" in first
    assert fitted_at_both_ends("short", 70, 7) == "short"
