"""Whether maps peak elsewhere than before: energy distances between where they have their peaks, by label and group.

What a run keeps of every map is the place of its peak as a share of the picture. Two questions are asked of it. Of
patients in both runs: do this run's maps peak elsewhere than the other's did? Of patients whom this run has and the
other does not: do their maps, in this run, peak elsewhere than those of the patients who were there before? Both
describe: p-values are by permutation of patients, and are not adjusted for their number.
"""

from array import array
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from pipeline.findings.context.changes import PeakShift
from pipeline.findings.study_audit import MethodAtLayer, StudyAudit, map_name, methods_at_layers
from pipeline.packed.texts import Texts
from pipeline.vocabulary import SMALLEST_GROUP

__all__ = ["energy_distance", "peak_shifts"]

_DRAWS: Final = 999
_SEED: Final = 20_261_129
_MOST_PATIENTS: Final = 300
"""Of more on a side the first ones by pseudonym are taken, which are as good as drawn."""

Floats = NDArray[np.float64]
_Map = tuple[str, str, int]  # method, label, axes
_Peaks = Mapping[str, list[tuple[float, ...]]]  # by patient
_Place = tuple[str, str | None, str, int]  # method, layer, label, axes


class _Peak(NamedTuple):
    study: str
    patient: str
    place: tuple[float, ...]
    groups: tuple[str | None, ...]


class _MapPeaks:
    """Where one map peaks in each study, first things first: the numbers of the studies, and the places."""

    def __init__(self, axes: int) -> None:
        self._axes, self._studies, self._places = axes, array("q"), array("d")

    def add(self, study: int, place: tuple[float, ...]) -> None:
        """Add a study's peak, unless there is one: each map counts once, whoever's mask it is held against."""
        if not self._studies or self._studies[-1] != study:
            self._studies.append(study)
            self._places.extend(place)

    def __iter__(self) -> Iterator[tuple[int, tuple[float, ...]]]:
        for row, study in enumerate(self._studies):
            yield study, tuple(self._places[row * self._axes : (row + 1) * self._axes])


class _RunPeaks:
    """Where the maps of the reference's labels peak in a run's studies, in columns: one map at a time is objects."""

    def __init__(self, audits: Iterable[StudyAudit]) -> None:
        self.studies, self.patients = Texts(), Texts()
        self._groups: dict[tuple[str | None, ...], int] = {}
        self._of_study, self._maps = array("q"), dict[_Place, _MapPeaks]()
        places: dict[MethodAtLayer, None] = {}
        for number, audit in enumerate(audits):
            places.update(dict.fromkeys(audit.places))
            self._add(number, audit)
        self._at_layers = methods_at_layers([_Places(tuple(places))])

    def _add(self, number: int, audit: StudyAudit) -> None:
        self.studies.append(audit.study)
        self.patients.append(audit.patient)
        groups = (None, *(f"{name}={value}" for name, value in audit.strata.items() if value))
        self._of_study.append(self._groups.setdefault(groups, len(self._groups)))
        for entry in audit.map_scores:
            if entry.peak is not None and entry.target_role == "reference" and audit.status == "analysed":
                place = entry.peak.normalised
                key = (entry.method, entry.layer, entry.target, len(place))
                self._maps.setdefault(key, _MapPeaks(len(place))).add(number, place)

    @property
    def maps(self) -> dict[_Map, _MapPeaks]:
        """The peaks of each map by its name, in the order in which maps come."""
        return {
            (map_name(MethodAtLayer(method, layer), self._at_layers), label, axes): peaks
            for (method, layer, label, axes), peaks in self._maps.items()
        }

    def of(self, peaks: _MapPeaks) -> Iterator[_Peak]:
        """Yield a map's peaks with what is known of their studies."""
        groups = list(self._groups)
        for study, place in peaks:
            yield _Peak(self.studies[study], self.patients[study], place, groups[self._of_study[study]])


@dataclass(frozen=True)
class _Places:
    places: tuple[MethodAtLayer, ...]


def peak_shifts(a: Iterable[StudyAudit], b: Iterable[StudyAudit], paired: Collection[str]) -> tuple[PeakShift, ...]:
    """Return the distances between two runs' peaks; ``paired`` are the studies that both analysed.

    A group with fewer than five patients on a side, and one in which no peak moved, has none.
    """
    before, now = _RunPeaks(a), _RunPeaks(b)
    same, known, earlier = frozenset(paired), frozenset(before.patients), before.maps
    shifts: list[PeakShift] = []
    for key, peaks in now.maps.items():
        known_peaks = before.of(earlier[key]) if key in earlier else ()
        theirs = {peak.study: peak for peak in known_peaks if peak.study in same}
        for group, inside in _by_group(now.of(peaks)).items():
            ours = [peak for peak in inside if peak.study in theirs]
            then, today = _by_patient([theirs[peak.study] for peak in ours]), _by_patient(ours)
            shifts += _moved(key, group, then, today)
            shifts += _arrived(key, group, _by_patient(inside), known)
    return tuple(shifts)


def _by_group(peaks: Iterable[_Peak]) -> dict[str | None, list[_Peak]]:
    groups: dict[str | None, list[_Peak]] = defaultdict(list)
    for peak in peaks:
        for group in peak.groups:
            groups[group].append(peak)
    return groups


def _by_patient(peaks: Sequence[_Peak]) -> _Peaks:
    rows: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for peak in peaks:
        rows[peak.patient].append(peak.place)
    return rows


def _moved(key: _Map, group: str | None, before: _Peaks, now: _Peaks) -> Iterator[PeakShift]:
    """Yield the distance between the same patients' peaks; under the null those of the two runs may be swapped."""
    patients = sorted(before.keys() & now.keys())[:_MOST_PATIENTS]
    if len(patients) < SMALLEST_GROUP or all(before[name] == now[name] for name in patients):
        return
    # a row of weights for each patient: his peaks now minus his peaks before
    places, rows = _weights([now[name] + before[name] for name in patients])
    for row, name in zip(rows, patients, strict=True):
        own = np.flatnonzero(row)
        row[own] = np.repeat([1 / len(now[name]), -1 / len(before[name])], [len(now[name]), len(before[name])])
    signs = np.random.default_rng(_SEED).choice([-1.0, 1.0], size=(_DRAWS, len(patients)))
    contrasts = np.vstack([np.ones(len(patients)), signs]) @ rows / len(patients)
    yield _shift(key, group, "same patients", (len(patients), len(patients)), places, contrasts)


def _arrived(key: _Map, group: str | None, peaks: _Peaks, known: Collection[str]) -> Iterator[PeakShift]:
    """Yield the distance between new patients and those of the other run; under the null they may change places."""
    new = sorted(name for name in peaks if name not in known)[:_MOST_PATIENTS]
    old = sorted(name for name in peaks if name in known)[:_MOST_PATIENTS]
    if min(len(new), len(old)) < SMALLEST_GROUP:
        return
    places, rows = _weights([peaks[name] for name in (*new, *old)])
    labels = np.repeat([1 / len(new), -1 / len(old)], [len(new), len(old)])
    generator = np.random.default_rng(_SEED)
    contrasts = np.vstack([labels, *(generator.permutation(labels) for _ in range(_DRAWS))]) @ rows
    yield _shift(key, group, "new patients", (len(old), len(new)), places, contrasts)


def _weights(peaks: Sequence[Sequence[tuple[float, ...]]]) -> tuple[Floats, Floats]:
    """Return all places (peaks, axes) and each patient's weights over them (patients, peaks), which sum to 1."""
    rows = np.zeros((len(peaks), sum(map(len, peaks))))
    start = 0
    for row, own in zip(rows, peaks, strict=True):
        row[start : start + len(own)] = 1 / len(own)
        start += len(own)
    return np.array([place for own in peaks for place in own], dtype=np.float64), rows


def energy_distance(places: Floats, contrasts: Floats) -> Floats:
    """Return 2 E|X - Y| - E|X - X'| - E|Y - Y'| for each contrast.

    Args:
        places: (n, axes).
        contrasts: (m, n) the weights of X's places, which sum to 1, minus those of Y's.

    Returns:
        (m,), 0 or more.
    """
    apart = contrasts @ np.asarray(cdist(places, places), dtype=np.float64)
    return np.asarray(np.maximum(-(apart * contrasts).sum(axis=1), 0.0), dtype=np.float64)


def _shift(
    key: _Map, group: str | None, of: str, patients: tuple[int, int], places: Floats, contrasts: Floats
) -> PeakShift:
    distances = energy_distance(places, contrasts)
    beyond = int((distances[1:] >= distances[0] - 1e-9).sum())
    return PeakShift.model_validate(
        {
            "map": key[0], "label": key[1], "axes": key[2], "group": group, "of": of, "patients_before": patients[0],
            "patients": patients[1], "distance": round(float(distances[0]), 9), "p": (1 + beyond) / (1 + _DRAWS),
        }
    )  # fmt: skip
