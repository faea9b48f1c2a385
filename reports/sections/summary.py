"""The summary in plain words, made from the data."""

from pipeline.findings.estimates import Estimate, Verdict
from pipeline.findings.results import Results
from pipeline.vocabulary import PEAK_REGIONS
from reports.claims import why
from reports.numbers import count, ends, estimate, number, plural
from reports.page.layout import Flowable, bullets, columns, note, paragraph, subheading, table, together
from reports.page.text import DASH, Markup, bold, joined
from reports.registry import Context, section
from reports.wording import (
    better_of,
    chip,
    in_sentence,
    intervals,
    is_baseline,
    label_of,
    measured,
    method,
    metric,
    on_metrics,
    population,
    subject,
    words,
)

_MOST = 4

_NOT = (
    "Technical evidence on one model version, one preparation and one cohort; not clinical evidence, and no statement "
    "that the model is safe, effective or fit for a purpose.",
    "No statement of conformity with a law or a standard.",
    "No explanation of single decisions: overlap with an expert's mask neither shows why a model decided nor that "
    "it decided rightly. Not for the care of the patients whose studies appear in it.",
)


@section(10, "Summary")
def build(context: Context) -> list[Flowable]:
    """Return what was asked, what each verdict rests on, where the maps look, what limits it, what to do."""
    results = context.results
    return [
        paragraph(_asked(results)),
        *_verdicts(results),
        *_whereabouts(results),
        *subheading("What was found besides"),
        *bullets(_found(results)),
        *subheading("What limits it"),
        *bullets(_limits(results)),
        *subheading("What to do"),
        *bullets(_actions(results)),
        *subheading("What this report is and is not"),
        *bullets(_NOT),
    ]


_RULE = (
    "A criterion is MET only where the data rule out, at the stated level, that its claim is wrong, NOT MET only where "
    "they rule out that it is right, and INCONCLUSIVE where they rule out neither. The test is exact for any "
    "distribution of scores; it assumes that patients are independent. For rates it is the exact binomial test "
    "(Clopper and Pearson). A map that shows nothing counts as a miss; what has no score counts against either answer. "
    "Of a difference the bound is zero, or the margin that was locked."
)

_OF_CHECKS = (
    "A criterion on a check of the model itself is held against a fixed bound, in the studies that were chosen for it "
    "beforehand; what was not done is INCONCLUSIVE."
)

_SMALL = 20


def _verdicts(results: Results) -> list[Flowable]:
    """Return why each verdict is what it is, and the rule that all follow."""
    if not results.verdicts:
        return [paragraph("There are no criteria.")]
    answers = ", ".join(f"{many} {answer}" for answer, many in results.answers.items())
    shape = columns(("Criterion", 36), ("Why", 44), ("Verdict", 20))
    rows = [(bold(subject(results, verdict)), _about(verdict), chip(verdict.answer)) for verdict in results.verdicts]
    head = f"What the verdicts rest on: {answers}" if answers else "What the verdicts rest on"
    judged = on_metrics(results)
    explained = [intervals(verdict.estimate for verdict in judged), " ", _RULE] if judged else []
    explained += [" ", _OF_CHECKS] if len(judged) < len(results.verdicts) else []
    return [*subheading(head), table(shape, rows, compact=True), note(*explained), *_by_label(results)]


def _about(verdict: Verdict) -> str:
    """Return of whom a verdict speaks, why it is what it is, and what a cohort of this size can show at all."""
    estimate = verdict.estimate
    sentences = [f"{population(verdict)}: {why(verdict)}"]
    if estimate.missing_studies:
        missing = plural(estimate.missing_studies, "study without a score counts", "studies without a score count")
        sentences.append(f"{missing} against the claim")
    sentences += _other_means(verdict)
    patients = estimate.patients + estimate.missing_patients
    if patients < _SMALL and verdict.best_reachable is not None and estimate.value is not None:
        sentences.append(
            f"with perfect scores {plural(patients, 'patient')} could at best have shown "
            f"{number(verdict.best_reachable)}"
        )
    if verdict.smallest_cohort is not None and patients < verdict.smallest_cohort:
        sentences.append(f"MET needs {verdict.smallest_cohort} patients at least")
    if verdict.any_of is not None:
        sentences.append(f"one of the criteria of {verdict.any_of!r} has to hold")
    return "; ".join(sentences)


def _other_means(verdict: Verdict) -> list[str]:
    """Return the mean over the other unit, and that without maps that show nothing, where they are not the same."""
    estimate = verdict.estimate
    by_patient = verdict.unit == "patient"
    other = estimate.per_study if by_patient else estimate.per_patient
    means = [(other, f"over {'studies' if by_patient else 'patients'} the mean is")]
    means += [(estimate.complete_case, "without maps that show nothing it is")]
    as_printed = number(estimate.value)
    return [f"{words} {number(value)}" for value, words in means if value is not None and number(value) != as_printed]


def _by_label(results: Results) -> list[Flowable]:
    """Return the parts of each criterion that has several: all of them have to hold."""
    several = [verdict for verdict in results.verdicts if verdict.parts]
    if not several:
        return []
    shape = columns(
        ("Criterion", 30), ("For", 18), ("Against", 18), ("Estimate and interval", 22, True), ("Answer", 20),
    )  # fmt: skip
    rows = [
        (
            bold(f"{metric(results, verdict.metric)}, {verdict.rule}") if place == 0 else "",
            part.label or "all labels",
            DASH if part.against is None else method(results, part.against),
            estimate(part.estimate),
            chip(part.answer),
        )
        for verdict in several
        for place, part in enumerate(verdict.parts)
    ]
    return [*subheading("Where each of several has to hold"), table(shape, rows, compact=True)]


def _whereabouts(results: Results) -> list[Flowable]:
    """Return where each method's peaks lie, counted, in the studies with the finding."""
    counted = [part for part in results.whereabouts if part.among == "reference_positive"]
    if not counted:
        return []
    regions = [region for region in PEAK_REGIONS if any(region in part.regions for part in counted)]
    shape = columns(
        ("Map", 20), ("Maps", 8, True), *((PEAK_REGIONS[region], 15, True) for region in regions), ("Most often", 22)
    )
    rows = [
        (
            method(results, part.method),
            count(part.maps),
            *(count(part.regions.get(region, 0)) for region in regions),
            "; ".join(f"{place} {count(many)}" for place, many in list(part.places.items())[:2]) or "constant",
        )
        for part in counted
    ]
    whose = "the picture" if counted[0].axes == 2 else "the patient"
    about = (
        "Each map's highest point, in the studies in which the reference says that the finding is present and an "
        f"expert marked it. At the body's surface: close to the skin, to either side. Most often: the third of {whose}."
    )
    return [
        together([*subheading("Where the maps have their peak")[1:], table(shape, rows, compact=True), note(about)])
    ]


def _asked(results: Results) -> Markup:
    maps = ", ".join(facts.title for facts in results.methods) or "no map"
    name = f"{results.model.name}, version {results.model.version},"
    judged = plural(len(results.verdicts), "criterion", "criteria") if results.verdicts else "no criterion"
    question = f"Does {name} look where the experts marked findings? "
    return joined(question, _compared(results, maps), f" judged by {judged}.")


def _compared(results: Results, maps: str) -> str:
    compared = results.compared
    if compared is None:  # written before this was counted
        return f"The maps ({maps}) were compared with the experts' masks, where a study has both, and"
    if not compared.studies:
        return f"No map ({maps}) could be compared with an expert's mask. The run was"
    studies, patients = plural(compared.studies, "study", "studies"), plural(compared.patients, "patient")
    rest = results.flow.analysed - compared.studies
    without = f" ({count(rest)} more analysed, without a map and a mask to compare)" if rest > 0 else ""
    return f"The maps ({maps}) of {studies} from {patients} were compared with the experts' masks{without} and"


def _found(results: Results) -> list[Markup]:
    lines = _classifier(results) + _against_baselines(results)
    return lines or [joined("Nothing could be estimated.")]


def _classifier(results: Results) -> list[Markup]:
    """Return a line on accuracy, sensitivity and specificity; of many labels the worst and the best."""
    parts = []
    for name in ("accuracy", "sensitivity", "specificity"):
        shown = [part for part in results.classification if part.metric == name and part.value is not None]
        parts += [f"{in_sentence(metric(results, name))} {_of_labels(shown)}"] if shown else []
    return [joined(f"The classifier itself: {'; '.join(parts)}.")] if parts else []


def _of_labels(statistics: list[Estimate]) -> str:
    phrases = [
        f"{label_of(statistic)} {estimate(statistic)}" if label_of(statistic) else estimate(statistic)
        for statistic in statistics
    ]
    if len(statistics) <= _MOST:
        return "; ".join(phrases)
    order = sorted(range(len(statistics)), key=lambda place: statistics[place].value or 0.0)
    return f"from {phrases[order[0]]} to {phrases[order[-1]]}, over {len(statistics)} labels"


def _main(results: Results) -> list[Estimate]:
    """Return the first metric's estimates among all that should be found, in no subgroup."""
    primary = [
        statistic
        for statistic in results.estimates
        if statistic.among == "reference_positive" and statistic.group is None
    ]
    return [statistic for statistic in primary if statistic.metric == primary[0].metric]


def _against_baselines(results: Results) -> list[Markup]:
    main = [statistic for statistic in _main(results) if statistic.value is not None]
    maps = [statistic for statistic in main if not is_baseline(statistic.method)]
    baselines = [statistic for statistic in main if is_baseline(statistic.method)]
    if not maps or not baselines:
        return []
    values = "; ".join(
        f"{method(results, statistic.method)} {estimate(statistic)}" for statistic in (*maps, *baselines)
    )
    name = maps[0].metric
    lower = " (lower is better)" if better_of(results, name) == "lower" else ""
    return [joined(f"{measured(results, name)}{lower} beside maps that know nothing of the model: {values}.")]


def _limits(results: Results) -> list[Markup]:
    flow = results.flow
    left_out = sum(flow.excluded.values()) + sum(flow.failed.values())
    limits = ["Overlap says where a map is high, not why the model decided: a bad value can be the map's fault."]
    if results.lock.exploratory:
        limits.insert(0, f"The run is exploratory: {'; '.join(results.lock.exploratory)}.")
    if flow.without_mask:
        reasons = ", ".join(f"{words(why)} {many}" for why, many in flow.mask_faults.items())
        limits.append(
            f"{flow.without_mask} of {plural(flow.analysed, 'analysed study', 'analysed studies')} could not be "
            f"compared with any expert: no mask could be used (masks refused: {reasons})."
        )
    elif flow.mask_faults:
        refused = plural(sum(flow.mask_faults.values()), "mask")
        limits.append(f"{refused} could not be used; the scores against them are undefined, and each is listed.")
    if left_out:
        limits.append(f"{left_out} of {plural(flow.found, 'study', 'studies')} could not be used; each is listed.")
    if all(agreement.estimate.value is None for agreement in results.agreements):
        limits.append("Agreement between experts is unknown, so the highest overlap to hope for is unknown too.")
    thin = [
        statistic for statistic in results.estimates if statistic.value is not None and ends(statistic) == (None, None)
    ]
    if thin:
        limits.append(f"{plural(len(thin), 'estimate')} had too few patients for an interval.")
    return [joined(limit) for limit in limits[:5]]


def _actions(results: Results) -> list[Markup]:
    answers = {verdict.answer for verdict in results.verdicts}
    actions = []
    if results.lock.exploratory:
        actions.append("Lock the criteria and the cohort, then run again, before relying on any verdict.")
    if "NOT MET" in answers:
        at_hand = ", with the cases at hand," if results.cases else ""
        actions.append(f"Find the cause of each criterion that is not met{at_hand} before release.")
    struck = [method(results, name) for name in results.experiments.struck()]
    if struck:
        actions.append(f"Do not read {', '.join(struck)} as evidence of what the model looks at; take another map.")
    if any(verdict.answer == "INCONCLUSIVE" and not verdict.struck for verdict in on_metrics(results)):
        actions.append("Add patients where a verdict is inconclusive: the interval is too wide to decide.")
    if "NOT EVALUATED" in answers:
        actions.append("Provide what the criteria that were not evaluated lack, or withdraw them with a reason.")
    if results.flow.failed:
        actions.append("Look into the studies that failed: they may differ from the others.")
    reading = "Read the case pages with a clinician, note disagreement, and sign" if results.cases else "Sign"
    actions.append(f"{reading} on the cover.")
    return [joined(action) for action in actions]
