"""Whether scores go with the size, number and form of lesions."""

from typing import Final

from pipeline.findings.localisation.lesions import LesionStrata, LesionTrend
from pipeline.findings.results import Results
from pipeline.vocabulary import LESION_FEATURES, LESION_STRATA
from reports.numbers import MARK, count, number, share
from reports.page.layout import Flowable, columns, paragraph, small, subheading, table
from reports.page.text import DASH
from reports.registry import Context, section
from reports.wording import headed, in_sentence, method, methods_in_order, unit_of


@section(102, "Lesions")
def build(context: Context) -> list[Flowable]:
    """Return where the cohort's masks part the studies, and how scores go with the lesions."""
    results = context.results
    if not results.lesion_strata:
        return [paragraph("No mask of a finding could be used, so nothing is known of the lesions.")]
    trends = _asked(results, list(results.lesion_trends))
    asked = list(dict.fromkeys((trend.metric, trend.method) for trend in trends if trend.rho is not None))
    beside = asked if len(asked) <= _BESIDE else []
    parted = any(_parts(part) > 1 for part in results.lesion_strata)
    content: list[Flowable] = [_strata(results, trends, beside)] if parted else []
    for label in dict.fromkeys(trend.label for trend in trends) if asked and not beside else ():
        content += subheading("Rank correlation with the lesions" + ("" if label is None else f", {label}"))
        content.append(_trends(results, [trend for trend in trends if trend.label == label]))
    return [small(_READING, " ", _note(results), _alike(results)), *content]


_BESIDE: Final = 3
"""Rank correlations that fit beside the parts; more of them take tables of their own."""

_READING: Final = (
    "Small, many and ragged lesions are harder to cover. Studies are parted into thirds by their masks alone; the "
    "scores of each part stand among the subgroups."
)


def _asked(results: Results, trends: list[LesionTrend]) -> list[LesionTrend]:
    """Return the trends of what the criteria ask of maps, all where they ask of none; others are in results.json."""
    asked = {(verdict.metric, verdict.method) for verdict in results.verdicts}
    return [trend for trend in trends if (trend.metric, trend.method) in asked] or trends


def _strata(results: Results, trends: list[LesionTrend], beside: list[tuple[str, str]]) -> Flowable:
    """Return what parts the studies, a row each, and beside it how the scores that are asked for go with it."""
    several = any(part.label is not None for part in results.lesion_strata)
    labels = (("Label", 18),) if several else ()
    heads = [(f"\u03c1, {in_sentence(headed(results, name))} of {method(results, of)}", 26.0, True)
             for name, of in beside]  # fmt: skip
    shape = columns(*labels, ("Lesions by", 21), ("Studies in each part", 39), ("Parted at", 24, True), *heads)
    rows = [
        (*_part(part, several=several), *(_of(trends, part, name, of) for name, of in beside))
        for part in results.lesion_strata
        if _parts(part) > 1
    ]
    return table(shape, rows, compact=True)


def _parts(part: LesionStrata) -> int:
    """Return in how many parts a feature has studies."""
    return sum(many > 0 for many in part.studies.values())


def _alike(results: Results) -> str:
    """Return in words which features part no studies; nothing where all of them do."""
    alike = dict.fromkeys(LESION_FEATURES[part.feature] for part in results.lesion_strata if _parts(part) < 2)
    return f" All studies stand in one part by {' and by '.join(alike)}." if alike else ""


def _of(trends: list[LesionTrend], part: LesionStrata, name: str, of: str) -> str:
    """Return a rank correlation with what parts the studies; a dash where there is none."""
    wanted = (part.label, part.feature, name, of)
    same = (trend for trend in trends if (trend.label, trend.feature, trend.metric, trend.method) == wanted)
    trend = next(same, None)
    return DASH if trend is None else _rho(trend)


def _part(part: LesionStrata, *, several: bool) -> tuple[object, ...]:
    unit = "" if part.unit == "1" else f", {unit_of(part.unit)}"
    studies = "; ".join(f"{LESION_STRATA[name].removesuffix(' third')} {many}" for name, many in part.studies.items())
    cuts = " and ".join(number(cut, like=part.cuts) for cut in part.cuts)
    named = f"{LESION_FEATURES[part.feature].removeprefix('lesion ')}{unit}"
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
    ends = sorted({trend.patients for trend in shown})
    patients = "\u2013".join(dict.fromkeys(count(many) for many in (ends[0], ends[-1])))
    kinds = sorted({(trend.confidence, trend.interval) for trend in shown})
    how = "; ".join(f"{share(confidence)}, {interval}" for confidence, interval in kinds)
    missing = dict.fromkeys(trend.reason for trend in results.lesion_trends if trend.rho is None and trend.reason)
    why = f" {DASH}: {'; '.join(missing)}." if missing else ""
    return (
        f"\u03c1: Spearman's rank correlation over the means of {patients} patients. {MARK}: describes, and decides "
        f"nothing ({how}); intervals are not adjusted for their number.{why}"
    )
