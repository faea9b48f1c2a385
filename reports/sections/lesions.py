"""Whether scores go with the size, number and form of lesions."""

from typing import Final

from pipeline.findings.localisation.lesions import LesionStrata, LesionTrend
from pipeline.findings.results import Results
from pipeline.vocabulary import LESION_FEATURES, LESION_STRATA
from reports.numbers import MARK, number, share
from reports.page.layout import Flowable, columns, note, paragraph, subheading, table
from reports.page.text import DASH
from reports.registry import Context, section
from reports.wording import headed, method, methods_in_order


@section(102, "Results: lesions")
def build(context: Context) -> list[Flowable]:
    """Return where the cohort's masks part the studies, and how scores go with the lesions."""
    results = context.results
    if not results.lesion_strata:
        return [paragraph("No mask of a finding could be used, so nothing is known of the lesions.")]
    content: list[Flowable] = [paragraph(_READING), _strata(results)]
    labels = dict.fromkeys(trend.label for trend in results.lesion_trends)
    for label in labels:
        trends = _asked(results, [trend for trend in results.lesion_trends if trend.label == label])
        if any(trend.rho is not None for trend in trends):
            content += subheading("Rank correlation with the lesions" + ("" if label is None else f", {label}"))
            content.append(_trends(results, trends))
    return [*content, note(_note(results))]


_READING: Final = (
    "Small, many and ragged lesions are harder to cover. Studies are parted into thirds by their masks alone; the "
    "scores of each part stand among the subgroups."
)


def _asked(results: Results, trends: list[LesionTrend]) -> list[LesionTrend]:
    """Return the trends of what the criteria ask of maps, all where they ask of none; others are in results.json."""
    asked = {(verdict.metric, verdict.method) for verdict in results.verdicts}
    return [trend for trend in trends if (trend.metric, trend.method) in asked] or trends


def _strata(results: Results) -> Flowable:
    several = any(part.label is not None for part in results.lesion_strata)
    labels = (("Label", 22),) if several else ()
    shape = columns(*labels, ("Lesions by", 34), ("Studies in each part", 60), ("Parted at", 30, True))
    return table(shape, [_part(part, several=several) for part in results.lesion_strata])


def _part(part: LesionStrata, *, several: bool) -> tuple[object, ...]:
    unit = "" if part.unit == "1" else f", {part.unit}"
    studies = "; ".join(f"{LESION_STRATA[name]}: {count}" for name, count in part.studies.items())
    cuts = " and ".join(number(cut, like=part.cuts) for cut in part.cuts)
    named = f"{LESION_FEATURES[part.feature]}{unit}"
    return (*((part.label or DASH,) if several else ()), named, studies, cuts)


def _trends(results: Results, trends: list[LesionTrend]) -> Flowable:
    features = list(dict.fromkeys(trend.feature for trend in trends))
    heads = [(LESION_FEATURES[feature].capitalize(), 22.0, True) for feature in features]
    shape = columns(("Metric", 24), ("Map", 24), *heads, ("Patients", 12, True))
    names = methods_in_order(results, (trend.method for trend in trends))
    rows = []
    for measured in dict.fromkeys(trend.metric for trend in trends):
        for name in names:
            row = [trend for trend in trends if (trend.metric, trend.method) == (measured, name)]
            if not row:  # another map was asked for by this metric
                continue
            by_feature = {trend.feature: _rho(trend) for trend in row}
            cells = (by_feature.get(feature, DASH) for feature in features)
            patients = max(trend.patients for trend in row)
            rows.append((headed(results, measured), method(results, name), *cells, f"{patients}"))
    return table(shape, rows)


def _rho(trend: LesionTrend) -> str:
    if trend.rho is None or trend.low is None or trend.high is None:
        return number(trend.rho)
    low, high = (number(end, like=(1.0,)) for end in (trend.low, trend.high))
    return f"{number(trend.rho, like=(1.0,))} [{low}, {high}]{MARK}"


def _note(results: Results) -> str:
    shown = [trend for trend in results.lesion_trends if trend.low is not None]
    if not shown:
        return "Rank correlations need more patients than there are."
    kinds = sorted({(trend.confidence, trend.interval) for trend in shown})
    how = "; ".join(f"{share(confidence)}, {interval}" for confidence, interval in kinds)
    return (
        f"Spearman's rank correlation over patients' means. {MARK}: describes, and decides nothing ({how}); intervals "
        "are not adjusted for their number."
    )
