"""Studies to units: a study and a target with its scores.

The score is the mean over the readers whose mask defines one; where their consensus was asked for, it is the
consensus's alone, which is made of them. A study that should have a map and has none is a unit without scores: it must
not leave a cohort in silence.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.columns.store import Columns
from pipeline.evidence.columns.unit import NOT_ANALYSED, NOT_EXPLAINED, Unit
from pipeline.evidence.columns.unit_table import NO_ENTRY, RESERVED, Key, Scored, UnitColumns, UnitTable
from pipeline.evidence.metrics.avoided import NO_REGION, is_avoided
from pipeline.evidence.metrics.registry import METRICS
from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.scores import MapScores
from pipeline.findings.study_audit import MethodAtLayer, StudyAudit, map_name
from pipeline.packed.items import Keep, in_memory
from pipeline.vocabulary import CONSENSUS, TargetRole

__all__ = ["UnitGatherer", "decisive_scores", "names_of_places", "units_of"]

Value = TypeVar("Value", bound=Hashable)

_Wrong = Callable[[StudyAudit], Collection[str]]

_Explained = tuple[str, TargetRole]

_Tuning = tuple[Collection[str], Collection[str]]

Floats = NDArray[np.float64]

_BLOCK = 65_536
"""Rows of a column that stay in memory."""


def _none_wrong(_: StudyAudit) -> Collection[str]:
    return ()


def units_of(
    audits: Iterable[StudyAudit],
    metrics: Collection[str] = tuple(METRICS),
    labels: Collection[str] = (),
    wrong: _Wrong = _none_wrong,
    tuning: _Tuning = ((), ()),
) -> UnitTable:
    """Cut studies into units; ``metrics`` are the names of those that the run measured, ``labels`` the findings.

    With ``labels``, a target that the reference says is present and that was not explained is a unit without scores,
    where the study has masks, and so is each present label of a study with masks that was not analysed. ``wrong`` tells
    which labels a study was called wrongly: one that was not explained is a unit without scores as well. ``tuning`` are
    the patients on whom thresholds were tuned, and the metrics that these have a part in.
    """
    gatherer, studies = UnitGatherer(tuple(metrics), tuple(labels), wrong), list[StudyFacts]()
    for audit in audits:
        gatherer.add(audit)
        studies.append(audit)
    return gatherer.table(studies, tuning)


class _Numbers:
    """Growing columns of values and reasons; what is not written has the reason ``filler``.

    Full blocks are handed to ``keep``, the last rows stay here.
    """

    def __init__(self, filler: int, keep: Keep) -> None:
        self._filler, self._keep = filler, keep
        self._values, self._codes = array("d"), array("H")
        self._blocks: list[tuple[Callable[[], bytes], Callable[[], bytes]]] = []
        self._kept = 0

    def put(self, row: int, value: float, code: int) -> None:
        """Write a row after those that are there."""
        self._fill(row)
        self._values.append(value)
        self._codes.append(code)
        if len(self._codes) >= _BLOCK:
            self._pack()

    def _fill(self, rows: int) -> None:
        missing = rows - self._kept - len(self._codes)
        if missing:
            self._values.extend([nan] * missing)
            self._codes.extend([self._filler] * missing)

    def _pack(self) -> None:
        self._blocks.append((self._keep(self._values.tobytes()), self._keep(self._codes.tobytes())))
        self._kept += len(self._codes)
        self._values, self._codes = array("d"), array("H")

    def column(self, rows: int) -> Callable[[], Scored]:
        """Return what gives the columns, filled up to so many rows; one of few rows always gives the same."""
        self._fill(rows)
        if self._blocks:
            return self._joined
        scored = Scored(_as_array(self._values, "d"), _as_array(self._codes, "H"))
        return lambda: scored

    def values(self, rows: int) -> Callable[[], Floats]:
        """Return what gives the values alone."""
        column = self.column(rows)
        return lambda: column().values

    def _joined(self) -> Scored:
        values, codes = zip(*self._blocks, strict=True)
        return Scored(_joined(values, self._values, "d"), _joined(codes, self._codes, "H"))


def _joined(blocks: Iterable[Callable[[], bytes]], last: "array[Any]", code: str) -> NDArray[Any]:
    return np.concatenate([*(np.frombuffer(block(), dtype=code) for block in blocks), _as_array(last, code)])


@dataclass(frozen=True)
class _Numbered(Generic[Value]):
    """Values by number, in the order in which they were first seen."""

    numbers: dict[Value, int] = field(default_factory=dict)

    def of(self, value: Value) -> int:
        return self.numbers.setdefault(value, len(self.numbers))


class UnitGatherer:
    """Writes the units of one study after the other into columns, and keeps nothing else of it.

    ``metrics``, ``labels`` and ``wrong`` as in ``units_of``. ``by_reader``: each reader's own scores are kept too.
    ``keep`` has what is too much for memory.
    """

    def __init__(
        self,
        metrics: tuple[str, ...],
        labels: tuple[str, ...] = (),
        wrong: _Wrong = _none_wrong,
        *,
        by_reader: bool = True,
        keep: Keep = in_memory,
    ) -> None:
        self._metrics, self._labels, self._wrong, self._with_readers = metrics, labels, wrong, by_reader
        self._studies = 0
        self._columns = {name: array(code) for name, code in _COLUMNS.items()}
        self._patients, self._targets = _Numbered[str](), _Numbered[str]()
        self._maps, self._places = _Numbered[tuple[str, ...]](), _Numbered[MethodAtLayer]()
        self._reasons = _Numbered({reason: code for code, reason in enumerate(RESERVED)})
        self._scores: dict[Key, _Numbers] = defaultdict(lambda: _Numbers(RESERVED.index(NOT_EXPLAINED), keep))
        self._chances: dict[Key, _Numbers] = defaultdict(lambda: _Numbers(0, keep))
        self._readers: dict[str, _Numbers] = defaultdict(lambda: _Numbers(0, keep))
        self._by_reader: dict[tuple[str, Key], _Numbers] = defaultdict(lambda: _Numbers(NO_ENTRY, keep))

    def add(self, audit: StudyAudit) -> None:
        """Write the units of the next study."""
        for unit in _units(audit, self._metrics, (self._labels, self._wrong)):
            self._write(unit)
        if audit.status == "analysed":
            for place in audit.places:
                self._places.of(place)
        self._studies += 1

    def _write(self, unit: Unit) -> None:
        row = len(self._columns["study"])
        columns: dict[str, int] = {
            "study": self._studies,
            "patient": self._patients.of(unit.patient),
            "target": self._targets.of(unit.target),
            "positive": unit.positive,
            "predicted": -1 if unit.predicted is None else unit.predicted,
            "answered": unit.role == "answered",
            "absent": self._reasons.of(unit.absent or ""),
            "maps": self._maps.of(tuple(dict.fromkeys(name for name, _ in unit.scores))),
        }
        for name, value in columns.items():
            self._columns[name].append(value)
        for key, score in unit.scores.items():
            self._put(self._scores[key], row, score)
        for key, chance in unit.chances.items():
            self._put(self._chances[key], row, chance)
        for metric, agreement in unit.readers.items():
            self._put(self._readers[metric], row, agreement)
        if self._with_readers:
            for key, by_reader in unit.by_reader.items():
                for reader, score in by_reader.items():
                    self._put(self._by_reader[reader, key], row, score)

    def _put(self, column: _Numbers, row: int, score: float | str) -> None:
        if isinstance(score, str):
            code = self._reasons.of(score)
            if code >= NO_ENTRY:
                raise ValueError(f"scores have {code} different reasons: no run writes so many")
            column.put(row, nan, code)
        else:
            column.put(row, score, 0)

    def table(self, studies: Sequence[StudyFacts], tuning: _Tuning = ((), ())) -> UnitTable:
        """Return all units that were written; ``studies`` are those they are of, ``tuning`` as in ``units_of``."""
        rows, names = len(self._columns["study"]), names_of_places(self._places.numbers)
        by_reader: dict[Key, dict[str, Callable[[], Scored]]] = defaultdict(dict)
        for (reader, (place, metric)), column in self._by_reader.items():
            by_reader[names[place], metric][reader] = column.column(rows)
        columns = {name: _as_array(column, _TYPES.get(name, column.typecode)) for name, column in self._columns.items()}
        scores = {(names[place], metric): own.column(rows) for (place, metric), own in self._scores.items()}
        chances = {(names[place], metric): own.values(rows) for (place, metric), own in self._chances.items()}
        table = UnitColumns(
            studies=studies,
            targets=tuple(self._targets.numbers),
            map_names=tuple(tuple(names[place] for place in maps) for maps in self._maps.numbers),
            scores=Columns(scores),
            chances=Columns(chances),
            readers=Columns({metric: own.values(rows) for metric, own in self._readers.items()}),
            by_reader={key: Columns(own) for key, own in by_reader.items()},
            reasons=tuple(self._reasons.numbers),
            metrics=self._metrics,
            tuning=tuning,
            **columns,
        )
        return UnitTable(table, np.arange(rows))


_COLUMNS: Mapping[str, str] = {
    "study": "i",
    "patient": "i",
    "target": "i",
    "positive": "b",
    "predicted": "b",
    "answered": "b",
    "absent": "H",
    "maps": "i",
}
_TYPES: Mapping[str, str] = {"positive": "?", "answered": "?"}


def _as_array(column: "array[int] | array[float]", code: str) -> NDArray[Any]:
    """Return a column's bytes as an array, which they stay."""
    return np.frombuffer(column, dtype=code) if column else np.empty(0, dtype=code)


def names_of_places(places: Iterable[MethodAtLayer]) -> dict[str, str]:
    """Return what maps are called in tables, from what they are called by method and layer.

    A method's maps are named with their layer where it was taken at more than one.
    """
    listed = list(places)
    methods = [place.method for place in listed]
    at_layers = {method for method in methods if methods.count(method) > 1}
    return {map_name(place, (place.method,)): map_name(place, at_layers) for place in listed}


def _units(audit: StudyAudit, metrics: Collection[str], expected: tuple[Collection[str], _Wrong]) -> Iterable[Unit]:
    """Yield a study's units; their maps are named with their layers."""
    (labels, wrong), at_layers = expected, frozenset(entry.method for entry in audit.map_scores)
    analysed = audit.status == "analysed"
    explained = dict.fromkeys((entry.target, entry.target_role) for entry in audit.map_scores) if analysed else {}
    for of in explained:
        yield _unit(audit, of, _by_map(audit, of, at_layers), metrics)
    if not (audit.masks or audit.mask_faults):
        return
    for label in labels:
        if (label, "reference") not in explained and audit.may_show(label):
            yield _without_scores(audit, (label, "reference"), NOT_EXPLAINED if analysed else NOT_ANALYSED)
    for label in wrong(audit) if analysed else ():
        if (label, "answered") not in explained:
            yield _without_scores(audit, (label, "answered"), NOT_EXPLAINED)


def _without_scores(audit: StudyAudit, of: _Explained, why: str) -> Unit:
    analysed, (label, role) = audit.status == "analysed", of
    return Unit(
        audit.study,
        audit.patient,
        label,
        role == "reference",
        label in audit.predicted if analysed else None,
        audit.strata,
        {},
        {},
        absent=why,
        role=role,
        reference=audit.reference or (),
        called=audit.predicted if analysed else None,
    )


def _decisive(map_scores: Sequence[MapScores]) -> Sequence[MapScores]:
    """Return what is held against the reference: the readers' consensus where there is one, else every reader."""
    return [entry for entry in map_scores if (entry.reader or "").startswith(CONSENSUS)] or map_scores


def decisive_scores(audit: StudyAudit, target: str, at_layers: Collection[str]) -> dict[str, Sequence[MapScores]]:
    """Return what counts of a study for a target of its reference: by map, its scores against who decides."""
    return {name: _decisive(own) for name, own in _by_map(audit, (target, "reference"), at_layers).items()}


def _by_map(audit: StudyAudit, of: _Explained, at_layers: Collection[str]) -> dict[str, list[MapScores]]:
    by_map: dict[str, list[MapScores]] = defaultdict(list)
    for entry in audit.map_scores:
        if (entry.target, entry.target_role) == of:
            by_map[map_name(entry, at_layers)].append(entry)
    return by_map


def _unit(audit: StudyAudit, of: _Explained, entries: Mapping[str, list[MapScores]], metrics: Collection[str]) -> Unit:
    target, role = of
    by_map = {name: _decisive(own) for name, own in entries.items()}
    keys = [(name, metric) for name in by_map for metric in metrics]
    chances = {(name, metric): _chance(metric, by_map[name]) for name, metric in keys}
    return Unit(
        audit.study,
        audit.patient,
        target,
        role == "reference" and audit.reference is not None and target in audit.reference,
        target in audit.predicted,
        audit.strata,
        {(name, metric): _over_readers(metric, by_map[name]) for name, metric in keys},
        {key: chance for key, chance in chances.items() if chance is not None},
        _between_readers(audit, target),
        by_reader={(name, metric): _of_each_reader(metric, entries[name]) for name, metric in keys},
        role=role,
        reference=audit.reference or (),
        called=audit.predicted,
    )


def _chance(metric: str, map_scores: Sequence[MapScores]) -> float | None:
    """Return the mean level of chance over the readers whose mask defines the score."""
    scores = [score for entry in map_scores for score in entry.every_score if score.name == metric]
    chances = [score.chance for score in scores if score.chance is not None]
    return _mean(chances) if chances else None


def _mean(values: Sequence[float]) -> float:
    """Return the mean; most have one reader, for whom NumPy's detour takes the longest."""
    return values[0] if len(values) == 1 else float(np.mean(values))


def _of_each_reader(metric: str, entries: Sequence[MapScores]) -> dict[str, float | str]:
    """Return each reader's value or reason; a mask without a name is a reader's too."""
    values: dict[str, float | str] = {}
    for entry in entries:
        for score in entry.every_score:
            if entry.reader is not None and not entry.reader.startswith(CONSENSUS) and score.name == metric:
                values[entry.reader] = score.value if score.value is not None else str(score.reason)
    return values


def _over_readers(metric: str, map_scores: Sequence[MapScores]) -> float | str:
    scores = [score for entry in map_scores for score in entry.every_score if score.name == metric]
    values = [score.value for score in scores if score.value is not None]
    if values:
        return _mean(values)
    nothing = NO_REGION if is_avoided(metric) else "no_mask"
    return next((score.reason for score in scores if score.reason is not None), nothing)


def _between_readers(audit: StudyAudit, target: str) -> dict[str, float]:
    """Return the mean agreement over all pairs of readers of a label, by metric; a consensus is no reader."""
    values: dict[str, list[float]] = defaultdict(list)
    for pair in audit.agreement:
        drawn = pair.label == target and not any(reader.startswith(CONSENSUS) for reader in pair.readers)
        for score in pair.scores if drawn else ():
            if score.value is not None:
                values[score.name].append(score.value)
    return {name: float(np.mean(scores)) for name, scores in values.items()}
