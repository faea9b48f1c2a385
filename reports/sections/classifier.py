"""How well the classifier classifies, before anything is said of its maps."""

from collections.abc import Iterable, Sequence

from reportlab.platypus import Table, TableStyle

from pipeline.findings.estimates import Estimate
from pipeline.findings.plotted.classifier import LabelPlots
from pipeline.findings.results import Results
from reports.answers_by_group import answers_by_group
from reports.charts.confusion import confusion_chart
from reports.charts.discrimination import precision_recall_chart, roc_chart
from reports.charts.reliability import reliability_chart
from reports.estimates import among_rows, estimate_columns, no_interval
from reports.numbers import MARK, count, estimate, number, plural
from reports.page.fonts import REGULAR
from reports.page.layout import (
    CONTENT,
    GREY,
    Flowable,
    columns,
    gap,
    note,
    paragraph,
    small,
    subheading,
    table,
    together,
)
from reports.page.text import DASH, bold, joined
from reports.registry import Context, section
from reports.thumbnails import thumbnail_of
from reports.wording import intervals_again, label_of, method, metric, undefined

_WHOLE = 3
"""Labels up to which each has its confusion matrix drawn; more of them share a table."""


@section(80, "The classifier")
def build(context: Context) -> list[Flowable]:
    """Return the classifier's estimates, a label's in a row that names it, and each label's plots."""
    results = context.results
    estimates = results.classification
    if not estimates:
        return [paragraph("The classifier's performance could not be estimated: the results hold no estimate.")]
    if results.model.output == "regression":
        return [
            paragraph(
                "The model returns numbers and calls no label: it has no accuracy, sensitivity, specificity or AUROC, "
                "and no study is a true positive or a false negative of it."
            )
        ]
    several = any(label_of(estimate) for estimate in estimates)
    drawn = [plots for plots in results.label_plots if plots.roc is not None]
    rows, rules = among_rows(results, estimates, by_method=False)
    # of one label the figures stand beside its curves
    whole = several or len(results.label_plots) != 1 or not drawn
    return [
        small("Overlap means something else where the model is wrong. It is judged on the studies with a reference."),
        *([table(estimate_columns(estimates, by_method=False), rows, rules=rules, compact=True)] if whole else []),
        *_plots(context, beside=not whole),
        note(*_notes(results, drawn), intervals_again(results, estimates), _SEVERAL if several else ""),
        *answers_by_group(results),
    ]


_SEVERAL = (
    " A study counts as accurate when its called labels are exactly the reference's; sensitivity, specificity and "
    "AUROC are those of one label."
)


def _plots(context: Context, *, beside: bool) -> list[Flowable]:
    """Return the curves of each label with its confusion matrix; of many labels one table of all their matrices.

    ``beside`` puts the classifier's figures beside the curves.
    """
    results = context.results
    content: list[Flowable] = []
    for plots in results.label_plots:
        content.append(
            together(
                [
                    *(subheading(plots.label)[1:] if len(results.label_plots) > 1 else []),
                    *_curves(results, plots, beside=beside),
                ]
            )
        )
        content += [_confusion(context, plots)] if len(results.label_plots) <= _WHOLE else []
    if len(results.label_plots) > _WHOLE:
        content += _confusions(results)
    return content


def _curves(results: Results, plots: LabelPlots, *, beside: bool) -> list[Flowable]:
    """Return ROC, precision-recall and reliability side by side, or the sentence that says why there are none."""
    if plots.roc is None or plots.precision_recall is None or plots.calibration is None:
        counts = f"{count(plots.positives)} with and {count(plots.negatives)} without it"
        return [paragraph(f"No curve: {plots.reason}; there are {counts}.")]
    area = next(
        part for part in results.classification if part.metric == "auroc" and label_of(part) in (None, plots.label)
    )
    across = CONTENT / (4 if beside else 3)
    width = across - 4
    drawings = [
        roc_chart(plots.label, plots.roc, plots.operating, estimate(area), width),
        precision_recall_chart(plots.label, plots.precision_recall, plots.operating, width),
        reliability_chart(plots.label, plots.calibration, width),
    ]
    style = [
        ("FONT", (0, 0), (-1, -1), REGULAR, 7),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        *((side, (0, 0), (-1, -1), 0) for side in ("LEFTPADDING", "RIGHTPADDING", "TOPPADDING")),
    ]
    cells = [*([_figures(results, across)] if beside else []), *drawings]
    return [Table([cells], colWidths=[across] * len(cells), style=TableStyle(style))]


def _figures(results: Results, width: float) -> Flowable:
    """Return the classifier's estimates below each other, each with what it rests on."""
    parts = [
        [
            small(joined(bold(metric(results, part.metric)), " ", estimate(part))),
            small(_basis(part), colour=GREY),
            gap(1.2),
        ]
        for part in results.classification
    ]
    return Table([[[line for part in parts for line in part]]], colWidths=[width - 8], style=_PLAIN)


_PLAIN = TableStyle([("FONT", (0, 0), (-1, -1), REGULAR, 7), ("LEFTPADDING", (0, 0), (-1, -1), 0)])


def _basis(part: Estimate) -> str:
    """Return of whom an estimate is, its level of chance, and what is missing of it and why."""
    of = f"{plural(part.patients, 'patient')}, {plural(part.studies, 'study', 'studies')}"
    missing = undefined(part)
    chance = [] if part.chance is None else [f"chance {number(part.chance, like=(1.0,))}"]
    lacking = [] if missing == "none" else [f"undefined {missing}"]
    none = [no_interval(part)] if no_interval(part) else []
    return "; ".join([of, *chance, *none, *lacking, *([part.reason] if part.reason else [])])


def _confusion(context: Context, plots: LabelPlots) -> Flowable:
    results = context.results
    typical = {cell.typical for cell in plots.cells}
    cases = {case.study: case for case in results.cases if case.study in typical}
    thumbnails = {}
    for cell in plots.cells:
        case = cases.get(cell.typical or "")
        picture = None if case is None else thumbnail_of(context, case, plots.label, plots.method or "")
        if case is not None and picture is not None:
            thumbnails[case.study] = picture
    return confusion_chart(plots.label, method(results, plots.method or ""), plots.cells, thumbnails, CONTENT)


def _confusions(results: Results) -> list[Flowable]:
    shape = columns(
        ("Label", 26), ("Found", 10, True), ("Missed", 10, True), ("False alarms", 12, True),
        ("Rightly silent", 13, True), ("Hit rate where found", 22, True), ("Hit rate where missed", 22, True),
    )  # fmt: skip
    rows = [
        (
            plots.label,
            *(count(cell.studies) for cell in plots.cells),
            *(DASH if cell.hit_rate is None else estimate(cell.hit_rate) for cell in plots.cells[:2]),
        )
        for plots in results.label_plots
    ]
    return [*subheading("Studies by reference and call"), table(shape, rows)]


def _notes(results: Results, drawn: Sequence[LabelPlots]) -> Iterable[str]:
    """Yield what a reader must know of the plots that are there."""
    if any(cell.typical for plots in results.label_plots for cell in plots.cells):
        yield (
            "A picture is the case of this report whose probability is nearest to the median of its cell, with the "
            "map in colour and the experts' outlines. "
        )
    if not drawn:
        return
    yield "Patients weigh alike in all curves; a study without a score is in none of them. "
    missing = max(plots.missing for plots in drawn)
    if missing:
        yield f"{plural(missing, 'study', 'studies')} with a reference had no score. "
    yield (
        "Calibration: ten bins of equal width with exact intervals over patients; ECE is the expected calibration "
        f"error over them, beside what a perfectly calibrated model shows by chance. {MARK}: describes, decides "
        "nothing: "
    )
    yield "; ".join(sorted(_described(drawn))) + ". "
    coarse = max(curve.within for plots in drawn for curve in (plots.roc, plots.precision_recall) if curve is not None)
    if coarse:
        yield f"Curves are thinned to within {coarse:g}. "


def _described(drawn: Sequence[LabelPlots]) -> set[str]:
    """Return how the intervals that describe were made; why there are none, where there is none."""
    parts = [
        part
        for plots in drawn
        if plots.calibration is not None
        for part in (plots.calibration.error, plots.calibration.slope)
        if part.value is not None
    ]
    return {part.described.how if part.described is not None else part.interval for part in parts}
