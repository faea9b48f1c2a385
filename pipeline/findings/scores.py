"""What one map, or two readers, scored in one study: each metric has a value, or the reason why it has none."""

from typing import Self

from pydantic import model_validator

from pipeline.findings.frozen_model import FrozenModel
from pipeline.findings.localisation.curves import RegionCounts

__all__ = ["MapScores", "PairAgreement", "Score"]


class Score(FrozenModel):
    """One metric of one map against one mask: a value, or the reason why there is none.

    ``version`` is the metric's; ``chance`` the value to expect of a map that is placed at random, where there is one.
    """

    name: str
    version: int = 1
    value: float | None = None
    chance: float | None = None
    reason: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.value is None) == (self.reason is None):
            raise ValueError(f"score {self.name!r} needs a value or a reason, not both or neither")
        return self


class MapScores(FrozenModel):
    """One map of one study against one reader's mask (``reader`` None: no mask to compare with).

    Where the reader's mask could not be used, every score is undefined for that reason.

    ``map`` is the map's key in the run's maps files, where it is kept before the ReLU that may end its
    formula; baselines have none. ``cell_mm`` is the size of a layer's cell. ``seen_share`` is the share of
    the mask's voxels that lie in the model's field of view, ``mask_share`` the mask's share of that field of
    view. ``counts`` are the voxels of the map's region at a fixed grid of thresholds. ``unaligned`` are
    the scores of the same map where its cells tile the model's input, where it was moved.
    """

    target: str
    method: str
    layer: str | None
    reader: str | None
    map: str | None = None
    map_sha256: str | None = None
    cell_mm: tuple[float, ...] | None = None
    degenerate: bool = False
    seen_share: float | None = None
    mask_share: float | None = None
    scores: tuple[Score, ...] = ()
    counts: RegionCounts | None = None
    unaligned: tuple[Score, ...] = ()


class PairAgreement(FrozenModel):
    """How well two readers agree on one label in one study."""

    label: str
    readers: tuple[str, str]
    scores: tuple[Score, ...]
