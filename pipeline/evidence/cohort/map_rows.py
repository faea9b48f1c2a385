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
from pipeline.packed.items import Keep, in_memory

__all__ = ["MapRows", "RowsOfMap", "patients_of"]

_PENDING = 256
"""Rows that wait as objects for being packed."""


@dataclass(frozen=True)
class _Block:
    """Some rows as bytes: their studies (4 each), their places (2 each), and the packed numbers in them."""

    data: Callable[[], bytes]
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def studies(self) -> NDArray[np.int32]:
        """Return the study's number of each row."""
        return np.frombuffer(self.data(), np.int32, count=self.shape[0])

    def places(self) -> NDArray[np.uint16]:
        """Return each row's place among the maps of its study."""
        return np.frombuffer(self.data(), np.uint16, count=self.shape[0], offset=4 * self.shape[0])

    def rows(self) -> NDArray[np.generic]:
        """Return the numbers."""
        packed = self.data()[6 * self.shape[0] :]
        return np.frombuffer(zlib.decompress(packed), dtype=self.dtype).reshape(self.shape, order="F")


@dataclass
class RowsOfMap:
    """The rows of one map and label: by row the study's number, and the map's place among those of its study.

    They are handed to ``keep``, some at a time.
    """

    keep: Keep = in_memory
    first: tuple[int, int] | None = None
    _studies: "array[int]" = field(default_factory=lambda: array("i"))
    _places: "array[int]" = field(default_factory=lambda: array("H"))
    _pending: list[Sequence[float]] = field(default_factory=list)
    _blocks: list[_Block] = field(default_factory=list)

    def put(self, study: int, place: int, row: Sequence[float]) -> None:
        """Add a row."""
        self.first = self.first or (study, place)
        self._studies.append(study)
        self._places.append(place)
        self._pending.append(row)
        if len(self._pending) == _PENDING:
            self._pack()

    def _pack(self) -> None:
        rows = np.array(self._pending)
        if rows.dtype.kind in "iu":
            rows = rows.astype(np.min_scalar_type(rows.max()) if rows.min() >= 0 else np.int64)
        # column by column: what stands below each other is alike, and most of its bytes are the same
        packed = zlib.compress(rows.tobytes(order="F"), level=1)
        data = self.keep(self._studies.tobytes() + self._places.tobytes() + packed)
        self._blocks.append(_Block(data, rows.dtype, rows.shape))
        self._pending.clear()
        self._studies, self._places = array("i"), array("H")

    def _packed(self) -> list[_Block]:
        if self._pending:
            self._pack()
        return self._blocks

    def blocks(self) -> Iterator[NDArray[np.generic]]:
        """Yield the rows, some at a time, as they were added."""
        for block in self._packed():
            yield block.rows()

    def numbers(self) -> NDArray[np.intp]:
        """Return the study's number of each row."""
        return np.concatenate([block.studies() for block in self._packed()]).astype(np.intp)

    def starts_at(self, row: int) -> tuple[int, int]:
        """Return where a row stands in the cohort: by study, and by the map's place in it."""
        for block in self._packed():
            if row < block.shape[0]:
                return int(block.studies()[row]), int(block.places()[row])
            row -= block.shape[0]
        raise IndexError(row)


@dataclass(frozen=True)
class MapRows:
    """Rows by label and map, of what ``of`` gives of a score against one reader who decides; None: nothing.

    Gathered study by study: of all labels, or of those alone that are ``present``. ``keep`` has what is gathered.
    """

    labels: Sequence[str]
    of: Callable[[MapScores], Sequence[float] | None]
    present: bool = True
    keep: Keep = in_memory
    rows: dict[tuple[str, str], RowsOfMap] = field(default_factory=dict)
    _places: dict[MethodAtLayer, None] = field(default_factory=dict)

    def add(self, study: int, audit: StudyAudit) -> None:
        """Add a study by its number; one that was not analysed adds nothing."""
        if audit.status != "analysed":
            return
        self._places.update(dict.fromkeys(audit.places))
        at_layers = frozenset(method for method, _ in audit.places)
        for label in self.labels:
            if self.present and label not in (audit.reference or ()):
                continue
            for place, (name, entries) in enumerate(decisive_scores(audit, label, at_layers).items()):
                for row in filter(None, map(self.of, entries)):
                    self.rows.setdefault((label, name), RowsOfMap(self.keep)).put(study, place, row)

    def by_name(self) -> dict[tuple[str, str], RowsOfMap]:
        """Return the rows by label and the name that a map has in tables, by label and in the order of the cohort."""
        names = names_of_places(self._places)
        ordered = sorted(self.rows.items(), key=lambda item: (self.labels.index(item[0][0]), item[1].first or ()))
        return {(label, names[place]): rows for (label, place), rows in ordered}


def patients_of(studies: Iterable[StudyFacts]) -> NDArray[np.intp]:
    """Return the number of each study's patient."""
    numbers: dict[str, int] = {}
    return np.fromiter((numbers.setdefault(study.patient, len(numbers)) for study in studies), dtype=np.intp)
