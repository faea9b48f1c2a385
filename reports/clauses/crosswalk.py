"""Clauses and results to rows: where this report speaks to a clause, and what it leaves open."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from pipeline.findings.results import Results
from reports.clauses.clause import STATUSES_OF_CLAUSES, Clause, ClauseFile
from reports.clauses.evidence import EVIDENCE

__all__ = ["ClauseRow", "crosswalk"]


@dataclass(frozen=True)
class ClauseRow:
    """A clause as a report has it: ``sections`` (their files' names) hold evidence for it, ``open`` is what lacks.

    ``status`` says since or from when it holds, ``remarks`` whether another takes its place or it was looked up long
    ago.
    """

    clause: Clause
    sections: tuple[str, ...]
    open: tuple[str, ...]
    status: str
    remarks: tuple[str, ...]


def crosswalk(clauses: ClauseFile, results: Results, framework: str, today: date) -> Sequence[ClauseRow]:
    """Return the rows of a framework, by what the results hold on the day of the report."""
    chosen = [clause for clause in clauses.clauses if clause.framework == framework]
    references = {clause.id: clause.reference for clause in clauses.clauses}
    return [
        ClauseRow(
            clause,
            *_answer(clause, results),
            _status(clause, today),
            tuple(_remarks(clause, today, references.get(clause.superseded_by))),
        )
        for clause in chosen
    ]


def _answer(clause: Clause, results: Results) -> tuple[tuple[str, ...], tuple[str, ...]]:
    lacks = [(section, EVIDENCE[evidence](results)) for section, evidence in clause.answered]
    sections = dict.fromkeys(section for section, lack in lacks if lack is None)
    reasons = dict.fromkeys(lack for _, lack in lacks if lack is not None)
    return tuple(sections), (*reasons, *([clause.leaves_open] if clause.leaves_open else ()))


def _status(clause: Clause, today: date) -> str:
    """Return the status in words, with since or from when it holds."""
    since, words = clause.applies_from, STATUSES_OF_CLAUSES[clause.status]
    if clause.status != "in_force" or not since:
        return f"{words} {since}".strip()
    return f"applies from {since}" if since > today.isoformat()[: len(since)] else f"in force since {since}"


def _remarks(clause: Clause, today: date, successor: str | None) -> Iterator[str]:
    if successor is not None:
        yield f"replaced by {successor}"
    if clause.is_stale(today):
        yield f"looked up {clause.observed_on}, more than 180 days ago"
