"""Sanity and stability in the report: a section where it was done, marks where a map is struck, no gap left unsaid."""

import pytest

from pipeline.findings.estimates import Estimate, Verdict
from pipeline.findings.experiments.bundle import ExperimentFindings
from pipeline.findings.experiments.check import CheckFinding
from pipeline.findings.experiments.sanity import RedrawnWeights, SanityFigure, SanityFindings
from pipeline.findings.experiments.stability import StabilityFigure, StabilityFindings
from reports.charts.criteria import criteria_forest
from reports.sections import sanity as sanity_section
from reports.sections import stability as stability_section
from reports.wording import method
from tests.reports import example
from tests.reports.test_sentences import said

CRITERIA = "The criteria at a glance"
SANITY, STABILITY = "Do the maps depend on model and picture", "Stability of maps and answers"


def check(name, answer, value, method="gradcam", bound=0.85, **more):
    facts = {"reason": "a reason of it", "side": "at_most", "patients": 8, "studies": 8, "strikes": answer == "NOT MET"}
    return CheckFinding(check=name, method=method, answer=answer, value=value, bound=bound, **{**facts, **more})


def figure(name, value, method="gradcam", **more):
    return SanityFigure(check=name, method=method, value=value, studies=8, patients=8, compared=8, **more)


def findings(*checks, figures=(), weights=(100, 100), stability=None):
    whole = RedrawnWeights(values=weights[0], redrawn=weights[1])
    sanity = SanityFindings(
        checks=checks, figures=figures, weights=whole, asked=8, calls={"gradcam": 64},
        failures={"S-77": "truncated"},
    )  # fmt: skip
    return ExperimentFindings(sanity=sanity, stability=stability)


def verdict(finding):
    estimate = Estimate(
        metric=finding.check, method="gradcam", among="all", value=finding.value, confidence=0.0, interval="none",
        patients=8, studies=8,
    )  # fmt: skip
    return Verdict(
        criterion="it", metric=finding.check, method="gradcam", among="all", rule="at most 0.85", side="at_most",
        bound=0.85, estimate=estimate, answer=finding.answer, reason=finding.reason, alpha=0.0, check=finding.check,
    )  # fmt: skip


def context(results):
    from reports.registry import Context

    return Context(results, example.__file__, "0" * 64, {})


def test_nothing_is_said_of_what_was_not_asked_for():
    results = example.results()
    assert sanity_section.build(context(results)) == []
    assert stability_section.build(context(results)) == []
    assert "Whether the maps depend on the trained weights" in said("Not measured", results)
    assert "Whether maps hold under noise" in said("Not measured", results)


def test_each_check_is_a_row_with_its_answer():
    rows = (
        check("repeatability", "MET", 1.0, bound=0.99, side="at_least"),
        check("weight_randomisation", "MET", 0.7),
        check("shuffled_picture", "INCONCLUSIVE", None, reason="not done: a map failed"),
        check("weight_randomisation", "NOT MET", 0.97, method="hirescam"),
    )
    figures = (
        figure("weight_randomisation", 0.7, partly=True, by_draw=(0.61, 0.79), empty=2, without_map=1),
        figure("repeatability", 1.0),
    )
    text = said(SANITY, example.results(experiments=findings(*rows, figures=figures, weights=(1000, 1000))))
    for words in ("PASS", "PARTLY", "NOT DONE", "FAIL", "at least 0.99", "at most 0.85", "Not done: a map failed."):
        assert words in text, words
    assert "2 (0.61 to 0.79)" in text
    assert "2 of 8 maps came out empty. 1 study had no map." in text
    assert "100 % of the model's 1,000 learnt numbers were drawn anew" in text
    assert "64 maps were computed." in text
    assert "Of 8 chosen studies 1 could not be read (S-77: truncated)" in text


def test_the_same_checks_of_several_maps_stand_beside_each_other():
    rows = [
        check(name, answer, value, method=method_, bound=bound, side=side)
        for method_, answer, value in (("gradcam", "MET", 0.21), ("hirescam", "NOT MET", 0.97))
        for name, bound, side in (("repeatability", 0.99, "at_least"), ("weight_randomisation", 0.85, "at_most"))
    ]
    figures = (figure("weight_randomisation", 0.21, by_draw=(0.18, 0.24)),)
    text = said(SANITY, example.results(experiments=findings(*rows, figures=figures)))
    assert "Repeatability, at least 0.99" in text
    assert "All weights re-drawn, at most 0.85" in text
    assert "(8 studies)" not in text, "as many as were chosen, which stands below"
    fewer = findings(*rows, figures=figures).model_copy(
        update={"sanity": findings(*rows).sanity.model_copy(update={"asked": 9})}
    )
    assert "Repeatability, at least 0.99 (8 studies)" in said(SANITY, example.results(experiments=fewer))
    assert "0.21; 2 (0.18 to 0.24)" in text
    assert text.count("PASS") == 2 + 1, "two answers, and what it says"
    assert text.count("FAIL") == 2
    other = [*rows[:-1], rows[-1].model_copy(update={"studies": 7})]
    assert "| All weights re-drawn |" in said(SANITY, example.results(experiments=findings(*other)))


def test_a_struck_map_is_marked_wherever_it_is_named():
    failed = check("weight_randomisation", "NOT MET", 0.97)
    results = example.results(experiments=findings(failed))
    assert method(results, "gradcam") == "Grad-CAM (struck)"
    assert method(results, "gradcam (nodule, answered)") == "Grad-CAM (struck) (nodule, answered)"
    assert method(results, "hirescam") == "HiResCAM"
    assert "Grad-CAM (struck)" in said("Overlap with the experts' masks", results)
    assert "Do not read Grad-CAM (struck) as evidence" in said("Summary", results)
    at_layer = findings(failed.model_copy(update={"method": "gradcam@layer4"}))
    assert method(example.results(experiments=at_layer), "gradcam@layer4") == "Grad-CAM at layer4 (struck)"


def test_a_struck_verdict_claims_nothing():
    results = example.results(experiments=findings(check("weight_randomisation", "NOT MET", 0.97)))
    struck = results.verdicts[0].model_copy(
        update={"answer": "INCONCLUSIVE", "struck": True, "reason": "struck: it fails", "method": "gradcam"}
    )
    results = results.model_copy(update={"verdicts": (struck,)})
    assert "struck: it fails" in said(CRITERIA, results)
    assert "Add patients where a verdict is inconclusive" not in said("Summary", results)
    cover = said("", results)
    assert "nothing: the map is struck" in cover
    assert "Nothing may be claimed of the model" in cover


@pytest.mark.parametrize("answer", ["MET", "NOT MET", "INCONCLUSIVE"])
def test_a_verdict_on_a_check_stands_on_the_cover_and_in_no_forest(answer):
    finding = check("weight_randomisation", answer, None if answer == "INCONCLUSIVE" else 0.31)
    results = example.results(verdicts=(verdict(finding),), experiments=findings(finding))
    cover = said("", results)
    assert "All weights re-drawn of Grad-CAM" in cover
    assert "the studies chosen for it" in cover
    assert "a fixed bound" in cover
    reasons = said(CRITERIA, results)
    assert "a reason of it" in reasons
    assert "is held against a fixed bound" in reasons
    assert criteria_forest(results) == []
    mixed = example.results(verdicts=(*example.verdicts(), verdict(finding)), experiments=findings(finding))
    assert len(criteria_forest(mixed)) == len(criteria_forest(example.results()))


def test_what_was_tried_is_no_gap_and_what_could_not_be_is():
    done = said("Not measured", example.results(experiments=findings(check("weight_randomisation", "MET", 0.1))))
    assert "depend on the trained weights" not in done
    open_ = check("weight_randomisation", "INCONCLUSIVE", None)
    text = said("Not measured", example.results(experiments=findings(open_)))
    assert "of Grad-CAM that was not found out" in text


def test_stability_is_figures():
    rows = StabilityFindings(
        checks=(check("noise_stability", "MET", 0.98, bound=0.5, side="at_least"),),
        figures=(
            StabilityFigure(
                method="gradcam", change="shift", value=0.91, lowest=0.83, logit=0.2, studies=8, patients=8, same=7
            ),
        ),
        asked=8,
    )
    results = example.results(experiments=findings(stability=rows))
    text = said(STABILITY, results)
    for words in ("Shift by one voxel", "0.91", "0.83", "7 of 8", "a reason of it (MET)"):
        assert words in text, words
    assert "Whether maps hold under noise" not in said("Not measured", results)
