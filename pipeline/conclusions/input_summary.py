"""The model's inputs over a cohort, and what a reader should know when they look unusual."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.facts import InputSummary

__all__ = ["summarised"]

_LARGE = 50.0
"""Scaled inputs stay within a few units, or a few standard deviations, of 0; unscaled CT reaches thousands."""


_NUMBERS = np.dtype([(name, "f8") for name in ("minimum", "mean", "maximum", "deviation")])


def summarised(audits: Iterable[StudyFacts]) -> InputSummary | None:
    """Describe what the model was shown of the studies; None when it was shown nothing."""
    shapes: Counter[str] = Counter()
    rows = (_row(audit, shapes) for audit in audits if audit.model_input is not None)
    facts = np.fromiter(rows, dtype=_NUMBERS)
    if not len(facts):
        return None
    return InputSummary(
        studies=len(facts),
        shapes=dict(sorted(shapes.items())),
        minimum=float(facts["minimum"].min()),
        mean=float(np.mean(np.ascontiguousarray(facts["mean"]))),
        maximum=float(facts["maximum"].max()),
        deviation=float(np.mean(np.ascontiguousarray(facts["deviation"]))),
        notes=tuple(_notes(facts)),
    )


def _row(audit: StudyFacts, shapes: Counter[str]) -> tuple[float, ...]:
    """Return a study's numbers, and count its shape."""
    shown = audit.model_input
    assert shown is not None
    shapes[" x ".join(map(str, shown.shape))] += 1
    return shown.minimum, shown.mean, shown.maximum, shown.deviation


def _notes(facts: NDArray[Any]) -> list[str]:
    """State what is unusual, as a fact: whether it is wrong depends on how the model was trained."""
    notes = []
    constant = int((facts["minimum"] == facts["maximum"]).sum())
    if constant:
        notes.append(f"{constant} of {len(facts)} inputs are constant: the model was shown nothing there")
    large = int((np.maximum(-facts["minimum"], facts["maximum"]) > _LARGE).sum())
    if large:
        notes.append(
            f"{large} of {len(facts)} inputs hold values beyond {_LARGE:g} in size, as unscaled images do; "
            "compare the steps with those that the model was trained with"
        )
    return notes
