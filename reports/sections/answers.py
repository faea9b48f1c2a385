"""Every answer by cell of the confusion matrix: how often it came, and where the maps of its two labels looked."""

from collections.abc import Sequence

from pipeline.findings.estimates import Estimate
from pipeline.findings.results import CellFindings, Results
from pipeline.vocabulary import NOTHING, TARGET_ROLES
from reports.numbers import bounds, number
from reports.page.layout import Flowable, columns, note, paragraph, table
from reports.page.text import DASH, bold
from reports.registry import Context, section
from reports.wording import headed, in_sentence, interval_head, intervals

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
    every = [estimate for cell in confusion.cells for estimate in (*cell.reference_map, *cell.answered_map)]
    shown = _metric_of(results)
    lost = f" {confusion.unanswered} studies with a reference were not answered, and may belong to any of the cells."
    by_itself = any(NOTHING in (part.cell.reference, part.cell.answered) for part in confusion.cells)
    return [
        paragraph(_WHY),
        *(_table(results, confusion.cells, facts.name, shown) for facts in results.methods),
        note(
            f"{intervals([estimate for estimate in every if estimate.metric == shown])} {_PLACED}"
            f"{_BY_ITSELF if by_itself else ''}{lost if confusion.unanswered else ''}"
        ),
    ]


def _metric_of(results: Results) -> str:
    """Return the metric that the table shows: the hit rate where it was measured, else the first."""
    names = [facts.name for facts in results.metrics]
    return "hit_rate" if "hit_rate" in names else names[0]


def _table(results: Results, cells: Sequence[CellFindings], name: str, shown: str) -> Flowable:
    every = [estimate for cell in cells for estimate in _of(cell.reference_map, name, shown)]
    title, confidence = headed(results, shown), interval_head(every)
    shape = columns(
        ("Reference", 20),
        ("Answered", 20),
        ("Studies", 9, True),
        ("Patients", 9, True),
        (f"{title}, {in_sentence(TARGET_ROLES['reference'])} ({confidence})", 27, True),
        (f"{title}, {in_sentence(TARGET_ROLES['answered'])} ({confidence})", 27, True),
        ("In the body", 14, True),
    )
    return table([*shape], [_row(cell, name, shown) for cell in cells])


def _row(part: CellFindings, name: str, shown: str) -> tuple[object, ...]:
    answered = part.cell.answered
    return (
        part.cell.reference,
        answered if part.cell.is_right else bold(answered),
        f"{part.studies}",
        f"{part.patients}",
        _numbers(_of(part.reference_map, name, shown)),
        _numbers(_of(part.answered_map, name, shown)),
        _numbers(_of(part.placement, name, "energy_in_body")),
    )


def _of(estimates: Sequence[Estimate], name: str, shown: str) -> list[Estimate]:
    return [part for part in estimates if part.metric == shown and part.method.partition("@")[0] == name]


def _numbers(estimates: Sequence[Estimate]) -> str:
    """Return the values with their bounds, one for each layer; a dash where there is no map."""
    said = [f"{number(part.value)} ({bounds(part)})" if part.value is not None else DASH for part in estimates]
    return "; ".join(said) or DASH
