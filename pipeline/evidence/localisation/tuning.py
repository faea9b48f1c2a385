"""Thresholds tuned for each label and map, on patients who then count in nothing that a threshold has a part in.

Who tunes is known before any score: a column of the manifest says it, or a draw that follows from the locked seed and
the patient's keyed pseudonym alone, so that nobody moves when the cohort grows.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.config import OverlapConfig, TunedConfig
from pipeline.errors import ConfigError
from pipeline.evidence.columns.unit import TUNING_PATIENT
from pipeline.evidence.localisation.curves import study_values
from pipeline.evidence.thresholds import UNDEFINED_RULE, ThresholdRule
from pipeline.findings.localisation.curves import CURVE_SHARES
from pipeline.findings.localisation.tuning import TunedThreshold
from pipeline.findings.recipes import Place
from pipeline.findings.study_audit import StudyAudit

__all__ = ["TOO_FEW_TUNING", "RegionRules", "region_rules", "tuned_thresholds", "tuning_patients"]

TOO_FEW_TUNING: Final = "too_few_tuning_patients"

_VALUE: Final = "tuning"  # what the column says of who tunes, unless the configuration names something else


def tuning_patients(
    overlap: OverlapConfig, seed: int, studies: Iterable[tuple[str, Mapping[str, str]]]
) -> frozenset[str]:
    """Return the patients who tune, of ``studies``, each a patient's pseudonym and the manifest's other columns.

    Raises:
        ConfigError: when the column is not there, a patient stands on both sides, or a side has nobody.
    """
    tuned = overlap.threshold
    if not isinstance(tuned, TunedConfig):
        return frozenset()
    listed = list(studies)
    everybody = {patient for patient, _ in listed}
    if tuned.share is not None:
        chosen = {patient for patient in everybody if _draw(seed, patient) < tuned.share}
    else:
        chosen = _by_column(str(tuned.column), tuned.value or _VALUE, listed)
    if not chosen or chosen == everybody:
        side = "tunes" if not chosen else "is left to be judged"
        raise ConfigError(f"overlap.threshold: of {len(everybody)} patients none {side}; choose another split")
    return frozenset(chosen)


def _draw(seed: int, patient: str) -> float:
    """Return a number in [0, 1) that follows from the seed and the pseudonym."""
    digest = hashlib.sha256(f"tuning/{seed}/{patient}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _by_column(column: str, value: str, studies: Sequence[tuple[str, Mapping[str, str]]]) -> set[str]:
    if not any(column in columns for _, columns in studies):
        raise ConfigError(f"overlap.threshold.column: no study of the archive has a column {column!r:.60}")
    chosen = {patient for patient, columns in studies if columns.get(column) == value}
    both = sorted(chosen & {patient for patient, columns in studies if columns.get(column) != value})
    if both:
        says = f"patient {both[0]} has studies with {column} = {value} and others ({len(both)} patients have)"
        raise ConfigError(f"overlap.threshold.column: {says:.200}; a patient tunes with all his studies or with none")
    return chosen


def tuned_thresholds(
    overlap: OverlapConfig, audits: Iterable[StudyAudit], labels: Sequence[str], places: Sequence[Place]
) -> tuple[TunedThreshold, ...]:
    """Return the threshold of each label and map; ``audits`` are the tuning patients', ``places`` the run's maps."""
    tuned = overlap.threshold
    if not isinstance(tuned, TunedConfig):
        return ()
    analysed = [audit for audit in audits if audit.status == "analysed"]
    return tuple(_threshold(tuned, analysed, label, place) for label in labels for place in places)


def _threshold(tuned: TunedConfig, audits: Sequence[StudyAudit], label: str, place: Place) -> TunedThreshold:
    method, layer = place
    name = f"{method}@{layer or None}"
    by_patient: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for audit in audits:
        if label in (audit.reference or ()):
            course = study_values(audit, label, (method,)).get((name, tuned.tuned))
            if course is not None:
                by_patient[audit.patient].append(course)
    common = {
        "label": label,
        "method": method,
        "layer": layer or None,
        "metric": tuned.tuned,
        "patients": len(by_patient),
        "studies": sum(map(len, by_patient.values())),
    }
    if len(by_patient) < tuned.fewest:
        return TunedThreshold.model_validate({**common, "share": None, "reason": TOO_FEW_TUNING})
    values = np.mean([np.mean(own, axis=0) for own in by_patient.values()], axis=0)
    best = int(np.argmax(values))
    chosen = {"share": CURVE_SHARES[best], "value": float(values[best]), "at_edge": best in (0, len(values) - 1)}
    return TunedThreshold.model_validate({**common, **chosen, "values": tuple(values.tolist())})


@dataclass(frozen=True)
class RegionRules:
    """By which rule each map's region is drawn: ``rule`` for all, or ``tuned`` shares for who does not tune himself."""

    rule: ThresholdRule | None
    tuning: Collection[str] = frozenset()
    tuned: Mapping[tuple[str, Place], float] = field(default_factory=dict)

    def rule_for(self, patient: str, label: str, place: Place) -> ThresholdRule:
        """Return the rule for a map of a label in a patient; one that has no region says why."""
        if self.rule is not None:
            return self.rule
        if patient in self.tuning:
            return f"{UNDEFINED_RULE}{TUNING_PATIENT}"
        return self.tuned.get((label, place), f"{UNDEFINED_RULE}{TOO_FEW_TUNING}")


def region_rules(
    overlap: OverlapConfig, tuning: Collection[str] = (), thresholds: Iterable[TunedThreshold] = ()
) -> RegionRules:
    """Return the rules of a configuration; where they are tuned, with who tunes and what came of it so far."""
    if not isinstance(overlap.threshold, TunedConfig):
        return RegionRules(overlap.threshold)
    shares = {
        (tuned.label, (tuned.method, tuned.layer or "")): tuned.share for tuned in thresholds if tuned.share is not None
    }
    return RegionRules(None, frozenset(tuning), shares)
