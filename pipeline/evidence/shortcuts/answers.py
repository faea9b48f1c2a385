"""Counts and areas of a battery's rows: answers turned, what separates the classes, whether the lesion is needed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.ranks import mean_ranks
from pipeline.evidence.shortcuts.lesion import BACKGROUND, BOTH, LESION, PASTED
from pipeline.evidence.shortcuts.sign_flips import patient_means
from pipeline.findings.experiments.shortcuts import LesionNumbers, ShortcutRow, TurnedAnswers

__all__ = ["area_under_curve", "lesion_numbers", "turned_answers"]


def area_under_curve(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float | None:
    """Return the AUROC, ties counted half; None without both classes."""
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return None
    ranks = float(mean_ranks(scores)[positive].sum())
    return (ranks - positives * (positives + 1) / 2) / (positives * negatives)


def turned_answers(rows: Sequence[ShortcutRow], *, positive: bool = True) -> TurnedAnswers | None:
    """Count the right answers of one class that a change turned, and those that its control did.

    None where no study of the class took part; a count of nothing where the model answered none of them rightly.
    """
    done = [row for row in rows if row.positive == positive and row.changed is not None]
    if not done:
        return None
    right = [row for row in done if row.plain is not None and (row.plain > 0) == positive]
    controls = [row.control for row in right if row.control is not None]
    has_controls = all(row.control is not None for row in done)
    return TurnedAnswers(
        of=len(right),
        changed=sum(row.changed is not None and (row.changed > 0) != positive for row in right),
        control=sum((score > 0) != positive for score in controls) if has_controls else None,
    )


def lesion_numbers(rows: Sequence[ShortcutRow], gap: float | None) -> LesionNumbers | None:
    """Return what the lesion's experiments come to; None where none of them is among the rows."""
    of_test = {name: [row for row in rows if row.test == name] for name in (LESION, BOTH, BACKGROUND, PASTED)}
    if not any(of_test.values()):
        return None
    with_marks = {row.study for row in of_test[BOTH] if row.changed is not None}
    marks = [row for row in rows if row.test == "body_marks" and row.study in with_marks]
    done = [row for row in of_test[LESION] if row.changed is not None and row.control is not None]
    effects = [(row.control - row.changed) for row in done if row.control is not None and row.changed is not None]
    patients = [row.patient for row in done]
    background = [(row.changed, row.positive) for row in of_test[BACKGROUND] if row.changed is not None]
    return LesionNumbers(
        filled=turned_answers(of_test[LESION]),
        marks_filled=turned_answers(marks),
        both_filled=turned_answers(of_test[BOTH]),
        pasted=turned_answers(of_test[PASTED], positive=False),
        effect=float(patient_means(effects, patients).mean()) / gap if effects and gap else None,
        background_auroc=area_under_curve(
            np.array([score for score, _ in background], dtype=np.float64),
            np.array([positive for _, positive in background], dtype=bool),
        ),
        reasons={
            name: _reason(own) for name, own in of_test.items() if not any(row.changed is not None for row in own)
        },
    )


def _reason(rows: Sequence[ShortcutRow]) -> str:
    """Return why an experiment was done in no study: the reason that most of them have."""
    reasons = [row.reason or "" for row in rows]
    return max(sorted(set(reasons)), key=reasons.count) if reasons else "no study of this kind"
