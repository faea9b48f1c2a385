"""What of laws, guidances, standards and checklists this report speaks to."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date

from pipeline.vocabulary import FRAMEWORKS
from reports.clauses.clause import ClauseFile, FrameworkNote, load_clauses
from reports.clauses.crosswalk import ClauseRow, crosswalk
from reports.numbers import MARK, when
from reports.page.layout import Flowable, bullets, note, small, subheading
from reports.page.text import Markup, bold, joined
from reports.registry import Context, section, sections

_NOT_A_JUDGEMENT = (
    "Where this report supports evidence for a clause, and what it leaves open. It judges no clause to be fulfilled: "
    "that is for people with the whole file before them. What a clause asks is told in our words; "
    f"{MARK}: not seen in the text itself; read it."
)


@section(149, "Clauses", in_columns=True)
def build(context: Context) -> list[Flowable]:
    """Return the clauses of the frameworks that the audit's configuration chooses."""
    results = context.results
    if not results.frameworks:
        return [small("No framework was chosen (report.frameworks).")]
    clauses, today = load_clauses(), when(results.provenance.finished_at).date()
    titles = _titles()
    content: list[Flowable] = [small(_NOT_A_JUDGEMENT)]
    for name in results.frameworks:
        listed = crosswalk(clauses, results, name, today)
        usual = _usual_status(listed)
        content += subheading(FRAMEWORKS[name] + (f": {usual}" if usual else ""))
        content += bullets((_told(row, titles, usual) for row in listed), compact=True)
    return [*content, note(_sources(context, clauses, today))]


def _titles() -> dict[str, str]:
    """Return the sections' titles by the name of their file."""
    return {part.build.__module__.rpartition(".")[2]: part.title or "Cover" for part in sections()}


def _usual_status(rows: Sequence[ClauseRow]) -> str:
    """Return the status that most rows of a framework have, which stands beside its name; '' where none is shared."""
    (status, many), *_ = Counter(row.status for row in rows).most_common(1)
    return status if many > 1 or len(rows) == 1 else ""


def _told(row: ClauseRow, titles: Mapping[str, str], usual: str) -> Markup:
    """Return what a clause asks, where evidence for it stands, and what is left open."""
    where = ", ".join(titles[name] for name in row.sections) or "nothing in this report"
    mark = MARK if row.clause.confidence == "secondary" else ""
    said = [*([row.status] if row.status != usual else []), *row.remarks]
    clause = f"{row.clause.reference}{mark}" + (f" ({'; '.join(said)})" if said else "") + ". "
    left = [bold(" Open: "), f"{'; '.join(row.open)}."] if row.open else []
    return joined(bold(clause), row.clause.asks, bold(" In: "), where, ".", *left)


def _sources(context: Context, clauses: ClauseFile, today: date) -> str:
    chosen = context.results.frameworks
    notes = [_note(clauses.frameworks[name], today) for name in chosen]
    others = [title for name, title in FRAMEWORKS.items() if name not in chosen]
    rest = f" Not shown, and at hand: {', '.join(others)}." if others else ""
    return f"{' '.join(notes)}{rest}"


def _note(framework: FrameworkNote, today: date) -> str:
    old = ", more than 180 days before this report" if (today - framework.observed_on).days > 180 else ""
    said = f" {framework.note}" if framework.note else ""
    return f"{framework.title}: {framework.source}; looked up {framework.observed_on}{old}.{said}"
