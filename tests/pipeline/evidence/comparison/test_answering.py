"""Two runs against each other, by hand: who is paired, what a margin needs, which figure is named, what is a flip."""

from dataclasses import replace

import pytest

from pipeline.evidence.comparison.compare import ComparisonPlan, compare_runs
from pipeline.evidence.comparison.pairing import renamed
from pipeline.evidence.metrics.registry import METRICS
from pipeline.findings.facts import MethodFacts
from tests.pipeline.evidence.comparison.pairs import FACTS, called, run_of, scored
from tests.pipeline.evidence.comparison.test_compare import figure, lose
from tests.pipeline.evidence.records import entry, not_analysed, study
from tests.reports import example

MODEL = example.results().model


def change_of(before, after, **plan):
    return compare_runs(run_of(before), run_of(after), ComparisonPlan(**plan)).change


def two_maps(gradcam, hirescam, count=60):
    """Return studies with the IoU of two maps; a number for all, or one each."""
    first, second = (values if isinstance(values, list) else [values] * count for values in (gradcam, hirescam))
    return [
        study(number, entry("gradcam", "a", own), entry("hirescam", "a", other), masks=1)
        for number, (own, other) in enumerate(zip(first, second, strict=True))
    ]


def test_runs_without_a_study_that_both_analysed_alike_are_not_compared():
    before = scored([0.6] * 6)
    why = ("not compared", "no study was analysed in both runs from the same files, masks and labels")
    failed = change_of(before, [lose(audit) for audit in before])
    assert (failed.answer, failed.reason) == why
    assert (failed.studies.not_analysed, failed.flips) == (6, ())
    altered = change_of(before, [audit.model_copy(update={"source_sha256": "1"}) for audit in before])
    assert (altered.answer, altered.reason, altered.studies.changed) == (*why, 6)
    unread = [not_analysed(0, reference=None, masks=0).model_copy(update={"study": a.study}) for a in before]
    assert change_of(before, unread).reason == why[1]


def test_runs_without_a_figure_say_so():
    nothing_known = [study(number, reference=None) for number in range(6)]
    change = change_of(nothing_known, nothing_known)
    assert (change.answer, change.reason) == ("not compared", "no figure is defined in both runs")
    assert change.figures == ()


def test_the_worst_of_several_worsened_figures_is_named_and_the_others_are_counted():
    """One map got worse in 11 of 12 patients, p = 2 x 13/4096 and 3 times that, the other in all: 4 x 2/4096."""
    change = change_of(two_maps(0.6, 0.6, 12), two_maps([0.55] * 11 + [0.65], 0.55, 12))
    assert change.reason == "iou of hirescam and 1 more of 4 figures shown to be worse (exact tests, Holm)"


def test_a_worsening_is_shown_at_the_plans_confidence():
    """Nine hits of nine are lost: 3 x 2/512 lies between the errors of 99 % and of 95 %."""
    before, after = scored([1.0] * 9, "hit_rate"), scored([0.0] * 9, "hit_rate")
    assert change_of(before, after).answer == "worse"
    assert change_of(before, after, confidence=0.99).answer == "no worsening shown"


def test_a_margin_is_answered_at_the_plans_confidence():
    """Of 20 patients without a difference a margin of 0.2 has p = 0.8^20 = 0.0115."""
    same = scored([0.6] * 20)
    usual, strict = (change_of(same, same, margins={"iou": 0.2}, confidence=level) for level in (0.95, 0.99))
    (part,) = [each for each in strict.figures if each.margin]
    assert part.p_met == pytest.approx(0.8**20, abs=1e-5)
    assert (usual.answer, strict.answer) == ("not worse", "not shown")
    assert (part.answer, part.estimate.confidence, strict.confidence) == ("INCONCLUSIVE", 0.99, 0.99)


def test_of_margins_that_do_not_all_hold_the_least_shown_one_is_named():
    """Differences of 0 and of -0.15, 20 patients: 0.8^20 is shown, (1 + 0.025 / 0.4)^-20 = 0.30 is not."""
    for worse in ("gradcam", "hirescam"):
        after = two_maps(**{"gradcam": 0.6, "hirescam": 0.6, worse: 0.45}, count=20)
        change = change_of(two_maps(0.6, 0.6, 20), after, margins={"iou": 0.2})
        assert change.answer == "not shown"
        assert change.reason.startswith(f"iou of {worse}: p = 0.3 against the contrary")


def test_a_tenth_of_the_studies_may_be_lost_and_failed_ones_are_not_lost():
    before = scored([0.6] * 60)
    kept = [lose(audit) if number < 4 else audit for number, audit in enumerate(before[:54])]
    assert change_of(before, kept, margins={"iou": 0.3}).answer == "not worse"
    assert change_of(before, kept[:-1], margins={"iou": 0.3}).answer == "not shown"


def test_a_share_that_is_rounded_down_loses_no_study():
    """0.58 x 50 is 28.999999999999996: 29 of 50 may be lost."""
    before = scored([0.6] * 50)
    assert change_of(before, before[:21], margins={"iou": 0.3}, missing_at_most=0.58).answer == "not worse"
    assert change_of(before, before[:20], margins={"iou": 0.3}, missing_at_most=0.58).answer == "not shown"


def test_lost_scores_count_as_the_worst_in_a_margin():
    before = scored([0.6] * 60)
    lost = [lose(audit) if number < 9 else audit for number, audit in enumerate(before)]
    assert change_of(before, lost, margins={"iou": 0.2}, missing_at_most=1).answer == "not shown"


def test_the_plan_says_how_many_scores_a_margin_may_lack():
    """Eight of 60 are lost, 13 %: with the worst value in them the margin of 0.3 still holds."""
    before = scored([0.6] * 60)
    lost = [lose(audit) if number < 8 else audit for number, audit in enumerate(before)]
    answers = [change_of(before, lost, margins={"iou": 0.3}, missing_at_most=share).answer for share in (0.1, 0.2)]
    assert answers == ["not shown", "not worse"]


def test_a_margin_without_any_score_is_not_evaluated():
    nothing = scored(["unreadable"] * 8)
    change = change_of(nothing, nothing, margins={"iou": 0.2})
    (part,) = [each for each in change.figures if each.margin]
    assert (part.answer, change.answer) == ("NOT EVALUATED", "not compared")


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_a_margin_wider_than_the_metric_always_holds(better):
    facts = (METRICS["iou"].facts.model_copy(update={"better": better}),)
    a, b = (run_of(scored([value] * 3), metrics=facts) for value in (0.9, 0.1))
    change = compare_runs(a, b, ComparisonPlan(margins={"iou": 3.0})).change
    assert change.answer == "not worse"


def test_what_was_compared_is_told_with_both_names_and_the_first_runs_hash():
    same = scored([0.6] * 3)
    a, b = run_of(same, run="20261101-000000-aaaa"), run_of(same, run="20261102-000000-bbbb")
    a = replace(a, results_sha256="a" * 64)
    change = compare_runs(a, b, ComparisonPlan(kind="previous", locked=True)).change
    assert (change.run_a, change.run_b) == ("nodule-ct/20261101-000000-aaaa", "nodule-ct/20261102-000000-bbbb")
    assert (change.results_sha256, change.kind, change.locked) == ("a" * 64, "previous", True)


# The labels of two models.


def of_classifier(compared):
    return [part.metric for part in compared.change.figures if part.map_b == "classifier"]


def test_what_means_nothing_found_in_either_model_is_no_finding():
    turned = MODEL.model_copy(update={"labels": ("nodule", "none")})
    assert of_classifier(compare_runs(run_of(called([1, 0])), run_of(called([1, 0]), model=turned))) == ["accuracy"]
    same = compare_runs(run_of(called([1, 0])), run_of(called([1, 0])))
    assert of_classifier(same) == ["accuracy", "sensitivity"]


def test_a_model_of_numbers_calls_nothing_that_could_be_compared():
    numbers = MODEL.model_copy(update={"output": "regression"})
    for models in ((MODEL, numbers), (numbers, MODEL)):
        assert of_classifier(compare_runs(*(run_of(called([1, 0]), model=model) for model in models))) == []


def test_a_reference_that_says_nothing_found_is_another_where_both_models_have_that_label():
    said, silent = called([0], reference=("none",)), called([0], reference=())
    assert change_of(said, silent).studies.changed == 1
    otherwise = MODEL.model_copy(update={"labels": ("clear", "nodule")})
    assert compare_runs(run_of(said), run_of(silent, model=otherwise)).change.studies.paired == 1


def test_that_nothing_is_there_needs_no_map():
    healthy = study(9, reference=("none",), predicted=("none",), masks=1)
    part = figure(compare_runs(*[run_of([*scored([0.6] * 4), healthy])] * 2), "iou")
    assert (part.estimate.studies, part.estimate.missing_studies) == (4, 0)


def test_labels_of_one_model_alone_make_no_study_another():
    more = MODEL.model_copy(update={"labels": ("none", "nodule", "oedema")})
    other = called([1, 1], reference=("nodule", "oedema"))
    assert compare_runs(run_of(called([1, 1])), run_of(other, model=more)).change.studies.paired == 2


# Studies and patients.


def test_a_study_that_only_one_run_analysed_is_not_analysed_and_not_changed():
    before = scored([0.6] * 4)
    unread = not_analysed(0, reference=None, masks=1).model_copy(update={"study": "S-1", "patient": "P-1"})
    for a, b in ((before, [before[0], unread, *before[2:]]), ([before[0], unread, *before[2:]], before)):
        change = change_of(a, b)
        assert change.studies.model_dump() == {
            "paired": 3, "not_analysed": 1, "changed": 0, "only_in_a": 0, "only_in_b": 0,
        }  # fmt: skip
        part = figure(compare_runs(run_of(a), run_of(b)), "sensitivity")
        assert (part.estimate.studies, part.estimate.missing_studies) == (3, 1), "whichever run lost it"


def test_a_study_without_a_new_name_keeps_its_own():
    records = renamed(run_of(scored([0.6] * 2)), {"S-1": ("T-1", "Q-1")})
    assert [(audit.study, audit.patient) for audit in records.audits] == [("S-0", "P-0"), ("T-1", "Q-1")]


def test_calls_are_counted_by_patient_in_whatever_order_runs_list_them():
    """Of P-0 one study is gained and one lost: a tie. P-1 is gained."""

    def of(answers):
        return [audit.model_copy(update={"patient": f"P-{n // 2}"}) for n, audit in enumerate(called(answers))]

    a, b = of([0, 1, 0, 0]), of([1, 0, 1, 1])
    for first in (a, a[::-1]):
        part = figure(compare_runs(run_of(first), run_of(b)), "sensitivity")
        assert (part.improved, part.tied, part.worsened) == (1, 1, 0)


def test_a_patient_who_lacks_a_score_has_no_sign():
    patients = ["P-0", "P-0", "P-1", "P-2"]
    before, after = scored([0.2] * 4, patients=patients), scored([0.3, "unreadable", 0.3, 0.2], patients=patients)
    part = figure(compare_runs(run_of(before), run_of(after)), "iou")
    assert (part.improved, part.tied, part.worsened) == (1, 1, 0)
    assert part.estimate.undefined == {"unreadable": 1}
    turned = figure(compare_runs(run_of(after), run_of(before)), "iou")
    assert (turned.worsened, turned.tied, turned.estimate.undefined) == (1, 1, {"unreadable": 1})


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_unit_that_one_run_lacks_is_missing_wherever_it_stands(place):
    both = [scored([0.2, 0.4, 0.6]), scored([0.3, 0.5, 0.7])]
    for short in (0, 1):
        runs = [list(run) for run in both]
        runs[short][place] = runs[short][place].model_copy(update={"map_scores": (), "masks": 0})
        part = figure(compare_runs(*map(run_of, runs)), "iou")
        assert (part.estimate.studies, part.estimate.missing_studies) == (2, 1)
        assert part.estimate.value == pytest.approx(0.1)


def test_a_mask_that_is_there_in_one_run_alone_is_nothing_to_compare():
    marked, unmarked = scored([0.6] * 4), scored([0.6, 0.6, 0.6, "no_mask"])
    for a, b in ((marked, unmarked), (unmarked, marked)):
        part = figure(compare_runs(run_of(a), run_of(b)), "iou")
        assert (part.estimate.studies, part.estimate.missing_studies) == (3, 0)
    empty = scored([0.6, 0.6, 0.6, "empty_mask"])
    assert figure(compare_runs(run_of(marked), run_of(empty)), "iou").estimate.missing_studies == 1


# Maps and labels.

SEVERAL = MODEL.model_copy(update={"labels": ("cyst", "nodule", "oedema"), "output": "sigmoid"})


def of_labels(nodule, oedema, hits):
    """Return a study with oedema, whose map of a nodule that nobody sees is there too, and five with a nodule."""
    first = study(
        0, entry("gradcam", "a", 0.9, target="nodule"), entry("gradcam", "a", oedema, target="oedema"),
        entry("layercam", "a", hits, target="oedema", metric="hit_rate"), reference=("oedema",), masks=1,
    )  # fmt: skip
    return [first, *(study(n, entry("gradcam", "a", nodule), masks=1) for n in range(1, 6))]


def test_each_label_has_its_own_studies_in_the_order_in_which_labels_come():
    runs = [run_of(of_labels(*values), model=SEVERAL) for values in ((0.2, 0.6, 1.0), (0.3, 0.5, 0.0))]
    change = compare_runs(*runs, ComparisonPlan(margins={"iou": 0.2})).change
    rows = [
        (part.label, part.value_a, part.value_b)
        for part in change.figures
        if (part.metric, part.map_b) == ("iou", "gradcam")
    ]
    assert rows == [
        (None, pytest.approx(1.6 / 6), pytest.approx(2 / 6)),
        ("oedema", pytest.approx(0.6), pytest.approx(0.5)),
        ("nodule", pytest.approx(0.2), pytest.approx(0.3)),
    ]
    assert [part.label for part in change.figures if (part.metric, part.map_b) == ("hit_rate", "layercam")] == [None]
    (flip,) = change.flips
    assert (flip.study, flip.map, flip.label, flip.before, flip.after) == ("S-0", "layercam", "oedema", "hit", "miss")


def test_a_flipped_hit_is_told_once_also_where_a_margin_is_asked_of_each_label():
    runs = [run_of(of_labels(*values), model=SEVERAL) for values in ((0.2, 0.6, 1.0), (0.3, 0.5, 0.0))]
    change = compare_runs(*runs, ComparisonPlan(margins={"hit_rate": 0.2})).change
    assert [flip.label for flip in change.flips] == ["oedema"]


def test_baselines_of_both_runs_are_not_compared_unless_they_are_named():
    def both():
        return [study(n, entry("gradcam", "a", 0.5), entry("centre_prior", "a", 0.1), masks=1) for n in range(6)]

    assert {part.map_b for part in change_of(both(), both()).figures} == {"classifier", "gradcam"}
    named = change_of(both(), both(), maps=(("centre_prior", "gradcam"),))
    (part,) = [each for each in named.figures if each.metric == "iou" and each.map_b != "classifier"]
    assert (part.map_a, part.value_a, part.value_b) == ("centre_prior", pytest.approx(0.1), pytest.approx(0.5))


# What flipped.


def hits(*readers, method="gradcam"):
    maps = [entry(method, name, value, metric="hit_rate") for name, value in zip("ab", readers, strict=True)]
    return study(0, *maps, masks=2)


@pytest.mark.parametrize(
    ("a", "b", "flip"),
    [
        ((1.0, 0.0), (0.0, 0.0), ("hit", "miss", False)),
        ((0.0, 0.0), (0.0, 1.0), ("miss", "hit", True)),
        ((1.0, 0.0), (1.0, 1.0), None),
        ((1.0, 1.0), ("unreadable", "unreadable"), None),
        (("unreadable", "unreadable"), (1.0, 1.0), None),
    ],
)
def test_half_of_the_readers_make_a_hit_and_what_is_missing_is_no_flip(a, b, flip):
    flips = [(each.before, each.after, each.gained) for each in change_of([hits(*a)], [hits(*b)]).flips]
    assert flips == ([] if flip is None else [flip])


def test_a_flip_is_told_of_the_second_runs_map():
    a, b = [hits(1.0, 1.0)], [hits(0.0, 0.0, method="layercam")]
    assert [flip.map for flip in change_of(a, b, maps=(("gradcam", "layercam"),)).flips] == ["layercam"]


@pytest.mark.parametrize(
    ("reference", "before", "after", "gained"),
    [
        (("nodule",), ("none",), (), None),  # both wrong, each in its way
        (("nodule",), ("nodule", "none"), ("nodule",), True),  # too much was no right answer
        (("nodule",), ("nodule",), (), False),
        (None, ("nodule",), (), None),
    ],
)
def test_a_flipped_call_is_a_gain_where_only_the_second_is_right(reference, before, after, gained):
    a, b = ([study(0, reference=reference, predicted=labels)] for labels in (before, after))
    (flip,) = change_of(a, b).flips
    assert (flip.before, flip.after) == ("; ".join(before), "; ".join(after) or "nothing")
    assert flip.gained is gained


def test_the_same_labels_in_another_order_are_no_flip():
    a, b = ([study(0, predicted=labels)] for labels in (("nodule", "none"), ("none", "nodule")))
    assert change_of(a, b).flips == ()


# What else differs.


def differs(**changes):
    return compare_runs(run_of(scored([0.6])), run_of(scored([0.6]), **changes)).change.differs


def test_other_layers_and_methods_are_named():
    layers = tuple(layer.model_copy(update={"name": "features.denseblock3"}) for layer in MODEL.layers)
    assert differs(model=MODEL.model_copy(update={"layers": layers})) == ("the two runs take maps from other layers",)
    first, *others = example.results().methods
    for changed in ({"options": {"samples": "9"}}, {"source_sha256": "0" * 64}, {"name": "mygradcam"}):
        methods = (MethodFacts.model_validate({**first.model_dump(), **changed}), *others)
        assert differs(methods=methods) == ("the two runs make maps by other methods or options",)


def test_another_version_is_named_and_its_other_sources_are_not_named_again():
    made = example.results().provenance.model_copy(update={"camaudit": "0.2.0"})
    lock = example.results().lock.model_copy(update={"program": "p"})
    assert differs(provenance=made, lock=lock) == ("other versions of camaudit made the two runs",)


def test_what_only_one_run_has_is_named_whichever_it_is():
    hit_rate, iou = FACTS[1:2], FACTS[:1]
    labels = MODEL.model_copy(update={"labels": ("none", "nodule", "oedema")})
    plain = {"classification": ()}
    small, large = (
        run_of(scored([0.6]), metrics=metrics, model=model, **plain)
        for metrics, model in ((hit_rate, MODEL), (hit_rate + iou, labels))
    )
    for runs in ((small, large), (large, small)):
        assert compare_runs(*runs).change.not_compared == (
            "one run alone measures: iou",
            "one model alone has the labels: oedema",
        )
    assert compare_runs(small, small).change.not_compared == ()
    area = example.estimate("auroc", "classifier", 0.8, "all")
    with_area = run_of(scored([0.6]), metrics=hit_rate, classification=(area,))
    assert compare_runs(small, with_area).change.not_compared == (
        "AUROC: there is no exact test of a difference of two; each run has its own",
    )
