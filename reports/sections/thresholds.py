"""How scores of the region depend on the threshold."""

from collections.abc import Iterator, Sequence
from typing import Final

from pipeline.findings.localisation.curves import ThresholdCurve
from pipeline.findings.results import Results
from reports.charts.localisation import froc_charts, size_charts, threshold_charts
from reports.numbers import count, number, plural, share
from reports.page.layout import GREY, Flowable, columns, note, paragraph, small, subheading, table
from reports.page.text import DASH, coloured
from reports.registry import Context, section
from reports.wording import headed, is_baseline, method, methods_in_order, metric, words

_SHOWN: Final = ("dice", "voxel_precision", "voxel_recall")
"""Dice and the two that it is made of; the others stand in results.json."""

_SHARES: Final = (0.1, 0.3, 0.5, 0.7, 0.9)


@section(94, "Other thresholds")
def build(context: Context) -> list[Flowable]:
    """Return curves for each label and metric; where none can be drawn tables, maps down and thresholds across."""
    results = context.results
    if not results.curves:
        nothing = paragraph("No region was held against a mask, so none could have been drawn otherwise.")
        return [*_tuned(results), nothing]
    charts = threshold_charts(results)
    content: list[Flowable] = [*_tuned(results), small(_READING), *charts, *size_charts(results), *froc_charts(results)]
    for label in () if charts else dict.fromkeys(curve.label for curve in results.curves):
        for name in _SHOWN:
            curves = [curve for curve in results.curves if (curve.label, curve.metric) == (label, name)]
            if curves:
                content += subheading(headed(results, name) + ("" if label is None else f", {label}"))
                content.append(_table(results, curves))
    return [*content, note(*_notes(results.curves), _by_size(results))]


def _by_size(results: Results) -> str:
    """Return in words why there are no curves by size; nothing where there are, or no size is known."""
    sized = any(part.feature in ("size", "image_share") for part in results.lesion_strata)
    if results.size_curves or not sized:
        return ""
    return " No curve by the lesions' size: a third of them has too few patients."


_READING: Final = (
    "A map has no edge of its own: where its region ends is the threshold's choice, and the scores above hold for one. "
    "Here each voxel above a share of the map's maximum belongs to the region, whatever the rule of this audit is."
)


def _tuned(results: Results) -> list[Flowable]:
    """Return the thresholds that were tuned, and who counts in nothing that follows from them."""
    if not results.tuned:
        return []
    flow = results.flow
    who = plural(flow.tuning_patients, "patient")
    apart = (
        f"Thresholds were tuned on {who} ({plural(flow.tuning, 'study', 'studies')} of the {count(flow.analysed)} "
        "analysed), chosen before any score. They count in no metric of a region, in no estimate of it and in no "
        "criterion; the other metrics keep them."
    )
    shape = columns(("Label", 24), ("Map", 34), ("Share of the maximum", 22, True), ("Mean there", 18, True),
                    ("Patients", 14, True), ("Note", 40))  # fmt: skip
    rows = [
        (
            tuned.label,
            method(results, f"{tuned.method}@{tuned.layer}" if _at_layers(results, tuned.method) else tuned.method),
            DASH if tuned.share is None else share(tuned.share),
            number(tuned.value),
            f"{tuned.patients}",
            words(tuned.reason) if tuned.reason else _EDGE if tuned.at_edge else "",
        )
        for tuned in results.tuned
    ]
    return [*subheading(f"Tuned for the highest {metric(results, results.tuned[0].metric)}"), paragraph(apart),
            table(shape, rows)]  # fmt: skip


_EDGE: Final = "at the end of the grid: a better one may lie beyond"


def _at_layers(results: Results, name: str) -> bool:
    return len({tuned.layer for tuned in results.tuned if tuned.method == name}) > 1


def _table(results: Results, curves: Sequence[ThresholdCurve]) -> Flowable:
    heads = [(share(part), 13.0, True) for part in _SHARES]
    shape = columns(("Map", 34), *heads, ("Highest", 13, True), ("at", 12, True), ("Patients", 13, True))
    order = methods_in_order(results, (curve.method for curve in curves))
    like = tuple(value for curve in curves for value in curve.values)
    return table(shape, [_row(results, curve, like) for curve in sorted(curves, key=lambda c: order.index(c.method))])


def _row(results: Results, curve: ThresholdCurve, like: tuple[float, ...]) -> tuple[object, ...]:
    title = method(results, curve.method)
    best = max(range(len(curve.shares)), key=lambda place: curve.values[place])
    shown = [curve.values[curve.shares.index(part)] for part in _SHARES]
    return (
        coloured(title, GREY) if is_baseline(curve.method) else title,
        *(number(value, like=like) for value in shown),
        number(curve.values[best], like=like),
        share(curve.shares[best]),
        f"{curve.patients}",
    )


def _notes(curves: Sequence[ThresholdCurve]) -> Iterator[str]:
    yield (
        "Means over patients of the studies in which the finding is present. The highest was chosen after looking "
        f"and proves nothing. All of {len(curves[0].shares)} thresholds and five metrics are in results.json"
    )
    bands = sorted({(curve.confidence, curve.interval) for curve in curves if curve.low})
    yield "".join(f", with pointwise bands that only describe ({share(part)}, {how})" for part, how in bands) + "."
