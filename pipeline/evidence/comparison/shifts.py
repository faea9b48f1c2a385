"""Whether maps peak elsewhere than before: energy distances between where they have their peaks, by label and group.

What a run keeps of every map is the place of its peak as a share of the picture. Two questions are asked of it. Of
patients in both runs: do this run's maps peak elsewhere than the other's did? Of patients whom this run has and the
other does not: do their maps, in this run, peak elsewhere than those of the patients who were there before? Both
describe: p-values are by permutation of patients, and are not adjusted for their number.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from pipeline.findings.context.changes import PeakShift
from pipeline.findings.study_audit import StudyAudit, map_name, methods_at_layers
from pipeline.vocabulary import SMALLEST_GROUP

__all__ = ["energy_distance", "peak_shifts"]

_DRAWS: Final = 999
_SEED: Final = 20_261_129
_MOST_PATIENTS: Final = 300
"""Of more on a side the first ones by pseudonym are taken, which are as good as drawn."""

Floats = NDArray[np.float64]
_Map = tuple[str, str, int]  # method, label, axes
_Peaks = Mapping[str, list[tuple[float, ...]]]  # by patient


@dataclass(frozen=True)
class _Peak:
    study: str
    patient: str
    place: tuple[float, ...]
    groups: tuple[str | None, ...]


def peak_shifts(a: Sequence[StudyAudit], b: Sequence[StudyAudit], paired: Collection[str]) -> tuple[PeakShift, ...]:
    """Return the distances between two runs' peaks; ``paired`` are the studies that both analysed.

    A group with fewer than five patients on a side, and one in which no peak moved, has none.
    """
    before, now = _peaks(a), _peaks(b)
    same, known = frozenset(paired), {audit.patient for audit in a}
    shifts: list[PeakShift] = []
    for key, rows in now.items():
        theirs = {peak.study: peak for peak in before.get(key, ()) if peak.study in same}
        for group in dict.fromkeys(group for peak in rows for group in peak.groups):
            inside = [peak for peak in rows if group in peak.groups]
            ours = [peak for peak in inside if peak.study in theirs]
            then, today = _by_patient([theirs[peak.study] for peak in ours]), _by_patient(ours)
            shifts += _moved(key, group, then, today)
            shifts += _arrived(key, group, _by_patient(inside), known)
    return tuple(shifts)


def _peaks(audits: Sequence[StudyAudit]) -> dict[_Map, list[_Peak]]:
    """Return where the maps of the reference's labels peak, each map once whoever's mask it is held against."""
    at_layers = methods_at_layers(audits)
    rows: dict[_Map, dict[str, _Peak]] = defaultdict(dict)
    for audit in audits:
        groups = (None, *(f"{name}={value}" for name, value in audit.strata.items() if value))
        for entry in audit.map_scores:
            if entry.peak is not None and entry.target_role == "reference" and audit.status == "analysed":
                place = entry.peak.normalised
                key = (map_name(entry, at_layers), entry.target, len(place))
                rows[key].setdefault(audit.study, _Peak(audit.study, audit.patient, place, groups))
    return {key: list(by_study.values()) for key, by_study in rows.items()}


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
