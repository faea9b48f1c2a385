"""Every study that was found but not analysed, and every mask that could not be used."""

from collections.abc import Sequence
from itertools import groupby

from pipeline.findings.results import Results
from pipeline.findings.study_audit import RefusedMask, StudyAudit
from reports.numbers import plural
from reports.page.layout import Flowable, columns, note, subheading, table
from reports.page.text import DASH
from reports.registry import Context, section
from reports.wording import words


@section(130, "Exclusions and failures")
def build(context: Context) -> list[Flowable]:
    """Return one row a study, and one for each study and reason with masks that could not be used."""
    return [*_studies(context.results), *_masks(context.results)]


def _studies(results: Results) -> list[Flowable]:
    if not results.not_analysed:
        return []
    shape = columns(("Study", 24), ("Status", 11), ("Stage", 11), ("Reason", 22), ("Message", 42))
    ordered = sorted(results.not_analysed, key=lambda audit: (audit.status, audit.reason or "", audit.study))
    rows = [_row(audit) for audit in ordered]
    return [
        table(shape, rows, compact=True),
        note(
            f"{plural(len(rows), 'row')}. Excluded: ruled out by the archive itself. Failed: something broke; see the "
            "message."
        ),
    ]


def _masks(results: Results) -> list[Flowable]:
    if not results.mask_faults:
        return []
    shape = columns(("Study", 24), ("Experts", 22), ("Masks", 8, True), ("Reason", 20), ("Message", 38))
    rows = [
        (study, *_refused(list(faults)))
        for study, every in sorted(results.mask_faults.items())
        for _, faults in groupby(sorted(every, key=lambda fault: fault.reason), key=lambda fault: fault.reason)
    ]
    words_ = "Studies that were analysed. The scores of maps against these masks are undefined for the reason given."
    return [*subheading("Masks that could not be used"), table(shape, rows, compact=True), note(words_)]


def _refused(faults: Sequence[RefusedMask]) -> tuple[object, ...]:
    """Return the cells of one study's masks that share a reason; the first one's message stands for all."""
    readers = ", ".join(dict.fromkeys(fault.reader for fault in faults))
    return readers, str(sum(fault.masks for fault in faults)), words(faults[0].reason), faults[0].message


def _row(audit: StudyAudit) -> tuple[object, ...]:
    return audit.study, audit.status, audit.stage or DASH, words(audit.reason or DASH), audit.message or DASH
