"""Lesion by lesion: which of a mask's lesions the map's marks find, and which marks are false.

A lesion is a part of the mask, a mark a part of the map's region; voxels that touch at a face, an edge or a corner are
of one part (26 neighbours, in a picture 8). Parts smaller than ``overlap.smallest_lesion`` are neither. A mark is rated
by its highest H and finds the lesion that holds that maximum (most of its voxels, where several are tied). A lesion is
found once; further marks in it are not false, nor is one whose maximum lies in a part of the mask that is too small.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.metrics.declaration import metric
from pipeline.evidence.metrics.map_evidence import RegionOverlap, Undefined
from pipeline.findings.localisation.curves import CURVE_SHARES
from pipeline.findings.plotted.marks import MarkCounts

__all__ = ["LESION_METRICS", "false_marks", "froc", "lesion_sensitivity", "mark_counts"]

LESION_METRICS = frozenset({"false_marks", "froc", "lesion_sensitivity"})
"""Those that need marks and lesions to be told apart."""

_IN_SPACE = ("scale", "flip", "permutation", "shift")
_ALLOWED = (0, 1, 2, 4, 8)  # false marks, in an image
_BUT_FOR_ROUNDING = 1 - 1e-9  # a lesion that has the smallest size but for rounding counts
_FORM = "none: it depends on the number and form of the map's marks; the random map beside it shows what chance gives"


@dataclass(frozen=True, eq=False)
class _Marks:
    """The marks from the highest to the lowest: ``ratings``, and what each finds.

    ``lesions`` has the number of the lesion, 0 where there is none and -1 where it is too small to count; ``count`` is
    the number of lesions that count.
    """

    ratings: NDArray[np.float32]
    lesions: NDArray[np.intp]
    count: int


@metric(
    "lesion_sensitivity",
    title="Lesion sensitivity",
    definition="share of the mask's lesions (parts by 26 neighbours, from the smallest size that counts) that hold the "
    "maximum of one of the marks, the parts of the map's region; 0 when there is no mark, undefined without a lesion",
    unit="1",
    better="higher",
    range=(0.0, 1.0),
    chance=_FORM,
    invariant=_IN_SPACE,
    version=1,
    source="Chakraborty 2017 (free-response analysis); the matching rule is this program's",
    equals="neither",
)
def lesion_sensitivity(overlap: RegionOverlap) -> float:
    """Return the share of lesions that some mark finds."""
    marks = _with_lesions(overlap)
    return len(np.unique(marks.lesions[marks.lesions > 0])) / marks.count


@metric(
    "false_marks",
    title="False marks",
    definition="number of marks, the parts of the map's region by 26 neighbours from the smallest size that counts, "
    "whose maximum lies in no part of the mask; defined for an empty mask too",
    unit="1",
    better="lower",
    range=(0.0, None),
    chance=_FORM,
    invariant=_IN_SPACE,
    version=1,
    source="Chakraborty 2017 (free-response analysis); the matching rule is this program's",
    equals="neither",
)
def false_marks(overlap: RegionOverlap) -> float:
    """Return how many marks find no lesion."""
    return float(np.count_nonzero(_matched(overlap).lesions == 0))


@metric(
    "froc",
    title="FROC score",
    definition="mean of the lesion sensitivities of the highest marks when at most 0, 1, 2, 4 and 8 false ones are "
    "accepted in the image, marks of one height together; 0 when there is no mark, undefined without a lesion",
    unit="1",
    better="higher",
    range=(0.0, 1.0),
    chance=_FORM,
    invariant=_IN_SPACE,
    version=1,
    source="Chakraborty 2017 (free-response analysis), taken in each image: ratings of two maps do not compare",
    equals="neither",
)
def froc(overlap: RegionOverlap) -> float:
    """Return the lesion sensitivity, averaged over the false marks that are accepted."""
    marks = _with_lesions(overlap)
    first = np.zeros(len(marks.lesions), bool)
    first[np.unique(marks.lesions, return_index=True)[1]] = True
    ends = np.flatnonzero(np.diff(marks.ratings, append=-1))  # those of one height are accepted together
    wrong = np.cumsum(marks.lesions == 0)[ends]
    sensitivity = np.append(0, np.cumsum(first & (marks.lesions > 0))[ends])
    return float(sensitivity[np.searchsorted(wrong, _ALLOWED, "right")].mean()) / marks.count


def _with_lesions(overlap: RegionOverlap) -> _Marks:
    """Return the marks of a mask that has a lesion; raise ``Undefined`` where it has none that counts."""
    overlap.require_mask()
    marks = _matched(overlap)
    if not marks.count:
        raise Undefined("no_lesion_of_that_size")
    return marks


def mark_counts(overlap: RegionOverlap) -> MarkCounts | None:
    """Return what marks find as lower and lower ones are accepted; None where parts cannot be told apart by size."""
    try:
        marks = _matched(overlap)
    except Undefined:
        return None
    highest = overlap.evidence.extremes[1]
    above = [marks.ratings > np.float32(share * highest) for share in CURVE_SHARES]
    return MarkCounts(
        found=tuple(len(np.unique(marks.lesions[high & (marks.lesions > 0)])) for high in above),
        false=tuple(int(np.count_nonzero(high & (marks.lesions == 0))) for high in above),
        lesions=marks.count,
    )


def _matched(overlap: RegionOverlap) -> _Marks:
    evidence, mask = overlap.evidence, overlap.marked.pieces
    if evidence.limits.smallest_lesion:
        overlap.require_physical_size()
    counts = _large_enough(overlap, mask.voxels)
    number_of = np.where(counts, np.arange(len(counts)), -1)
    number_of[0] = 0
    marks = np.flatnonzero(_large_enough(overlap, evidence.region_pieces.voxels))
    ratings, holders = _peaks(overlap)
    order = marks[np.argsort(-ratings[marks], kind="stable")]
    return _Marks(ratings[order], number_of[holders[order]], int(counts.sum()))


def _large_enough(overlap: RegionOverlap, voxels: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Tell which pieces count, by their numbers of voxels."""
    axes = overlap.geometry.affine[:3, : overlap.mask.ndim]
    size = voxels * np.sqrt(np.linalg.det(axes.T @ axes))  # mm3, of a picture mm2
    return np.asarray((voxels > 0) & (size >= overlap.evidence.limits.smallest_lesion * _BUT_FOR_ROUNDING))


def _peaks(overlap: RegionOverlap) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Return for the number of each piece of the region its highest H, and which piece of the mask holds that."""
    evidence = overlap.evidence
    inside = np.flatnonzero(evidence.region)
    values, pieces = evidence.positive.ravel()[inside], evidence.region_pieces.numbers.ravel()[inside]
    ratings = np.zeros(len(evidence.region_pieces.voxels), np.float32)
    np.maximum.at(ratings, pieces, values)
    top = values == ratings[pieces]
    held = np.stack([pieces[top], overlap.marked.pieces.numbers.ravel()[inside[top]]])
    pairs, counts = np.unique(held, axis=1, return_counts=True)
    holders = np.zeros(len(ratings), np.intp)
    for place in np.argsort(counts, kind="stable"):  # the pair with the most voxels comes last, and stays
        holders[pairs[0, place]] = pairs[1, place]
    return ratings, holders
