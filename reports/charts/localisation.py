"""Thresholds and free-response curves of all maps, a chart a metric, on axes that they share."""

from collections.abc import Iterable, Sequence
from typing import Final

from reportlab.platypus import Table, TableStyle

from pipeline.findings.localisation.curves import ThresholdCurve
from pipeline.findings.results import Results
from reports.charts.curves import CurveAxes, Series, curve_chart, curve_key
from reports.numbers import plural, share
from reports.page.fonts import REGULAR
from reports.page.layout import CONTENT, Flowable, note, together
from reports.wording import is_baseline, method, methods_in_order, metric

__all__ = ["froc_charts", "size_charts", "threshold_charts"]

_SHOWN: Final = ("dice", "voxel_precision", "voxel_recall")
_UNIT: Final = (0.0, 1.0)
_SHARE: Final = "Threshold, share of the map's maximum"


def threshold_charts(results: Results) -> list[Flowable]:
    """Return for each label a row of charts over thresholds, Dice and the two that it is made of, with one key."""
    rows: list[Flowable] = []
    for label in dict.fromkeys(curve.label for curve in results.curves):
        charts, series = [], []
        for name in _SHOWN:
            curves = [curve for curve in results.curves if (curve.label, curve.metric) == (label, name)]
            if curves:
                series = [_series(results, curve) for curve in _in_order(results, curves)]
                axes = CurveAxes(label or "", _SHARE, metric(results, name), (0.0, 1.0), (0.0, 1.0))
                charts.append(curve_chart(series, axes, CONTENT / 3 - 4, 96.0, key=False))
        if charts:
            rows.append(together([_side_by_side(charts), curve_key(series, CONTENT)]))
    return rows


def size_charts(results: Results) -> list[Flowable]:
    """Return for each label a row of charts over thresholds, a map each, a curve for each third of the sizes."""
    rows: list[Flowable] = []
    for label in dict.fromkeys(curve.label for curve in results.size_curves):
        own = [curve for curve in results.size_curves if curve.label == label]
        names = _asked_first(results, methods_in_order(results, (curve.method for curve in own)))
        highest = max(value for curve in own for value in curve.values)
        charts, series = [], []
        for name in names[: len(_SHOWN)]:
            series = [
                Series(f"{curve.group} (n {curve.patients})".replace("=", ": "), curve.shares, curve.values)
                for curve in own
                if curve.method == name
            ]
            score = f"{metric(results, 'dice')} of {method(results, name)}"
            axes = CurveAxes(label or "", _SHARE, score, _UNIT, _UNIT, holds=(0.0, highest))
            charts.append(curve_chart(series, axes, CONTENT / 3 - 4, 80.0, key=False))
        rows.append(together([_side_by_side(charts), curve_key(series, CONTENT)]))
    return rows


def _asked_first(results: Results, names: Sequence[str]) -> list[str]:
    """Return maps with those in front of which a criterion asks something."""
    asked = {verdict.method for verdict in results.verdicts}
    return sorted(names, key=lambda name: name not in asked)


def _in_order(results: Results, curves: Sequence[ThresholdCurve]) -> list[ThresholdCurve]:
    order = methods_in_order(results, (curve.method for curve in curves))
    return sorted(curves, key=lambda curve: order.index(curve.method))


def _series(results: Results, curve: ThresholdCurve) -> Series:
    name = method(results, curve.method)
    return Series(name, curve.shares, curve.values, curve.low, curve.high, beside=is_baseline(curve.method))


def _side_by_side(charts: Sequence[Flowable]) -> Table:
    style = [
        ("FONT", (0, 0), (-1, -1), REGULAR, 7),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        *((side, (0, 0), (-1, -1), 0) for side in ("LEFTPADDING", "RIGHTPADDING", "TOPPADDING")),
    ]
    cells = [*charts, *[""] * (len(_SHOWN) - len(charts))]
    return Table([cells], colWidths=[CONTENT / len(_SHOWN)] * len(_SHOWN), style=TableStyle(style))


def froc_charts(results: Results) -> list[Flowable]:
    """Return a free-response chart for each label, with the rule by which marks and lesions are matched."""
    charts: list[Flowable] = []
    for label in dict.fromkeys(curve.label for curve in results.froc_curves):
        curves = {curve.method: curve for curve in results.froc_curves if curve.label == label}
        series = [
            Series(
                method(results, name), curves[name].false_marks, curves[name].sensitivity,
                beside=is_baseline(name), marked=True,
            )
            for name in methods_in_order(results, curves)
        ]  # fmt: skip
        first = next(iter(curves.values()))
        title = "FROC" if label is None else f"FROC, {label}"
        axes = CurveAxes(title, "False marks in an image", "share of lesions found", (0.0, None), (0.0, 1.0))
        counts = f"{plural(first.lesions, 'lesion')} in {plural(first.images, 'image')} of {first.patients} patients. "
        charts.append(together([curve_chart(series, axes, CONTENT, 150.0), note(counts, *_matching(results))]))
    return charts


def _matching(results: Results) -> Iterable[str]:
    yield (
        "From the left, lower and lower marks are accepted: a point a threshold, in shares of the map's maximum. A "
        "mark is a part of the map's region; it finds the lesion that holds its maximum, and is false where none does. "
        "Maps of two images need not be of one scale."
    )
    bands = sorted({(curve.confidence, curve.interval) for curve in results.froc_curves if curve.low})
    if bands:
        parts = "; ".join(f"{share(confidence)}, {how}" for confidence, how in bands)
        yield f" Pointwise ends that describe are in results.json ({parts})."
