"""What two runs say of the same studies and targets, in columns that are joined by number: no object a study."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.cohort.map_rows import patients_of
from pipeline.evidence.cohort.measures import MetricScale, of_map
from pipeline.evidence.cohort.population import Population, is_outside
from pipeline.evidence.columns.grouped import Groups, group_means
from pipeline.evidence.columns.unit import NOT_EXPLAINED
from pipeline.evidence.columns.unit_table import RESERVED, UnitTable
from pipeline.evidence.comparison.pairing import RunRecords
from pipeline.findings.brief_study import BriefStudy
from pipeline.packed.on_demand import ChosenItems
from pipeline.packed.texts import Texts

__all__ = ["AskedStudies", "JoinedUnits", "PairedScores"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Numbers = NDArray[np.intp]

_NO_MAP: Final = RESERVED.index(NOT_EXPLAINED)


@dataclass(frozen=True, eq=False)
class AskedStudies:
    """The studies that claims are about, of each run in its own order; a study's number is its place among b's.

    ``numbers`` (2 columns, studies) are those of a's and of b's, ``patient`` those of the patients of b's.
    """

    a: Sequence[BriefStudy]
    b: Sequence[BriefStudy]
    numbers: tuple[Numbers, Numbers]
    patient: Numbers

    @classmethod
    def of(cls, a: RunRecords, b: RunRecords, asked: frozenset[str]) -> Self:
        """Return the studies of two runs that are ``asked`` about, all of which both have."""
        of_a, of_b = (ChosenItems.where(run.studies, lambda study: study.study in asked) for run in (a, b))
        names = Texts(study.study for study in of_b)
        numbers = np.array([names.find(study.study) for study in of_a], dtype=np.intp)
        return cls(of_a, of_b, (numbers, np.arange(len(of_b))), patients_of(of_b))


@dataclass(frozen=True, eq=False)
class PairedScores:
    """What both runs say of studies and targets, each column (pairs,).

    ``a`` and ``b`` are NaN where a run has no score; ``reason`` is then the number of why in ``reasons``. ``study``,
    ``patient`` and ``target`` are numbers.
    """

    study: Numbers
    patient: Numbers
    target: Numbers
    a: Floats
    b: Floats
    reason: Numbers
    reasons: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.study)

    @property
    def has_both(self) -> Bools:
        """Whether both runs have a score."""
        return ~(np.isnan(self.a) | np.isnan(self.b))

    def where(self, chosen: Bools) -> "PairedScores":
        """Return some pairs."""
        names = ("study", "patient", "target", "a", "b", "reason")
        return replace(self, **{name: getattr(self, name)[chosen] for name in names})

    def differences(self) -> Population:
        """Return b minus a by study; what either run lacks is missing."""
        counts = Counter[str]()
        for number, many in enumerate(np.bincount(self.reason[~self.has_both]).tolist()):
            counts[self.reasons[number]] += many
        return Population(self.study, self.patient, self.b - self.a, dict(sorted((+counts).items())))

    def mean_of(self, side: Floats) -> float | None:
        """Return the mean over patients of one run's column, of the studies that have both scores."""
        both = self.has_both
        groups = Groups.of(self.patient[both])
        return float(np.mean(group_means(groups.number, groups.count, side[both]))) if groups.count else None


@dataclass(frozen=True, eq=False)
class JoinedUnits:
    """The units of two runs in which the target is present, by study and target: b's in their order, then a's own.

    ``rows`` are those of each run's unit, -1 where it has none.
    """

    units: tuple[UnitTable, UnitTable]
    rows: tuple[Numbers, Numbers]
    study: Numbers
    patient: Numbers
    target: Numbers
    targets: tuple[str, ...]

    @classmethod
    def of(cls, units: tuple[UnitTable, UnitTable], studies: AskedStudies) -> Self:
        """Join the units of two runs by study and target."""
        targets = tuple(dict.fromkeys((*units[1].columns.targets, *units[0].columns.targets)))
        of_a, of_b = (_keys(table, own, targets) for table, own in zip(units, studies.numbers, strict=True))
        every = np.concatenate([of_b, of_a[~np.isin(of_a, of_b)]])
        study, target = np.divmod(every, max(1, len(targets)))
        return cls(
            units, (_rows_of(of_a, every), _rows_of(of_b, every)), study, studies.patient[study], target, targets
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """The targets that come, in the order in which they come."""
        numbers, first = np.unique(self.target, return_index=True)
        return tuple(self.targets[number] for number in numbers[np.argsort(first)].tolist())

    def scores(self, names: tuple[str, str], scale: MetricScale) -> PairedScores:
        """Return a metric of a map of each run, where somebody said what both could be held against."""
        reasons = tuple(dict.fromkeys(reason for table in self.units for reason in table.reasons))
        sides = [_said(*side, scale, reasons) for side in zip(self.units, self.rows, names, strict=True)]
        (a, why_a), (b, why_b) = ((values, whys) for values, whys, _ in sides)
        pairs = PairedScores(self.study, self.patient, self.target, a, b, np.where(why_a, why_a, why_b), reasons)
        return pairs.where(~(sides[0][2] | sides[1][2]))


def _keys(units: UnitTable, studies: Numbers, targets: Sequence[str]) -> Numbers:
    """Return a number for each unit that tells its study and its target; ``studies`` numbers the run's own."""
    places = np.array([targets.index(target) for target in units.columns.targets], dtype=np.intp)
    keys: Numbers = studies[units.study] * len(targets) + places[units.columns.target[units.rows]]
    return keys


def _rows_of(own: Numbers, every: Numbers) -> Numbers:
    """Return where each of ``every`` key stands in a run's ``own``; -1 where it does not."""
    if not len(own):
        return np.full(len(every), -1, dtype=np.intp)
    order = np.argsort(own, kind="stable")
    places = np.minimum(np.searchsorted(own[order], every), len(own) - 1)
    return np.where(own[order][places] == every, order[places], -1)


def _said(
    units: UnitTable, rows: Numbers, name: str, scale: MetricScale, reasons: Sequence[str]
) -> tuple[Floats, Numbers, Bools]:
    """Return what a run says of each pair: its values, the numbers of why there is none (0: there is one).

    And whether nobody said what it could be held against. A pair that the run does not have has no map.
    """
    values, codes = np.full(len(rows), np.nan), np.full(len(rows), _NO_MAP, dtype=np.intp)
    there = rows >= 0
    scored = of_map(name, scale).score(units).at(rows[there])
    values[there], codes[there] = np.where(scored.codes == 0, scored.values, np.nan), scored.codes
    numbers = np.array([reasons.index(reason) for reason in units.reasons], dtype=np.intp)
    outside = np.array([is_outside(reason, positive=True) for reason in units.reasons], dtype=bool)
    return values, numbers[codes], outside[codes]
