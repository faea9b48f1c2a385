"""The rules of a file for the archive and for screen readers, as far as they can be checked without a validator.

Each rule names what is wrong in one line. A claim in a file's metadata is written where the rules of its level hold.
They are not a validator: what they do not look at can be wrong.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pikepdf

from reports.tagged.rules_archive import ARCHIVE_RULES
from reports.tagged.rules_reading import READING_RULES
from reports.tagged.rules_structure import STRUCTURE_RULES
from reports.tagged.tree import Tree, read_tree

__all__ = ["RULES", "BrokenRule", "Conformance", "claim_of", "preflight", "preflight_file"]

Level = Literal["archive", "structure", "reading"]
Rule = Callable[[pikepdf.Pdf, Tree], Iterator[str]]

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
    """Return what is wrong with a finished file, rule by rule; nothing where all rules hold."""
    tree = read_tree(pdf)
    return tuple(
        BrokenRule(name, level, what) for name, (level, rule) in RULES.items() for what in _first(rule(pdf, tree))
    )


def preflight_file(path: Path) -> tuple[BrokenRule, ...]:
    """Return what is wrong with a finished file on a disk."""
    with pikepdf.open(path, access_mode=pikepdf.AccessMode.stream) as pdf:
        return preflight(pdf)


def _first(faults: Iterable[str], most: int = 20) -> list[str]:
    """Return a rule's faults, but no more than anybody reads."""
    listed = list(faults)
    return [*listed[:most], *([f"and {len(listed) - most} more"] if len(listed) > most else [])]


def claim_of(faults: Iterable[BrokenRule]) -> Conformance:
    """Return what a file with these faults may claim."""
    broken = {fault.level for fault in faults}
    if "archive" in broken:
        return Conformance(None, universal=False)
    return Conformance("B" if "structure" in broken else "A", universal=not broken)
