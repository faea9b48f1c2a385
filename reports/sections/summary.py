"""The summary in plain words, made from the data."""

from pipeline.findings.estimates import Estimate
from pipeline.findings.experiments.shortcuts import cause_words
from pipeline.findings.results import Results
from reports.numbers import count, ends, estimate, plural
from reports.page.layout import Flowable, bullets, gap, paragraph, room, side_by_side, subheading
from reports.page.text import Markup, joined
from reports.registry import Context, section
from reports.wording import (
    better_of,
    in_sentence,
    is_baseline,
    label_of,
    measured,
    method,
    metric,
    on_metrics,
    words,
)

_MOST = 4

_NOT = (
    "Technical evidence on one model version, one preparation and one cohort; not clinical evidence, and no statement "
    "that the model is safe, effective or fit for a purpose.",
    "No statement of conformity with a law or a standard.",
    "No explanation of single decisions: overlap shows neither why a model decided nor that it decided rightly. Not "
    "for the care of the patients whose studies appear in it.",
)


@section(10, "Summary")
def build(context: Context) -> list[Flowable]:
    """Return what was asked, what each verdict rests on, where the maps look, what limits it, what to do."""
    results = context.results
    return [
        paragraph(_asked(results)),
        *bullets(_found(results), compact=True),
        room(30),
        gap(1),
        side_by_side(
            [
                *subheading("What limits it")[1:],
                *bullets(_limits(results), compact=True),
                *subheading("What to do")[1:],
                *bullets(_actions(results), compact=True),
            ],
            [*subheading("What this report is and is not")[1:], *bullets(_NOT, compact=True)],
        ),
    ]


def _asked(results: Results) -> Markup:
    maps = ", ".join(facts.title for facts in results.methods) or "no map"
    name = f"{results.model.name}, version {results.model.version},"
    judged = plural(len(results.verdicts), "criterion", "criteria") if results.verdicts else "no criterion"
    answers = ", ".join(f"{many} {answer}" for answer, many in results.answers.items())
    question = f"Does {name} look where the experts marked findings? "
    return joined(question, _compared(results, maps), f" judged by {judged}", f": {answers}." if answers else ".")


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
    known = any(part.value is not None for part in (*results.classification, *results.estimates))
    return lines if lines or known else [joined("Nothing could be estimated.")]


def _classifier(results: Results) -> list[Markup]:
    """Return a line on accuracy, sensitivity and specificity of many labels: the worst and the best.

    Those of one label stand on the cover.
    """
    if len({label_of(part) for part in results.classification} - {None}) <= 1:
        return []
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
        why = plural(len(results.lock.exploratory), "reason")
        limits.insert(0, f"The run is exploratory, for {why} that the cover states: its verdicts prove nothing.")
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


def _leans_on(results: Results) -> str:
    """Return the causes that were named, in words; nothing where none was."""
    tried = results.experiments.shortcuts
    named = dict.fromkeys(cause for own in (tried.labels if tried else ()) for cause in own.finding.named)
    return " and ".join(cause_words(cause) for cause in named)


def _actions(results: Results) -> list[Markup]:
    answers = {verdict.answer for verdict in results.verdicts}
    actions = []
    if results.lock.exploratory:
        actions.append("Lock the criteria and the cohort, then run again, before relying on any verdict.")
    if "NOT MET" in answers:
        actions.append("Before release, find the cause of each criterion that is not met.")
    leans_on = _leans_on(results)
    if leans_on:
        actions.append(f"Have the reliance on {leans_on} removed, and audit the new version.")
    struck = [method(results, name) for name in results.experiments.struck()]
    if struck:
        actions.append(f"Do not read {', '.join(struck)} as evidence of what the model looks at; take another map.")
    if any(verdict.answer == "INCONCLUSIVE" and not verdict.struck for verdict in on_metrics(results)):
        actions.append("Add patients where a verdict is inconclusive.")
    if "NOT EVALUATED" in answers:
        actions.append("Provide what the criteria that were not evaluated lack, or withdraw them with a reason.")
    if results.flow.failed:
        actions.append("Look into the studies that failed: they may differ from the others.")
    reading = "Read the case pages with a clinician, and sign" if results.cases else "Sign"
    actions.append(f"{reading} on the cover.")
    return [joined(action) for action in actions]
