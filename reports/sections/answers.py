"""Every answer by cell of the confusion matrix: how often it came, and where the maps of its two labels looked."""

from collections.abc import Sequence

from pipeline.findings.estimates import Estimate
from pipeline.findings.results import CellFindings, Results
from pipeline.vocabulary import NOTHING, TARGET_ROLES
from reports.numbers import count, estimate
from reports.page.layout import Flowable, columns, note, small, table
from reports.page.text import DASH, bold
from reports.registry import Context, section
from reports.wording import headed, in_sentence, interval_head, intervals_again, method

_WHY = (
    "A finding called another one, a finding missed and a false alarm are different errors. Where the answer is wrong, "
    "the map of the called label stands beside the reference's, held against the same masks; it counts only for "
    "criteria that name it."
)
_PLACED = (
    "In the body: share of the called label's map that lies in the body, as the body mask has it; where the "
    "reference names no finding there is no mask, and nothing else to hold a map against."
)
_BY_ITSELF = f" Each label is called by itself: {NOTHING} stands for one that is not there, or not called."


@section(85, "Every answer")
def build(context: Context) -> list[Flowable]:
    """Return a table of the cells and the maps."""
    results = context.results
    confusion = results.confusion
    if not confusion.cells:
        return [small(f"There are no cells: {confusion.reason or 'no study with a reference was answered'}.")]
    every = [part for cell in confusion.cells for part in (*cell.reference_map, *cell.answered_map)]
    shown = _metric_of(results)
    lost = f" {confusion.unanswered} studies with a reference were not answered, and may belong to any of the cells."
    by_itself = any(NOTHING in (part.cell.reference, part.cell.answered) for part in confusion.cells)
    return [
        small(_WHY),
        _table(results, confusion.cells, shown),
        note(
            f"{intervals_again(results, [part for part in every if part.metric == shown])} {_PLACED}"
            f"{_BY_ITSELF if by_itself else ''}{lost if confusion.unanswered else ''}"
        ),
    ]


def _metric_of(results: Results) -> str:
    """Return the metric that the table shows: the hit rate where it was measured, else the first."""
    names = [facts.name for facts in results.metrics]
    return "hit_rate" if "hit_rate" in names else names[0]


def _table(results: Results, cells: Sequence[CellFindings], shown: str) -> Flowable:
    """Return the cells down, with a row for each method; a cell without any map has one row."""
    every = [part for cell in cells for part in cell.reference_map if part.metric == shown]
    title, confidence = headed(results, shown), interval_head(every)
    heads = [f"{title}, {in_sentence(TARGET_ROLES[role])} ({confidence})" for role in TARGET_ROLES]
    shape = columns(
        ("Reference", 15),
        ("Answered", 15),
        ("Studies", 11, True),
        ("Patients", 12, True),
        ("Map", 18),
        *((head, 29, True) for head in heads),
        (f"In the body ({confidence})", 26, True),
    )
    rows: list[tuple[object, ...]] = []
    rules: list[int] = []
    for cell in cells:
        rows += _rows(results, cell, shown)
        rules.append(len(rows) - 1)
    return table(shape, rows, rules=rules, compact=True)


def _rows(results: Results, part: CellFindings, shown: str) -> list[tuple[object, ...]]:
    reference, answered = part.cell.reference, part.cell.answered
    lead = (reference, answered if part.cell.is_right else bold(answered), count(part.studies), count(part.patients))
    maps = [(facts.name, numbers) for facts in results.methods if any(numbers := _of_map(part, facts.name, shown))]
    if not maps:
        return [(*lead, *[DASH] * 4)]
    return [
        (*(lead if place == 0 else ("",) * 4), method(results, name), *(text or DASH for text in numbers))
        for place, (name, numbers) in enumerate(maps)
    ]


def _of_map(part: CellFindings, name: str, shown: str) -> tuple[str, str, str]:
    """Return the reference's map, the answered label's map, and what of that lies in the body."""
    return (
        _numbers(_of(part.reference_map, name, shown)),
        _numbers(_of(part.answered_map, name, shown)),
        _numbers(_of(part.placement, name, "energy_in_body")),
    )


def _of(estimates: Sequence[Estimate], name: str, shown: str) -> list[Estimate]:
    return [part for part in estimates if part.metric == shown and part.method.partition("@")[0] == name]


def _numbers(estimates: Sequence[Estimate]) -> str:
    """Return the values with their bounds, one for each layer; nothing where there is no map."""
    return "; ".join(map(estimate, estimates))
