"""What the report says in words is what the data say: every sentence against data that could contradict it."""

import re
from pathlib import Path

import pytest
from reportlab.platypus import Paragraph, Table

import reports.sections  # noqa: F401 - fills the registry
from flows.commands.outcome import _summary
from pipeline.findings.estimates import Estimate, LabelVerdict, Verdict
from pipeline.findings.facts import LayerFacts, MethodFacts
from pipeline.findings.results import Compared, Flow
from pipeline.findings.scores import MapScores, Score
from reports import wording
from reports.page.layout import Chip, Deferred
from reports.registry import Context, sections
from tests.reports import example


def words_of(flowable):
    """Return a flowable's text, cells and paragraphs parted by bars."""
    if isinstance(flowable, list | tuple):
        return " | ".join(filter(None, map(words_of, flowable)))
    if isinstance(flowable, Paragraph):
        return flowable.getPlainText()
    if isinstance(flowable, Table):
        return words_of([cell for row in flowable._cellvalues for cell in row])
    if isinstance(flowable, Deferred):
        return words_of(flowable.split())
    if isinstance(flowable, Chip):
        return flowable._words
    return words_of(getattr(flowable, "_content", []))


def said(title, results):
    """Return what a section says, as one line; '' is the cover."""
    (section,) = [one for one in sections() if one.title == title]
    context = Context(results, Path("nowhere"), "0" * 64, {})
    return " ".join(words_of(section.build(context)).split())


def everything(results):
    return " ".join(said(section.title, results) for section in sections())


def verdict(metric="iou", method="gradcam", among="reference_positive", rule="at least 0.5", value=0.4, **more):
    estimate = example.estimate(metric, method, value, among, **more.pop("estimate", {}))
    answer = "NOT EVALUATED" if value is None else "NOT MET"
    fields = {"answer": answer, "reason": "the reason", "alpha": 0.025, **more}
    return Verdict(criterion="c", metric=metric, method=method, among=among, rule=rule, estimate=estimate, **fields)


LABELS = ("effusion", "nodule", "oedema")


def several_labels(labels=LABELS):
    """Return results of a model with independent labels, each with estimates of its own."""
    found = [example.estimate("accuracy", "classifier", 0.51, "all")]
    for place, label in enumerate(labels):
        for metric, base in (("sensitivity", 0.61), ("specificity", 0.81), ("auroc", 0.71)):
            found.append(example.estimate(metric, "classifier", base + 0.02 * place, "all", group=f"label={label}"))
    model = example.results().model.model_copy(update={"labels": tuple(labels), "output": "sigmoid"})
    return example.results(classification=tuple(found), model=model)


# the summary


def test_the_summary_counts_what_was_compared_and_not_what_was_analysed():
    text = said("Summary", example.results(compared=Compared(mapped=40, studies=33, patients=29)))
    assert "of 33 studies from 29 patients were compared with the experts' masks (11 more analysed" in text
    assert "44 studies from" not in text
    whole = said("Summary", example.results(compared=Compared(mapped=44, studies=44, patients=41)))
    assert "of 44 studies from 41 patients were compared with the experts' masks and judged by 4 criteria" in whole


def test_the_summary_of_a_run_without_a_comparison_claims_none():
    nothing = example.results(compared=Compared(mapped=0, studies=0, patients=0), verdicts=())
    text = said("Summary", nothing)
    assert "No map (Grad-CAM, HiResCAM, LayerCAM) could be compared with an expert's mask." in text
    assert "were compared" not in text
    assert "judged by no criterion" in text
    one = said("Summary", example.results(compared=Compared(mapped=1, studies=1, patients=1)))
    assert "of 1 study from 1 patient were compared" in one


def test_what_was_written_before_the_count_claims_no_number():
    assert "studies from" not in said("Summary", example.results())


def test_the_action_list_names_case_pages_only_where_there_are_some():
    text = said("Summary", example.results(cases=()))
    assert "case" not in text.partition("What to do")[2]
    assert "Read the case pages" in said("Summary", example.results())


def test_a_verdict_without_an_interval_says_why_it_has_no_answer():
    found = verdict(answer="NOT EVALUATED", reason="no interval: too few", estimate={"low": None, "high": None})
    results = example.results(verdicts=(found,))
    assert "IoU of Grad-CAM: no interval: too few" in said("The criteria at a glance", results)
    assert "at least 0.5 | 0.400 | \u2014 | nothing: there is no bound" in said("", results)


# differences


BETTER = verdict("energy_in_mask", rule="better than centre_prior", value=-0.022, among="all", against="centre_prior")


@pytest.mark.parametrize("title", ["The criteria at a glance", ""])
def test_a_difference_is_never_printed_as_the_metric(title):
    text = said(title, example.results(verdicts=(BETTER,)))
    assert "Energy in mask of Grad-CAM minus that of centre prior (baseline)" in text
    assert "a difference above 0" in said("", example.results(verdicts=(BETTER,)))
    assert not re.search(r"Energy in mask of Grad-CAM (among|is|,)", text)
    assert "centre_prior" not in text


def test_the_console_says_that_a_difference_is_one():
    lines = _summary(example.results(verdicts=(BETTER, verdict())))
    assert "(difference -0.02 [" in lines[-2]
    assert "difference" not in lines[-1]


# studies


@pytest.mark.parametrize("among", list(wording.STRATA))
def test_no_stratum_is_called_studies_twice(among):
    estimates = tuple(example.estimate("iou", name, 0.3, among) for name in (*example.METHODS, *example.BASELINES))
    grouped = tuple(example.estimate("iou", "gradcam", 0.3, among, group="site=A") for _ in range(1))
    text = everything(example.results(verdicts=(verdict(among=among),), estimates=(*estimates, *grouped)))
    assert "studies studies" not in text.lower()
    assert wording.STRATA[among].lower() in text.lower()


def test_the_classifier_is_judged_on_the_studies_with_a_reference():
    judged = example.results(verdicts=(verdict("accuracy", "classifier", "all", value=0.8),))
    assert "Accuracy of the classifier: the reason" in said("The criteria at a glance", judged)
    assert "Accuracy of the classifier | all studies with a reference: 44 from 41 patients" in said("", judged)


# labels


def test_every_row_of_a_classifier_with_several_labels_names_its_label():
    (tables,) = ([one for one in _built("The classifier", several_labels()) if isinstance(one, Table)],)
    (table,) = tables
    head, *rows = [[words_of(cell) for cell in row] for row in table._cellvalues]
    place = head.index("Label")
    assert [row[place] for row in rows] == ["all", *LABELS * 3]
    metrics = [row[0] for row in rows if row[0]]
    assert metrics == ["Accuracy", "Sensitivity", "Specificity", "AUROC"]


def _built(title, results):
    (section,) = [one for one in sections() if one.title == title]
    return section.build(Context(results, Path("nowhere"), "0" * 64, {}))


def test_a_classifier_of_one_finding_needs_no_column_of_labels():
    assert "Label" not in said("The classifier", example.results())


def test_the_summary_names_the_label_of_every_number():
    text = said("Summary", several_labels())
    assert "sensitivity effusion 0.61 [0.53, 0.69]; nodule 0.63" in text
    assert "specificity effusion 0.81" in text
    assert "accuracy 0.51" in text
    many = said("Summary", several_labels([f"label {number}" for number in range(14)]))
    assert "sensitivity from label 0 0.61 [0.53, 0.69] to label 13 0.87 [0.75, 0.99], over 14 labels" in many


def test_a_verdict_on_a_classifier_of_several_labels_names_the_one_that_decides():
    found = verdict("sensitivity", "classifier", "all", value=0.61, estimate={"group": "label=effusion"})
    part = {"answer": "NOT MET", "reason": "r", "estimate": found.estimate}
    parts = tuple(LabelVerdict(label=label, **part) for label in LABELS)
    found = found.model_copy(update={"label": "effusion", "parts": parts})
    results = several_labels().model_copy(update={"verdicts": (found,)})
    for title in ("The criteria at a glance", ""):
        assert "Sensitivity of the classifier for effusion (the label that decides)" in said(title, results)


def test_each_label_of_a_verdict_has_its_row():
    estimate = example.estimate("iou", "gradcam", 0.314)
    answers = {"effusion": "MET", "nodule": "NOT MET"}
    parts = tuple(
        LabelVerdict(label=label, answer=answer, reason="r", estimate=estimate) for label, answer in answers.items()
    )
    text = said("The criteria at a glance", example.results(verdicts=(verdict(parts=parts, label="nodule"),)))
    assert "IoU of Grad-CAM for nodule (the label that decides)" in text
    rows = text.partition("Where each of several has to hold")[2]
    assert "| effusion | — | 0.31 [0.27, 0.36]" in rows
    assert "| nodule | — | 0.31 [0.27, 0.36]" in rows


# what a cohort can show


def test_a_verdict_says_what_is_missing_and_what_so_few_patients_can_show():
    few = {"patients": 9, "studies": 10, "missing_patients": 2, "missing_studies": 3}
    small = verdict(estimate=few, best_reachable=0.7151, smallest_cohort=17, answer="INCONCLUSIVE")
    text = said("The criteria at a glance", example.results(verdicts=(small,)))
    assert "3 studies without a score count against the claim" in text
    assert "with perfect scores 11 patients could at best have shown 0.72" in text
    assert "MET needs 17 patients at least" in text
    many = said(
        "The criteria at a glance", example.results(verdicts=(verdict(best_reachable=0.91, smallest_cohort=17),))
    )
    assert "at best have shown" not in many
    assert "patients at least" not in many


def test_the_other_means_are_told_where_they_differ():
    means = {"per_patient": 0.4, "per_study": 0.5512, "complete_case": 0.4613}
    text = said("The criteria at a glance", example.results(verdicts=(verdict(estimate=means),)))
    assert "over studies the mean is 0.55" in text
    assert "without maps that show nothing it is 0.46" in text
    by_study = {**means, "per_patient": 0.31, "per_study": 0.4, "complete_case": 0.4}
    text = said("The criteria at a glance", example.results(verdicts=(verdict(unit="study", estimate=by_study),)))
    assert "over patients the mean is 0.31" in text
    assert "without maps" not in text


def test_an_interval_that_only_describes_is_marked():
    described = {"low": 11.25, "high": 18.5, "how": "patient-cluster bootstrap, percentile"}
    far = example.estimate("distance_mm", "gradcam", 14.8, low=None, high=None, described=described)
    text = said("Overlap with the experts' masks", example.results(estimates=(far,)))
    assert "[11.2, 18.5]†" in text or "[11.3, 18.5]†" in text
    assert "†: describes, and decides nothing: patient-cluster bootstrap, percentile" in text


@pytest.mark.parametrize(
    ("rule", "metric", "against", "asked"),
    [
        ("better than centre_prior", "iou", "centre_prior", "a difference above 0"),
        ("better than centre_prior by more than 0.05", "iou", "centre_prior", "a difference above 0.05"),
        (
            "better than centre_prior in more than 50 % of a patient's studies, a tie counting half",
            "iou",
            "centre_prior",
            "more than 50 %, a tie counting half",
        ),
        ("not worse than readers by more than 0.1", "iou", "readers", "a difference above \u22120.1"),
        ("equivalent to hirescam within 0.1", "iou", "hirescam", "a difference within 0.1"),
        ("better than centre_prior", "distance_mm", "centre_prior", "a difference below 0"),
        ("within 20 in at least 80 % of patients", "distance_mm", None, "within 20 mm in at least 80 % of patients"),
        ("median at most 20", "distance_mm", None, "median at most 20 mm"),
        (
            "better than centre_prior in more than 50 % of a patient's studies, with other readers too",
            "iou",
            "centre_prior",
            "more than 50 %, with other readers too",
        ),
        ("at most 15, each score capped at 50", "distance_mm", None, "at most 15 mm, each score capped at 50"),
        (
            "better than centre_prior by more than 2, each difference capped at 10",
            "distance_mm",
            "centre_prior",
            "a difference below \u22122, each difference capped at 10",
        ),
        ("at most 0.4, although higher is better", "iou", None, "at most 0.4, although higher is better"),
    ],
)
def test_what_is_asked_for_is_on_the_scale_of_the_estimate(rule, metric, against, asked):
    judged = verdict(metric, rule=rule, against=against)
    assert wording.asked_for(example.results(), judged) == asked


def test_labels_are_no_subgroups():
    text = said("Subgroups", several_labels().model_copy(update={"estimates": ()}))
    assert text == "No subgroup was estimated: the archive states none."


@pytest.mark.parametrize(
    ("output", "labels", "name"),
    [("softmax", ("clear", "nodule"), "clear"), ("single_logit", ("healthy", "nodule"), "healthy"),
     ("softmax", ("normal", "a", "b"), "normal"), ("sigmoid", ("effusion", "nodule"), "none of the labels")],
)  # fmt: skip
def test_a_normal_has_the_models_own_name(output, labels, name):
    base = example.results()
    normal = base.cases[0].model_copy(
        update={"audit": base.cases[0].audit.model_copy(update={"reference": (), "predicted": ()})}
    )
    model = base.model.model_copy(update={"output": output, "labels": labels})
    text = said("Case pages", example.results(model=model, cases=(normal,)))
    assert f"Reference: {name}" in text
    assert f"Prediction: {name} (" in text
    assert ("none of the labels" in text) == (output == "sigmoid")


@pytest.mark.parametrize(
    ("output", "labels", "rule"),
    [("softmax", ("clear", "nodule"), "nodule is called above 0.500"),
     ("single_logit", ("clear", "nodule"), "one logit, to a probability by sigmoid; nodule is called above 0.500"),
     ("softmax", ("clear", "a", "b"), "by softmax; the most probable label is called"),
     ("sigmoid", ("a", "b"), "each label by itself, called above 0.500"),
     ("probability", ("clear", "nodule"), "probabilities, mapped back to logits for the maps; nodule is called above"),
     ("regression", ("age",), "numbers (regression); nothing is called")],
)  # fmt: skip
def test_the_model_section_says_by_what_rule_a_label_is_called(output, labels, rule):
    model = example.results().model.model_copy(update={"output": output, "labels": labels})
    assert rule in said("Model identity", example.results(model=model))


# what a reader must know of the model


def with_layer(**facts):
    layer = example.results().model.layers[0].model_copy(update=facts)
    return said(
        "Model identity", example.results(model=example.results().model.model_copy(update={"layers": (layer,)}))
    )


def test_the_layers_choice_is_told_with_what_goes_past_it():
    sentence = "auto took features.denseblock4, the last layer that all of the evidence passes; 0.000 of the gradient"
    assert sentence in with_layer()
    assert "Most goes past" not in with_layer()
    assert "it is not known how much of the gradient at the input goes past it" in with_layer(past=None)


@pytest.mark.parametrize(("past", "is_warned"), [(0.5, False), (0.51, True), (1.0, True)])
def test_a_layer_that_most_goes_past_is_warned_of(past, is_warned):
    text = with_layer(requested="features.denseblock4", reason="named in the configuration", past=past)
    assert "features.denseblock4 was named in the configuration" in text
    assert f"{past:.3f} of the gradient at the input goes past it" in text
    assert ("Most goes past this layer." in text) is is_warned


def counted(called, reference):
    facts = {"called by the model": called, "reference": reference}
    return said("Model identity", example.results(cohort_facts=facts))


def test_one_answer_for_every_study_is_said():
    reference = {"clear": 3, "nodule": 9}
    text = counted({"nodule": 12}, reference)
    assert "One answer for all. The model calls nodule in each of the 12 studies, whatever their reference" in text
    assert "Whatever is said of its true positives is said of all positives." in text
    nothing = example.results().model.negative_label
    assert "true positives" not in counted({nothing: 12}, reference)
    assert "One answer for all" not in counted({"nodule": 11, "clear": 1}, reference)
    assert "One answer for all" not in counted({"nodule": 12}, {"nodule": 12})


@pytest.mark.parametrize(("high", "is_told"), [(0.49, True), (0.5, False), (None, False)])
def test_studies_ranked_the_wrong_way_round_are_told(high, is_told):
    auroc = example.estimate("auroc", "classifier", 0.2).model_copy(update={"high": high, "low": 0.1, "group": None})
    text = said("Model identity", example.results(classification=(auroc,)))
    assert ("The wrong way round. the finding (AUROC 0.20, at most 0.49)" in text) is is_told


def test_what_a_map_explains_follows_from_the_output():
    def explained(**model):
        return said("Model identity", example.results(model=example.results().model.model_copy(update=model)))

    assert "Maps explain | the label's logit |" in explained(output="softmax")
    assert "Maps explain | the logit before the probability |" in explained(output="probability")
    assert "Maps explain | the number itself" in explained(output="regression", labels=("age",))
    assert "summed over the voxels that the model itself calls so" in explained(segmentation=True)


def test_notes_of_how_a_model_was_loaded_are_told():
    model = example.results().model.model_copy(
        update={"notes": ("the prefix module. was left out",), "one_by_one": True}
    )
    text = said("Model identity", example.results(model=model))
    assert "Note | the prefix module. was left out |" in text
    assert "Note | studies were shown to the model one at a time" in text


def test_a_regression_is_not_judged_as_a_classifier():
    model = example.results().model.model_copy(update={"output": "regression", "labels": ("age",)})
    assert said("The classifier", example.results(model=model)).startswith("The model returns numbers and calls")


def test_options_of_a_method_are_told():
    methods = (example.results().methods[0].model_copy(update={"options": {"max_channels": "64"}}),)
    assert "set to: max channels 64" in said("Methods and their limits", example.results(methods=methods))


# methods and layers


def many_methods(number):
    names = [f"m{place}" for place in range(number)]
    methods = tuple(MethodFacts(name=name, title=name.upper(), paper="p", formula="f", limits="l") for name in names)
    estimates = tuple(
        example.estimate(metric, name, 0.31 + 0.01 * place, group=group)
        for metric in ("iou", "hit_rate")
        for group in (None, "site=A", "site=B")
        for place, name in enumerate(names)
    )
    return example.results(methods=methods, estimates=estimates, equivalent_methods=())


@pytest.mark.parametrize("number", [1, 3, 4, 5, 7])
def test_no_method_is_missing_from_the_subgroups(number):
    tables = [one for one in _built("Subgroups", many_methods(number)) if isinstance(one, Table)]
    shown = [head for one in tables for head in map(words_of, one._cellvalues[0]) if head.startswith("M")]
    assert sorted(shown) == sorted(f"M{place}" for place in range(number) for _ in ("iou", "hit_rate"))
    assert all(words_of(one._cellvalues[row][0]) == f"site={'AB'[row - 1]}" for one in tables for row in (1, 2))
    text = said("Subgroups", many_methods(number))
    assert ("(1 of" in text) == (number > 3)


def test_a_subgroups_counts_are_those_of_its_numbers():
    estimates = (
        example.estimate("iou", "gradcam", 0.3, group="site=A", patients=9, studies=12),
        example.estimate("iou", "layercam", 0.2, group="site=A", patients=8, studies=10),
        example.estimate("iou", "hirescam", 0.2, group="site=B", patients=7, studies=7),
    )
    text = said("Subgroups", example.results(estimates=estimates, verdicts=()))
    assert "site=A | 8\u20139 | 10\u201312 |" in text
    assert "site=B | 7 | 7 | \u2014 |" in text


def test_one_method_is_not_said_to_differ_from_others():
    assert "same maps" not in said("Methods and their limits", many_methods(1))
    assert "No two methods gave the same maps in every study." in said("Methods and their limits", many_methods(2))
    unmapped = many_methods(2).model_copy(update={"compared": Compared(mapped=0, studies=0, patients=0)})
    assert "same maps" not in said("Methods and their limits", unmapped)


def test_maps_at_several_layers_have_their_methods_title():
    names = ("gradcam@features.a", "gradcam@features.b")
    estimates = tuple(example.estimate("iou", name, 0.3) for name in (*names, "centre_prior"))
    results = example.results(estimates=estimates, equivalent_methods=(names,))
    text = everything(results)
    assert "Grad-CAM at features.a" in text
    assert "gradcam@" not in text
    assert wording.methods_in_order(results, ["centre_prior", "z", *names]) == [*names, "z", "centre_prior"]


@pytest.mark.parametrize(
    ("cell_range", "words"),
    [(((9.75, 12.125), (11.2, 11.2)), "9.8\u201312.1 \u00d7 11.2 mm"), (None, "11.2 \u00d7 11.2 mm"),
     (((11.2, 11.204), (11.2, 11.2)), "11.2 \u00d7 11.2 mm")],
)  # fmt: skip
def test_the_cells_of_all_studies_are_told(cell_range, words):
    layer = LayerFacts(name="l", requested="auto", shape=(8, 8), cell_mm=(11.2, 11.2), cell_range=cell_range)
    results = example.results(model=example.results().model.model_copy(update={"layers": (layer,)}))
    assert words in said("Model identity", results)


# odd data


def test_two_columns_that_differ_by_a_capital_keep_their_names():
    facts = {"modality (image header)": {"CT": 3}, "Modality (manifest)": {"CT": 2}, "site": {"A": 1}, "Site": {"A": 2}}
    text = said("Data identity", example.results(cohort_facts=facts))
    assert "Modality (image header): CT: 3; Modality (manifest): CT: 2; site: A: 1; Site: A: 2" in text


def test_one_row_is_one_row():
    assert "1 row. Excluded" in said("Exclusions and failures", example.results(missing=1))
    assert "2 rows. Excluded" in said("Exclusions and failures", example.results(missing=2))


def test_no_interval_has_its_reason():
    nothing = example.estimate("iou", "gradcam", None, reason="no study in this stratum", patients=0, studies=0)
    assert "nothing could be estimated" in said(
        "Overlap with the experts' masks", example.results(estimates=(nothing,))
    )
    few = example.estimate("iou", "gradcam", 0.3, low=None, high=None)
    assert "too few patients for any" in said("Overlap with the experts' masks", example.results(estimates=(few,)))


def test_a_missing_interval_says_why_in_its_row():
    bare = {"low": None, "high": None, "patients": 3}
    single = example.estimate("accuracy", "classifier", 0.667, "all", **bare)
    text = said("The classifier", example.results(classification=(single,)))
    assert "0.67 | \u2014 | \u2014 | 3 | 44 | no interval: 3 patients" in text
    pair = example.results().agreements[0]
    pair = pair.model_copy(update={"estimate": pair.estimate.model_copy(update=bare)})
    text = said("Overlap with the experts' masks", example.results(agreements=(pair,)))
    assert "0.69 (no interval: 3 patients)" in text


def test_a_withheld_picture_says_why_once():
    entry = example.results().cases[0].model_copy(update={"panels": None, "note": "the study can no longer be read"})
    text = said("Case pages", example.results(cases=(entry,)))
    assert text.count("the study can no longer be read") == 1
    assert "withheld" not in text
    assert "1 of 1 case without" in text


def test_readers_who_gave_no_score_leave_the_ceiling_unknown():
    undefined = Estimate(metric="iou", method="a vs b", among="all", value=None, confidence=0.95, interval="none",
                         patients=0, studies=0, reason="undefined for every study")  # fmt: skip
    pair = example.results().agreements[0].model_copy(update={"estimate": undefined})
    results = example.results(agreements=(pair,))
    assert "Agreement between experts is unknown" in said("Summary", results)
    assert "agreement between experts" in said("Not measured", results)


NOTHING = {"classification": (), "estimates": (), "agreements": (), "verdicts": (), "cases": (),
           "equivalent_methods": ()}  # fmt: skip


@pytest.mark.parametrize("number", [0, 1])
def test_hardly_any_study_is_told_without_a_false_plural(number):
    flow = Flow(found=number, analysed=number, excluded={}, failed={}, patients=number, computed=number, reused=0)
    results = example.results(flow=flow, missing=0, cohort_facts={}, case_rule="",
                              compared=Compared(mapped=0, studies=0, patients=0), **NOTHING)  # fmt: skip
    text = everything(results)
    assert not re.search(r"\b1 (studies|patients|criteria|cases|rows|estimates)\b", text)
    assert "were compared" not in text
    assert "No case is shown." in text
    assert "No two methods" not in text


def test_a_run_whose_studies_were_all_excluded_claims_nothing_of_maps():
    left_out = example.not_analysed(3)
    flow = Flow(found=3, analysed=0, excluded={"mask_empty_for_positive": 1}, failed={"truncated": 2},
                patients=3, computed=3, reused=0)  # fmt: skip
    results = example.results(flow=flow, not_analysed=left_out, cohort_facts={}, missing=3,
                              compared=Compared(mapped=0, studies=0, patients=0), **NOTHING)  # fmt: skip
    text = everything(results)
    assert "0 studies analysed of 3 found; 3 patients among those found" in text
    assert "3 of 3 studies could not be used" in text
    assert "were compared" not in text


def test_scores_of_a_case_name_what_is_constant():
    base = example.results().cases[0]
    flat = MapScores(target="nodule", method="gradcam", layer="l", reader="A", degenerate=True,
                   scores=(Score(name="iou", value=0.0), Score(name="hit_rate", reason="constant_map")))  # fmt: skip
    entry = base.model_copy(update={"audit": base.audit.model_copy(update={"map_scores": (flat,)}), "panels": None})
    assert "Grad-CAM (constant map) | A | \u2014 | 0.00" in said("Case pages", example.results(cases=(entry,)))
