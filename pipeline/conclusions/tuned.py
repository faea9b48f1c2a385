"""Who tunes a run's thresholds and what came of it, from its specification, its list of studies and its records."""

from collections.abc import Iterable, Sequence

from pipeline.evidence.localisation.tuning import RegionRules, region_rules, tuned_thresholds
from pipeline.findings.localisation.tuning import TunedThreshold
from pipeline.findings.spec import Member, RunSpec
from pipeline.findings.study_audit import StudyAudit

__all__ = ["rules_of", "tuned_of", "who_tunes"]


def who_tunes(members: Iterable[Member]) -> frozenset[str]:
    """Return the patients who tune."""
    return frozenset(member.patient for member in members if member.tuning)


def tuned_of(spec: RunSpec, members: Sequence[Member], audits: Iterable[StudyAudit]) -> tuple[TunedThreshold, ...]:
    """Return the thresholds of a run, of each label and map; of ``audits`` only the tuning patients' count."""
    tuning, config = who_tunes(members), spec.config
    labels = [label for label in config.model.labels if label != config.model.negative_label]
    own = [audit for audit in audits if audit.patient in tuning]
    return tuned_thresholds(config.overlap, own, labels, list(spec.recipes.maps))


def rules_of(spec: RunSpec, members: Sequence[Member], thresholds: Iterable[TunedThreshold]) -> RegionRules:
    """Return by which rule each map's region is drawn in a run."""
    return region_rules(spec.config.overlap, who_tunes(members), thresholds)
