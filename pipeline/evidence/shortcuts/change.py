"""One experiment on one study: the changed input and its control; and a region painted over as such an experiment."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.shortcuts.filling import fill, move
from pipeline.evidence.shortcuts.transplants import DissectedStudy

__all__ = ["NOTHING_THERE", "ChangedStudy", "generator_of", "painted_over"]

Image = NDArray[np.float32]
Region = NDArray[np.bool_]

NOTHING_THERE = "nothing of this kind in the picture"
NOT_PLACED = "no place for the same shape elsewhere in the same tissue"


@dataclass(frozen=True, eq=False)
class ChangedStudy:
    """One experiment on one study: the changed input and its control, or the reason why it is not done."""

    test: str
    changed: Image | None = None
    control: Image | None = None
    reason: str | None = None


def generator_of(seed: int, study: int, test: str) -> np.random.Generator:
    """Return the generator of one experiment on one study; a change and its control draw the same numbers."""
    return np.random.Generator(np.random.PCG64([seed, study, *test.encode()]))


def painted_over(
    test: str, own: DissectedStudy, where: tuple[Region | str, Region], rng: np.random.Generator
) -> ChangedStudy:
    """Return a region painted over, and as its control the same shape painted over elsewhere in the same tissue.

    ``where`` holds the region, or the reason why there is none, and the tissue that it is moved in and filled from.
    """
    region, tissue = where
    if isinstance(region, str):
        return ChangedStudy(test, reason=region)
    if not region.any():
        return ChangedStudy(test, reason=NOTHING_THERE)
    image = own.study.x.mean(axis=0)
    moved = move(region, tissue, image, rng)
    if moved is None:
        return ChangedStudy(test, reason=NOT_PLACED)
    rest, ruler = tissue & ~region, own.study.ruler
    state = rng.bit_generator.state
    changed = fill(own.study.x, moved.where, rest, ruler, rng)
    rng.bit_generator.state = state
    return ChangedStudy(test, changed, fill(own.study.x, moved.moved, rest, ruler, rng))
