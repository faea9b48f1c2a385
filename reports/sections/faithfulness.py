"""Whether the blocks that a map ranks high move the answer: against random orders and against a centre blob."""

from pipeline.findings.experiments.faithfulness import (
    BLOCK_FILLS,
    AskedFigure,
    FaithfulnessFigure,
    FaithfulnessFindings,
    SignTest,
)
from pipeline.findings.results import Results
from pipeline.vocabulary import KNOWN_TO_MISLEAD
from reports.numbers import number, plural
from reports.page.layout import Chip, Flowable, bullets, columns, note, small, subheading, table
from reports.page.text import DASH
from reports.registry import Context, section
from reports.wording import method, words

_WHAT = (
    "Each picture is cut into blocks of a quarter of its side. In the order of the map's mean over a block, they are "
    "taken away one after the other, and put back one after the other; in place of a block stands the blurred picture. "
    "The area is that under the label's score while blocks come back, less that while they go: high where "
    "the blocks that the map ranks first carry the answer. Opponents are random orders and a blob in the middle of the "
    "picture; an exact sign test over patients decides, in which ties count against the map."
)
_READING = (
    "Beating random orders alone shows nothing: maps of edges, and a blob in the middle, beat them in most models, "
    "since both lie on the body. Not shown is not refuted: it may take more patients. A map that beats both may still "
    "follow a shortcut: this says that it tells what the model uses, not whether the model should. Blocks are blind to "
    "what happens inside of them."
)
_MISLEADING = (
    "Asked for, and known to mislead: average drop and increase reward maps that cover everything, grey holes are "
    "unlike any picture that the model knows, so that a random order can destroy as much as a right one. No verdict "
    "rests on them."
)


_FEW = "fewer than"
"""Stands in a reason that no row has."""


@section(88, "Do the maps tell what moves the answer")
def build(context: Context) -> list[Flowable]:
    """Return a row for each map, the answers in words, and what else was asked for; nothing where none was asked."""
    results, findings = context.results, context.results.experiments.faithfulness
    if findings is None:
        return []
    shape = columns(
        ("Map", 24), ("Beats random orders in", 22, True), ("a centre blob in", 20, True), ("its reverse in", 18, True),
        ("Area", 11, True), ("Share of best", 13, True), ("No order", 11, True), ("Answer", 32),
    )  # fmt: skip
    decisive = [figure for figure in findings.figures if figure.fill == "blur"]
    # of a map that beats both, and of one that is not shown to beat chance, the row says all that there is
    said = {figure.method for figure in decisive if figure.answer in ("not shown", "beats both")}
    answers = [
        f"{method(results, str(c.method))}: {c.reason}."
        for c in findings.checks
        if c.method not in said or _FEW in c.reason
    ]
    return [
        small(_WHAT),
        table(shape, [_row(results, figure) for figure in decisive], compact=True),
        *bullets(answers, compact=True),
        *_second_look(results, findings),
        *_finer_look(results, findings),
        note(_READING, " ", _counts(findings)),
        *_asked(results, findings),
    ]


def _row(results: Results, figure: FaithfulnessFigure) -> tuple[object, ...]:
    tests = figure.tests
    return (
        method(results, figure.method),
        *(_won(tests[opponent]) for opponent in ("random", "centre", "inverse")),
        number(figure.area),
        number(figure.share_of_best),
        f"{figure.without_order} of {figure.pictures}",
        _chip(figure),
    )


def _won(test: SignTest) -> str:
    p = number(test.p)
    return f"{test.wins} of {test.patients} (p {p if p.startswith('<') else f'= {p}'})" if test.patients else DASH


def _chip(figure: FaithfulnessFigure) -> Chip:
    kind = {"beats both": "good", "loses": "bad"}.get(figure.answer, "open")
    return Chip(figure.answer.upper(), kind)


def _second_look(results: Results, findings: FaithfulnessFindings) -> list[Flowable]:
    """Say what the other fill came to, where it was looked at: it decides nothing."""
    others = [figure for figure in findings.figures if figure.fill != "blur"]
    said = [
        f"With {BLOCK_FILLS[figure.fill]} instead, {method(results, figure.method)}: {figure.answer} "
        f"(random orders in {_won(figure.tests['random'])}, centre blob in {_won(figure.tests['centre'])})."
        for figure in others
    ]
    return bullets(said, compact=True) if said else []


def _finer_look(results: Results, findings: FaithfulnessFindings) -> list[Flowable]:
    """Say what the halves of the blocks that a map ranks first came to, where they were looked at."""
    said = [
        f"Within the blocks that {method(results, figure.method)} ranks first, halved: {figure.answer} (random orders "
        f"in {_won(figure.tests['random'])}, centre blob in {_won(figure.tests['centre'])}; no halves in "
        f"{plural(figure.without, 'picture')}). A figure: no verdict rests on it."
        for figure in findings.finer_figures
    ]
    return bullets(said, compact=True) if said else []


def _counts(findings: FaithfulnessFindings) -> str:
    failed = ", ".join(f"{study}: {words(reason)}" for study, reason in findings.failures.items())
    lost = f" Not shown: {failed}." if failed else ""
    chosen = f"{plural(findings.asked, 'study', 'studies')}, one a patient, were chosen beforehand"
    return f"{chosen}; the model was shown {plural(findings.forwards, 'changed picture')}.{lost}"


def _asked(results: Results, findings: FaithfulnessFindings) -> list[Flowable]:
    if not findings.asked_figures:
        return []
    scores = dict.fromkeys(figure.score for figure in findings.asked_figures)
    shape = columns(("Map", 30), *((KNOWN_TO_MISLEAD[score], 34.0, True) for score in scores))
    by_place = {(figure.method, figure.score): figure for figure in findings.asked_figures}
    names = dict.fromkeys(figure.method for figure in findings.asked_figures)
    rows = [(method(results, name), *(_value(by_place[name, score]) for score in scores)) for name in names]
    return [*subheading("Known to mislead"), small(_MISLEADING), table(shape, rows)]


def _value(figure: AskedFigure) -> str:
    undefined = f" ({figure.undefined} undefined)" if figure.undefined else ""
    return f"{number(figure.value)}{undefined}"
