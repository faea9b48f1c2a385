"""Clauses and results to rows: where this report speaks to a clause, and what it leaves open."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from pipeline.findings.results import Results
from reports.clauses.clause import STATUSES_OF_CLAUSES, Clause, ClauseFile
from reports.clauses.evidence import EVIDENCE

__all__ = ["ClauseRow", "crosswalk"]


@dataclass(frozen=True)
class ClauseRow:
    """A clause as a report has it: ``sections`` (their files' names) hold evidence for it, ``open`` is what lacks."""

    clause: Clause
    sections: tuple[str, ...]
    open: tuple[str, ...]
    status: str


def crosswalk(clauses: ClauseFile, results: Results, framework: str, today: date) -> Sequence[ClauseRow]:
    """Return the rows of a framework, by what the results hold on the day of the report."""
    chosen = [clause for clause in clauses.clauses if clause.framework == framework]
    references = {clause.id: clause.reference for clause in clauses.clauses}
    return [
        ClauseRow(clause, *_answer(clause, results), _status(clause, today, references.get(clause.superseded_by, "")))
        for clause in chosen
    ]


def _answer(clause: Clause, results: Results) -> tuple[tuple[str, ...], tuple[str, ...]]:
    lacks = [(section, EVIDENCE[evidence](results)) for section, evidence in clause.answered]
    sections = dict.fromkeys(section for section, lack in lacks if lack is None)
    reasons = dict.fromkeys(lack for _, lack in lacks if lack is not None)
    return tuple(sections), (*reasons, *([clause.leaves_open] if clause.leaves_open else ()))


def _status(clause: Clause, today: date, successor: str) -> str:
    """Return the status in words: from when, whether another row takes its place, whether it was looked up long ago."""
    since = clause.applies_from
    if clause.status != "in_force":
        words = f"{STATUSES_OF_CLAUSES[clause.status]} {since}".strip()
    elif not since:
        words = STATUSES_OF_CLAUSES[clause.status]
    elif since > today.isoformat()[: len(since)]:
        words = f"applies from {since}"
    else:
        words = f"in force since {since}"
    parts = [words]
    parts += [f"replaced by {successor}"] if successor else []
    parts += ["wording not seen"] if clause.confidence == "secondary" else []
    parts += [f"looked up {clause.observed_on}, more than 180 days ago"] if clause.is_stale(today) else []
    return "; ".join(parts)
