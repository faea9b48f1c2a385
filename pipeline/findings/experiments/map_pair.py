"""A study's map beside the same map after a change: what became of the two, and when they have a similarity."""

from typing import Literal

__all__ = ["Outcome", "check_similarity"]

Outcome = Literal["compared", "no_map", "empty_after"]
"""Of two maps: both have an order; the study's own map has none; the changed one has none, which counts as 0."""


def check_similarity(outcome: Outcome, similarity: float | None) -> None:
    """Hold a similarity against what became of the maps.

    Raises:
        ValueError: when one is given without two maps, or is missing, or is not 0 of a map that is empty afterwards.
    """
    if (similarity is None) != (outcome == "no_map"):
        raise ValueError("a similarity goes with two maps, and only with them")
    if outcome == "empty_after" and similarity != 0:
        raise ValueError("a map that is empty afterwards counts as 0")
