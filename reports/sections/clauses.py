"""What of laws, guidances, standards and checklists this report speaks to."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date

from pipeline.vocabulary import FRAMEWORKS
from reports.clauses.clause import ClauseFile, FrameworkNote, load_clauses
from reports.clauses.crosswalk import ClauseRow, crosswalk
from reports.numbers import MARK, when
from reports.page.layout import Flowable, columns, note, paragraph, table
from reports.page.text import DASH, bold
from reports.registry import Context, section, sections

_NOT_A_JUDGEMENT = (
    "Where this report supports evidence for a clause, and what it leaves open. It judges no clause to be fulfilled: "
    "that is for people with the whole file before them. What a clause asks is told in our words."
)


@section(149, "Clauses")
def build(context: Context) -> list[Flowable]:
    """Return a table of the frameworks that the audit's configuration chooses."""
    results = context.results
    if not results.frameworks:
        return [paragraph("No framework was chosen (report.frameworks).")]
    clauses, today = load_clauses(), when(results.provenance.finished_at).date()
    titles = _titles()
    rows: list[Sequence[object]] = []
    for name in results.frameworks:
        listed = crosswalk(clauses, results, name, today)
        usual = _usual_status(listed)
        rows.append((bold(FRAMEWORKS[name]), f"{usual[:1].upper()}{usual[1:]}", "", ""))
        rows += [_cells(row, titles, usual) for row in listed]
    shape = columns(("Clause", 20), ("Asks for", 32), ("Supported by evidence in", 24), ("Left open", 24))
    return [paragraph(_NOT_A_JUDGEMENT), table(shape, rows, compact=True), note(_sources(context, clauses, today))]


def _titles() -> dict[str, str]:
    """Return the sections' titles by the name of their file."""
    return {part.build.__module__.rpartition(".")[2]: part.title or "Cover" for part in sections()}


def _usual_status(rows: Sequence[ClauseRow]) -> str:
    """Return the status that most rows of a framework have, which stands beside its name; '' where none is shared."""
    (status, many), *_ = Counter(row.status for row in rows).most_common(1)
    return status if many > 1 or len(rows) == 1 else ""


def _cells(row: ClauseRow, titles: Mapping[str, str], usual: str) -> tuple[object, ...]:
    where = ", ".join(titles[name] for name in row.sections) or "nothing in this report"
    mark = MARK if row.clause.confidence == "secondary" else ""
    said = [*([row.status] if row.status != usual else []), *row.remarks]
    clause = f"{row.clause.reference}{mark}" + (f": {'; '.join(said)}" if said else "")
    return (clause, row.clause.asks, where, "; ".join(row.open) or DASH)


def _sources(context: Context, clauses: ClauseFile, today: date) -> str:
    chosen = context.results.frameworks
    notes = [_note(clauses.frameworks[name], today) for name in chosen]
    others = [title for name, title in FRAMEWORKS.items() if name not in chosen]
    rest = f" Not shown, and at hand: {', '.join(others)}." if others else ""
    return f"{' '.join(notes)} {MARK}: told from other sources, the wording was not seen; read the text itself.{rest}"


def _note(framework: FrameworkNote, today: date) -> str:
    old = ", more than 180 days before this report" if (today - framework.observed_on).days > 180 else ""
    said = f" {framework.note}" if framework.note else ""
    return f"{framework.title}: {framework.source}; looked up {framework.observed_on}{old}.{said}"
