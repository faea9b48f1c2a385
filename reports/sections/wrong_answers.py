"""The wrong answers that a clinic asks about: false alarms, and misses by kind, with what the maps show of them."""

from collections.abc import Sequence
from functools import partial

from reportlab.lib.units import mm

from pipeline.errors import OutputError
from pipeline.findings.results import CaseEntry, Results, WrongAnswer
from pipeline.vocabulary import PEAK_REGIONS
from reports.case_page import case_key
from reports.claims import main_method
from reports.numbers import count, number, plural
from reports.page.layout import (
    COLUMN,
    Flowable,
    bullets,
    gap,
    note,
    pair,
    paragraph,
    side_by_side,
    small,
    subheading,
    together,
)
from reports.page.text import Markup, bold, fitted, joined, link
from reports.pictures.case_panels import map_view
from reports.pictures.panel_row import Panel, PanelRow
from reports.registry import Context, section
from reports.wording import best_peak, method, nothing_called

_LONGEST = 5 * COLUMN
"""Points of one line of what is said beside a picture: it stays on the picture's page, however long labels are."""
_NAMED = 12
"""Studies that are named in a row; the results hold all."""


@section(111, "Wrong answers")
def build(context: Context) -> list[Flowable]:
    """Return the false alarms and the misses, each by kind; one sentence where the model made none."""
    results = context.results
    if results.model.output == "regression":
        return [paragraph("The model returns numbers and calls no label: no answer of it is right or wrong.")]
    if not results.wrong_answers:
        return [paragraph("In no study with a reference did the model answer otherwise than the reference.")]
    alarms = [kind for kind in results.wrong_answers if not kind.reference]
    misses = [kind for kind in results.wrong_answers if kind.reference]
    return [
        *_part(context, "False alarms", "The reference names no finding, and the model calls one.", alarms),
        *_part(context, "Misses", "The model does not call what the reference says, or calls something else.", misses),
        note(_READING),
    ]


_READING = (
    "A map of a wrong answer shows where one method places importance for the label that is named below it; it may be "
    "the reference's label, not the one that the model called. A doubtful reference can be marked on the case's page."
)


def _part(context: Context, title: str, meaning: str, kinds: Sequence[WrongAnswer]) -> list[Flowable]:
    if not kinds:
        return [small(bold(f"{title}: "), "none."), gap(1.5)]
    results = context.results
    first, *more = _tiles(context, kinds) or [[]]
    lines = bullets((_told(results, kind) for kind in kinds), compact=True)
    content = [*subheading(title)[1:], note(meaning), *lines]
    pairs = [side_by_side(more[place], (more[place + 1 :] or [[]])[0]) for place in range(0, len(more), 2)]
    return [side_by_side(content, first) if first else together(content), *pairs]


def _told(results: Results, kind: WrongAnswer) -> Markup:
    """Return a kind, how often it came, and its studies: those with a page of their own as links."""
    reference, answered = (
        fitted(", ".join(labels) or nothing_called(results), _LONGEST, 7) for labels in (kind.reference, kind.answered)
    )
    shown = {case.study for case in results.cases}
    names = [
        link(fitted(study, COLUMN, 7), case_key(study)) if study in shown else fitted(study, COLUMN, 7)
        for study in kind.studies[:_NAMED]
    ]
    rest = len(kind.studies) - _NAMED
    names += [f"and {count(rest)} more, in results.json"] if rest > 0 else []
    many = f"{plural(len(kind.studies), 'study', 'studies')} of {plural(kind.patients, 'patient')}: "
    return joined(bold(f"{reference} called {answered}: "), many, joined(*names, by=", "))


def _tiles(context: Context, kinds: Sequence[WrongAnswer]) -> list[list[Flowable]]:
    """Return pictures of those studies that the report shows, each with its words at its right."""
    wrong = {study for kind in kinds for study in kind.studies}
    chosen = [case for case in context.results.cases if case.study in wrong]
    return [tile for case in chosen if (tile := _tile(context, case)) is not None]


def _tile(context: Context, case: CaseEntry) -> list[Flowable] | None:
    """Return a case's picture with its map and what was answered; None where there is no picture."""
    if case.panels is None:
        return None
    try:
        panels = context.panels(case.panels)
    except OutputError:
        return None
    results, audit = context.results, case.audit
    place = max(place for place, view in enumerate(panels.views) if view.role == "main")
    maps = list(panels.views[place].maps)
    name = next((name for name in maps if name == main_method(results)), maps[0] if maps else None)
    place = place if name is None else map_view(panels, name)
    title = "The image" if name is None else f"{method(results, name)} for {panels.target}"
    called = ", ".join(audit.predicted) or nothing_called(results)
    odds = "; ".join(
        f"{label} {number(value, like=(1.0,), more=1)}" for label, value in sorted(audit.probabilities.items())
    )
    peak = best_peak(entry for entry in audit.map_scores if entry.method == name and entry.map is not None)
    where = "" if peak is None else f" The peak lies {PEAK_REGIONS[peak.region]}, {peak.place}."
    truth = ", ".join(audit.reference or ()) or nothing_called(results)
    words = f" reference {truth}, answered {called} ({odds}).{where}"
    load, width = partial(context.panels, case.panels), 0.58 * COLUMN
    row = PanelRow(load, (Panel(title, place, name),), 26 * mm, width, f"{title}, study {case.study}.{where}")
    study = fitted(case.study, COLUMN, 7)
    caption = small(bold(joined(link(study, case_key(case.study)), ":")), fitted(words, _LONGEST, 7))
    return [pair(row, [gap(4), caption], 0.62, width=COLUMN)]
