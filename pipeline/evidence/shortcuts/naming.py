"""The locked rule: which causes of a label's answers are named, and when none may be.

A cause is named when its effect is at least a share of the distance between the classes and Holm's adjusted sign-flip p
is at most alpha. The largest effect is named, a second only if it is at least half as large, and "something outside the
body" only if nothing more specific is. Nothing is named where the model hardly tells the classes apart: the distance
that effects are measured in means nothing then.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from pipeline.evidence.exact.families import holm
from pipeline.evidence.shortcuts.answers import area_under_curve, lesion_numbers, turned_answers
from pipeline.evidence.shortcuts.sentences import sentences_of
from pipeline.evidence.shortcuts.sign_flips import patient_means, sign_flip_p
from pipeline.evidence.shortcuts.study import BatterySettings
from pipeline.evidence.shortcuts.transplants import TRANSPLANTS
from pipeline.findings.experiments.shortcuts import CAUSES, ShortcutFinding, ShortcutRow, ShortcutTest

__all__ = ["FEWEST_TESTED", "name_causes"]

FEWEST_TESTED = 5
"""With fewer a sign-flip test reaches no p of 0.05, whatever the effects are."""

_SECOND = 0.5  # of the largest effect


@dataclass(frozen=True)
class _Classes:
    """How well the scores tell the classes apart, in the studies as they are."""

    auroc: float | None
    gap: float | None
    positives: int
    negatives: int
    patients: int


def name_causes(rows: Sequence[ShortcutRow], settings: BatterySettings) -> ShortcutFinding:
    """Return what the rows of a battery say of one label: its tests, the causes that they name, and the sentences."""
    classes = _classes(rows)
    refused = _refusal(classes, settings)
    gap = classes.gap if refused is None else None
    tests = _tests(rows, gap, settings)
    smallest = [test.smallest for test in tests if test.smallest is not None]
    finding = ShortcutFinding(
        refused=refused or (None if smallest else "no test could be done: see the reasons of each"),
        named=_named(tests, settings),
        tests=tests,
        lesion=lesion_numbers(rows, gap),
        smallest=max(smallest, default=None),
        auroc=classes.auroc,
        gap=classes.gap,
        positives=classes.positives,
        negatives=classes.negatives,
        patients=classes.patients,
        forwards=_forwards(rows),
    )
    return finding.model_copy(update={"sentences": sentences_of(finding, settings.minimum_effect)})


def _classes(rows: Sequence[ShortcutRow]) -> _Classes:
    studies = {row.study: row for row in rows}
    answered = [(row.plain, row.positive) for row in studies.values() if row.plain is not None]
    scores = np.array([score for score, _ in answered], dtype=np.float64)
    positive = np.array([positive for _, positive in answered], dtype=bool)
    auroc = area_under_curve(scores, positive)
    gap = None if auroc is None else float(scores[positive].mean() - scores[~positive].mean())
    patients = len({row.patient for row in studies.values()})
    return _Classes(auroc, gap, int(positive.sum()), int((~positive).sum()), patients)


def _refusal(classes: _Classes, settings: BatterySettings) -> str | None:
    if classes.auroc is None or classes.gap is None:
        return f"{classes.positives} positive and {classes.negatives} negative studies: both classes are needed"
    if classes.auroc < settings.minimum_auroc:
        return (
            f"AUROC {classes.auroc:.2f} is below {settings.minimum_auroc:.2f}: effects are measured in the distance "
            "between the classes, and there is hardly one"
        )
    if classes.gap <= 0:
        return "the classes' mean scores do not lie apart in the label's direction"
    return None


def _names(rows: Sequence[ShortcutRow]) -> tuple[str, ...]:
    """Return the tests that answer for a cause, in the order of the causes; the lesion's experiments are none."""
    present = dict.fromkeys(row.test for row in rows)
    return (*(name for name in CAUSES if name in present), *(name for name in present if name.startswith("avoid:")))


def _tests(rows: Sequence[ShortcutRow], gap: float | None, settings: BatterySettings) -> tuple[ShortcutTest, ...]:
    """Return the tests, with Holm's p over those that were done.

    The smallest effect that a test could have named is the locked share, or what a t-test corrected for all tests
    would need with the spread that the patients show, where that is more.
    """
    own_rows = {name: [row for row in rows if row.test == name] for name in _names(rows)}
    effects = {} if gap is None else {name: _effects(own, gap) for name, own in own_rows.items()}
    done = {name: means for name, means in effects.items() if len(means) >= FEWEST_TESTED}
    p_values = {name: sign_flip_p(means, settings.flips, settings.seed) for name, means in done.items()}
    adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    tests = {name: _untested(name, own, gap) for name, own in own_rows.items()}
    for name, means in done.items():
        reach = float(stdtrit(len(means) - 1, 1 - settings.alpha / len(done)) * means.std(ddof=1) / np.sqrt(len(means)))
        figures = {
            "effect": float(means.mean()),
            "p": p_values[name],
            "p_adjusted": adjusted[name],
            "smallest": max(settings.minimum_effect, reach),
            "reason": None,
        }
        tests[name] = tests[name].model_copy(update=figures)
    return tuple(tests.values())


def _untested(name: str, own: Sequence[ShortcutRow], gap: float | None) -> ShortcutTest:
    """Return a test's counts, and why it was not done where it is not."""
    done = [row for row in own if row.changed is not None and row.control is not None]
    left_out = Counter(row.reason or "no control" for row in own if row.changed is None or row.control is None)
    patients = len({row.patient for row in done})
    few = None if patients >= FEWEST_TESTED else _too_few(patients, left_out)
    return ShortcutTest(
        test=name,
        positives=turned_answers(done),
        studies=len(done),
        patients=patients,
        left_out=dict(sorted(left_out.items())),
        reason=few or ("nothing may be named" if gap is None else None),
    )


def _effects(own: Sequence[ShortcutRow], gap: float) -> NDArray[np.float64]:
    """Return each patient's mean effect as a share of the distance between the classes."""
    done = [row for row in own if row.changed is not None and row.control is not None]
    return patient_means([_effect(row) / gap for row in done], [row.patient for row in done])


def _too_few(patients: int, left_out: Counter[str]) -> str:
    common = f"; most often: {left_out.most_common(1)[0][0]}" if left_out else ""
    return f"{patients} patients, at least {FEWEST_TESTED} are needed{common}"


def _effect(row: ShortcutRow) -> float:
    """Return how far the change moved a score beyond the control: to the other class, or down for what is taken away.

    A transplant brings what the other class has. What is painted over is taken from both classes alike.
    """
    assert row.changed is not None
    assert row.control is not None
    moved = row.control - row.changed
    return -moved if row.test in TRANSPLANTS and not row.positive else moved


def _named(tests: Sequence[ShortcutTest], settings: BatterySettings) -> tuple[str, ...]:
    flagged = {
        test.test: test.effect
        for test in tests
        if test.effect is not None
        and test.p_adjusted is not None
        and test.p_adjusted <= settings.alpha
        and test.effect >= settings.minimum_effect
    }
    if len(flagged) > 1:
        flagged.pop("outside", None)
    largest = sorted(flagged, key=lambda name: -flagged[name])[:2]
    return tuple(name for name in largest if flagged[name] >= _SECOND * flagged[largest[0]])


def _forwards(rows: Sequence[ShortcutRow]) -> int:
    answers = sum((row.changed is not None) + (row.control is not None) for row in rows)
    return answers + len({row.study for row in rows})
