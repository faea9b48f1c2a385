"""What one map, or two readers, scored in one study: each metric has a value, or the reason why it has none."""

from collections.abc import Iterable
from typing import NamedTuple, Self

from pydantic import model_validator

from pipeline.findings.frozen_model import FrozenModel
from pipeline.findings.localisation.curves import RegionCounts
from pipeline.findings.plotted.marks import MarkCounts
from pipeline.findings.plotted.shares import RegionShares
from pipeline.vocabulary import AVOID, BodyRegion, PeakRegion, TargetRole

__all__ = [
    "AnsweredPlacement", "AvoidedRegion", "MapPeak", "MapPlacement", "MapScores", "PairAgreement", "Score",
    "placed_maps",
]  # fmt: skip


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


class MapPlacement(FrozenModel):
    """Where a map lies that may have no mask to be held against.

    ``peak`` is the place of its maximum (the centroid of all voxels tied for it) as a share of the way along each axis
    of the image's grid, from 0 to 1. ``energy_in_body`` is the share of its positive sum that lies in the body (see the
    baseline ``body_mask``), ``peak_in_body`` the share of the voxels tied for its maximum, and ``body_share`` the
    body's share of what the model saw: what a map that is placed at random would have. ``reason`` says what of this is
    undefined, and why.
    """

    peak: tuple[float, ...] | None = None
    energy_in_body: float | None = None
    peak_in_body: float | None = None
    body_share: float | None = None
    reason: str | None = None


class MapPeak(FrozenModel):
    """Where a map has its highest evidence ``value``, seen from one reader's mask.

    ``position_mm`` is in RAS+ (pixels where the image states no size). ``normalised`` is the place in the picture as it
    is shown: across from the left and down from the top, 0 to 1; of a volume from the patient's right, front and head.
    ``place`` names it by thirds, such as ``upper left``. ``body_region`` is the region were there no mask.
    """

    region: PeakRegion
    body_region: BodyRegion
    place: str
    position_mm: tuple[float, float, float]
    normalised: tuple[float, ...]
    value: float


class AvoidedRegion(FrozenModel):
    """How much of a map's evidence lies in a region that must not be leaned on, and the region's share of the picture.

    Both are shares: of the map's positive sum, and of the voxels that the model saw. ``evidence`` is what a map has
    there whatever else it has, so a region that overlaps a lesion counts in both. ``reason`` says why there is none.
    """

    name: str
    evidence: float | None = None
    area: float | None = None
    reason: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.evidence is None) == (self.reason is None):
            raise ValueError(f"region {self.name!r} needs a share or a reason, not both or neither")
        return self

    def as_score(self) -> Score:
        """Return the share as a criterion takes it: lower is better, and chance is the region's area."""
        return Score(name=f"{AVOID}{self.name}", value=self.evidence, chance=self.area, reason=self.reason)


class MapScores(FrozenModel):
    """One map of one study against one reader's mask (``reader`` None: no mask to compare with).

    Where the reader's mask could not be used, every score is undefined for that reason.

    ``target_role`` says why the label was explained. The map of an ``answered`` label, which the model called and the
    reference says is not there, is held against the masks of the findings that the reference names, all together; it
    has a ``placement``, and counts for no estimate of the reference's labels.

    ``map`` is the map's key in the run's maps files, where it is kept before the ReLU that may end its
    formula; baselines have none. ``cell_mm`` is the size of a layer's cell. ``seen_share`` is the share of
    the mask's voxels that lie in the model's field of view, ``mask_share`` the mask's share of that field of
    view. ``counts`` are the voxels of the map's region at a fixed grid of thresholds. ``peak`` is None for baselines,
    for constant maps, and beside a mask that could not be used; so are ``shares``, the regions' parts of the evidence.
    ``marks`` count found lesions and false marks, where a metric of them is measured. ``unaligned`` are the scores of
    the same map where its cells tile the model's input, where it was moved. ``avoided`` are the regions to avoid, the
    same beside every reader's mask.
    """

    target: str
    method: str
    layer: str | None
    reader: str | None
    target_role: TargetRole = "reference"
    map: str | None = None
    map_sha256: str | None = None
    cell_mm: tuple[float, ...] | None = None
    degenerate: bool = False
    seen_share: float | None = None
    mask_share: float | None = None
    placement: MapPlacement | None = None
    peak: MapPeak | None = None
    scores: tuple[Score, ...] = ()
    counts: RegionCounts | None = None
    shares: RegionShares | None = None
    marks: MarkCounts | None = None
    unaligned: tuple[Score, ...] = ()
    avoided: tuple[AvoidedRegion, ...] = ()

    @property
    def every_score(self) -> tuple[Score, ...]:
        """The scores against the reader's mask, and the shares in regions to avoid, which no reader has a part in."""
        return (*self.scores, *(region.as_score() for region in self.avoided))


class PairAgreement(FrozenModel):
    """How well two readers agree on one label in one study."""

    label: str
    readers: tuple[str, str]
    scores: tuple[Score, ...]


class AnsweredPlacement(NamedTuple):
    """Where the map of a label that was called wrongly lies; see ``MapPlacement``."""

    target: str
    method: str
    layer: str | None
    energy_in_body: float | None
    peak_in_body: float | None
    body_share: float | None
    reason: str | None


def placed_maps(map_scores: Iterable[MapScores]) -> tuple[AnsweredPlacement, ...]:
    """Return where maps lie of which that is known: those of labels that were called wrongly."""
    return tuple(
        AnsweredPlacement(
            entry.target,
            entry.method,
            entry.layer,
            entry.placement.energy_in_body,
            entry.placement.peak_in_body,
            entry.placement.body_share,
            entry.placement.reason,
        )
        for entry in map_scores
        if entry.placement is not None
    )
