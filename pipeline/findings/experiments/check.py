"""What a check of a family of experiments came to, in the form that every family shares."""

from typing import Literal

from pipeline.findings.frozen_model import FrozenModel
from pipeline.vocabulary import Check, Decision

__all__ = ["CheckFinding"]


class CheckFinding(FrozenModel):
    """A check's answer for one map (``method``, a map's name), or for the model itself (None).

    ``value`` is what is held against ``bound``; None where the check was not done, which is INCONCLUSIVE and never MET.
    ``strikes``: the map is no evidence of what the model looks at, and nothing else that is said of it can be MET.
    """

    check: Check
    method: str | None = None
    answer: Decision
    reason: str
    value: float | None = None
    bound: float | None = None
    side: Literal["at_least", "at_most"] | None = None
    patients: int = 0
    studies: int = 0
    strikes: bool = False
