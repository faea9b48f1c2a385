"""How far maps and answers move under changes of the picture that should matter to neither."""

from collections.abc import Sequence

from pipeline.findings.experiments.stability import PICTURE_CHANGES, StabilityFigure, StabilityFindings
from pipeline.findings.results import Results
from reports.numbers import count, number, plural
from reports.page.layout import Flowable, columns, note, small, table
from reports.page.text import bold
from reports.registry import Context, section
from reports.wording import method, words

_WHAT = (
    "Each picture is changed a little and explained again. Similarity is Spearman's rank correlation over the cells of "
    "the layer (of the shift: over the picture, once the map is moved back); beside it is what became of the answer."
)
_READING = (
    "Stability is no mark of quality: maps that follow nothing but the picture's edges are the most stable of all. "
    "Only noise is judged, and only where a map loses its order (below 0.5) while the answer stays."
)


@section(103, "Stability of maps and answers")
def build(context: Context) -> list[Flowable]:
    """Return a row for each change of each map; nothing where the run was not asked for it."""
    findings = context.results.experiments.stability
    if findings is None:
        return []
    answers: dict[str, list[str]] = {}
    for check in findings.checks:
        said = f"{check.reason} ({check.answer})"
        answers.setdefault(said, []).append(method(context.results, str(check.method)))
    judged = " ".join(f"{', '.join(names)}: {said}." for said, names in answers.items())
    failed = ", ".join(f"{study}: {words(reason)}" for study, reason in findings.failures.items())
    lost = f" Not read: {failed}." if failed else ""
    tried = f" {plural(findings.asked, 'study', 'studies')}, one a patient, were chosen beforehand; "
    return [
        small(_WHAT),
        _table(context.results, findings.figures),
        *_consistency(context.results, findings),
        *([small(bold("Noise: "), judged)] if judged else []),
        note(_READING, tried, f"{plural(sum(findings.calls.values()), 'map')} were computed for it.", lost),
    ]


def _consistency(results: Results, findings: StabilityFindings) -> list[Flowable]:
    """Say how alike maps of different patients are, or why that was not looked at, and which changes were not made."""
    said = [
        f"{method(results, figure.method)} of different patients with {figure.label}: {number(figure.value)} "
        f"({plural(figure.pairs, 'pair')} of {plural(figure.patients, 'patient')})"
        for figure in findings.consistency
    ]
    left = [f"{PICTURE_CHANGES[change]}: not tried, {reason}." for change, reason in findings.not_tried.items()]
    if findings.not_paired is not None:
        left.append(f"Maps of different patients are not compared: {findings.not_paired}.")
    lines = [*([f"{'; '.join(said)}."] if said else []), *left]
    return [small(" ".join(lines))] if lines else []


_BESIDE = 4
"""Maps that fit beside each other."""


def _table(results: Results, figures: Sequence[StabilityFigure]) -> Flowable:
    """Return the changes down and the maps across; a row for each map where the maps are of different studies."""
    names = list(dict.fromkeys(figure.method for figure in figures))
    changes = {figure.change: (figure.studies, figure.same, figure.logit) for figure in figures}
    alike = all(changes[figure.change] == (figure.studies, figure.same, figure.logit) for figure in figures)
    if not alike or len(names) > _BESIDE or len(figures) != len(names) * len(changes):
        shape = columns(
            ("Map", 26), ("Change", 44), ("Similarity, mean", 17, True), ("lowest", 13, True), ("Studies", 12, True),
            ("Same answer", 16, True), ("Logit moves by", 17, True),
        )  # fmt: skip
        return table(shape, [_row(results, figure) for figure in figures], compact=True)
    heads = [(f"{method(results, name)}, mean (lowest)", 18.5, True) for name in names]
    shape = columns(("Change", 57), *heads, ("Same answer", 16, True), ("Logit moves by", 14, True))
    by_place = {(figure.change, figure.method): figure for figure in figures}
    rows = [
        (PICTURE_CHANGES[change], *(_alike(by_place[change, name]) for name in names), f"{same} of {studies}",
         number(logit))
        for change, (studies, same, logit) in changes.items()
    ]  # fmt: skip
    return table(shape, rows, compact=True)


def _alike(figure: StabilityFigure) -> str:
    ends = (figure.value, figure.lowest)
    return f"{number(figure.value, like=ends)} ({number(figure.lowest, like=ends)})"


def _row(results: Results, figure: StabilityFigure) -> tuple[object, ...]:
    ends = (figure.value, figure.lowest)
    return (
        method(results, figure.method),
        PICTURE_CHANGES[figure.change],
        number(figure.value, like=ends),
        number(figure.lowest, like=ends),
        count(figure.studies),
        f"{figure.same} of {figure.studies}",
        number(figure.logit),
    )
