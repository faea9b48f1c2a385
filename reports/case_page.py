"""The page of one study for a radiologist: pictures as large as they can be, scores, legend and note, a review box."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from math import fsum

from pipeline.errors import OutputError
from pipeline.findings.pictures.panels import CasePanels
from pipeline.findings.results import CaseEntry, Results
from pipeline.findings.scores import MapScores
from reports.numbers import count, number, raw
from reports.page.layout import (
    CONTENT,
    Chip,
    Flowable,
    callout,
    columns,
    heading,
    note,
    pair,
    paragraph,
    parts_of,
    small,
    table,
    together,
)
from reports.page.text import DASH, bold, fitted, fitted_at_both_ends, joined
from reports.pictures.case_panels import BESIDE_EACH_OTHER, case_rows, plane_words, sizes_for, window_words
from reports.pictures.legend import Legend
from reports.pictures.panel_row import Panel
from reports.pictures.review_box import ReviewBox
from reports.registry import Context
from reports.wording import (
    arrow_note,
    best_peak,
    headed,
    is_baseline,
    lies,
    method,
    methods_in_order,
    nothing_called,
    words,
)

__all__ = [
    "CASE_WARNING",
    "case_badge",
    "case_facts",
    "case_key",
    "case_page",
    "height_of",
    "hidden_peak",
    "panel_in_words",
]

CASE_WARNING = (
    "A map shows where one method places importance for one output of this model version: no outline of a lesion, no "
    "reason for the answer. Agreement does not show that the model is right, nor disagreement that it is wrong. Not "
    "for the care of this patient."
)
_ACROSS = 7  # metrics that fit beside each other; more of them take further tables


def height_of(flowables: Sequence[Flowable]) -> float:
    """Return how high flowables are below each other, in points."""
    each = (
        part.wrap(CONTENT, 10_000)[1] + part.getSpaceBefore() + part.getSpaceAfter()
        for flowable in flowables
        for part in parts_of(flowable)
    )
    return fsum(each)


def case_key(study: str) -> str:
    """Return what a case's page is linked by, whatever a study is called."""
    return f"case-{sha256(study.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def case_page(
    context: Context, case: CaseEntry, title: str, room: float, *, level: int = 1, lines: int = 1
) -> list[Flowable]:
    """Return a case's flowables.

    ``room`` is the height in points of its page, ``level`` that of its heading, ``lines`` are those for a comment.
    """
    results = context.results
    head = [*heading(title, level, case_key(case.study)), _facts(results, case)]
    foot = [*_scores(results, case), small(CASE_WARNING), ReviewBox(lines)]
    load = _loader(context, case)
    if isinstance(load, str):
        return [*head, callout(paragraph(bold("No picture. "), load), colour="#7a4d00"), *foot]
    panels = load()
    titles = {name: _titled(results, case, panels, name) for view in panels.views for name in view.maps}
    hidden = any(hidden_peak(case, panels, name) for name in titles)
    shown = [_shown(panels, hidden=hidden), Legend(panels)]
    sizes = sizes_for(panels, titles, room - height_of([*head[1:], *shown, *foot]) - 12)
    rows = case_rows(load, titles, sizes, partial(panel_in_words, case, panels))
    return [*head, rows[0], shown[0], *rows[1:], shown[1], together(foot)]


def _shown(panels: CasePanels, *, hidden: bool) -> Flowable:
    """Return which slices stand above, and with which window; whether a map's peak is in none (``hidden``)."""
    main = [view for view in panels.views if view.role == "main"]
    planes = f"{plane_words(main[0], panels.length_unit)}"
    if len(main) > 1:
        slice_words = plane_words(main[-1], panels.length_unit)
        planes += f"; the maps, unless another slice is named, in that of the first one's peak: {slice_words}"
    planes += "; where a peak's place stands beside a map, its slice is not shown" if hidden else ""
    none = "" if any(view.masks for view in main) else " There is no expert's mask."
    about = f"{planes[:1].upper()}{planes[1:]}; {window_words(panels)}. Explained label: {panels.target}.{none}"
    return small(about)


def _titled(results: Results, case: CaseEntry, panels: CasePanels, name: str) -> str:
    """Return what stands above a map; of one whose peak no picture shows, where that is."""
    hidden = hidden_peak(case, panels, name)
    return method(results, name) if hidden is None else f"{method(results, name)} (peak {hidden})"


_ACROSS_PLANES = {"sagittal": 0, "coronal": 1, "axial": 2}
"""Which of a peak's coordinates (RAS) tells the slice."""


def hidden_peak(case: CaseEntry, panels: CasePanels, name: str) -> str | None:
    """Return where a map's peak lies, where it is in no slice that the map is shown in; None where it is."""
    main = [view for view in panels.views if view.role == "main"]
    known, target = _method_of(name), _target_of(name, panels)
    best = best_peak(
        entry
        for entry in case.audit.map_scores
        if (entry.method, entry.target) == (known, target) and name.partition("@")[2] in ("", entry.layer)
    )
    if best is None or any(name in view.peaks for view in panels.views if view.role in BESIDE_EACH_OTHER):
        return None
    axis = _ACROSS_PLANES.get(main[-1].plane)
    if axis is None or main[-1].position_mm is None:
        return "in another slice"
    return f"at {raw(round(best.position_mm[axis], 1))} {panels.length_unit}"


def _method_of(name: str) -> str:
    """Return a map's method, without its layer and the label that it explains."""
    return name.partition("@")[0].partition(" (")[0]


def _target_of(name: str, panels: CasePanels) -> str:
    """Return which label a map explains: that of the case, or the one that its name tells."""
    _, bracket, rest = name.partition(" (")
    return rest.rpartition(", ")[0] if bracket else panels.target


def panel_in_words(case: CaseEntry, panels: CasePanels, panel: Panel) -> str:
    """Return a panel in words, from the data: what is seen, and where the map's peak lies."""
    where = f"{panel.title}, study {case.study}, {plane_words(panels.views[panel.view], panels.length_unit)}"
    if panel.method is None:
        return where
    key = _method_of(panel.method), _target_of(panel.method, panels)
    best = best_peak(
        entry for entry in case.audit.map_scores if entry.map is not None and (entry.method, entry.target) == key
    )
    return where if best is None else f"{where}: the peak lies {lies(best)}"


def case_facts(results: Results, case: CaseEntry) -> list[tuple[str, str]]:
    """Return why a case is shown, what the reference says, what was answered, where the peak lies, and its groups."""
    audit, nothing = case.audit, nothing_called(results)
    likely = sorted(audit.probabilities.items(), key=lambda pair: (-pair[1], pair[0]))
    said = ", ".join(audit.predicted) or nothing
    truth = DASH if audit.reference is None else ", ".join(audit.reference) or nothing
    odds = ", ".join(f"{label} {number(value, like=(1.0,), more=1)}" for label, value in likely)
    values = ", ".join(f"{label} {number(value)}" for label, value in audit.values.items())
    answer = [("Output", values)] if values else [("Prediction", f"{said} ({odds})" if odds else said)]
    rows = [("Shown as", case.rule), ("Reference", truth), *answer, *_peak(results, case)]
    groups = ", ".join(
        f"{name} {fitted_at_both_ends(value, 0.5 * CONTENT, 7.0)}" for name, value in sorted(audit.strata.items())
    )
    return [*rows, ("Groups", groups)] if groups else rows


def case_badge(case: CaseEntry) -> tuple[str, str] | None:
    """Return whether the answer is right, in capitals, and its kind; None for a regression, which calls no label."""
    audit = case.audit
    if audit.values:
        return None
    if audit.reference is None:
        return "REFERENCE NOT KNOWN", "none"
    return ("CORRECT", "good") if set(audit.reference) == set(audit.predicted) else ("WRONG", "bad")


def _facts(results: Results, case: CaseEntry) -> Flowable:
    """Return why the case is shown and what was answered, in two lines beside the badge."""
    rows = case_facts(results, case)
    rows += [("Note", case.note)] if case.note is not None and case.panels is not None else []
    text = small(
        joined(*(joined(bold(f"{name}: "), fitted(value, 3 * CONTENT, 7.0)) for name, value in rows), by="  \u00b7  ")
    )
    badge = case_badge(case)
    return pair(text, [Chip(*badge, 5.8)] if badge is not None else [])


def _peak(results: Results, case: CaseEntry) -> list[tuple[str, str]]:
    """Return where the first map has its peak; nothing where there is no map."""
    first = next((entry for entry in case.audit.map_scores if entry.map is not None), None)
    if first is None:
        return []
    best = best_peak(entry for entry in case.audit.map_scores if entry.map == first.map)
    where = "none: the map is the same everywhere" if best is None else lies(best)
    several = len({entry.target for entry in case.audit.map_scores if entry.map is not None}) > 1
    of_label = f" for {first.target}" if several else ""
    return [(f"Peak of {method(results, first.method)}{of_label}", where)]


def _loader(context: Context, case: CaseEntry) -> Callable[[], CasePanels] | str:
    """Return what loads the case's panels, or the sentence that says why there is no picture."""
    if case.panels is None:
        return case.note or "The run's folder holds no pictures of this case."
    try:
        views = context.panels(case.panels).views
    except OutputError:
        return f"The file of panels {case.panels} is missing or cannot be read; the scores do not need it."
    return partial(context.panels, case.panels) if views else "The file of panels holds no view."


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
        len({map_scores.target for map_scores in scored}) > 1,
        len({map_scores.layer for map_scores in scored if map_scores.layer}) > 1,
    )
    scored = _each_baseline_once(scored)
    parts = [names[start : start + _ACROSS] for start in range(0, len(names), _ACROSS)]
    return [*(_score_table(results, scored, part, several) for part in parts), *_reasons(results, scored)]


def _each_baseline_once(scored: list[MapScores]) -> list[MapScores]:
    """Leave out a baseline of a further label that has the same scores: it knows nothing of labels."""
    seen: set[tuple[object, ...]] = set()
    kept = []
    for entry in scored:
        key = (entry.method, entry.reader, tuple((score.name, score.value, score.reason) for score in entry.scores))
        if key in seen and is_baseline(entry.method):
            continue
        seen.add(key)
        kept.append(entry)
    return sorted(kept, key=lambda entry: is_baseline(entry.method))


def _score_table(results: Results, scored: list[MapScores], names: list[str], several: tuple[bool, bool]) -> Flowable:
    """Return the scores by ``names``; ``several`` says whether maps are of several labels, and at several layers."""
    heads = [(headed(results, name), 66 / max(5, len(names)), True) for name in names]
    every = [score for map_scores in scored for score in map_scores.scores]
    like = {name: tuple(score.value for score in every if score.name == name) for name in names}
    groups: dict[tuple[str, ...], list[MapScores]] = {}
    for entry in scored:
        groups.setdefault((entry.target, entry.method, entry.layer or ""), []).append(entry)
    readers = {tuple(entry.reader for entry in members) for members in groups.values()}
    together_ = len(readers) == 1 and len(next(iter(readers))) <= _SIDE_BY_SIDE
    many = max(len(members) for members in groups.values()) > _SIDE_BY_SIDE
    shown = list(groups.values()) if together_ or many else [[entry] for entry in scored]
    rows = [_score_row(results, members, like, several) for members in shown]
    head = "Experts, lowest to highest" if many else "Experts" if together_ else "Expert"
    return table(columns(("Map", 24), (head, 17), *heads), rows, compact=True)


_SIDE_BY_SIDE = 3
"""Experts whose scores stand beside each other; of more, the lowest and the highest: all stand in per_study.csv."""

Likes = Mapping[str, tuple[float | None, ...]]


def _score_row(
    results: Results, entries: Sequence[MapScores], like: Likes, several: tuple[bool, bool]
) -> tuple[object, ...]:
    """Return one map's scores, those against several experts beside each other in the order of the experts."""
    first = entries[0]
    title = method(results, first.method)
    if not is_baseline(first.method):
        of_label, at_layer = several
        title += f" of {first.target}" if of_label else ""
        title += f" at {first.layer}" if at_layer else ""
    if first.degenerate:
        title = f"{title} (constant map)"
    cells = []
    for name in like:
        values = [score for entry in entries for score in entry.scores if score.name == name]
        cells.append(_of_experts([score.value for score in values], like[name]))
    readers = [entry.reader or DASH for entry in entries]
    return title, " / ".join(readers) if len(readers) <= _SIDE_BY_SIDE else count(len(readers)), *cells


def _of_experts(values: Sequence[float | None], like: tuple[float | None, ...]) -> str:
    """Return scores beside each other; of many experts the lowest and the highest, and how many are undefined."""
    if len(values) <= _SIDE_BY_SIDE:
        return " / ".join(number(value, like=like) for value in values)
    known = sorted(value for value in values if value is not None)
    ends = dict.fromkeys(number(value, like=like) for value in (*known[:1], *known[-1:]))
    missing = len(values) - len(known)
    return "; ".join([*([" to ".join(ends)] if ends else []), *([f"{count(missing)} undefined"] if missing else [])])


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
