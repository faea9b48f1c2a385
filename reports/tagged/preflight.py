"""The rules of a file for the archive and for screen readers, as far as they can be checked without a validator.

Each rule names what is wrong in one line. A claim in a file's metadata is written where the rules of its level hold.
They are not a validator: what they do not look at can be wrong.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pikepdf

from reports.pdf_objects.file_reader import FileReader, reading
from reports.tagged.rule import BranchRule, FileRule, ObjectRule, Rule
from reports.tagged.rules_archive import ARCHIVE_RULES
from reports.tagged.rules_reading import READING_RULES
from reports.tagged.rules_structure import STRUCTURE_RULES
from reports.tagged.tree import TreeReader

__all__ = ["RULES", "BrokenRule", "Conformance", "claim_of", "preflight", "preflight_file"]

Level = Literal["archive", "structure", "reading"]

RULES: Mapping[str, tuple[Level, Rule]] = {
    **{name: ("archive", rule) for name, rule in ARCHIVE_RULES.items()},
    **{name: ("structure", rule) for name, rule in STRUCTURE_RULES.items()},
    **{name: ("reading", rule) for name, rule in READING_RULES.items()},
}
"""Each rule by its name, with the level that it belongs to."""


@dataclass(frozen=True)
class BrokenRule:
    """A rule that a file breaks, its level, and where and how in one line."""

    rule: str
    level: Level
    what: str


@dataclass(frozen=True)
class Conformance:
    """What a file may say of itself: its level of PDF/A-3 (A, B, or None: none), and whether it is PDF/UA-1."""

    archive: Literal["A", "B"] | None
    universal: bool


def preflight(pdf: pikepdf.Pdf) -> tuple[BrokenRule, ...]:
    """Return what is wrong with an open file, rule by rule; nothing where all rules hold."""
    return _broken(FileReader(pdf))


def preflight_file(path: Path) -> tuple[BrokenRule, ...]:
    """Return what is wrong with a finished file on a disk, of which memory never holds more than a part."""
    with reading(path) as file:
        return _broken(file)


def _broken(file: FileReader) -> tuple[BrokenRule, ...]:
    faults = {name: _Faults() for name in RULES}
    structure = TreeReader(file)
    for branch in structure.branches():
        for name, (_, rule) in RULES.items():
            if isinstance(rule, BranchRule):
                faults[name].add(rule.faults(branch, structure.tree))
    for item in file.objects():
        for name, (_, rule) in RULES.items():
            if isinstance(rule, ObjectRule):
                faults[name].add(rule.faults(item, file))
        del item  # or the file stays open with all that was read, while the next piece is
    for name, (_, rule) in RULES.items():
        if isinstance(rule, FileRule):
            faults[name].add(rule.faults(file, structure.tree))
    return tuple(BrokenRule(name, RULES[name][0], what) for name in RULES for what in faults[name].listed())


class _Faults:
    """The faults of a rule, but no more than anybody reads."""

    def __init__(self, most: int = 20) -> None:
        self._most, self._first, self._more = most, list[str](), 0

    def add(self, faults: Iterable[str]) -> None:
        for what in faults:
            if len(self._first) < self._most:
                self._first.append(what)
            else:
                self._more += 1

    def listed(self) -> list[str]:
        return [*self._first, *([f"and {self._more} more"] if self._more else [])]


def claim_of(faults: Iterable[BrokenRule]) -> Conformance:
    """Return what a file with these faults may claim."""
    broken = {fault.level for fault in faults}
    if "archive" in broken:
        return Conformance(None, universal=False)
    return Conformance("B" if "structure" in broken else "A", universal=not broken)
