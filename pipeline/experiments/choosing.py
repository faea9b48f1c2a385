"""On which studies the model is tried: chosen before anything is scored, from the listing and the seed alone."""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from pipeline.config import AuditConfig, digest_of
from pipeline.config_experiments import FamilyConfig
from pipeline.vocabulary import Family
from pipeline.walk.sources import StudySource

__all__ = ["chosen_studies"]


class _Study(NamedTuple):
    name: str
    patient: str


def chosen_studies(config: AuditConfig, sources: Iterable[StudySource]) -> dict[Family, tuple[str, ...]]:
    """Return the studies (pseudonyms) of each family that the run is asked for, one a patient.

    Labels have their turn, one after the other, and within a label studies are in an order that the seed draws. That
    order does not depend on who else is in the cohort, so that one that grows keeps most of its choice.
    """
    if not config.experiments.families:
        return {}
    by_label = _by_label(config, sources)
    return {family: _chosen(given, by_label) for family, given in config.experiments.families.items()}


def _by_label(config: AuditConfig, sources: Iterable[StudySource]) -> dict[str | None, list[_Study]]:
    """Group studies by the finding that the listing names first, in the model's order; None: no finding."""
    findings = [label for label in config.model.labels if label != config.model.negative_label]
    groups: dict[str | None, list[_Study]] = {label: [] for label in (*findings, None)}
    for source in sources:
        listed = source.row.reference
        named = listed if listed is not None else [mask.label for mask in source.row.masks]
        groups[next((label for label in findings if label in named), None)].append(_Study(source.study, source.patient))
    for group in groups.values():
        group.sort(key=lambda study: digest_of([config.run.seed, study.name]))
    return groups


def _chosen(given: FamilyConfig, by_label: dict[str | None, list[_Study]]) -> tuple[str, ...]:
    chosen: dict[str, str] = {}
    with_finding = [group for label, group in by_label.items() if label is not None]
    without = by_label[None]
    rounds = [with_finding, [without]] if given.prefers_findings else [[*with_finding, without]]
    for groups in rounds:
        queues = [deque(group) for group in groups]
        while any(queues) and len(chosen) < given.studies:
            for queue in queues:
                study = _next_patient(queue, chosen)
                if study is not None and len(chosen) < given.studies:
                    chosen[study.patient] = study.name
    return tuple(chosen.values())


def _next_patient(queue: deque[_Study], chosen: dict[str, str]) -> _Study | None:
    """Take the next study of a patient who has none yet."""
    while queue:
        study = queue.popleft()
        if study.patient not in chosen:
            return study
    return None
