"""How alike the maps and answers of a run are to those that plain float32 gives."""

from pipeline.findings.frozen_model import FrozenModel

__all__ = ["ArithmeticCheck", "MapLikeness"]


class MapLikeness(FrozenModel):
    """A kind of map in both arithmetics: Spearman's correlation of its cells, over so many maps.

    ``without_order`` are those that are constant in one arithmetic or both: they have no correlation.
    """

    method: str
    layer: str
    maps: int
    without_order: int
    lowest: float | None
    median: float | None


class ArithmeticCheck(FrozenModel):
    """Some studies of a run, explained again in plain float32.

    ``arithmetic`` is what the run computed in, in words. ``failed`` studies could not be explained again.
    ``answers_changed`` counts those for which the model calls other labels, ``probability_gap`` is the largest
    difference of a probability (None: the model gives none).
    """

    arithmetic: str
    studies: int
    failed: int
    answers_changed: int
    probability_gap: float | None
    maps: tuple[MapLikeness, ...]
