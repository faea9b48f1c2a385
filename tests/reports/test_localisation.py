"""What the report says of where maps lie: thresholds, lesions, layouts of cells."""

import pytest
from reportlab.graphics.shapes import Drawing, String

from pipeline.findings.localisation.curves import CURVE_SHARES, ThresholdCurve
from pipeline.findings.localisation.lesions import LesionStrata, LesionTrend
from pipeline.findings.localisation.tuning import TunedThreshold
from reports.charts.localisation import size_charts
from reports.page.layout import parts_of
from reports.sections import thresholds
from tests.reports.example import estimate, results
from tests.reports.test_sentences import said, verdict


def curve(method="gradcam", label=None, metric="dice", **changes):
    facts = {
        "metric": metric,
        "method": method,
        "label": label,
        "shares": CURVE_SHARES,
        "values": [round(0.6 - abs(share - 0.35), 3) for share in CURVE_SHARES],
        "low": [0.1] * len(CURVE_SHARES),
        "high": [0.7] * len(CURVE_SHARES),
        "confidence": 0.95,
        "interval": "patient-cluster bootstrap, percentile",
        "patients": 41,
        "studies": 44,
    }
    return ThresholdCurve.model_validate(facts | changes)


@pytest.fixture
def no_charts(monkeypatch):
    """Let no curve be drawn: what stands in a chart has no table."""
    monkeypatch.setattr(thresholds, "threshold_charts", lambda _: [])


def test_curves_that_are_drawn_have_no_table():
    assert "Grad-CAM | 0.35" not in said("Other thresholds", results(curves=(curve(),)))


@pytest.mark.usefixtures("no_charts")
def test_a_curve_is_shown_at_five_thresholds_with_its_best():
    words = said("Other thresholds", results(curves=(curve(), curve("random_map", values=[0.05] * len(CURVE_SHARES)))))
    assert "Grad-CAM | 0.35 | 0.55 | 0.45 | 0.25 | 0.05 | 0.60 | 35 % | 41" in words
    assert "Random map (baseline) | 0.05 | 0.05 | 0.05 | 0.05 | 0.05 | 0.05 | 5 % | 41" in words
    assert "was chosen after looking and proves nothing" in words
    assert "bands that only describe (95 %, patient-cluster bootstrap, percentile)" in words


@pytest.mark.usefixtures("no_charts")
def test_each_finding_has_a_table_and_few_patients_no_bands():
    few = {"low": (), "high": (), "interval": "none (fewer than 10 patients)", "patients": 3}
    words = said("Other thresholds", results(curves=(curve(label="nodule", **few), curve(label="mass", **few))))
    assert "Dice, nodule" in words
    assert "Dice, mass" in words
    assert "bands" not in words


def test_a_run_without_masks_says_that_there_is_no_region():
    assert "No region was held against a mask" in said("Other thresholds", results(curves=()))


def strata(label=None, feature="size", unit="mm3"):
    return LesionStrata(
        label=label,
        feature=feature,
        unit=unit,
        cuts=(120.0, 480.0),
        studies={"lowest": 14, "middle": 15, "highest": 13},
    )


def trend(feature="size", rho=0.42, label=None, **changes):
    facts = {"low": 0.1, "high": 0.66, "confidence": 0.95, "interval": "Fisher's z", "patients": 41}
    return LesionTrend(metric="iou", method="gradcam", label=label, feature=feature, rho=rho, **facts | changes)


def test_lesions_are_shown_with_where_they_are_parted_and_what_goes_with_them():
    nothing = {"low": None, "high": None, "reason": "fewer than 10 patients"}
    trends = (trend(), trend("elongation", None, **nothing))
    words = said("Lesions", results(lesion_strata=(strata(),), lesion_trends=trends))
    assert "| size, mm\u00b3 | lowest 14; middle 15; highest 13 | 120 and 480 | 0.42 [0.10, 0.66]\u2020" in words
    assert "IoU of Grad-CAM" in words
    assert "over the means of 41 patients" in words
    assert "describes, and decides nothing (95 %, Fisher's z)" in words


def test_only_what_the_criteria_ask_of_maps_stands_in_the_report():
    """Each criterion asks for a metric of a map of its own, so that no metric has both maps."""
    verdicts = (verdict("iou", "gradcam"), verdict("hit_rate", "hirescam"))
    trends = tuple(
        trend().model_copy(update={"metric": metric, "method": name})
        for metric in ("iou", "hit_rate")
        for name in ("gradcam", "hirescam")
    )
    found = results(lesion_strata=(strata(),), lesion_trends=trends, verdicts=verdicts)
    words = said("Lesions", found)
    assert "IoU of Grad-CAM | \u03c1, hit rate of HiResCAM" in words
    assert words.count("0.42 [0.10, 0.66]") == 2


def test_trends_of_few_patients_are_not_shown():
    trends = (trend(rho=None, low=None, high=None, reason="fewer than 10 patients", patients=4),)
    words = said("Lesions", results(lesion_strata=(strata("nodule"),), lesion_trends=trends))
    assert "nodule | size, mm\u00b3" in words
    assert "Rank correlation with" not in words
    assert "need more patients than there are" in words
    assert "nothing is known of the lesions" in said("Lesions", results(lesion_strata=()))


def test_tuned_thresholds_are_told_with_who_is_not_judged():
    flow = results().flow.model_copy(update={"tuning": 9, "tuning_patients": 8})
    facts = {"label": "nodule", "method": "gradcam", "layer": "l", "metric": "dice", "patients": 8, "studies": 9}
    tuned = (
        TunedThreshold(**facts, share=0.35, value=0.61, values=(0.1,) * 19),
        TunedThreshold(**{**facts, "layer": "m"}, share=0.95, value=0.3, at_edge=True, values=(0.1,) * 19),
        TunedThreshold(
            **{**facts, "method": "random_map", "layer": None}, share=None, reason="too_few_tuning_patients"
        ),
    )
    words = said("Other thresholds", results(tuned=tuned, flow=flow))
    assert "tuned on 8 patients (9 studies of the 44 analysed), chosen before any score" in words
    assert "nodule | Grad-CAM at l | 35 % | 0.61 | 8" in words
    assert "Grad-CAM at m | 95 % | 0.30 | 8 | at the end of the grid" in words
    assert "Random map (baseline) | \u2014 | \u2014 | 8 | too few tuning patients" in words


def test_moved_maps_stand_beside_unmoved_ones():
    words = said("Maps moved and unmoved", results(unaligned=(estimate("hit_rate", "gradcam", 0.431),)))
    assert "Hit rate | Grad-CAM | 0.71 [0.62, 0.81] | 0.43 [0.37, 0.49]" in words
    assert "Criteria are judged on the moved maps" in words


def test_maps_that_were_not_moved_or_to_no_effect_are_told():
    assert said("Maps moved and unmoved", results()) == ""
    rule = "Otsu; maps lie where their layer's cells were measured to look"
    words = said("Maps moved and unmoved", results(overlap_rule=rule))
    assert "no estimate of this audit changed by that" in words


def test_curves_by_size_name_thirds_and_patients_and_a_missing_one_is_told():
    by_size = tuple(
        curve(group=f"lesion size (masks)={third}", patients=13 + place)
        for place, third in enumerate(("lowest third", "middle third", "highest third"))
    )
    (chart,) = size_charts(results(size_curves=by_size, curves=(curve(),)))
    words = drawn_words(chart)
    assert all(f"lesion size (masks): {third}" in words for third in ("lowest third", "middle third", "highest third"))
    assert "(n 15)" in words
    assert "Dice of Grad-CAM" in words
    untold = said("Other thresholds", results(curves=(curve(),), lesion_strata=(strata(),)))
    assert "No curve by the lesions' size: a third of them has too few patients." in untold
    told = said("Other thresholds", results(curves=(curve(),), lesion_strata=(strata(),), size_curves=by_size))
    assert "No curve by" not in told


def test_curves_by_size_of_several_maps_have_one_scale():
    thirds = ("lowest third", "middle third", "highest third")
    by_size = tuple(
        curve(name, group=f"lesion size (masks)={third}", values=[height] * len(CURVE_SHARES), low=(), high=())
        for name, height in (("gradcam", 0.8), ("hirescam", 0.02))
        for third in thirds
    )
    (chart,) = size_charts(results(size_curves=by_size, curves=(curve(),)))
    cells = [cell for part in parts_of(chart) for row in getattr(part, "_cellvalues", []) for cell in row]
    labels = [
        {item.text for item in cell.contents if isinstance(item, String) and item.textAnchor == "end"}
        for cell in cells
        if isinstance(cell, Drawing)
    ]
    assert labels[0] == labels[1]


def drawn_words(chart):
    """Return what the drawings of a kept block say to those who do not see them."""
    cells = [cell for part in parts_of(chart) for row in getattr(part, "_cellvalues", [[part]]) for cell in row]
    return " ".join(getattr(cell, "alternative_text", "") for cell in cells)
