"""Overlap beside what the model needs: maps of studies whose mask the answer needs, and of those where it does not."""

from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.findings.experiments.bundle import ExperimentFindings
from pipeline.findings.experiments.shortcuts import LabelShortcuts, NeedOverlap
from pipeline.findings.study_audit import StudyAudit, map_name, methods_at_layers
from pipeline.vocabulary import BASELINES

__all__ = ["with_overlap"]


def with_overlap(
    findings: ExperimentFindings, audits: Iterable[StudyAudit], metrics: Sequence[str]
) -> ExperimentFindings:
    """Add to the findings on shortcuts, for each map and each metric, its means in the two groups of studies."""
    shortcuts = findings.shortcuts
    if shortcuts is None:
        return findings
    chosen = {study for own in shortcuts.labels for study in (*own.needed, *own.not_needed)}  # few of a large cohort
    by_study = {audit.study: audit for audit in audits if audit.study in chosen}
    labels = tuple(
        own.model_copy(update={"overlap": tuple(_overlap(own, by_study, metrics))}) for own in shortcuts.labels
    )
    return findings.model_copy(update={"shortcuts": shortcuts.model_copy(update={"labels": labels})})


def _overlap(own: LabelShortcuts, by_study: dict[str, StudyAudit], metrics: Sequence[str]) -> Iterable[NeedOverlap]:
    groups = [[by_study[study] for study in studies if study in by_study] for studies in (own.needed, own.not_needed)]
    layered = methods_at_layers([*groups[0], *groups[1]])
    names = dict.fromkeys(
        map_name(entry, layered)
        for audit in (*groups[0], *groups[1])
        for entry in audit.map_scores
        if entry.target == own.label and entry.method not in BASELINES
    )
    for name in names:
        for metric in metrics:
            means = [_means(audits, own.label, name, metric, layered) for audits in groups]
            needed, spared = (float(np.mean(values)) if values else None for values in means)
            yield NeedOverlap(
                method=name,
                metric=metric,
                needed=needed,
                needed_studies=len(means[0]),
                not_needed=spared,
                not_needed_studies=len(means[1]),
            )


def _means(audits: Iterable[StudyAudit], label: str, name: str, metric: str, layered: frozenset[str]) -> list[float]:
    """Return each study's mean over its readers; studies without such a score are left out."""
    means = []
    for audit in audits:
        values = [
            score.value
            for entry in audit.map_scores
            if (entry.target, entry.target_role) == (label, "reference") and map_name(entry, layered) == name
            for score in entry.scores
            if score.name == metric and score.value is not None
        ]
        if values:
            means.append(float(np.mean(values)))
    return means
