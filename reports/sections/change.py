"""What changed against the previous run of the audit, and against a named predecessor."""

from collections.abc import Sequence

from pipeline.findings.context.changes import BESIDE, CHANGE_ANSWERS, FigureChange, FlippedStudy, PeakShift, RunChange
from pipeline.findings.results import Results
from reports.numbers import bounds, count, limits, number, plural, share
from reports.page.layout import Flowable, bullets, columns, note, paragraph, subheading, table
from reports.page.text import DASH, bold, cut
from reports.registry import Context, section
from reports.wording import chip, headed, method, words

_MOST_FIGURES, _MOST_FLIPS, _MOST_SHIFTS, _MOST_TEXTS = 24, 10, 12, 8
_LONGEST = 300
"""Characters of a sentence about the runs: its names can be of any length."""


@section(105, "Change")
def build(context: Context) -> list[Flowable]:
    """Return the differences to each other run, paired by patient."""
    return [part for change in context.results.changes for part in _of(context.results, change)]


def _of(results: Results, change: RunChange) -> list[Flowable]:
    title = subheading(f"Against {BESIDE[change.kind]}")
    if change.refused is not None:
        return [*title, paragraph(f"The run {change.run_a} was not compared: {change.refused}.")]
    answer = f"{_capital(CHANGE_ANSWERS[change.answer])}: "
    lead = paragraph(bold(answer), f"{_reason(results, change)} Held against {change.run_a}. {_studies(change)}")
    sentences = [f"{_capital(cut(text, _LONGEST))}." for text in _first(change.differs)]
    sentences += [f"Not compared: {cut(text, _LONGEST)}." for text in _first(change.not_compared)]
    content = [*title, lead, *bullets(sentences)]
    if change.is_unchanged:
        compared = plural(len(change.figures), "figure")
        same = note(f"All of {compared} are the same for every patient, and no study flipped.")
        return [*content, same, *_shifts(results, change)]
    return [*content, *_figures(results, change), *_flips(results, change), *_shifts(results, change)]


def _first(texts: Sequence[str]) -> list[str]:
    """Return as many sentences as anybody reads, and how many more there are."""
    more = len(texts) - _MOST_TEXTS
    return [*texts[:_MOST_TEXTS], *([f"{count(more)} more, in results.json"] if more > 0 else [])]


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _reason(results: Results, change: RunChange) -> str:
    lock = ""
    if any(figure.margin is not None for figure in change.figures):
        lock = " The margins were locked beforehand." if change.locked else " The margins were not locked: exploratory."
    reason = change.reason
    for figure in change.figures:  # the record names metrics and maps as configurations do
        whose = "the classifier" if figure.map_b == "classifier" else method(results, figure.map_b)
        named = f"{headed(results, figure.metric)} of {whose}"
        reason = reason.replace(f"{figure.metric} of {figure.map_b}", named)
    return f"{reason}.{lock}"


def _studies(change: RunChange) -> str:
    studies = change.studies
    if studies is None:
        return ""
    left = (
        (studies.not_analysed, "not analysed in one or both"),
        (studies.changed, "with other files, masks or labels"),
        (studies.only_in_a, "only in the other run"),
        (studies.only_in_b, "only in this run"),
    )
    rest = ", ".join(f"{count(many)} {text}" for many, text in left if many) or "none is left out"
    return f"{plural(studies.paired, 'study', 'studies')} analysed in both, matched by {change.matched_by}; {rest}."


def _figures(results: Results, change: RunChange) -> list[Flowable]:
    shown = change.figures[:_MOST_FIGURES]
    shape = columns(
        ("Figure", 20), ("Of", 32), ("Then", 10, True), ("Now", 10, True), ("Difference", 26, True),
        ("Better / tied / worse", 17, True), ("p", 11, True), ("Margin", 19),
    )  # fmt: skip
    rows = [_row(results, figure) for figure in shown]
    more = len(change.figures) - len(shown)
    rest = f" {plural(more, 'more figure')} stand in results.json." if more > 0 else ""
    how = (
        f"Difference: this run minus the other, mean over patients, with exact {share(change.confidence)} bounds. Then "
        "and now: the means of the patients who have both. Better, tied, worse: patients; p: exact two-sided sign test "
        f"on them, for hits and calls McNemar's; not adjusted for the number of figures. \u2193: lower is better.{rest}"
    )
    return [table(shape, rows, compact=True), note(how)]


def _row(results: Results, figure: FigureChange) -> Sequence[object]:
    estimate = figure.estimate
    like = (figure.value_a, figure.value_b, *limits(estimate))
    of = method(results, figure.map_b)
    of = of if figure.map_a == figure.map_b else f"{of}, then {method(results, figure.map_a)}"
    difference = number(estimate.value, like=like)
    interval = bounds(estimate, like=like)
    return (
        headed(results, figure.metric),
        of if figure.label is None else f"{of}: {figure.label}",
        number(figure.value_a, like=like),
        number(figure.value_b, like=like),
        difference if interval == DASH else f"{difference} {interval}",
        f"{figure.improved} / {figure.tied} / {figure.worsened}" if estimate.value is not None else DASH,
        DASH if figure.p_sign is None else _probability(figure.p_sign),
        _margin(figure),
    )


def _probability(value: float) -> str:
    return "< 0.001" if value < 0.001 else number(value, like=(0.1,), more=1)


def _margin(figure: FigureChange) -> object:
    if figure.margin is None:
        return DASH
    lead = f"{number(figure.margin)}: "
    return [lead, chip(figure.answer)] if figure.answer is not None else f"{lead}{figure.reason}"


def _flips(results: Results, change: RunChange) -> list[Flowable]:
    if not change.flips:
        return [note("No study flipped: each is called the same, and each peak is a hit or a miss as it was.")]
    calls = [flip for flip in change.flips if flip.what == "call"]
    hits = [flip for flip in change.flips if flip.what == "hit"]
    lines = [
        f"{_tally(part, unit)} {what}: {_listed(results, part)}"
        for part, what, unit in (
            (calls, "called otherwise", "call"),
            (hits, "with a peak that moved onto or off its finding", "hit"),
        )
        if part
    ]
    return [*subheading("Studies that flipped"), *bullets(lines)]


def _tally(flips: Sequence[FlippedStudy], unit: str) -> str:
    """Return how many studies flipped, and how many calls, or hits of any map, they gained and lost."""
    studies = plural(len({flip.study for flip in flips}), "study", "studies")
    gained, lost = (sum(flip.gained is kind for flip in flips) for kind in (True, False))
    return f"{studies} ({plural(gained, unit)} gained, {count(lost)} lost)"


def _listed(results: Results, flips: Sequence[FlippedStudy]) -> str:
    """Name the studies, those that were lost first; a case that is shown is marked."""
    cases = {case.study for case in results.cases}
    order = sorted(flips, key=lambda flip: (flip.gained is not False, flip.study not in cases))
    by_study: dict[str, list[str]] = {}
    for flip in order:
        by_study.setdefault(flip.study, []).append(_said(results, flip))
    names = [
        f"{study} {', '.join(said)}{' (case shown)' if study in cases else ''}" for study, said in by_study.items()
    ]
    rest = f"; and {count(len(names) - _MOST_FLIPS)} more in results.json" if len(names) > _MOST_FLIPS else ""
    return "; ".join(names[:_MOST_FLIPS]) + rest


def _said(results: Results, flip: FlippedStudy) -> str:
    of = f"{method(results, flip.map)} " if flip.map is not None else ""
    return f"{of}{words(flip.before)} \u2192 {words(flip.after)}"


def _shifts(results: Results, change: RunChange) -> list[Flowable]:
    """Return where maps peak elsewhere than before; nothing where no peak moved and too few patients are new."""
    if not change.shifts:
        return []
    shape = columns(
        ("Map", 22), ("Label", 18), ("Group", 20), ("Of", 20), ("Patients then / now", 20, True),
        ("Energy distance", 18, True), ("p", 10, True),
    )  # fmt: skip
    shown = sorted(change.shifts, key=lambda shift: shift.p)[:_MOST_SHIFTS]
    more = len(change.shifts) - len(shown)
    rest = f" {plural(more, 'more distance')} stand in results.json." if more else ""
    rows = [_shift(results, shift) for shift in shown]
    return [*subheading("Where maps peak, then and now"), table(shape, rows, compact=True), note(_SHIFTS, rest)]


def _shift(results: Results, shift: PeakShift) -> Sequence[object]:
    return (
        method(results, shift.map),
        shift.label,
        "all" if shift.group is None else words(shift.group.replace("=", ": ", 1)),
        shift.of,
        f"{count(shift.patients_before)} / {count(shift.patients)}",
        number(shift.distance),
        _probability(shift.p),
    )


_SHIFTS = (
    "Descriptive. Energy distance: how far apart the places of the maps' peaks lie, as shares of the picture; none "
    "where no peak moved. Same patients: between the runs. New patients: in this run, those whom the other did not "
    "have, against those whom it had. p: by permutation of patients, each of its row alone."
)
