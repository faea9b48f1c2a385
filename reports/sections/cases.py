"""The cases: one page for each study that a rule chose."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from reportlab.platypus import PageBreak

from pipeline.errors import OutputError
from pipeline.findings.panels import CasePanels
from pipeline.findings.results import CaseEntry, Results
from pipeline.findings.scores import MapScores
from reports.numbers import number, plural
from reports.page.document import PAGE_HEIGHT
from reports.page.layout import (
    CONTENT,
    Chip,
    Deferred,
    Flowable,
    callout,
    columns,
    facts,
    heading,
    note,
    paragraph,
    small,
    table,
    together,
)
from reports.page.text import DASH, bold, joined
from reports.panels import Grid, Legend, PictureRow, grid_for
from reports.registry import Context, section
from reports.wording import arrow_note, headed, is_baseline, method, methods_in_order, nothing_called, words

_WARNING = (
    "How to read these pictures. A map shows where one attribution method places importance for one output of this "
    "one version of the model; other methods can place it elsewhere. It is no outline of a lesion and no account of "
    "why the model decided. Agreement with an expert's mask does not show that the model is right or safe, and "
    "disagreement alone does not show that it is wrong. Not for the care of this patient."
)
_ACROSS = 7  # metrics that fit beside each other; more of them take further tables
_LEAST, _MOST, _OVER_PAGES = 76.0, 200.0, Grid(4, 128.0)


@section(120, "Cases", fresh=True)
def build(context: Context) -> list[Flowable]:
    """Return the rule and a page for each case."""
    results = context.results
    if not results.cases:
        rule = [bold(" The rule was: "), results.case_rule] if results.case_rule else []
        return [paragraph("No case is shown.", *rule)]
    content: list[Flowable] = [
        paragraph(bold("Rule: "), results.case_rule),
        *_without_pictures(results.cases),
        note(
            "Map values are raw; colours span the smallest to the largest value of the whole map, so they compare "
            "views of one case, not one case with another. Colours are laid over the image at 60 %."
        ),
    ]
    taken = 40 + _height(content)  # of the first case's page: the section's heading and what stands above
    for place, case in enumerate(results.cases, 1):
        content += [PageBreak()] if place > 1 else []
        content.append(Deferred(partial(_case, context, case, place, PAGE_HEIGHT - (taken if place == 1 else 0))))
    return [*content, PageBreak()]


def _without_pictures(cases: Sequence[CaseEntry]) -> list[Flowable]:
    count = sum(case.panels is None for case in cases)
    words = f"{count} of {plural(len(cases), 'case')} without; where they would stand it says why."
    return [paragraph(bold("Pictures: "), words)] if count else []


def _height(flowables: Sequence[Flowable]) -> float:
    each = (
        flowable.wrap(CONTENT, 10_000)[1] + flowable.getSpaceBefore() + flowable.getSpaceAfter()
        for flowable in flowables
    )
    return float(sum(each))


def _case(context: Context, case: CaseEntry, place: int, room: float) -> list[Flowable]:
    """Return a case's flowables; ``room`` is the height in points that its first page has left."""
    results = context.results
    head = [*heading(f"Case {place}: {case.study}", 1, f"case-{place}"), _facts(results, case)]
    scores = _scores(results, case)
    warning = callout(small(_WARNING))
    load = _loader(context, case)
    if isinstance(load, str):
        return [*head, callout(paragraph(bold("No picture. "), load), colour="#7a4d00"), *scores]
    room -= _height([*head[1:], warning]) + 8
    return [*head, *_pictures(results, load, (room - _height(scores), room)), warning, together(scores)]


def _facts(results: Results, case: CaseEntry) -> Flowable:
    audit, nothing = case.audit, nothing_called(results)
    likely = sorted(audit.probabilities.items(), key=lambda pair: (-pair[1], pair[0]))
    said = ", ".join(audit.predicted) or nothing
    truth = DASH if audit.reference is None else ", ".join(audit.reference) or nothing
    odds = " · ".join(f"{label} {number(value, like=(1.0,), more=1)}" for label, value in likely)
    values = " · ".join(f"{label} {number(value)}" for label, value in audit.values.items())
    answer = [("Output", values)] if values else [("Prediction", joined(bold(said), f" ({odds})" if odds else ""))]
    rows: list[tuple[str, object]] = [
        ("Shown because", case.rule),
        ("Reference", truth),
        *answer,
        *([] if values else [("Outcome", _badge(case))]),
    ]
    if audit.strata:
        rows.append(("Groups", " · ".join(f"{name}: {value}" for name, value in sorted(audit.strata.items()))))
    if case.note and case.panels is not None:  # else it stands in the pictures' place
        rows.append(("Note", case.note))
    return facts(rows, label=0.2, compact=True)


def _badge(case: CaseEntry) -> Flowable:
    audit = case.audit
    if audit.reference is None:
        return Chip("REFERENCE NOT KNOWN", "none", 5.8)
    right = set(audit.reference) == set(audit.predicted)
    return Chip("CORRECT", "good", 5.8) if right else Chip("WRONG", "bad", 5.8)


def _loader(context: Context, case: CaseEntry) -> Callable[[], CasePanels] | str:
    """Return what loads the case's panels, or the sentence that says why there is no picture."""
    if case.panels is None:
        return case.note or "The run's folder holds no pictures of this case."
    try:
        views = context.panels(case.panels).views
    except OutputError:
        return f"The file of panels {case.panels} is missing or cannot be read; the scores do not need it."
    return partial(context.panels, case.panels) if views else "The file of panels holds no view."


def _pictures(results: Results, load: Callable[[], CasePanels], rooms: Sequence[float]) -> list[Flowable]:
    """Return rows of panels, view by view, as tall as the first of ``rooms`` that holds them allows.

    When none does, they are tall enough to be read and run over pages.
    """
    case = load()
    titles = {name: method(results, name) for view in case.views for name in view.maps}
    fitting = (grid_for(case, room - 24, (_LEAST, _MOST)) for room in rooms)
    grid = next((candidate for candidate in fitting if candidate is not None), _OVER_PAGES)
    groups: list[list[Flowable]] = []
    for place, view in enumerate(case.views):
        rows = [PictureRow(load, place, row, titles, grid) for row in range(grid.rows(view))]
        explained = small(bold(view.caption), f" · explained label: {case.target}")
        groups += [[explained, rows[0]], *([row] for row in rows[1:])]
    groups[-1].append(Legend(case))
    return [together(group) for group in groups]


def _scores(results: Results, case: CaseEntry) -> list[Flowable]:
    scored = [map_scores for map_scores in case.audit.map_scores if map_scores.scores]
    if not scored:
        return [note("There are no scores: no map could be compared with a mask.")]
    known = [facts_.name for facts_ in results.metrics]
    names = list(dict.fromkeys(score.name for map_scores in scored for score in map_scores.scores))
    names.sort(key=lambda name: known.index(name) if name in known else len(known))
    order = methods_in_order(results, (map_scores.method for map_scores in scored))
    scored.sort(
        key=lambda map_scores: (
            map_scores.target,
            order.index(map_scores.method),
            map_scores.layer or "",
            map_scores.reader or "",
        )
    )
    several = (
        len({map_scores.target for map_scores in scored}) > 1
        or len({map_scores.layer for map_scores in scored if map_scores.layer}) > 1
    )
    parts = [names[start : start + _ACROSS] for start in range(0, len(names), _ACROSS)]
    return [*(_score_table(results, scored, part, several) for part in parts), *_reasons(results, scored)]


def _score_table(results: Results, scored: list[MapScores], names: list[str], several: bool) -> Flowable:
    heads = [(headed(results, name), 66 / max(5, len(names)), True) for name in names]
    every = [score for map_scores in scored for score in map_scores.scores]
    like = {name: tuple(score.value for score in every if score.name == name) for name in names}
    rows = [_score_row(results, map_scores, like, several) for map_scores in scored]
    return table(columns(("Map", 24), ("Expert", 10), *heads), rows, compact=True)


Likes = Mapping[str, tuple[float | None, ...]]


def _score_row(results: Results, map_scores: MapScores, like: Likes, several: bool) -> tuple[object, ...]:
    shown = [score for score in map_scores.scores if score.name in like]
    values = {score.name: number(score.value, like=like[score.name]) for score in shown}
    title = method(results, map_scores.method)
    if several and not is_baseline(map_scores.method):
        title = f"{title} of {map_scores.target} at {map_scores.layer}"
    if map_scores.degenerate:
        title = f"{title} (constant map)"
    return title, map_scores.reader or DASH, *(values.get(name, "") for name in like)


def _reasons(results: Results, scored: list[MapScores]) -> list[Flowable]:
    """Return one line that says why scores are undefined."""
    why: dict[str, list[str]] = {}
    for map_scores in scored:
        for missing in map_scores.scores:
            if missing.reason is not None:
                where = f"{method(results, map_scores.method)}, {map_scores.reader or 'no expert'}"
                why.setdefault(words(missing.reason), []).append(where)
    everywhere = sum(len(map_scores.scores) for map_scores in scored)
    sentences = [
        f"{reason}: {'throughout' if len(places) == everywhere else '; '.join(dict.fromkeys(places))}"
        for reason, places in why.items()
    ]
    unseen = [
        map_scores.seen_share
        for map_scores in scored
        if map_scores.seen_share is not None and map_scores.seen_share < 1
    ]
    lines = [f"{DASH} undefined. {'. '.join(sentences)}."] if sentences else []
    if unseen:
        lines.append(f"The model saw as little as {number(min(unseen))} of a mask's pixels.")
    return [note(" ".join([*lines, arrow_note(results)]))] if lines or arrow_note(results) else []
