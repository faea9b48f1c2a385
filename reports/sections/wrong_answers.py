"""The wrong answers that a clinic asks about: false alarms, and misses by kind, with what the maps show of them."""

from collections.abc import Sequence
from functools import partial

from reportlab.lib.units import mm

from pipeline.errors import OutputError
from pipeline.findings.pictures.panels import CasePanels
from pipeline.findings.results import CaseEntry, Results, WrongAnswer
from reports.case_page import case_key
from reports.claims import main_method
from reports.numbers import count, number, plural
from reports.page.layout import (
    COLUMN,
    CONTENT,
    Flowable,
    bullets,
    gap,
    note,
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
from reports.wording import best_peak, lies, method, nothing_called

_LONGEST = 5 * COLUMN
"""Points of one line of what is said beside a picture: it stays on the picture's page, however long labels are."""
_BESIDE_WORDS = 0.62 * CONTENT
"""Points across of the pictures of a study, where it is the only one."""
_NAMED = 12
"""Studies that are named in a row; the results hold all."""


@section(111, "Wrong answers")
def build(context: Context) -> list[Flowable]:
    """Return the false alarms and the misses, each by kind; one sentence where the model made none."""
    results = context.results
    if results.model.output == "regression":
        return [paragraph("The model returns numbers and calls no label: no answer of it is right or wrong.")]
    if not results.flow.analysed:
        return [paragraph("No study was analysed, so there is no answer that could be wrong.")]
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
    "A map of a wrong answer shows where one method places importance for the label that is named above it, be it the "
    "reference's or the one that the model called. A doubtful reference can be marked on the case's page."
)


def _part(context: Context, title: str, meaning: str, kinds: Sequence[WrongAnswer]) -> list[Flowable]:
    if not kinds:
        return [small(bold(f"{title}: "), "none."), gap(1.5)]
    results = context.results
    tiles = _tiles(context, kinds)
    lines = bullets((_told(results, kind) for kind in kinds), compact=True)
    content = [*subheading(title)[1:], note(meaning), *lines]
    if len(tiles) == 1:
        return [side_by_side(content, tiles[0], right_width=_BESIDE_WORDS)]
    pairs = [side_by_side(tiles[place], (tiles[place + 1 :] or [[]])[0]) for place in range(0, len(tiles), 2)]
    return [together(content), *pairs]


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
    """Return pictures of those studies that the report shows, each with its words below.

    One alone is larger: it stands beside the words.
    """
    wrong = {study for kind in kinds for study in kind.studies}
    chosen = [case for case in context.results.cases if case.study in wrong]
    room = (_BESIDE_WORDS, 42 * mm) if len(chosen) == 1 else (COLUMN, 28 * mm)
    return [tile for case in chosen if (tile := _tile(context, case, *room)) is not None]


def _tile(context: Context, case: CaseEntry, width: float, tallest: float) -> list[Flowable] | None:
    """Return a case's image and maps, above what was answered, in room given in points; None without a picture."""
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
    called = ", ".join(audit.predicted) or nothing_called(results)
    odds = "; ".join(
        f"{label} {number(value, like=(1.0,), more=1)}" for label, value in sorted(audit.probabilities.items())
    )
    peak = best_peak(
        entry
        for entry in audit.map_scores
        if (entry.method, entry.target) == (name, panels.target) and entry.map is not None
    )
    where = "" if peak is None else f" The peak for {panels.target} lies {lies(peak)}."
    truth = ", ".join(audit.reference or ()) or nothing_called(results)
    words = f"reference {truth}, answered {called} ({odds}).{where}"
    shown = _pictures(results, panels, place if name is None else map_view(panels, name), name)
    alt = f"{'; '.join(panel.title for panel in shown)}, study {case.study}.{where}"
    row = PanelRow(partial(context.panels, case.panels), shown, tallest, width, alt)
    study = fitted(case.study, COLUMN, 7)
    caption = small(bold(link(study, case_key(case.study))), ": ", fitted(words, _LONGEST, 7))
    return [row, caption, gap(2)]


def _pictures(results: Results, panels: CasePanels, place: int, name: str | None) -> tuple[Panel, ...]:
    """Return the image with what experts marked, a method's map in the same plane, and those of answered labels."""
    view = panels.views[place]
    image = Panel("The experts' outlines" if any(mask.any() for mask in view.masks.values()) else "The image", place)
    if name is None:
        return (image,)
    others = [other for other in view.maps if other.startswith(f"{name} (")]
    first = Panel(f"{method(results, name)} for {panels.target}", place, name)
    return (image, first, *(Panel(method(results, other), map_view(panels, other), other) for other in others[:1]))
