"""Every study that was found but not analysed."""

from pipeline.record import StudyAudit
from reports.layout import Flowable, columns, note, paragraph, table
from reports.numbers import plural
from reports.registry import Context, section
from reports.text import DASH
from reports.wording import words


@section(130, "Exclusions and failures")
def build(context: Context) -> list[Flowable]:
    """Return one row a study."""
    results = context.results
    if not results.not_analysed:
        return [paragraph("Every study that was found was analysed.")]
    shape = columns(("Study", 24), ("Status", 11), ("Stage", 11), ("Reason", 22), ("Message", 42))
    ordered = sorted(results.not_analysed, key=lambda audit: (audit.status, audit.reason or "", audit.study))
    rows = [_row(audit) for audit in ordered]
    return [
        table(shape, rows),
        note(
            f"{plural(len(rows), 'row')}. Excluded: ruled out by the archive itself. Failed: something broke; see the "
            "message."
        ),
    ]


def _row(audit: StudyAudit) -> tuple[object, ...]:
    return audit.study, audit.status, audit.stage or DASH, words(audit.reason or DASH), audit.message or DASH
