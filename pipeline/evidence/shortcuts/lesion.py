"""Whether a model needs the lesion: painted over, with the marks beside it, left out with the body, given to negatives.

At most four changed inputs a positive study and two a negative one. A line that always lies beside the lesion can stand
for it: then neither removal alone shows the whole, and both together have to be looked at.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.shortcuts.change import NOTHING_THERE, ChangedStudy, generator_of, painted_over
from pipeline.evidence.shortcuts.filling import fill
from pipeline.evidence.shortcuts.parts import grown
from pipeline.evidence.shortcuts.transplants import NO_OUTSIDE, DissectedStudy, same_contrast

__all__ = ["BACKGROUND", "BOTH", "LESION", "PASTED", "lesion_changes"]

LESION, BOTH, BACKGROUND, PASTED = "lesion", "lesion_and_marks", "background", "pasted"

Image = NDArray[np.float32]
Region = NDArray[np.bool_]

_EDGE = 1  # units around a lesion that are painted over with it
_BESIDE = 3  # units around it where a mark may reach up to it


def lesion_changes(
    own: DissectedStudy, opposite: DissectedStudy | None, seeded: tuple[int, int]
) -> Iterator[ChangedStudy]:
    """Yield the lesion's experiments on one study; ``opposite`` is its donor of the other label.

    ``seeded`` is the seed and the study's number.
    """
    if own.study.positive:
        yield from _of_positive(own, seeded)
    else:
        yield _pasted(own, opposite, generator_of(*seeded, PASTED))
    yield _background(own, generator_of(*seeded, BACKGROUND))


def _of_positive(own: DissectedStudy, seeded: tuple[int, int]) -> Iterator[ChangedStudy]:
    lesion, marks, body = own.study.lesion, own.parts.body_marks, own.parts.body
    if lesion is None or not lesion.any():
        for test in (LESION, BOTH):
            yield ChangedStudy(test, reason="nobody outlined a lesion")
        return
    hole = grown(lesion, _EDGE, own.study.ruler)
    rest = body if isinstance(marks, str) else body & ~marks
    yield painted_over(LESION, own, (hole, rest), generator_of(*seeded, LESION))
    if isinstance(marks, str) or not marks.any():
        yield ChangedStudy(BOTH, reason=marks if isinstance(marks, str) else NOTHING_THERE)
        return
    both = hole | marks | (grown(lesion, _BESIDE, own.study.ruler) & grown(marks, _BESIDE, own.study.ruler))
    yield ChangedStudy(BOTH, fill(own.study.x, both, body & ~both, own.study.ruler, generator_of(*seeded, BOTH)))


def _background(own: DissectedStudy, rng: np.random.Generator) -> ChangedStudy:
    """Paint the body over with what surrounds it, silhouette and all."""
    if own.parts.body.all():
        return ChangedStudy(BACKGROUND, reason=NO_OUTSIDE)
    body = grown(own.parts.body, 2, own.study.ruler)
    air = ~body & ~own.parts.band & ~own.parts.air_marks
    if not air.any():
        return ChangedStudy(BACKGROUND, reason=NO_OUTSIDE)
    levels = np.array([np.median(channel[air]) for channel in own.study.x], dtype=np.float32)
    spread = own.parts.air_noise.astype(np.float32)
    along = (slice(None), *(None,) * body.ndim)
    noise = rng.standard_normal(own.study.x.shape, dtype=np.float32) * spread[along]
    return ChangedStudy(BACKGROUND, np.where(body, levels[along] + noise, own.study.x).astype(np.float32))


def _pasted(own: DissectedStudy, donor: DissectedStudy | None, rng: np.random.Generator) -> ChangedStudy:
    """Add what a positive's lesion adds to its surroundings, where it lies, or where it fits into the body."""
    if donor is None or donor.study.lesion is None or not donor.study.lesion.any():
        return ChangedStudy(PASTED, reason="no lesion of another patient that somebody outlined")
    gain = same_contrast(donor, own)
    if isinstance(gain, str):
        return ChangedStudy(PASTED, reason=gain)
    hole = grown(donor.study.lesion, _EDGE, donor.study.ruler)
    added = donor.study.x - fill(donor.study.x, hole, donor.parts.body & ~hole, donor.study.ruler, rng)
    voxels = np.argwhere(hole)
    place = _fitting(voxels, own.parts.body, rng)
    if place is None:
        return ChangedStudy(PASTED, reason="the lesion does not fit into the body")
    changed = own.study.x.copy()
    along = (slice(None), None)
    changed[(slice(None), *place.T)] += (gain[along] * added[(slice(None), *voxels.T)]).astype(np.float32)
    return ChangedStudy(PASTED, changed)


def _fitting(voxels: NDArray[np.intp], body: Region, rng: np.random.Generator) -> NDArray[np.intp] | None:
    """Return the nearest of some places where voxels (n, d) lie within the body; their own if they do there."""
    candidates = rng.permutation(np.argwhere(body))[:400] if body.any() else np.zeros((0, body.ndim), np.intp)
    middle = np.rint(voxels.mean(axis=0)).astype(np.intp)
    shifts = [np.zeros(body.ndim, np.intp), *sorted(candidates - middle, key=lambda shift: int((shift**2).sum()))]
    for shift in shifts:
        placed = np.asarray(voxels + shift)
        within = (placed >= 0).all() and (placed < np.asarray(body.shape)).all()
        if within and body[tuple(placed.T)].all():
            return placed
    return None
