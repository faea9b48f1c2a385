"""Two runs against each other: every figure against a second way to compute it, and what must not be compared."""

import numpy as np
import pytest
from scipy.stats import binomtest

from pipeline.errors import OutputError
from pipeline.evidence.comparison.compare import ComparisonPlan, compare_runs
from pipeline.evidence.comparison.pairing import renamed
from pipeline.evidence.exact.means import exact_interval
from pipeline.evidence.metrics.registry import METRICS
from tests.pipeline.evidence.comparison.pairs import FACTS, called, run_of, scored
from tests.pipeline.evidence.records import entry, not_analysed, study
from tests.reports import example


def figure(comparison, metric, label=None):
    (chosen,) = [part for part in comparison.change.figures if (part.metric, part.label) == (metric, label)]
    return chosen


@pytest.mark.parametrize("seed", range(5))
def test_hits_of_two_runs_are_mcnemars_exact_test(seed):
    generator = np.random.default_rng(seed)
    before, after = (generator.random(40) < 0.5 for _ in range(2))
    compared = compare_runs(
        run_of(scored(before.astype(float), "hit_rate")), run_of(scored(after.astype(float), "hit_rate"))
    )
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    part = figure(compared, "hit_rate")
    assert (part.improved, part.worsened, part.tied) == (gained, lost, 40 - gained - lost)
    assert part.p_sign == pytest.approx(binomtest(gained, gained + lost, 0.5).pvalue, abs=1e-5)
    flips = [flip for flip in compared.change.flips if flip.what == "hit"]
    assert (sum(flip.gained for flip in flips), sum(not flip.gained for flip in flips)) == (gained, lost)


@pytest.mark.parametrize("seed", range(5))
def test_calls_of_two_runs_are_mcnemars_exact_test(seed):
    generator = np.random.default_rng(seed)
    before, after = (generator.random(30) < 0.6 for _ in range(2))
    compared = compare_runs(run_of(called(before)), run_of(called(after)))
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    for metric in ("accuracy", "sensitivity"):
        part = figure(compared, metric)
        assert (part.improved, part.worsened) == (gained, lost)
        assert part.p_sign == pytest.approx(binomtest(gained, gained + lost, 0.5).pvalue, abs=1e-5)
    assert [(flip.study, flip.gained) for flip in compared.change.flips] == [
        (f"S-{number}", bool(after[number])) for number in range(30) if before[number] != after[number]
    ]


def test_the_sign_test_counts_patients_by_their_mean_difference():
    patients = ["P-0", "P-0", "P-1", "P-2", "P-3", "P-4", "P-5", "P-6"]
    before = [0.5, 0.5, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2]
    after = [0.9, 0.4, 0.3, 0.3, 0.3, 0.3, 0.3, 0.1]
    compared = compare_runs(run_of(scored(before, patients=patients)), run_of(scored(after, patients=patients)))
    part = figure(compared, "iou")
    assert (part.improved, part.tied, part.worsened) == (6, 0, 1)
    assert part.p_sign == pytest.approx(binomtest(6, 7, 0.5).pvalue, abs=1e-5)
    assert part.value_a == pytest.approx(np.mean([0.5, *[0.2] * 6]))
    assert part.estimate.value == pytest.approx(np.mean([0.15, *[0.1] * 5, -0.1]))
    assert part.estimate.value == pytest.approx(part.value_b - part.value_a)


def test_the_bounds_are_the_exact_rules_on_differences():
    generator = np.random.default_rng(3)
    before, after = generator.random(25), generator.random(25)
    part = figure(compare_runs(run_of(scored(before)), run_of(scored(after))), "iou")
    low, high = exact_interval((after - before + 1) / 2, 0.95)
    assert (part.estimate.low, part.estimate.high) == pytest.approx((2 * low - 1, 2 * high - 1), abs=1e-6)
    turned = figure(compare_runs(run_of(scored(after)), run_of(scored(before))), "iou")
    assert turned.estimate.value == pytest.approx(-part.estimate.value)
    assert (turned.improved, turned.worsened) == (part.worsened, part.improved)


def test_of_a_distance_lower_is_better_and_no_mean_is_tested():
    compared = compare_runs(run_of(scored([10.0] * 8, "hd95")), run_of(scored([4.0] * 8, "hd95")))
    part = figure(compared, "hd95")
    assert (part.improved, part.worsened, part.estimate.value) == (8, 0, -6.0)
    assert part.estimate.low is None
    assert part.p_worse == 1.0
    assert part.p_sign == pytest.approx(binomtest(8, 8, 0.5).pvalue, abs=1e-5)
    turned = compare_runs(
        run_of(scored([4.0] * 8, "hd95")), run_of(scored([10.0] * 8, "hd95")), ComparisonPlan(margins={"hd95": 20.0})
    )
    assert figure(turned, "hd95").answer == "NOT EVALUATED"
    assert turned.change.answer == "not compared"


MARGIN = {"iou": 0.2}


def answer(before, after, margins=MARGIN, **more):
    change = compare_runs(run_of(scored(before)), run_of(scored(after)), ComparisonPlan(margins=margins, **more)).change
    return change.answer


def test_a_margin_is_answered_by_the_exact_test():
    assert answer([0.6] * 60, [0.58] * 60) == "not worse"
    assert answer([0.6] * 60, [0.1] * 60) == "worse"
    assert answer([0.6] * 5, [0.58] * 5) == "not shown"
    assert answer([0.6] * 60, [0.58] * 60, {}) == "worse", "every patient got worse, by little"
    assert answer([0.6] * 60, [0.6] * 60, {}) == "no worsening shown"
    assert answer([0.6] * 60, [0.7] * 60, {}) == "no worsening shown"


def test_every_margin_has_to_hold():
    def runs(hits):
        return [
            study(n, entry("gradcam", "a", 0.6), entry("hirescam", "a", 0.6 if hits else 0.1), masks=1)
            for n in range(60)
        ]

    change = compare_runs(run_of(runs(True)), run_of(runs(False)), ComparisonPlan(margins=MARGIN)).change
    assert change.answer == "worse"
    assert change.reason == "iou of hirescam is worse by more than 0.2"
    assert [part.answer for part in change.figures if part.margin] == ["MET", "NOT MET"]


def test_scores_that_the_second_run_lost_count_as_the_worst():
    before = scored([0.6] * 60)
    lost = [audit if n >= 9 else lose(audit) for n, audit in enumerate(before)]
    change = compare_runs(run_of(before), run_of(lost), ComparisonPlan(margins={"iou": 0.05}, missing_at_most=1)).change
    (part,) = [each for each in change.figures if each.margin]
    assert change.studies.not_analysed == 9
    assert part.estimate.value == 0
    assert part.estimate.missing_studies == 9
    assert part.answer == "INCONCLUSIVE"
    whole = compare_runs(run_of(before), run_of(before), ComparisonPlan(margins={"iou": 0.2}, missing_at_most=1)).change
    assert whole.answer == "not worse"


def lose(audit):
    """Return a study as a run has it that failed on it."""
    failed = not_analysed(0, masks=1)
    return failed.model_copy(update={"study": audit.study, "patient": audit.patient, "reference": audit.reference})


def test_too_much_missing_decides_nothing_even_when_all_else_is_perfect():
    before = scored([0.1] * 60)
    lost = [
        lose(audit) if n < 7 else audit.model_copy(update={"map_scores": (entry("gradcam", "a", 0.9),)})
        for n, audit in enumerate(before)
    ]
    change = compare_runs(run_of(before), run_of(lost), ComparisonPlan(margins=MARGIN)).change
    assert change.answer == "not shown"
    assert "more than the 10 % that may be missing" in change.reason


def test_a_second_run_that_leaves_studies_out_shows_nothing_and_cannot_hide_a_loss():
    before = scored([0.6] * 60)
    left_out = compare_runs(run_of(before), run_of(before[:50]), ComparisonPlan(margins=MARGIN)).change
    assert left_out.answer == "not shown"
    assert left_out.reason.startswith("10 of the 60 studies of the first run are not in the second")
    remarked = [audit.model_copy(update={"source_sha256": "1"}) if n < 10 else audit for n, audit in enumerate(before)]
    assert compare_runs(run_of(before), run_of(remarked), ComparisonPlan(margins=MARGIN)).change.answer == "not shown"
    more = compare_runs(run_of(before[:50]), run_of(before), ComparisonPlan(margins=MARGIN)).change
    assert more.answer == "not worse"
    assert more.studies.only_in_b == 10
    worse = compare_runs(run_of(before), run_of(scored([0.1] * 50)), ComparisonPlan(margins=MARGIN)).change
    assert worse.answer == "worse"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"masks": "other"}, "the two runs read masks or reference labels otherwise"),
        ({"overlap_rule": "half of the maximum"}, "the two runs cut a map's region by other rules"),
    ],
)
def test_a_margin_is_not_answered_by_another_yardstick(change, says):
    compared = compare_runs(
        run_of(scored([0.6] * 60)), run_of(scored([0.6] * 60), **change), ComparisonPlan(margins=MARGIN)
    )
    assert says in compared.change.differs
    assert (compared.change.answer, compared.change.reason) == ("not compared", f"iou of gradcam: {says}")


def test_a_metric_that_is_defined_otherwise_is_named_and_not_compared():
    other = tuple(facts.model_copy(update={"version": 9}) if facts.name == "iou" else facts for facts in FACTS)
    compared = compare_runs(run_of(scored([0.6] * 9)), run_of(scored([0.6] * 9), metrics=other))
    assert "the two runs do not define alike (version or range): iou" in compared.change.not_compared
    assert [facts.name for facts in compared.metrics] == ["hit_rate", "hd95"]
    with pytest.raises(OutputError, match=r"margins: 'iou' is no figure of both runs, which have accuracy"):
        compare_runs(
            run_of(scored([0.6] * 9)), run_of(scored([0.6] * 9), metrics=other), ComparisonPlan(margins=MARGIN)
        )


def test_what_differs_is_named():
    one = example.results()
    model = one.model.model_copy(update={"sha256": "0" * 64, "threshold": 0.3})
    lock = one.lock.model_copy(update={"code": "c", "program": "p", "criteria": "k"})
    compared = compare_runs(
        run_of(scored([0.6])), run_of(scored([0.6]), model=model, lock=lock, preparation=("Other",))
    )
    assert compared.change.differs == (
        "the weights of the two runs differ",
        "the code that builds the model differs",
        "the two models call a label above other thresholds",
        "the two runs prepare the images otherwise",
        "other sources of camaudit made the two runs",
        "the two runs have other criteria",
    )
    assert compare_runs(run_of(scored([0.6])), run_of(scored([0.6]))).change.differs == ()


def test_models_with_other_labels_are_compared_by_those_that_they_share():
    labels = example.results().model.model_copy(update={"labels": ("none", "nodule", "oedema")})
    compared = compare_runs(run_of(called([1, 0, 1])), run_of(called([1, 1, 1]), model=labels))
    assert [part.metric for part in compared.change.figures if part.map_b == "classifier"] == ["sensitivity"]
    assert "one model alone has the labels: oedema" in compared.change.not_compared
    assert [flip.gained for flip in compared.change.flips] == [None], "nobody can say which of the two is right"


def test_other_maps_are_held_against_each_other_when_they_are_named():
    before, after = scored([0.4] * 9), scored([0.5] * 9, method="layercam")
    compared = compare_runs(run_of(before), run_of(after), ComparisonPlan(maps=(("gradcam", "layercam"),)))
    part = figure(compared, "iou")
    assert (part.map_a, part.map_b, part.estimate.method) == ("gradcam", "layercam", "layercam - gradcam")
    assert part.estimate.value == pytest.approx(0.1)
    assert not [each for each in compare_runs(run_of(before), run_of(after)).change.figures if each.metric == "iou"]
    with pytest.raises(OutputError, match="maps: run_b has no map 'gradcam'; it has layercam"):
        compare_runs(run_of(before), run_of(after), ComparisonPlan(maps=(("gradcam", "gradcam"),)))


def test_a_margin_of_several_labels_has_to_hold_for_each():
    labels = example.results().model.model_copy(update={"labels": ("nodule", "oedema"), "output": "sigmoid"})

    def runs(oedema):
        return [
            study(
                n,
                entry("gradcam", "a", 0.6),
                entry("gradcam", "a", oedema, target="oedema"),
                masks=1,
                reference=("nodule", "oedema"),
            )
            for n in range(60)
        ]  # fmt: skip

    change = compare_runs(
        run_of(runs(0.6), model=labels), run_of(runs(0.3), model=labels), ComparisonPlan(margins=MARGIN)
    ).change
    of_maps = [(part.label, part.answer) for part in change.figures if part.metric == "iou"]
    assert of_maps == [(None, None), ("nodule", "MET"), ("oedema", "NOT MET")]
    assert change.answer == "worse"
    assert change.reason == "iou of gradcam for oedema is worse by more than 0.2"


def test_a_study_that_nobody_marked_is_no_missing_score():
    before = [*scored([0.6] * 30), study(99, entry("gradcam", "a", "no_mask"))]
    part = figure(compare_runs(run_of(before), run_of(before)), "iou")
    assert part.estimate.missing_studies == 0
    assert part.estimate.studies == 30


def test_each_study_is_counted_once_and_baselines_are_not_compared():
    both = scored([0.6] * 6)
    a = [*both, study(50, entry("gradcam", "a", 0.5), entry("centre_prior", "a", 0.1)), not_analysed(7)]
    b = [*both[:4], both[4].model_copy(update={"source_sha256": "1"}), both[5].model_copy(update={"reference": ()}),
         not_analysed(7), study(60, entry("gradcam", "a", 0.5))]  # fmt: skip
    compared = compare_runs(run_of(a), run_of(b))
    groups = vars(compared.studies)
    assert {name: len(studies) for name, studies in groups.items()} == {
        "paired": 4, "not_analysed": 1, "changed": 2, "only_in_a": 1, "only_in_b": 1,
    }  # fmt: skip
    assert compared.change.studies == compared.studies.counts
    assert {part.map_b for part in compared.change.figures} == {"classifier", "gradcam"}


def test_runs_without_a_common_study_are_refused_unless_they_are_renamed():
    b = scored([0.6] * 6)
    a = [audit.model_copy(update={"study": f"T-{n}", "patient": f"Q-{n}"}) for n, audit in enumerate(b)]
    with pytest.raises(OutputError, match="shares no study with"):
        compare_runs(run_of(a), run_of(b))
    names = {f"T-{n}": (f"S-{n}", f"P-{n}") for n in range(6)}
    change = compare_runs(renamed(run_of(a), names), run_of(b), ComparisonPlan(relinked=True)).change
    assert change.studies.paired == 6
    assert change.matched_by == "names under two keys"
    assert "T-" not in change.model_dump_json()


def test_a_worsening_without_margins_is_corrected_for_the_number_of_figures():
    """The classifier did not change, so of its figures nothing can be shown, and they count all the same."""

    def change(patients):
        before, after = ([value] * patients for value in (1.0, 0.0))
        return compare_runs(run_of(scored(before, "hit_rate")), run_of(scored(after, "hit_rate"))).change

    answers = {patients: change(patients) for patients in (6, 9)}
    for patients, compared in answers.items():
        (part,) = [each for each in compared.figures if each.metric == "hit_rate"]
        assert part.p_worse == pytest.approx(2 * 0.5**patients, abs=1e-5)
        assert sum(each.p_worse is not None for each in compared.figures) == 3
    assert answers[6].answer == "no worsening shown", "2/64 is shown of one figure only"
    assert answers[9].answer == "worse", "3 x 2/512"


def test_a_worsening_of_few_patients_by_much_is_shown_by_the_mean():
    """A tenth of the patients loses everything, the others win a trifle: the sign test would praise it."""
    before = [0.9] * 400
    after = [0.0 if n % 8 == 0 else 0.905 for n in range(400)]
    compared = compare_runs(run_of(scored(before)), run_of(scored(after))).change
    (part,) = [each for each in compared.figures if each.metric == "iou"]
    assert part.improved > part.worsened
    assert compared.answer == "worse"


@pytest.mark.parametrize(("after", "expected"), [(0.32, "not worse"), (0.9, "worse"), (0.05, "not worse")])
def test_a_margin_of_a_metric_of_which_less_is_better_holds_in_its_own_direction(after, expected):
    lower = METRICS["iou"].facts.model_copy(update={"better": "lower"})
    before, later = (run_of(scored([value] * 60), metrics=(lower,)) for value in (0.3, after))
    change = compare_runs(before, later, ComparisonPlan(margins=MARGIN)).change
    assert change.answer == expected
    (part,) = [each for each in change.figures if each.metric == "iou"]
    assert (part.worsened, part.improved) == ((60, 0) if after > 0.3 else (0, 60))


def test_runs_may_list_their_studies_in_orders_of_their_own():
    generator = np.random.default_rng(5)
    hits, later = ((generator.random(30) < 0.5).astype(float) for _ in range(2))
    patients = [f"P-{number // 2}" for number in range(30)]
    before, after = scored(hits, "hit_rate", patients=patients), scored(later, "hit_rate", patients=patients)
    plain = compare_runs(run_of(before), run_of(after))
    turned = compare_runs(run_of(before[::-1]), run_of(after))
    assert (turned.change.figures, turned.change.flips) == (plain.change.figures, plain.change.flips)
    assert [flip.study for flip in plain.change.flips] == [
        f"S-{number}" for number in range(30) if hits[number] != later[number]
    ]


def test_a_unit_that_one_run_alone_has_is_missing_there_whichever_it_is():
    before, after = scored([0.2, 0.4, 0.6, 0.8] * 3), scored([0.3, 0.5, 0.7, 0.9] * 3)
    before[1], after[2] = (run[place].model_copy(update={"map_scores": (), "masks": 0})
                           for run, place in ((before, 1), (after, 2)))  # fmt: skip
    part = figure(compare_runs(run_of(before), run_of(after)), "iou")
    assert (part.estimate.studies, part.estimate.missing_studies, part.estimate.undefined) == (10, 2, {"no_map": 2})


def test_a_locked_margin_is_not_answered_of_a_growing_cohort():
    """Who looks every night until it is answered has looked two hundred times."""
    locked = example.results().lock
    audits, growing = scored([0.5] * 40), locked.model_copy(update={"open_cohort": True})
    plan = ComparisonPlan(margins={"iou": 0.4, "accuracy": 0.4}, locked=True)
    compared = compare_runs(run_of(audits), run_of(audits, lock=growing), plan)
    assert {figure(compared, metric).answer for metric in plan.margins} == {"NOT EVALUATED"}
    assert compared.change.answer == "not compared"
    assert "this cohort was locked as one that grows" in compared.change.reason
    assert compare_runs(run_of(audits), run_of(audits, lock=locked), plan).change.answer == "not worse"
    named = ComparisonPlan(margins=plan.margins)
    assert compare_runs(run_of(audits), run_of(audits, lock=growing), named).change.answer == "not worse"
