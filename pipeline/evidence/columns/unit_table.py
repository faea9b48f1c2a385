"""Units as columns: what a cohort's numbers are computed from, some hundred bytes a study and map.

A unit is made from a study's record, written into the columns and dropped. Where a unit has no score a code stands for
the reason. A selection is an array of row numbers; nothing is copied.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.columns.store import Columns
from pipeline.evidence.columns.unit import NOT_EXPLAINED, NOT_READ, TUNING_PATIENT, Unit
from pipeline.findings.brief_study import StudyFacts
from pipeline.vocabulary import Stratum

__all__ = ["NO_ENTRY", "NO_PAIR_OF_READERS", "RESERVED", "Key", "Scored", "UnitColumns", "UnitTable"]

NO_PAIR_OF_READERS: Final = "no_pair_of_readers"
"""Why there is no agreement of readers to hold a map against."""

RESERVED: Final = ("", NOT_EXPLAINED, TUNING_PATIENT, NO_PAIR_OF_READERS, NOT_READ)
"""The first reasons of every table; the code 0 says that there is a score."""

NO_ENTRY: Final = np.iinfo(np.uint16).max
"""Stands where a reader has no score of a map in a study, not even a reason."""

Key = tuple[str, str]
"""A map's name and a metric."""

Floats = NDArray[np.float64]
Codes = NDArray[np.uint16]
Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Scored:
    """(units,) values, NaN where there is none; ``codes`` are those of the reasons, 0 where there is a value."""

    values: Floats
    codes: Codes

    def at(self, rows: Rows) -> "Scored":
        """Return those of some units."""
        return Scored(self.values[rows], self.codes[rows])

    def replaced(self, where: NDArray[np.bool_], value: float = np.nan, code: int = 0) -> "Scored":
        """Return them with one value, or one reason, at some places."""
        return Scored(np.where(where, value, self.values), np.where(where, np.uint16(code), self.codes))


@dataclass(frozen=True, eq=False)
class UnitColumns:
    """All units of a cohort, each column (units,).

    Attributes:
        studies: the studies by number.
        study: the number of each unit's study.
        patient: the number of its patient, in the order in which they come.
        target: the number of its target in ``targets``.
        positive: whether the reference says that the target is present.
        predicted: 1 where the model calls it, 0 where not, -1 where it was not asked.
        answered: whether the target was called wrongly, and is explained for that.
        absent: the code of the reason why there is no score at all.
        maps: the number of the unit's maps, in their order, in ``map_names``.
        scores: by map and metric.
        chances: by map and metric the level of chance; NaN where there is none.
        readers: by metric the mean agreement of the readers; NaN where there is no pair.
        by_reader: by map and metric each reader's own scores, where they were asked for.
        reasons: by code.
        metrics: what was measured.
        tuning: the patients on whom thresholds were tuned, and the metrics that these have a part in.
    """

    studies: Sequence[StudyFacts]
    study: NDArray[np.int32]
    patient: NDArray[np.int32]
    target: NDArray[np.int32]
    targets: tuple[str, ...]
    positive: NDArray[np.bool_]
    predicted: NDArray[np.int8]
    answered: NDArray[np.bool_]
    absent: Codes
    maps: NDArray[np.int32]
    map_names: tuple[tuple[str, ...], ...]
    scores: Mapping[Key, Scored]
    chances: Mapping[Key, Floats]
    readers: Mapping[str, Floats]
    by_reader: Mapping[Key, Mapping[str, Scored]]
    reasons: tuple[str, ...]
    metrics: tuple[str, ...]
    tuning: tuple[Collection[str], Collection[str]] = ((), ())

    def __len__(self) -> int:
        return len(self.study)

    @cached_property
    def strata(self) -> tuple[NDArray[np.int32], tuple[Mapping[str, str], ...]]:
        """(units,) the number of what the columns of the manifest say of a unit's study, and this by number."""
        return self._of_studies((tuple(study.strata.items()) for study in self.studies), dict)

    @cached_property
    def answers(self) -> NDArray[np.int32]:
        """(units,) the number of what the reference of a unit's study names and the model calls, together."""
        pairs = ((study.reference or (), _called(study)) for study in self.studies)
        return self._of_studies(pairs, lambda pair: pair)[0]

    def _of_studies(self, of: Iterable, made: Callable) -> tuple[NDArray[np.int32], tuple]:  # type: ignore[type-arg]
        numbers: dict = {}  # type: ignore[type-arg]
        by_study = np.fromiter((numbers.setdefault(value, len(numbers)) for value in of), dtype=np.int32)
        return by_study[self.study], tuple(map(made, numbers))

    @cached_property
    def tuned(self) -> NDArray[np.bool_]:
        """(units,) whether the patient is one on whom thresholds were tuned."""
        patients = self.tuning[0]
        return np.fromiter((study.patient in patients for study in self.studies), dtype=bool)[self.study]

    def unit(self, row: int) -> Unit:
        """Return a unit by itself."""
        study, predicted = self.studies[self.study[row]], int(self.predicted[row])
        keys = [(name, metric) for name in self.map_names[self.maps[row]] for metric in self.metrics]
        chances = {key: float(self.chances[key][row]) for key in keys if key in self.chances}
        readers = {metric: float(self.readers[metric][row]) for metric in self.metrics if metric in self.readers}
        return Unit(
            study.study,
            study.patient,
            self.targets[self.target[row]],
            bool(self.positive[row]),
            None if predicted < 0 else bool(predicted),
            study.strata,
            {key: self._said(self.scores[key], row) for key in keys},
            {key: chance for key, chance in chances.items() if chance == chance},
            {metric: value for metric, value in readers.items() if value == value},
            self.reasons[self.absent[row]] or None,
            {key: self._said_by(key, row) for key in keys if key in self.by_reader},
            "answered" if self.answered[row] else "reference",
            study.reference or (),
            _called(study),
            self.tuning[1] if study.patient in self.tuning[0] else (),
        )

    def _said(self, scored: Scored, row: int) -> float | str:
        return self.reasons[scored.codes[row]] if scored.codes[row] else float(scored.values[row])

    def _said_by(self, key: Key, row: int) -> dict[str, float | str]:
        by_reader = self.by_reader[key]
        return {reader: self._said(own, row) for reader, own in by_reader.items() if own.codes[row] != NO_ENTRY}


def _called(study: StudyFacts) -> tuple[str, ...] | None:
    return study.predicted if study.status == "analysed" else None


@dataclass(frozen=True, eq=False)
class UnitTable:
    """Some of a cohort's units: ``rows`` of its columns, in any order."""

    columns: UnitColumns
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Unit]:
        return map(self.columns.unit, self.rows.tolist())

    def __getitem__(self, number: int) -> Unit:
        return self.columns.unit(int(self.rows[number]))

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons by code."""
        return self.columns.reasons

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Whether the reference says that the target is present."""
        return self.columns.positive[self.rows]

    @property
    def study(self) -> NDArray[np.int32]:
        """The numbers of the studies."""
        return self.columns.study[self.rows]

    @property
    def patient(self) -> NDArray[np.int32]:
        """The numbers of the patients."""
        return self.columns.patient[self.rows]

    @property
    def map_names(self) -> tuple[str, ...]:
        """The names of their maps in the order in which they come."""
        ordered = _in_order(self.columns.maps[self.rows])
        return tuple(dict.fromkeys(name for number in ordered for name in self.columns.map_names[number]))

    def where(self, chosen: NDArray[np.bool_]) -> "UnitTable":
        """Return those that are chosen; (units,)."""
        return replace(self, rows=self.rows[chosen])

    def of_target(self, label: str) -> "UnitTable":
        """Return those of one target."""
        return self.where(self.is_of_target(label))

    def is_of_target(self, label: str) -> NDArray[np.bool_]:
        """Tell of each whether it is of one target."""
        targets = self.columns.targets
        of_target: NDArray[np.bool_] = self.columns.target[self.rows] == (
            targets.index(label) if label in targets else -1
        )
        return of_target

    def targets(self) -> dict[str, "UnitTable"]:
        """Return the units of each target, targets in the order in which they come."""
        own = self.columns.target[self.rows]
        return {self.columns.targets[number]: self.where(own == number) for number in _in_order(own)}

    def of_studies(self, names: Collection[str]) -> "UnitTable":
        """Return those of some studies."""
        inside = np.fromiter((study.study in names for study in self.columns.studies), dtype=bool)
        return self.where(inside[self.study])

    def of_kind(self, is_of_kind: Callable[[Unit], bool]) -> "UnitTable":
        """Return those of a kind, which is asked once of all that are alike in what it may look at.

        That is: target and role, whether it is present and called, what the reference names and the model calls.
        """
        columns, kind = self.columns, np.zeros(len(self.rows), dtype=np.int64)
        for column in (columns.target, columns.answered, columns.positive, columns.predicted + 1, columns.answers):
            values = column[self.rows].astype(np.int64)
            kind = kind * (int(values.max(initial=0)) + 1) + values
        _, first, inverse = np.unique(kind, return_index=True, return_inverse=True)
        alike = replace(self.columns, metrics=())  # of no score, each of which is a column to be read
        chosen = np.array([is_of_kind(alike.unit(row)) for row in self.rows[first].tolist()], dtype=bool)
        return self.where(chosen[inverse])

    def groups(self) -> dict[str, dict[str, "UnitTable"]]:
        """Return, by column of the manifest, the units that have each of its values, by ``column=value``."""
        codes, mappings = self.columns.strata
        own = codes[self.rows]
        groups: dict[str, dict[str, list[int]]] = {}
        for number in _in_order(own):
            for column, value in mappings[number].items():
                group = f"{column}={value or 'not stated'}"
                groups.setdefault(column, {}).setdefault(group, []).append(number)
        return {
            column: {group: self.where(np.isin(own, numbers)) for group, numbers in by_value.items()}
            for column, by_value in groups.items()
        }

    def has(self, name: str, metric: str) -> bool:
        """Tell whether any of them has a map."""
        return metric in self.columns.metrics and name in self.map_names

    def recorded(self, name: str, metric: str) -> Scored:
        """Return a map's metric as the records have it, whoever tunes."""
        every = self.columns.scores.get((name, metric))
        if every is not None:
            return every.at(self.rows)
        size, reason = len(self.rows), RESERVED.index(NOT_EXPLAINED)
        return Scored(np.full(size, np.nan), np.full(size, reason, dtype=np.uint16))

    def score(self, name: str, metric: str) -> Scored:
        """Return a map's metric; see ``Unit.score``."""
        columns, recorded = self.columns, self.recorded(name, metric)
        absent = columns.absent[self.rows]
        scored = Scored(recorded.values, np.where(absent, absent, recorded.codes))
        if metric not in columns.tuning[1]:
            return scored
        return scored.replaced(columns.tuned[self.rows], code=RESERVED.index(TUNING_PATIENT))

    def chance(self, name: str, metric: str) -> Floats:
        """Return a map's level of chance; NaN where there is none."""
        every = self.columns.chances.get((name, metric))
        return np.full(len(self.rows), np.nan) if every is None else every[self.rows]

    def agreement(self, metric: str) -> Scored:
        """Return the readers' agreement with each other; the reason for no score at all stands before it."""
        every, absent = self.columns.readers.get(metric), self.columns.absent[self.rows]
        values = np.full(len(self.rows), np.nan) if every is None else every[self.rows]
        none = np.where(np.isnan(values), np.uint16(RESERVED.index(NO_PAIR_OF_READERS)), np.uint16(0))
        return Scored(np.where(absent, np.nan, values), np.where(absent, absent, none))

    @property
    def readers_named(self) -> tuple[str, ...]:
        """The readers that some score is held against, by name."""
        every = {reader: own for by_reader in self.columns.by_reader.values() for reader, own in by_reader.items()}
        parts = self.columns.by_reader.values()
        return tuple(
            sorted(
                reader
                for reader in every
                if any((part[reader].codes[self.rows] != NO_ENTRY).any() for part in parts if reader in part)
            )
        )

    def as_read_by(self, reader: str) -> "UnitTable":
        """Return them with the scores against one reader's masks; what he did not read has none."""
        scores = {key: partial(self._read_by, reader, key) for key in self.columns.scores}
        return replace(self, columns=replace(self.columns, scores=Columns(scores)))

    def _read_by(self, reader: str, key: Key) -> Scored:
        by_reader, scores = self.columns.by_reader.get(key, {}), self.columns.scores[key]
        read = [own.codes != NO_ENTRY for own in by_reader.values()]
        if not read:
            return scores
        changed = scores.replaced(np.logical_or.reduce(read), code=RESERVED.index(NOT_READ))
        own = by_reader.get(reader)
        if own is None:
            return changed
        has = own.codes != NO_ENTRY
        return Scored(np.where(has, own.values, changed.values), np.where(has, own.codes, changed.codes))

    def joined(self, others: Sequence["UnitTable"]) -> "UnitTable":
        """Return the units of several selections of the same columns, one after the other."""
        return replace(self, rows=np.concatenate([other.rows for other in others]))

    def among(self, stratum: Stratum) -> "UnitTable":
        """Return those of a stratum; see ``in_stratum``."""
        columns, rows = self.columns, self.rows
        called = columns.predicted[rows]
        inside = ~columns.answered[rows]
        if stratum != "all":
            inside &= columns.positive[rows]
        if stratum == "true_positive":
            inside &= called != 0
        if stratum == "false_negative":
            inside &= called != 1
        return self.where(inside)


def _in_order(numbers: NDArray[np.int32]) -> list[int]:
    """Return numbers, each once, in the order in which they come."""
    distinct, first = np.unique(numbers, return_index=True)
    ordered: list[int] = distinct[np.argsort(first)].tolist()
    return ordered
