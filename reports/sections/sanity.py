"""Whether the maps are evidence of the model at all: repeated, of the shuffled picture, of a model without learning."""

from collections.abc import Mapping

from pipeline.findings.experiments.check import CheckFinding
from pipeline.findings.experiments.sanity import SanityFigure, SanityFindings
from pipeline.findings.results import Results
from pipeline.vocabulary import CHECKS, Check
from reports.numbers import count, number, plural
from reports.page.layout import Chip, Flowable, bullets, columns, note, small, table
from reports.page.text import DASH, bold, joined
from reports.registry import Context, section
from reports.wording import method, words

_WHAT = (
    "Before a map is held against an expert it has to be one: the same when it is computed twice, another when the "
    "picture's blocks are shuffled, and another when all that the model learnt is drawn anew. Similarity is Spearman's "
    "rank correlation over the cells of the layer; a map that is empty after the change counts as 0. Draws: how many, "
    "with the lowest and highest of their means."
)
_READING = (
    "PASS says that the map is no mere picture of the image, not that it is right or the model good: maps of models "
    "that rely on a shortcut pass. A map that fails is struck: it is marked wherever it is named, and no criterion on "
    "it can be MET. "
)
_PARTLY = "Partly: from 0.6 on much of the map's order stays without what the model learnt. "


@section(87, "Do the maps depend on model and picture")
def build(context: Context) -> list[Flowable]:
    """Return a row for each check of each map; nothing where the run was not asked for it."""
    findings = context.results.experiments.sanity
    if findings is None:
        return []
    figures = {(figure.method, figure.check): figure for figure in findings.figures}
    said: dict[tuple[Check, str], list[str]] = {}
    for check in findings.checks:
        meaning = _meaning(check, figures.get((str(check.method), check.check)))
        said.setdefault((check.check, meaning), []).append(method(context.results, str(check.method)))
    meanings = [
        joined(bold(f"{CHECKS[check].title} of {', '.join(maps)}: "), meaning)
        for (check, meaning), maps in said.items()
        if meaning
    ]
    content = [
        small(_WHAT),
        _table(context.results, findings, figures),
        *(bullets(meanings, compact=True) if meanings else []),
    ]
    partly = any(figure.partly for figure in findings.figures)
    return [*content, note(_READING, _PARTLY if partly else "", _counts(findings))]


Figures = Mapping[tuple[str, Check], SanityFigure]
_RANGE = (1.0,)
"""What a rank correlation can reach: all of them are written as finely as that."""
_ACROSS = 3
"""Checks that fit beside each other."""


def _table(results: Results, findings: SanityFindings, figures: Figures) -> Flowable:
    """Return the maps down and the checks across; a row for each check where they are not of the same studies."""
    checks = findings.checks
    kinds = dict.fromkeys(check.check for check in checks)
    held = {(str(check.method), check.check): check for check in checks}
    names = list(dict.fromkeys(name for name, _ in held))
    alike = all(
        len({(check.side, check.bound, check.studies, check.value is None) for check in checks if check.check == kind})
        == 1
        for kind in kinds
    )
    if alike and len(held) == len(checks) == len(names) * len(kinds) and len(kinds) <= _ACROSS:
        return _matrix(results, held, figures, findings.asked)
    shape = columns(
        ("Map", 30), ("Check", 34), ("Similarity", 20, True), ("Bound", 24, True), ("Studies", 14, True),
        ("Draws", 30, True), ("Answer", 20),
    )  # fmt: skip
    rows = [_row(results, check, figures.get((str(check.method), check.check))) for check in checks]
    return table(shape, rows, compact=True)


def _matrix(
    results: Results, held: Mapping[tuple[str, Check], CheckFinding], figures: Figures, chosen: int
) -> Flowable:
    """Return a row for each map, of each check its similarity, with the lowest and highest draw, and its answer."""
    kinds = {check.check: check for check in held.values()}
    heads = [
        part
        for check in kinds.values()
        for part in ((_head(check, chosen), 33, True),
                     ("", 16))
    ]  # fmt: skip
    rows = []
    for name in dict.fromkeys(name for name, _ in held):
        cells: list[object] = [method(results, name)]
        for kind in kinds:
            check, figure = held[name, kind], figures.get((name, kind))
            cells += [_with_draws(check, figure), _chip(check, figure)]
        rows.append(cells)
    return table(columns(("Map", 19), *heads), rows, compact=True)


def _head(check: CheckFinding, chosen: int) -> str:
    """Return a check with its bound, and its studies where they are not all that were chosen: those stand below."""
    of = "" if check.studies == chosen else f" ({plural(check.studies, 'study', 'studies')})"
    return f"{CHECKS[check.check].title}, {_bound(check)}{of}"


def _with_draws(check: CheckFinding, figure: SanityFigure | None) -> str:
    draws = _draws(figure)
    value = number(check.value, like=_RANGE)
    return value if draws == DASH else f"{value}; {draws}"


def _bound(check: CheckFinding) -> str:
    return f"{'at least' if check.side == 'at_least' else 'at most'} {number(check.bound)}"


def _row(results: Results, check: CheckFinding, figure: SanityFigure | None) -> tuple[object, ...]:
    return (
        method(results, str(check.method)),
        CHECKS[check.check].title,
        number(check.value, like=_RANGE),
        _bound(check),
        count(check.studies) if check.value is not None else DASH,
        _draws(figure),
        _chip(check, figure),
    )


def _meaning(check: CheckFinding, figure: SanityFigure | None) -> str:
    """Return what an answer means, but of one that passes: that stands above; and which maps were lost."""
    passes = check.answer == "MET" and not (figure is not None and figure.partly)
    reason = "" if passes else f"{check.reason[:1].upper()}{check.reason[1:]}."
    return f"{reason}{_empty(figure)}".strip()


def _draws(figure: SanityFigure | None) -> str:
    """Return how many draws there were, with the lowest and the highest of their means."""
    if figure is None or figure.check != "weight_randomisation" or not figure.by_draw:
        return DASH
    ends = (min(figure.by_draw), max(figure.by_draw))
    return f"{len(figure.by_draw)} ({number(ends[0], like=_RANGE)} to {number(ends[1], like=_RANGE)})"


def _empty(figure: SanityFigure | None) -> str:
    if figure is None:
        return ""
    empty = f" {figure.empty} of {plural(figure.compared, 'map')} came out empty." if figure.empty else ""
    return empty + (f" {plural(figure.without_map, 'study', 'studies')} had no map." if figure.without_map else "")


def _chip(check: CheckFinding, figure: SanityFigure | None) -> Chip:
    if check.answer == "INCONCLUSIVE":
        return Chip("NOT DONE", "none")
    if check.answer == "NOT MET":
        return Chip("FAIL", "bad")
    return Chip("PARTLY", "open") if figure is not None and figure.partly else Chip("PASS", "good")


def _counts(findings: SanityFindings) -> str:
    """Return what was tried, on what, and at what price."""
    weights = findings.weights
    share = f"{100 * weights.share:.4g} % of the model's {count(weights.values)} learnt numbers were drawn anew"
    left = f" (not those of {', '.join(weights.left)})" if weights.left else ""
    failed = ", ".join(f"{study}: {words(reason)}" for study, reason in findings.failures.items())
    lost = (
        f" Of {findings.asked} chosen studies {len(findings.failures)} could not be read ({failed})." if failed else ""
    )
    calls = f" {plural(sum(findings.calls.values()), 'map')} were computed."
    chosen = f"{plural(findings.asked, 'study', 'studies')}, one a patient, were chosen beforehand. "
    return f"{chosen}{share}{left}.{calls}{lost}"
