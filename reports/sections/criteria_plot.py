"""The criteria at a glance: all of them on their axes, and over the runs of the audit."""

from collections.abc import Sequence

from pipeline.findings.estimates import Verdict
from pipeline.findings.plotted.history import RunPoint
from pipeline.findings.results import Results
from pipeline.vocabulary import CLASSIFIER
from reports.charts.control import control_chart, control_words
from reports.charts.criteria import criteria_forest
from reports.charts.frame import Span
from reports.claims import why
from reports.numbers import estimate, number, plural
from reports.page.layout import Flowable, bullets, columns, note, paragraph, parts_of, subheading, table, together
from reports.page.text import DASH, bold, joined
from reports.registry import Context, section
from reports.wording import GLANCE, chip, intervals, method, metric, on_metrics, range_of, subject

_MOST_CHARTS = 6


@section(15, GLANCE)
def build(context: Context) -> list[Flowable]:
    """Return the forest of criteria, and a chart over the runs for each criterion that earlier runs had too."""
    results = context.results
    if not results.verdicts:
        return [paragraph("No acceptance criterion was stated, so there is nothing to hold an estimate against.")]
    return [*_forest(results), *_reasons(results), *_by_label(results), *_over_runs(results)]


def _forest(results: Results) -> list[Flowable]:
    """Return a chart for each axis, the last one with how they are read; nothing where only checks were asked for."""
    if not on_metrics(results):
        return []
    *charts, last = criteria_forest(results)
    return [*charts, together([last, note(_READING)])]


_READING = (
    "Points are estimates, lines their intervals: MET where the whole interval lies on the side to which the bound's "
    "flag points."
)


_RULE = (
    "MET: the data rule out, at the stated level, that the claim is wrong; NOT MET: that it is right; INCONCLUSIVE: "
    "neither. The test is exact too (for rates Clopper and Pearson's) and assumes that patients are independent. A map "
    "that shows nothing counts as a miss; what has no score counts against either answer."
)

_OF_CHECKS = "A check is held against a fixed bound; what was not done is INCONCLUSIVE."

_SMALL = 20


def _reasons(results: Results) -> list[Flowable]:
    """Return why each verdict is what it is, and the rule that all follow."""
    lines = (joined(bold(f"{subject(results, verdict)}: "), _about(verdict), ".") for verdict in results.verdicts)
    judged = on_metrics(results)
    explained = [intervals(verdict.estimate for verdict in judged), " ", _RULE] if judged else []
    explained += [" ", _OF_CHECKS] if len(judged) < len(results.verdicts) else []
    return [*subheading("What the verdicts rest on"), *bullets(lines, compact=True), note(*explained)]


def _about(verdict: Verdict) -> str:
    """Return why a verdict is what it is, and what a cohort of this size can show at all."""
    estimate = verdict.estimate
    sentences = [why(verdict)]
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


def _over_runs(results: Results) -> list[Flowable]:
    """Return the charts over runs; nothing where this is the first run that asks these criteria."""
    charts: list[Flowable] = []
    criteria = [verdict.criterion for verdict in on_metrics(results)]
    shared = [name for name in criteria if any(point.criterion == name for point in results.history)]
    for name in shared[:_MOST_CHARTS]:
        points = [point for point in (*results.history, *results.points()) if point.criterion == name]
        charts.append(control_chart(points, name, _span(results, points)))
    if not charts:
        return []
    left_out = len(shared) - len(charts)
    more = f" {plural(left_out, 'more criterion', 'more criteria')}: see results.json." if left_out else ""
    *others, last = charts
    kept = [*others, together([last, note(_LOOKS, more)])]
    whole = [together([*subheading("Over the runs of this audit")[1:], *parts_of(kept[0])]), *kept[1:]]
    return [*whole, *_in_control(results, shared)]


def _in_control(results: Results, names: Sequence[str]) -> list[Flowable]:
    """Return what the charts of a growing cohort can see, and whether one of them alarms."""
    lines = [
        joined(bold(f"{subject(results, verdict)}: "), " ".join(control_words(verdict.control)))
        for verdict in results.verdicts
        if verdict.control is not None and verdict.criterion in names
    ]
    return [*bullets(lines, compact=True), note(_CONTROL)] if lines else []


_CONTROL = (
    "In control: new patients score as the locked bound asks. Each run adds what its new patients fall short of a "
    "perfect score, less an allowance; the averages are exact for hits and misses and no promise for a single run."
)


_LOOKS = (
    "Each run is a look at the cohort as it was then. Where the cohort was locked whole, a verdict holds for its own "
    "look alone: the first of many that is MET shows less than one that was planned as the only one."
)


def _span(results: Results, points: Sequence[RunPoint]) -> Span:
    """Return what a criterion's estimates lie within: a metric's range, unless they are differences or shares of it."""
    verdict = next(verdict for verdict in results.verdicts if verdict.criterion == points[0].criterion)
    if verdict.against is not None or verdict.rule.startswith(("within ", "median ")):
        return (None, None)
    return (0.0, 1.0) if verdict.method == CLASSIFIER else range_of(results, verdict.metric)
