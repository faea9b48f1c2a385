"""Criteria on checks, in their order, and what is struck."""

import pytest

from pipeline.conclusions.experiments import experiment_findings, with_checks
from pipeline.config import AuditConfig
from pipeline.findings.estimates import Estimate, LabelVerdict, Verdict
from pipeline.findings.experiments.bundle import ExperimentFindings, ExperimentRows
from pipeline.findings.experiments.check import CheckFinding
from pipeline.findings.experiments.sanity import RedrawnWeights, SanityFindings, SanityRows

FAILED = CheckFinding(
    check="weight_randomisation", method="gradcam", answer="NOT MET", reason="it stays", value=0.97, bound=0.85,
    side="at_most", patients=8, studies=8, strikes=True,
)  # fmt: skip


def config_of(*criteria, sanity=True):
    return AuditConfig.model_validate(
        {
            "name": "a",
            "archive": {"path": "."},
            "model": {"name": "m", "factory": "a:b", "labels": ["clear", "lesion"]},
            "prepare": [{"_target_": "Orientation"}],
            "explain": {"methods": ["gradcam", "hirescam"]},
            "experiments": {"sanity": {}} if sanity else {},
            "criteria": list(criteria),
        }
    )


def findings_of(*checks):
    weights = RedrawnWeights(values=1, redrawn=1)
    return ExperimentFindings(sanity=SanityFindings(checks=checks, figures=(), weights=weights, asked=8))


def verdict_of(method, answer, p_met=0.001):
    estimate = Estimate(
        metric="hit_rate",
        method=method,
        among="all",
        value=0.9,
        confidence=0.95,
        interval="exact",
        patients=9,
        studies=9,
    )
    return Verdict(
        criterion=f"hit rate of {method}", metric="hit_rate", method=method, among="all", rule="at least 0.5",
        estimate=estimate, answer=answer, reason="p = 0.001", alpha=0.025, p_met=p_met,
    )  # fmt: skip


HIT = {"metric": "hit_rate", "method": "gradcam", "at_least": 0.5}
CHECK = {"check": "weight_randomisation", "method": "gradcam"}


def test_answers_come_in_the_order_of_the_criteria():
    config = config_of(CHECK, HIT, {"check": "repeatability", "method": "hirescam"})
    verdicts = with_checks(config, [verdict_of("gradcam", "NOT MET")], findings_of(FAILED))
    assert [(verdict.metric, verdict.answer) for verdict in verdicts] == [
        ("weight_randomisation", "NOT MET"), ("hit_rate", "NOT MET"), ("repeatability", "INCONCLUSIVE"),
    ]  # fmt: skip
    first = verdicts[0]
    assert (first.check, first.estimate.value, first.bound, first.side) == (
        "weight_randomisation",
        0.97,
        0.85,
        "at_most",
    )
    assert (first.estimate.low, first.p_met, first.estimate.studies) == (None, None, 8)
    assert verdicts[2].reason.startswith("not done")


def test_what_a_struck_map_reaches_is_not_met():
    (verdict,) = with_checks(config_of(HIT), [verdict_of("gradcam", "MET")], findings_of(FAILED))
    assert (verdict.answer, verdict.struck) == ("INCONCLUSIVE", True)
    assert verdict.reason.startswith("struck: gradcam fails All weights re-drawn")
    assert verdict.estimate.value == 0.9  # the number stands


@pytest.mark.parametrize("answer", ["NOT MET", "INCONCLUSIVE", "NOT EVALUATED"])
def test_what_it_does_not_reach_stays_as_it_is(answer):
    given = verdict_of("gradcam", answer)
    (verdict,) = with_checks(config_of(HIT), [given], findings_of(FAILED))
    assert verdict == given.model_copy(update={"struck": True})


def test_no_part_of_it_is_met_either():
    part = LabelVerdict(
        label="lesion", estimate=verdict_of("gradcam", "MET").estimate, answer="MET", reason="p = 0.001"
    )
    parts = (part, part.model_copy(update={"answer": "NOT MET"}))
    given = verdict_of("gradcam", "NOT MET").model_copy(update={"parts": parts})
    (verdict,) = with_checks(config_of(HIT), [given], findings_of(FAILED))
    assert [part.answer for part in verdict.parts] == ["INCONCLUSIVE", "NOT MET"]


def test_other_maps_are_not_struck():
    criterion = {**HIT, "method": "hirescam"}
    given = verdict_of("hirescam", "MET")
    assert with_checks(config_of(criterion), [given], findings_of(FAILED)) == (given,)


@pytest.mark.parametrize(
    ("claim", "answer"),
    [
        ({"not_worse_than": "gradcam", "margin": 0.1}, "INCONCLUSIVE"),
        ({"equivalent_to": "gradcam", "margin": 0.1}, "INCONCLUSIVE"),
        ({"better_than": "gradcam"}, "MET"),
    ],
)
def test_to_be_as_good_as_a_struck_map_shows_nothing(claim, answer):
    criterion = {"metric": "hit_rate", "method": "hirescam", **claim}
    (verdict,) = with_checks(config_of(criterion), [verdict_of("hirescam", "MET")], findings_of(FAILED))
    assert verdict.answer == answer


def test_a_check_that_was_not_done_strikes_nothing():
    open_ = FAILED.model_copy(update={"answer": "INCONCLUSIVE", "value": None, "strikes": False})
    check, hit = with_checks(config_of(CHECK, HIT), [verdict_of("gradcam", "MET")], findings_of(open_))
    assert (check.answer, check.estimate.value, check.estimate.reason) == ("INCONCLUSIVE", None, "it stays")
    assert hit.answer == "MET"


def test_the_classifier_is_never_struck():
    accuracy = {"metric": "accuracy", "at_least": 0.5}
    given = verdict_of("classifier", "MET")
    assert with_checks(config_of(accuracy), [given], findings_of(FAILED)) == (given,)


class Spec:
    def __init__(self, config):
        self.config, self.experiments = config, {"sanity": ()}


def test_rows_that_nobody_asked_for_or_that_are_missing_are_refused():
    rows = SanityRows(plans={}, rows=(), weights=RedrawnWeights(values=1, redrawn=1))
    with pytest.raises(ValueError, match="sanity"):
        experiment_findings(Spec(config_of(sanity=False)), ExperimentRows(sanity=rows))
    with pytest.raises(ValueError, match="sanity"):
        experiment_findings(Spec(config_of()), ExperimentRows())
    assert experiment_findings(Spec(config_of(sanity=False)), ExperimentRows()) == ExperimentFindings()
