"""The model's inputs over a cohort, and what a reader should know when they look unusual."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from pipeline.findings.brief_study import ShownInput, StudyFacts
from pipeline.findings.facts import InputSummary

__all__ = ["summarised"]

_LARGE = 50.0
"""Scaled inputs stay within a few units, or a few standard deviations, of 0; unscaled CT reaches thousands."""


def summarised(audits: Sequence[StudyFacts]) -> InputSummary | None:
    """Describe what the model was shown of the studies; None when it was shown nothing."""
    facts = [audit.model_input for audit in audits if audit.model_input is not None]
    if not facts:
        return None
    shapes = Counter(" x ".join(map(str, fact.shape)) for fact in facts)
    return InputSummary(
        studies=len(facts),
        shapes=dict(sorted(shapes.items())),
        minimum=min(fact.minimum for fact in facts),
        mean=float(np.mean([fact.mean for fact in facts])),
        maximum=max(fact.maximum for fact in facts),
        deviation=float(np.mean([fact.deviation for fact in facts])),
        notes=tuple(_notes(facts)),
    )


def _notes(facts: Sequence[ShownInput]) -> list[str]:
    """State what is unusual, as a fact: whether it is wrong depends on how the model was trained."""
    notes = []
    constant = sum(fact.minimum == fact.maximum for fact in facts)
    if constant:
        notes.append(f"{constant} of {len(facts)} inputs are constant: the model was shown nothing there")
    large = sum(max(-fact.minimum, fact.maximum) > _LARGE for fact in facts)
    if large:
        notes.append(
            f"{large} of {len(facts)} inputs hold values beyond {_LARGE:g} in size, as unscaled images do; "
            "compare the steps with those that the model was trained with"
        )
    return notes
