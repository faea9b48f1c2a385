"""The first page answers: verdicts, a typical case, where the maps look, what may be claimed, the lock, who signs."""

from functools import partial

from reportlab.platypus import Table, TableStyle

from pipeline.errors import OutputError
from pipeline.findings.facts import Amendment, Lock
from reports.case_page import hidden_peak, panel_in_words
from reports.claims import main_method
from reports.cover.first_answers import first_answers, identity, interval_of, lock_sentences, verdict_rows
from reports.cover.short_contents import ShortContents
from reports.numbers import moment, plural
from reports.page.fonts import REGULAR
from reports.page.layout import (
    CONTENT,
    GREY,
    Flowable,
    bullets,
    callout,
    columns,
    paragraph,
    small,
    subheading,
    table,
    title,
    together,
)
from reports.page.text import Markup, bold, coloured, digest, joined
from reports.pictures.case_panels import map_view, plane_words, typical_row, window_words
from reports.pictures.legend import Legend
from reports.registry import Context, section
from reports.signing.boxes import SignatureBoxes
from reports.wording import chip, method

_SHORT = 12
_MOST_REASONS = 8
_WARNING = "#9a1b1b"


@section(0, "")
def build(context: Context) -> list[Flowable]:
    """Return the page that answers: verdicts, a typical case, what may be claimed, the lock, who signs."""
    return [
        *_identity(context),
        *_altered(context),
        *_verdicts(context),
        *_typical(context),
        *_lock(context),
        *_sign_off(),
        ShortContents(),
    ]


def _identity(context: Context) -> list[Flowable]:
    results = context.results
    model = results.model
    rows = (
        ("Model", joined(bold(model.name), f", version {model.version}, weights ", digest(model.sha256, _SHORT), " …")),
        *identity(results),
    )
    return [
        title(results.title),
        small(joined(*(joined(coloured(f"{name}: ", GREY), value) for name, value in rows), by="  ·  ")),
    ]


def _verdicts(context: Context) -> list[Flowable]:
    results = context.results
    head = subheading("Verdicts")
    if not results.verdicts:
        return [*head, paragraph("No acceptance criterion was stated, so there is no verdict.")]
    shape = columns(
        ("Criterion", 182), ("Asked", 63), ("Estimate", 43, True), (interval_of(results), 70, True),
        ("The data allow", 74), ("Verdict", 78),
    )  # fmt: skip
    rows = [
        (
            [bold(row.criterion), coloured(row.whom, GREY)],
            row.asked,
            row.estimate,
            row.bounds,
            row.allowed,
            chip(row.answer),
        )
        for row in verdict_rows(results)
    ]
    return [*head, table(shape, rows, compact=True)]


def _typical(context: Context) -> list[Flowable]:
    """Return the pictures of the typical case beside where the maps look, how the classifier does, and the claim."""
    words = _answers(context)
    pictures = _pictures(context)
    if pictures is None:
        return words
    share = 0.62
    style = TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), *((side, (0, 0), (-1, -1), 0) for side in _SIDES),
                        ("FONT", (0, 0), (-1, -1), REGULAR, 7), ("LEFTPADDING", (1, 0), (1, 0), 6)])  # fmt: skip
    return [Table([[pictures, words]], colWidths=[CONTENT * share, CONTENT * (1 - share)], style=style)]


_SIDES = ("LEFTPADDING", "RIGHTPADDING", "TOPPADDING", "BOTTOMPADDING")
_PICTURES = 0.6 * CONTENT


def _pictures(context: Context) -> list[Flowable] | None:
    """Return the typical case's two pictures with their words; None where there are none."""
    results = context.results
    case = next((case for case in results.cases if case.rule.startswith("typical") and case.panels), None)
    chosen = main_method(results)
    if case is None or chosen is None:
        return None
    try:
        panels = context.panels(str(case.panels))
    except OutputError:
        return None
    titles = {name: method(results, name) for view in panels.views for name in view.maps}
    load = partial(context.panels, str(case.panels))
    row = typical_row(load, titles, chosen, _PICTURES, partial(panel_in_words, case, panels))
    if row is None:
        return None
    first = next(place for place, view in enumerate(panels.views) if view.role == "main")
    shown, hidden = map_view(panels, chosen), hidden_peak(case, panels, chosen)
    slices = plane_words(panels.views[first], panels.length_unit)
    slices += f"; map: {plane_words(panels.views[shown], panels.length_unit)}" if shown != first else ""
    slices += f"; its peak lies {hidden}, not shown" if hidden is not None else ""
    words = f"{slices[:1].upper()}{slices[1:]}; {window_words(panels)}."
    caption = small(bold(f"{case.rule[:1].upper()}{case.rule[1:]}. "), words, colour=GREY)
    return [row, Legend(panels, _PICTURES), caption]


def _answers(context: Context) -> list[Flowable]:
    content: list[Flowable] = []
    for answer in first_answers(context.results):
        first = answer.first if answer.heading in _PLAIN else bold(answer.first)
        parts = [first, " ", answer.rest] if answer.rest else [first]
        content += [*subheading(answer.heading)[1:], paragraph(*parts)]
    return content


_PLAIN = ("The classifier", "The strongest claim")
"""The answers that stand in plain letters: the others are the page's own."""


def _altered(context: Context) -> list[Flowable]:
    """Say what does not hold, before any verdict: the first reasons, and how many there are."""
    if not context.altered:
        return []
    shown, more = context.altered[:_MOST_REASONS], len(context.altered) - _MOST_REASONS
    words = "ALTERED. The run's folder is not what its run wrote, so no number of this report can be relied on:"
    reasons = [*shown, *([f"and {more} more, which camaudit verify names"] if more > 0 else [])]
    return [together([callout(paragraph(bold(words)), *bullets(reasons), colour=_WARNING)])]


def _lock(context: Context) -> list[Flowable]:
    lock = context.results.lock
    hashes = joined(
        *(
            joined(f"{name} ", digest(value, _SHORT))
            for name, value in (
                ("criteria", lock.criteria), ("cohort", lock.cohort),
                ("recipe", lock.recipe), ("model", lock.model),
            )
        ),
        by=" · ",
    )  # fmt: skip
    about = small("Beginnings of SHA-256: ", hashes, ". ", _register(lock), *_time_stamp(lock), colour=GREY)
    amended = [
        paragraph(bold(f"AMENDED {moment(amendment.amended_at)}: "), amendment.reason, _amendment(amendment))
        for amendment in lock.amendments
    ]
    word, sentence = lock_sentences(context.results)
    if lock.exploratory:
        content = [paragraph(bold(f"{word} {sentence}")), *bullets(lock.exploratory), *amended, about]
        return [together([callout(*content, colour=_WARNING)])]
    return [together([callout(paragraph(bold(word), f" {sentence}"), *amended, about)])]


def _amendment(amendment: Amendment) -> str:
    """Return what an amendment changed, and what had been seen by then."""
    changed = "; ".join(amendment.changed) or "nothing that counts changed"
    seen = f"{plural(len(amendment.seen), 'run')} had been looked at" if amendment.seen else "no run had been looked at"
    return f" ({changed}; {seen} since the first lock; it was locked before on {moment(amendment.previous_locked_at)})"


def _register(lock: Lock) -> Markup:
    """Return since when looks are registered, and whose key signs: what a reader compares with what was sent away."""
    mark = lock.register_mark
    entries = plural(mark.length, "entry", "entries") if mark else ""
    since = f"Looks are registered since {moment(mark.since)}: {entries}, head " if mark else ""
    looks = [since, digest(mark.head, _SHORT)] if mark else []
    return joined(*looks, f" · signed by the site key {lock.site_key}" if lock.site_key else "")


def _time_stamp(lock: Lock) -> list[str]:
    """Return what an authority says of the lock, by the lock; who that authority is, only a verification can tell."""
    stamp = lock.time_stamp
    checked = "(so it calls itself: camaudit verify --trust-authority)"
    return [f" · Time stamp: {moment(stamp.time)} by {stamp.authority} {checked}"] if stamp else []


def _sign_off() -> list[Flowable]:
    return [together([*subheading("Sign-off")[1:], SignatureBoxes()])]
