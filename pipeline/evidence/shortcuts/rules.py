"""From a run's rows to its findings and to the answer of a criterion on them.

NOT MET where a cause is named. MET is that no reliance above the locked share was found, and needs that every cause
that occurs in the studies could be tested, and tested finely enough. All else is INCONCLUSIVE with the reason.
"""

import math
from collections.abc import Sequence
from typing import Final

from pipeline.config_experiments import ShortcutsConfig
from pipeline.evidence.shortcuts.change import NOTHING_THERE
from pipeline.evidence.shortcuts.lesion import LESION
from pipeline.evidence.shortcuts.naming import FEWEST_TESTED, name_causes
from pipeline.evidence.shortcuts.study import BatterySettings
from pipeline.evidence.shortcuts.transplants import NO_OUTSIDE
from pipeline.findings.experiments.check import CheckFinding
from pipeline.findings.experiments.shortcuts import (
    LabelRows,
    LabelShortcuts,
    LesionNumbers,
    ShortcutFinding,
    ShortcutFindings,
    ShortcutRow,
    ShortcutRows,
    ShortcutTest,
    cause_words,
)
from pipeline.vocabulary import Decision

__all__ = ["shortcut_findings"]

_ABSENT: Final = (NOTHING_THERE, NO_OUTSIDE)
"""Reasons that say that a cause does not occur in a study; all others say that it could not be tested."""


def shortcut_findings(rows: ShortcutRows, settings: ShortcutsConfig, chosen: Sequence[str]) -> ShortcutFindings:
    """Return what follows from the rows of the ``chosen`` studies.

    Raises:
        ValueError: for rows that no run of these settings writes.
    """
    _refuse_foreign(rows, settings, chosen)
    battery = BatterySettings(seed=rows.seed)
    labels = tuple(_of_label(own, battery) for own in rows.labels)
    return ShortcutFindings(
        checks=(_answer(rows, labels, battery),),
        labels=labels,
        asked=len(chosen),
        failures=rows.failures,
        unlabelled=len(rows.unlabelled),
        not_done=rows.not_done,
        forwards=rows.forwards,
    )


def _of_label(own: LabelRows, battery: BatterySettings) -> LabelShortcuts:
    finding = name_causes(own.rows, battery)
    lesions = [row for row in own.rows if row.test == LESION and row.changed is not None and row.control is not None]
    gap = finding.gap if finding.refused is None else None
    locked = None if gap is None else battery.minimum_effect * gap
    return LabelShortcuts(
        label=own.label,
        finding=finding,
        needed=tuple(own.studies[row.study] for row in lesions if locked is not None and _moved(row) >= locked),
        not_needed=tuple(own.studies[row.study] for row in lesions if locked is not None and _moved(row) < locked),
    )


def _moved(row: ShortcutRow) -> float:
    return (row.control or 0.0) - (row.changed or 0.0)


def _answer(rows: ShortcutRows, labels: Sequence[LabelShortcuts], battery: BatterySettings) -> CheckFinding:
    answer, reason, of_label = _decided(rows, labels, battery)
    finding = of_label.finding if of_label is not None else ShortcutFinding()
    effect = _effect(finding)
    return CheckFinding(
        check="shortcuts",
        answer=answer,
        reason=reason,
        value=effect if math.isfinite(effect) and answer != "INCONCLUSIVE" else None,
        bound=battery.minimum_effect,
        side="at_most",
        patients=finding.patients,
        studies=finding.positives + finding.negatives,
    )


def _decided(
    rows: ShortcutRows, labels: Sequence[LabelShortcuts], battery: BatterySettings
) -> tuple[Decision, str, LabelShortcuts | None]:
    """Return the answer, its reason and the label that decides."""
    for own in sorted(labels, key=lambda own: -_effect(own.finding)):
        if own.finding.named:
            return "NOT MET", _named(own, len(labels)), own
    if rows.not_done is not None or not labels:
        return "INCONCLUSIVE", f"not done: {rows.not_done or 'no label could be tried'}", None
    for own in labels:
        gap = _gap_in_the_evidence(own.finding, battery)
        if gap is not None:
            return "INCONCLUSIVE", f"{own.label}: {gap}" if len(labels) > 1 else gap, own
    largest = max(labels, key=lambda own: _effect(own.finding))
    return "MET", _lower(largest.finding.sentences[0].rstrip(".")), largest


def _effect(finding: ShortcutFinding) -> float:
    """Return the effect that decides: of the cause that is named first, else the largest; minus infinity for none."""
    effects = {test.test: test.effect for test in finding.tests if test.effect is not None}
    return effects[finding.named[0]] if finding.named else max(effects.values(), default=-math.inf)


def _named(own: LabelShortcuts, labels: int) -> str:
    causes = " and ".join(cause_words(name) for name in own.finding.named)
    of_label = f" for {own.label!r}" if labels > 1 else ""
    return f"named{of_label}: {causes}; {_lower(own.finding.sentences[0])}".rstrip(".")


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _gap_in_the_evidence(finding: ShortcutFinding, battery: BatterySettings) -> str | None:
    """Return why nothing may be concluded although no cause is named; None where something may."""
    if finding.refused is not None:
        return f"no cause may be named: {finding.refused}"
    untested = [test for test in finding.tests if test.effect is None and _occurs(test)]
    if untested:
        causes = "; ".join(f"{cause_words(test.test)} ({test.reason})" for test in untested)
        return f"not every cause could be tested: {causes}"
    unneeded = None if finding.lesion is None else _without_the_lesion(finding.lesion, battery)
    if unneeded is not None:
        return unneeded
    coarse = [test for test in finding.tests if (test.smallest or 0.0) > battery.minimum_effect + 1e-9]
    large = [test for test in finding.tests if (test.effect or 0.0) >= battery.minimum_effect]
    if coarse or large:
        test = max([*coarse, *large], key=lambda test: test.smallest or 0.0)
        return (
            f"the studies differ too much among each other: of {cause_words(test.test)} only an effect above "
            f"{100 * (test.smallest or 0.0):.0f} % of the distance between the classes could have been found"
        )
    return None


def _without_the_lesion(lesion: LesionNumbers, battery: BatterySettings) -> str | None:
    """Return what is odd about answers without the lesion: they stay, and nothing that was tested explains why."""
    filled, effect = lesion.filled, lesion.effect
    if filled is None or effect is None:
        return f"whether the model needs the lesion could not be tried: {lesion.reasons.get(LESION, 'no study')}"
    if 2 * filled.changed > filled.of:
        return None
    if filled.of:
        kept = f"{filled.of - filled.changed} of {filled.of} positive answers stayed without the lesion"
        return f"{kept}, and no tested cause explains it"
    if effect < battery.minimum_effect:
        return "painting over the lesion hardly moves the score, and no tested cause explains it"
    return None


def _occurs(test: ShortcutTest) -> bool:
    """Whether a cause occurs in as many studies as a test needs."""
    untested = sum(count for reason, count in test.left_out.items() if reason not in _ABSENT)
    return test.studies + untested >= FEWEST_TESTED


def _refuse_foreign(rows: ShortcutRows, settings: ShortcutsConfig, chosen: Sequence[str]) -> None:
    """Refuse rows that are not those of the chosen studies, each in every test of its label."""
    if len(chosen) > settings.studies:
        raise ValueError("more studies were chosen than the configuration says")
    left = {*rows.failures, *rows.unlabelled}
    if left - set(chosen):
        raise ValueError("the rows are of studies that were not chosen")
    readable = tuple(study for study in chosen if study not in left)
    for own in rows.labels:
        if own.studies != readable:
            raise ValueError(f"the rows of {own.label} are not of the studies that were chosen")
        if {row.study for row in own.rows} != set(range(len(own.studies))):
            raise ValueError(f"the rows of {own.label} do not hold every study")
        if len({(row.study, row.test) for row in own.rows}) != len(own.rows):
            raise ValueError(f"the rows of {own.label} hold a test of a study twice")
