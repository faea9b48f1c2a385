"""On which studies the model is tried: chosen before anything is scored, from the listing and the seed alone."""

from collections import deque
from collections.abc import Iterable, Sequence

from pipeline.config import AuditConfig, digest_of
from pipeline.config_experiments import FamilyConfig
from pipeline.vocabulary import Family
from pipeline.walk.sources import StudySource

__all__ = ["chosen_studies"]


def chosen_studies(config: AuditConfig, sources: Sequence[StudySource]) -> dict[Family, tuple[str, ...]]:
    """Return the studies (pseudonyms) of each family that the run is asked for, one a patient.

    Labels have their turn, one after the other, and within a label studies are in an order that the seed draws. That
    order does not depend on who else is in the cohort, so that one that grows keeps most of its choice.
    """
    by_label = _by_label(config, sources)
    return {family: _chosen(given, by_label) for family, given in config.experiments.families.items()}


def _by_label(config: AuditConfig, sources: Iterable[StudySource]) -> dict[str | None, list[StudySource]]:
    """Group studies by the finding that the listing names first, in the model's order; None: no finding."""
    findings = [label for label in config.model.labels if label != config.model.negative_label]
    groups: dict[str | None, list[StudySource]] = {label: [] for label in (*findings, None)}
    for source in sources:
        listed = source.row.reference
        named = listed if listed is not None else [mask.label for mask in source.row.masks]
        groups[next((label for label in findings if label in named), None)].append(source)
    for group in groups.values():
        group.sort(key=lambda source: digest_of([config.run.seed, source.study]))
    return groups


def _chosen(given: FamilyConfig, by_label: dict[str | None, list[StudySource]]) -> tuple[str, ...]:
    chosen: dict[str, str] = {}
    with_finding = [group for label, group in by_label.items() if label is not None]
    without = by_label[None]
    rounds = [with_finding, [without]] if given.prefers_findings else [[*with_finding, without]]
    for groups in rounds:
        queues = [deque(group) for group in groups]
        while any(queues) and len(chosen) < given.studies:
            for queue in queues:
                source = _next_patient(queue, chosen)
                if source is not None and len(chosen) < given.studies:
                    chosen[source.patient] = source.study
    return tuple(chosen.values())


def _next_patient(queue: deque[StudySource], chosen: dict[str, str]) -> StudySource | None:
    """Take the next study of a patient who has none yet."""
    while queue:
        source = queue.popleft()
        if source.patient not in chosen:
            return source
    return None
