"""How a map's evidence divides into regions: of one map, and on average over a cohort."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import model_validator

from pipeline.findings.frozen_model import FrozenModel
from pipeline.vocabulary import BodyRegion, Stratum

__all__ = ["AvoidedShares", "CohortShares", "RegionShares", "ShareRegion"]

ShareRegion = Literal["lesion", "avoided"] | BodyRegion

_ROUNDING = 1e-6


class RegionShares(FrozenModel):
    """The regions' shares of a map's positive evidence, and of the voxels that the model saw; each adds up to 1.

    The second is what a map has that is the same everywhere. ``lesion`` is what one reader marked, ``avoided`` what is
    marked as to be avoided beside it.
    """

    evidence: Mapping[ShareRegion, float]
    voxels: Mapping[ShareRegion, float]

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        for shares in (self.evidence, self.voxels):
            if abs(sum(shares.values()) - 1) > _ROUNDING or min(shares.values()) < 0:
                raise ValueError(f"shares add up to 1, not {dict(shares)}")
        return self


class CohortShares(RegionShares):
    """The mean shares over the patients of a stratum, of one map; a study's are the mean over its readers."""

    method: str
    among: Stratum
    studies: int
    patients: int


class AvoidedShares(FrozenModel):
    """How much of one method's evidence lies in a region that must not be leaned on, beside the region's own area.

    Means over ``patients``, of the ``studies`` in which the region is marked and the map shows something; ``above`` of
    the patients have more evidence there than area. ``without_region`` studies with a map have no such region, or one
    that the model never saw; of ``unknown`` ones the mask could not be used or the map is the same everywhere.
    """

    region: str
    method: str
    evidence: float | None = None
    area: float | None = None
    studies: int = 0
    patients: int = 0
    above: int = 0
    without_region: int = 0
    unknown: int = 0
