from dataclasses import replace

import pytest

from pipeline.config import Criterion
from pipeline.evidence.cohort.measures import MetricScale
from pipeline.evidence.exact.claims import Claim
from pipeline.evidence.exact.planning import plan_mean
from pipeline.evidence.verdicts.plans import CohortCounts, cohort_counts, plan_criteria

STUDIES = [("a", ("none",)), ("a", ("nodule",)), ("b", ("none",)), ("c", ("mass", "nodule")), ("d", None)]
COUNTS = CohortCounts(40, 30, 20, {"nodule": 12, "mass": 9}, {"nodule": 25, "mass": 28})
UNIT = {
    "iou": MetricScale("iou", (0.0, 1.0), "higher"),
    "hit_rate": MetricScale("hit_rate", (0.0, 1.0), "higher"),
    "hd95": MetricScale("hd95", (0.0, None), "lower"),
}


def plan_of(spread=None, counts=COUNTS, findings=("nodule", "mass"), **criterion):
    return plan_criteria([Criterion(**criterion)], UNIT, findings, counts, spread)


def test_patients_are_counted_once_in_each_group():
    counts = cohort_counts(STUDIES, ("none", "nodule", "mass"), "none")
    assert counts == CohortCounts(4, 3, 2, {"nodule": 2, "mass": 1}, {"nodule": 2, "mass": 2})


@pytest.mark.parametrize(("among", "patients"), [("all", 40), ("reference_positive", 20), ("true_positive", 20)])
def test_a_stratum_has_its_patients(among, patients):
    (plan,) = plan_of(metric="iou", method="gradcam", among=among, at_least=0.3, label="pooled")
    assert plan.plan.n_patients == patients


def test_each_label_of_a_map_has_its_plan():
    nodule, mass = plan_of(metric="iou", method="gradcam", at_least=0.3)
    assert (nodule.plan.n_patients, mass.plan.n_patients) == (12, 9)
    assert mass.criterion == "iou of gradcam among reference_positive for mass: at least 0.3"
    (named,) = plan_of(metric="iou", method="gradcam", at_least=0.3, label="mass")
    assert named.plan == mass.plan


def test_a_classifiers_criterion_has_to_hold_for_every_label():
    plans = plan_of(metric="sensitivity", at_least=0.8)
    assert [plan.criterion for plan in plans] == [
        "sensitivity of classifier for nodule: at least 0.8",
        "sensitivity of classifier for mass: at least 0.8",
    ]
    assert [plan.plan.n_patients for plan in plans] == [12, 9]
    assert [plan.plan.n_patients for plan in plan_of(metric="specificity", at_least=0.8)] == [25, 28]
    (accuracy,) = plan_of(metric="accuracy", at_least=0.8)
    assert accuracy.plan.n_patients == 30


def test_an_area_speaks_of_the_smaller_class():
    (area,) = plan_of(metric="auroc", at_least=0.9, findings=("mass",))
    assert area.plan.n_patients == 9
    assert area.plan.best_reachable == pytest.approx(0.025 ** (1 / 9))


def test_a_difference_is_planned_on_twice_the_metrics_width():
    (plan,) = plan_of(metric="iou", method="gradcam", better_than="random_map", spread=0.1, label="pooled")
    assert plan.plan == plan_mean(Claim("at_least", 0.0, maximum_missing=0.1), n_patients=20, span=(-1, 1), spread=0.1)


def test_a_spread_is_of_graded_scores_only():
    (rate,) = plan_of(metric="hit_rate", method="gradcam", at_least=0.5, spread=0.1, label="pooled")
    assert rate.plan.spread is None
    (graded,) = plan_of(metric="iou", method="gradcam", at_least=0.5, spread=0.1, label="pooled")
    assert graded.plan.spread == 0.1
    assert graded.reason == "scores with a standard deviation of 0.1 are assumed"


@pytest.mark.parametrize(
    ("criterion", "bound"),
    [
        ({"within": 5, "at_least": 0.9}, 0.9),
        ({"statistic": "median", "at_most": 5}, 0.5),
        ({"better_than": "random_map", "wins": 0.5}, 0.5),
    ],
)
def test_distances_are_planned_as_shares_of_patients(criterion, bound):
    (plan,) = plan_of(metric="hd95", method="gradcam", label="pooled", spread=0.1, **criterion)
    assert plan.plan == plan_mean(Claim("at_least", bound), n_patients=20)


def test_margins_are_planned_where_they_can_be():
    (worse,) = plan_of(metric="iou", method="gradcam", label="pooled", not_worse_than="random_map", margin=0.1)
    assert worse.plan.claim.bound == -0.1
    (same,) = plan_of(metric="iou", method="gradcam", label="pooled", equivalent_to="random_map", margin=0.1)
    assert (same.plan, "depends on how" in same.reason) == (None, True)


def test_an_unknown_cohort_is_no_empty_cohort():
    (unknown,) = plan_of(metric="accuracy", at_least=0.8, counts=None)
    (empty,) = plan_of(metric="accuracy", at_least=0.8, counts=CohortCounts(0, 0, 0, {}, {}))
    assert (unknown.plan.n_patients, unknown.plan.best_reachable) == (None, None)
    assert (empty.plan.n_patients, empty.plan.best_reachable) == (0, 0.0)


def test_who_tunes_counts_in_no_criterion_about_a_region():
    judged = CohortCounts(25, 20, 11, {"nodule": 7, "mass": 4}, {"nodule": 15, "mass": 16})
    counts = replace(COUNTS, judged=judged, tuned=("iou", "hd95"))
    assert [plan.plan.n_patients for plan in plan_of(metric="iou", method="gradcam", at_least=0.3, counts=counts)] == [
        7, 4,
    ]  # fmt: skip
    (distance,) = plan_of(metric="hd95", method="gradcam", within=10, at_least=0.5, label="pooled", counts=counts)
    assert distance.plan.n_patients == 11
    hits = plan_of(metric="hit_rate", method="gradcam", at_least=0.7, counts=counts)
    assert [plan.plan.n_patients for plan in hits] == [12, 9]
    assert [plan.plan.n_patients for plan in plan_of(metric="sensitivity", at_least=0.8, counts=counts)] == [12, 9]


def test_what_a_plan_leaves_out_is_said():
    claim = {"metric": "iou", "method": "gradcam", "at_least": 0.3, "label": "pooled"}
    alone, *family = plan_criteria(
        [Criterion(**claim), Criterion(**claim, any_of="one"), Criterion(**claim, any_of="one")], UNIT, ("nodule",)
    )
    assert "Holm" not in alone.reason
    assert all(
        plan.reason.endswith("as one of 2 of which one has to hold it needs more, up to a level of 1/2 (Holm)")
        for plan in family
    )
    (random,) = plan_of(**claim, readers="random")
    assert "readers like these, and not these alone, need more" in random.reason
    (every, _) = plan_of(metric="iou", method="gradcam", better_than="baselines")
    assert "has to be beaten" in every.reason
