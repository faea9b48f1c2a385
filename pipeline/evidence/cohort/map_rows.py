"""Rows of numbers about a cohort's maps, gathered study by study: few bytes a number, and no objects."""

import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.cohort.units import decisive_scores, names_of_places
from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.scores import MapScores
from pipeline.findings.study_audit import MethodAtLayer, StudyAudit

__all__ = ["MapRows", "RowsOfMap", "patients_of"]

_PENDING = 256
"""Rows that wait as objects for being packed."""


@dataclass(frozen=True)
class RowsOfMap:
    """The rows of one map and label: by row the study's number, and the map's place among those of its study."""

    studies: "array[int]" = field(default_factory=lambda: array("i"))
    places: "array[int]" = field(default_factory=lambda: array("H"))
    _pending: list[Sequence[float]] = field(default_factory=list)
    _blocks: list[tuple[bytes, np.dtype[Any], tuple[int, ...]]] = field(default_factory=list)

    def put(self, study: int, place: int, row: Sequence[float]) -> None:
        """Add a row."""
        self.studies.append(study)
        self.places.append(place)
        self._pending.append(row)
        if len(self._pending) == _PENDING:
            self._pack()

    def _pack(self) -> None:
        rows = np.array(self._pending)
        if rows.dtype.kind in "iu":
            rows = rows.astype(np.min_scalar_type(rows.max()) if rows.min() >= 0 else np.int64)
        # column by column: what stands below each other is alike, and most of its bytes are the same
        self._blocks.append((zlib.compress(rows.tobytes(order="F"), level=1), rows.dtype, rows.shape))
        self._pending.clear()

    def blocks(self) -> Iterator[NDArray[np.generic]]:
        """Yield the rows, some at a time, as they were added."""
        if self._pending:
            self._pack()
        for packed, dtype, shape in self._blocks:
            yield np.frombuffer(zlib.decompress(packed), dtype=dtype).reshape(shape, order="F")

    def numbers(self) -> NDArray[np.intp]:
        """Return the study's number of each row."""
        return np.array(self.studies, dtype=np.intp)

    def starts_at(self, row: int) -> tuple[int, int]:
        """Return where a row stands in the cohort: by study, and by the map's place in it."""
        return self.studies[row], self.places[row]


@dataclass(frozen=True)
class MapRows:
    """Rows by label and map, of what ``of`` gives of a score against one reader who decides; None: nothing."""

    labels: Sequence[str]
    of: Callable[[MapScores], Sequence[float] | None]
    rows: dict[tuple[str, str], RowsOfMap] = field(default_factory=dict)
    _places: dict[MethodAtLayer, None] = field(default_factory=dict)

    def add(self, study: int, audit: StudyAudit, labels: Sequence[str]) -> None:
        """Add what an analysed study has of some labels; ``study`` is its number."""
        self._places.update(dict.fromkeys(audit.places))
        for label in labels:
            entries_of = decisive_scores(audit, label, frozenset(method for method, _ in audit.places))
            for place, (name, entries) in enumerate(entries_of.items()):
                for row in filter(None, map(self.of, entries)):
                    self.rows.setdefault((label, name), RowsOfMap()).put(study, place, row)

    def by_name(self) -> dict[tuple[str, str], RowsOfMap]:
        """Return the rows by label and the name that a map has in tables, by label and in the order of the cohort."""
        names = names_of_places(self._places)
        ordered = sorted(self.rows.items(), key=lambda item: (self.labels.index(item[0][0]), item[1].starts_at(0)))
        return {(label, names[place]): rows for (label, place), rows in ordered}


def patients_of(studies: Iterable[StudyFacts]) -> NDArray[np.intp]:
    """Return the number of each study's patient."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(study.patient, len(numbers)) for study in studies], dtype=np.intp)
