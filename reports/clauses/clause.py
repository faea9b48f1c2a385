"""A row of ``clauses.toml``, and the rules by which one is refused."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files
from typing import Any, Final

from pipeline.vocabulary import FRAMEWORKS

__all__ = ["STATUSES_OF_CLAUSES", "Clause", "ClauseFile", "FrameworkNote", "load_clauses", "read_clauses"]

STATUSES_OF_CLAUSES: Final[Mapping[str, str]] = {
    "in_force": "in force",
    "final": "final",
    "published": "published",
    "draft": "draft",
    "proposed": "proposed",
}
_CONFIDENCES = ("seen", "secondary")
_OPTIONAL = frozenset({"superseded_by"})
_MAY_BE_EMPTY = frozenset({"leaves_open", "applies_from", "answered", "superseded_by", "note"})
_DAY = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
_FRESH = timedelta(days=180)
"""A row that was looked up longer ago than this, when a report is made, is printed as such."""


@dataclass(frozen=True)
class Clause:
    """A clause, or several that ask the same.

    ``answered`` are pairs of a section (its file's name) and of the evidence that it takes for it to say anything;
    ``leaves_open`` is what no report can show. ``applies_from`` is a day, month or year: of what is in force since when
    it applies, of all else when it was issued; empty where it was not looked up. ``confidence`` tells whether the
    wording was seen, or follows from other sources. ``superseded_by`` is the id of the row that takes its place.
    """

    id: str
    framework: str
    reference: str
    asks: str
    answered: tuple[tuple[str, str], ...]
    leaves_open: str
    status: str
    applies_from: str
    observed_on: date
    source: str
    confidence: str
    superseded_by: str = ""

    def is_stale(self, today: date) -> bool:
        """Whether the row was looked up more than 180 days before ``today``."""
        return today - self.observed_on > _FRESH


@dataclass(frozen=True)
class FrameworkNote:
    """What holds for all clauses of a framework, and where it was read."""

    title: str
    note: str
    observed_on: date
    source: str


@dataclass(frozen=True)
class ClauseFile:
    """The whole file: ``frameworks`` by id, and the clauses in its order."""

    frameworks: Mapping[str, FrameworkNote]
    clauses: tuple[Clause, ...]


def load_clauses() -> ClauseFile:
    """Read the file that comes with this version."""
    return read_clauses((files("reports.clauses") / "clauses.toml").read_text(encoding="utf-8"))


def read_clauses(text: str) -> ClauseFile:
    """Read a file of clauses.

    Raises:
        ValueError: for a row that lacks a date or a source, or does not hold together with the others.
    """
    content = tomllib.loads(text)
    frameworks = {name: FrameworkNote(**_checked(FrameworkNote, name, row)) for name, row in _parts(content)}
    if set(frameworks) != set(FRAMEWORKS):
        raise ValueError(
            f"frameworks: must be {sorted(FRAMEWORKS)}, as the vocabulary has them, not {sorted(frameworks)}"
        )
    clauses = tuple(_clause(row) for row in content.get("clauses", ()))
    known = [clause.id for clause in clauses]
    for clause in clauses:
        if known.count(clause.id) > 1:
            raise ValueError(f"{clause.id}: stands there twice; an id names one row")
        if clause.framework not in frameworks:
            raise ValueError(f"{clause.id}: framework {clause.framework!r} is none of {sorted(frameworks)}")
        if clause.superseded_by and (clause.superseded_by not in known or clause.superseded_by == clause.id):
            raise ValueError(f"{clause.id}: superseded_by {clause.superseded_by!r} is no other row's id")
    return ClauseFile(frameworks, clauses)


def _parts(content: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return list(content.get("frameworks", {}).items())


def _clause(row: Mapping[str, Any]) -> Clause:
    name = str(row.get("id", "a row without id"))
    fields = _checked(Clause, name, row)
    if fields["status"] not in STATUSES_OF_CLAUSES:
        raise ValueError(f"{name}: status must be one of {list(STATUSES_OF_CLAUSES)}, not {fields['status']!r}")
    if fields["confidence"] not in _CONFIDENCES:
        raise ValueError(f"{name}: confidence must be one of {list(_CONFIDENCES)}, not {fields['confidence']!r}")
    if fields["applies_from"] and not _DAY.fullmatch(fields["applies_from"]):
        raise ValueError(
            f"{name}: applies_from is a year, month or day such as 2026-03, not {fields['applies_from']!r}"
        )
    return Clause(**{**fields, "answered": tuple((section, evidence) for section, evidence in fields["answered"])})


def _checked(kind: type, name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row's fields when each is there, is not empty where it must not be, and none is unknown."""
    wanted = set(kind.__dataclass_fields__)  # type: ignore[attr-defined]
    for field in sorted(wanted - _OPTIONAL):
        if field not in row or (row[field] in ("", []) and field not in _MAY_BE_EMPTY):
            raise ValueError(f"{name}: lacks {field}; a row without date, source or content is refused")
    if set(row) - wanted:
        raise ValueError(f"{name}: has unknown fields {sorted(set(row) - wanted)}")
    if type(row["observed_on"]) is not date:
        raise ValueError(f"{name}: observed_on must be a day such as 2026-11-28, not {row['observed_on']!r}")
    return dict(row)
