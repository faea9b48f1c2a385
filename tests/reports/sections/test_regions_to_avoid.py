"""What the report says of regions to avoid is no praise."""

from pathlib import Path

from pipeline.findings.plotted.shares import AvoidedShares, CohortShares
from reports.registry import Context
from reports.sections.evidence_shares import build
from tests.reports import example
from tests.reports.charts.test_localisation_charts import check, drawings
from tests.reports.test_sentences import said

TITLE = "Where the evidence lies"


def shares(**more):
    return AvoidedShares(**{"region": "tube", "method": "gradcam", "evidence": 0.42, "area": 0.03, "studies": 30,
                            "patients": 25, "above": 21, "unknown": 2, **more})  # fmt: skip


def test_evidence_in_a_region_stands_beside_its_area_and_is_called_no_finding():
    words = said(TITLE, example.results(avoided=(shares(),)))
    assert "tube | Grad-CAM | 0.42 | 0.03 | 21 of 25 | 2" in words
    assert "They are no findings: none of this evidence counts for a map" in words
    assert "no proof that the model uses it" in words
    for praise in ("better", "good", "chance", "MET"):
        assert praise not in words.partition("Evidence in regions to avoid")[2]


def test_nothing_is_said_where_no_region_is_marked():
    assert "avoid" not in said(TITLE, example.results())


def test_a_region_that_no_map_could_be_held_against_has_no_number():
    words = said(TITLE, example.results(avoided=(shares(evidence=None, area=None, studies=0, patients=0, above=0),)))
    assert "tube | Grad-CAM | \u2014 | \u2014 | 0 of 0 | 2" in words


def test_among_the_shares_it_is_a_region_of_its_own():
    both = {"evidence": {"lesion": 0.2, "avoided": 0.5, "body": 0.3}, "voxels": {"avoided": 0.1, "body": 0.9}}
    cohort = CohortShares(method="gradcam", among="reference_positive", studies=3, patients=3, **both)
    (chart,) = _charts(example.results(region_shares=(cohort,)))
    assert "in a region to avoid 0.50" in chart


def _charts(results):
    return [check(chart) for chart in drawings(build(Context(results, Path("nowhere"), "0" * 64, {})))]
