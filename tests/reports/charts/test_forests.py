"""Forests of maps, criteria and subgroups: points on their axes, marks beside them, words with the same numbers."""

import numpy as np
import pytest
from reportlab.graphics.shapes import Polygon

from pipeline.findings.estimates import Verdict
from pipeline.findings.plotted.differences import GroupDifference
from reports.charts.criteria import criteria_forest
from reports.charts.forest import MOST_ROWS, forest_plot
from reports.charts.frame import Scale
from reports.charts.subgroups import subgroup_forest
from tests.reports.charts.reading import check, level, points, shapes, texts, upright
from tests.reports.example import estimate, results


def axis_of(drawing, sizes=(6.2,)):
    """The axis that the tick labels say: their numbers and places, by a straight line through them."""
    return [
        (float(string.text.replace("\u2212", "-").replace(",", "")), string.x)
        for string in drawing.contents
        if getattr(string, "textAnchor", "") == "middle" and string.fontSize in sizes
        and string.text.replace("\u2212", "").replace(".", "").replace(",", "").isdigit()
    ]  # fmt: skip


def values_at(drawing, places, ticks):
    slope, start = np.polyfit([x for _, x in ticks], [value for value, _ in ticks], 1)
    return [start + slope * place for place in places]


def test_maps_are_drawn_at_their_values_with_their_intervals():
    estimates = [
        estimate("iou", name, value, chance=0.05) for name, value in (("gradcam", 0.314), ("random_map", 0.04))
    ]
    (drawing,) = forest_plot(results(), estimates)
    words = check(drawing)
    ticks = axis_of(drawing)
    assert values_at(drawing, [x for x, _ in points(drawing, 2.3)], ticks) == pytest.approx([0.314, 0.04], abs=1e-6)
    spans = [values_at(drawing, line[:2], ticks) for line in level(drawing, 1)]
    assert spans == [pytest.approx([0.863 * value, 1.137 * value], abs=1e-6) for value in (0.314, 0.04)]
    assert "Grad-CAM 0.31 [0.27, 0.36] (chance 0.050)" in words
    assert "Experts with each other: 0.69" in words


def test_a_map_without_interval_or_value_is_drawn_without():
    bare = {"low": None, "high": None}
    (drawing,) = forest_plot(results(), [estimate("iou", "gradcam", 0.3, **bare), estimate("iou", "layercam", None)])
    check(drawing)
    assert len(points(drawing, 2.3)) == 1
    assert level(drawing, 1) == []


def test_many_maps_make_several_plots_that_fit_on_a_page():
    estimates = [estimate("iou", f"gradcam@layer{place}", 0.3) for place in range(1000)]
    drawings = forest_plot(results(), estimates)
    assert len(drawings) == 1000 / MOST_ROWS
    assert max(drawing.height for drawing in drawings) < 650
    check(drawings[0])


@pytest.mark.parametrize(("value", "more"), [(1e-9, {}), (123_456.0, {}), (-7.5, {}), (0.0, {}), (5e8, {})])
def test_extreme_values_of_an_open_metric_stay_on_the_axis(value, more):
    ends = sorted((value * 0.5, value * 2))
    (drawing,) = forest_plot(results(), [estimate("distance_mm", "gradcam", value, low=ends[0], high=ends[1])])
    check(drawing)
    ((x, _),) = points(drawing, 2.3)
    assert 92 <= x <= drawing.width - 8


def verdict(metric, value, rule, side, bound, answer="MET", **facts):
    against = facts.pop("against", None)
    base = {"criterion": "c", "metric": metric, "method": "gradcam", "among": "reference_positive", "rule": rule}
    base |= {"side": side, "bound": bound, "answer": answer, "reason": "r", "alpha": 0.025, "against": against}
    shown = estimate(metric, "gradcam", value, **facts)
    return Verdict(**base, estimate=shown)


def criteria():
    return (
        verdict("iou", 0.314, "at least 0.25", "at_least", 0.25, chance=0.05),
        verdict("energy_in_mask", 0.262, "at most 0.5", "at_most", 0.5, "NOT MET"),
        verdict("distance_mm", 14.8, "at most 20", "at_most", 20.0),
        verdict("iou", 0.1, "better than centre_prior", "at_least", 0.0, against="centre_prior"),
        verdict("iou", 0.02, "equivalent to hirescam within 0.1", "within", 0.1, against="hirescam"),
        verdict("hit_rate", None, "at least 0.6", "at_least", 0.6, "NOT EVALUATED", reason="no such study"),
    )


def ranged(found):
    """The example's results with the ranges that metrics state."""
    metrics = [
        facts.model_copy(update={"range": (0.0, None if facts.unit == "mm" else 1.0)}) for facts in found.metrics
    ]
    return found.model_copy(update={"metrics": tuple(metrics)})


def test_criteria_share_an_axis_by_unit_and_direction_and_differences_stand_apart():
    drawings = criteria_forest(ranged(results(verdicts=criteria())))
    words = [check(drawing) for drawing in drawings]
    assert [said.split(":")[0] for said in words] == ["Shares and indices from 0 to 1", "Distance, mm", "Difference"]
    shares, distance, difference = drawings
    ticks = axis_of(shares)
    assert values_at(shares, [x for x, _ in points(shares, 2.3)], ticks) == pytest.approx([0.314, 0.262], abs=1e-6)
    assert values_at(shares, [x for x, *_ in upright(shares, 1.4)][:2], ticks) == pytest.approx([0.25, 0.5], abs=1e-6)
    tips = [flag.points[2] - flag.points[0] for flag in shapes(shares, Polygon) if len(flag.points) == 6]
    assert [tip > 0 for tip in tips[:2]] == [True, False], "a flag points to where the criterion is met"
    assert values_at(distance, [x for x, *_ in upright(distance, 1.4)][:1], axis_of(distance)) == pytest.approx(
        [20], abs=1e-6
    )
    bounds = values_at(difference, [x for x, *_ in upright(difference, 1.4)][:3], axis_of(difference))
    assert bounds == pytest.approx([0, -0.1, 0.1], abs=1e-6)
    assert "NOT EVALUATED" in texts(shares)


def test_a_criterion_is_told_with_its_baselines_and_the_experts():
    words = check(criteria_forest(ranged(results(verdicts=criteria()[:1])))[0])
    assert "IoU of Grad-CAM 0.31 [0.27, 0.36], asked for at least 0.25: MET" in words
    assert "chance 0.050" in words
    assert "random map (baseline)" in words
    assert "experts A and B 0.69" in words
    others = criteria_forest(ranged(results(verdicts=criteria()[3:4])))
    assert "(beside it" not in check(others[0]), "a difference has none beside it"


def test_long_and_many_criteria_stay_readable():
    many = [verdict("iou", place / 1000, "at least 0.25", "at_least", 0.25) for place in range(100)]
    drawings = criteria_forest(ranged(results(verdicts=tuple(many))))
    assert sum(len(points(drawing, 2.3)) for drawing in drawings) == 100
    assert max(drawing.height for drawing in drawings) < 700
    for drawing in drawings:
        check(drawing)


def difference(group, value, low=None, high=None, p=None, **facts):
    return GroupDifference(
        metric="iou", method="gradcam", among="reference_positive", column="site", group=group, value=value, low=low,
        high=high, confidence=0.95, p=p, p_adjusted=p, patients=10, patients_rest=30, **facts,
    )  # fmt: skip


def test_subgroups_stand_beside_their_differences_to_the_rest():
    groups = [
        estimate("iou", "gradcam", value, group=f"site={site}") for site, value in (("A", 0.2), ("B", 0.5), ("C", None))
    ]
    shifts = [
        difference("site=A", -0.25, -0.4, -0.1, 0.0004),
        difference("site=B", 0.3, reason="2 patients belong to both"),
    ]
    (drawing,) = subgroup_forest(ranged(results()), estimate("iou", "gradcam", 0.35), groups, shifts)
    words = check(drawing)
    ticks = sorted(axis_of(drawing), key=lambda tick: tick[1])
    gap = max(range(1, len(ticks)), key=lambda place: ticks[place - 1][0] - ticks[place][0])
    first, second = ticks[:gap], ticks[gap:]
    split = (first[-1][1] + second[0][1]) / 2
    drawn = [x for x, _ in points(drawing, 2.3)]
    assert values_at(drawing, [x for x in drawn if x < split], first) == pytest.approx([0.35, 0.2, 0.5], abs=1e-6)
    assert values_at(drawing, [x for x in drawn if x > split], second) == pytest.approx([-0.25, 0.3], abs=1e-6)
    assert "site=A minus the rest \u22120.25 [\u22120.40, \u22120.10], adjusted p < 0.001" in words
    assert "site=B minus the rest 0.30 (2 patients belong to both)" in words
    bold = [string.text for string in drawing.contents if getattr(string, "fontName", "").endswith("Bold")]
    assert "< 0.001" in bold, "what stays after the correction is set in bold"


def test_many_and_long_subgroups_make_plots_that_fit():
    groups = [estimate("iou", "gradcam", 0.3, group=f"scanner={'long name ' * 9}{place}") for place in range(90)]
    drawings = subgroup_forest(ranged(results()), None, groups, [])
    assert [len(points(drawing, 2.3)) for drawing in drawings] == [40, 40, 10]
    for drawing in drawings:
        check(drawing)
        assert drawing.height < 650


def test_a_value_beyond_an_axis_lies_at_its_end():
    scale = Scale(0.0, 1.0, 10.0, 20.0, (0.0, 1.0))
    assert [scale.at(value) for value in (-5, 0, 0.5, 1, 7)] == [10, 10, 15, 20, 20]
