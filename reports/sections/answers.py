"""Every answer by cell of the confusion matrix: how often it came, and where the maps of its two labels looked."""

from collections.abc import Sequence

from pipeline.findings.estimates import Estimate
from pipeline.findings.results import CellFindings, Results
from pipeline.vocabulary import NOTHING, TARGET_ROLES
from reports.numbers import count, estimate
from reports.page.layout import Flowable, columns, note, paragraph, subheading, table
from reports.page.text import DASH, bold
from reports.registry import Context, section
from reports.wording import headed, in_sentence, interval_head, intervals, method

_WHY = (
    "A finding that is called another one, a finding that is missed and a false alarm are different errors. In every "
    "wrong case the map of the label that was called stands beside that of the reference's label, held against the "
    "masks of the finding that is there; it counts for no criterion but one that names it."
)
_PLACED = (
    "In the body: share of the called label's map that lies in the body, as the body mask has it; where the "
    "reference names no finding there is no mask, and nothing else to hold a map against."
)
_BY_ITSELF = f" Each label is called by itself: {NOTHING} stands for one that is not there, or not called."


@section(85, "Results: every answer")
def build(context: Context) -> list[Flowable]:
    """Return a table of the cells for each map."""
    results = context.results
    confusion = results.confusion
    if not confusion.cells:
        return [paragraph(f"There are no cells: {confusion.reason or 'no study with a reference was answered'}.")]
    every = [part for cell in confusion.cells for part in (*cell.reference_map, *cell.answered_map)]
    shown = _metric_of(results)
    lost = f" {confusion.unanswered} studies with a reference were not answered, and may belong to any of the cells."
    by_itself = any(NOTHING in (part.cell.reference, part.cell.answered) for part in confusion.cells)
    return [
        paragraph(_WHY),
        *(part for facts in results.methods for part in _table(results, confusion.cells, facts.name, shown)),
        note(
            f"{intervals([part for part in every if part.metric == shown])} {_PLACED}"
            f"{_BY_ITSELF if by_itself else ''}{lost if confusion.unanswered else ''}"
        ),
    ]


def _metric_of(results: Results) -> str:
    """Return the metric that the table shows: the hit rate where it was measured, else the first."""
    names = [facts.name for facts in results.metrics]
    return "hit_rate" if "hit_rate" in names else names[0]


def _table(results: Results, cells: Sequence[CellFindings], name: str, shown: str) -> list[Flowable]:
    """Return the table of a method's maps, under its name where there are several methods."""
    every = [part for cell in cells for part in _of(cell.reference_map, name, shown)]
    title, confidence = headed(results, shown), interval_head(every)
    heads = [f"{title}, {in_sentence(TARGET_ROLES[role])} ({confidence})" for role in TARGET_ROLES]
    shape = columns(
        ("Reference", 17),
        ("Answered", 17),
        ("Studies", 12, True),
        ("Patients", 13, True),
        *((head, 26, True) for head in heads),
        (f"In the body ({confidence})", 24, True),
    )
    rows = table(shape, [_row(cell, name, shown) for cell in cells])
    return [*(subheading(method(results, name)) if len(results.methods) > 1 else []), rows]


def _row(part: CellFindings, name: str, shown: str) -> tuple[object, ...]:
    answered = part.cell.answered
    return (
        part.cell.reference,
        answered if part.cell.is_right else bold(answered),
        count(part.studies),
        count(part.patients),
        _numbers(_of(part.reference_map, name, shown)),
        _numbers(_of(part.answered_map, name, shown)),
        _numbers(_of(part.placement, name, "energy_in_body")),
    )


def _of(estimates: Sequence[Estimate], name: str, shown: str) -> list[Estimate]:
    return [part for part in estimates if part.metric == shown and part.method.partition("@")[0] == name]


def _numbers(estimates: Sequence[Estimate]) -> str:
    """Return the values with their bounds, one for each layer; a dash where there is no map."""
    return "; ".join(map(estimate, estimates)) or DASH
