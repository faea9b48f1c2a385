"""What several readers of one label say together, as a reader of its own: majority vote, or STAPLE.

Voxels differ only by who marked them, so both work on the patterns of votes (2 to the power of the readers, not
millions of voxels). STAPLE is the binary form of Warfield et al. 2004 (IEEE TMI 23(7), 903-921) with the start and
the prior of ITK's filter, to which the tests hold it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason, StudyError
from pipeline.studies.readers.shared.base import refused
from pipeline.studies.study import MaskFault, faults_of
from pipeline.studies.volume import Mask
from pipeline.vocabulary import CONSENSUS

__all__ = ["METHODS", "with_consensus"]

_ITERATIONS = 100_000
_CONVERGED = 1e-14  # squared change of any reader's sensitivity or specificity, as ITK has it
_READERS = 16

Votes = NDArray[np.bool_]
Counts = NDArray[np.float64]


def with_consensus(
    masks: Sequence[Mask], faults: Sequence[MaskFault], method: str
) -> tuple[list[Mask], list[MaskFault]]:
    """Return both, with what at least two readers of a label say together (``majority``, ``staple``) or why nothing.

    There is no consensus (NO_CONSENSUS) where a reader's mask cannot be used, since that of the others would be another
    reference; for more than 16 readers; and when STAPLE does not settle.
    """
    agreed, open_ones = list(masks), list(faults)
    named = [mask.label for mask in masks if mask.label] + [fault.label for fault in faults if fault.label]
    for label in dict.fromkeys(named):
        group = [mask for mask in masks if mask.label == label]
        unusable = faults_of(label, masks, faults)
        if len(group) + len(unusable) < 2:
            continue
        try:
            if unusable:
                raise refused(Reason.NO_CONSENSUS, f"the masks of {len(unusable)} of its readers cannot be used")
            agreed.append(_together(group, method))
        except StudyError as error:
            open_ones.append(MaskFault(f"{CONSENSUS}{method}", label, error.reason, str(error)))
    return agreed, open_ones


def _together(masks: Sequence[Mask], method: str) -> Mask:
    if len(masks) > _READERS:
        raise refused(Reason.NO_CONSENSUS, f"a consensus is made of at most {_READERS} readers, not {len(masks)}")
    pattern = np.zeros(masks[0].array.shape, dtype=np.uint16)
    for number, mask in enumerate(masks):
        pattern |= mask.array.astype(np.uint16) << number
    counts = np.bincount(pattern.ravel(), minlength=1 << len(masks)).astype(np.float64)
    votes = (np.arange(len(counts))[:, None] >> np.arange(len(masks))) & 1 == 1
    return replace(masks[0], array=METHODS[method](votes, counts)[pattern], reader=f"{CONSENSUS}{method}")


def _majority(votes: Votes, counts: Counts) -> Votes:  # noqa: ARG001 - how often a pattern occurs does not matter
    """Return which patterns (patterns, readers) more than half of the readers vote for; a tie is outside."""
    return np.asarray(votes.sum(axis=1) * 2 > votes.shape[1])


def _staple(votes: Votes, counts: Counts) -> Votes:
    """Return which patterns are inside with a probability of at least a half, by expectation and maximisation.

    The prior is the mean share of marked voxels, over the image as a whole. Nothing is inside when nobody marked
    anything, and all when everybody marked all.
    """
    weights = votes.mean(axis=1)
    prior = float(weights @ counts / counts.sum())
    if prior in (0.0, 1.0):
        return np.asarray(weights >= 0.5)
    quality = np.full((2, votes.shape[1]), -10.0)
    for _ in range(_ITERATIONS):
        before, inside, outside = quality, weights * counts, (1 - weights) * counts
        quality = np.stack([inside @ votes / inside.sum(), outside @ ~votes / outside.sum()])
        sensitivity, specificity = quality
        marked = prior * np.where(votes, sensitivity, 1 - sensitivity).prod(axis=1)
        unmarked = (1 - prior) * np.where(votes, 1 - specificity, specificity).prod(axis=1)
        weights = np.divide(marked, marked + unmarked, out=np.zeros_like(marked), where=marked + unmarked > 0)
        if np.square(quality - before).max() <= _CONVERGED:
            return np.asarray(weights >= 0.5)
    raise refused(Reason.NO_CONSENSUS, f"STAPLE has not settled after {_ITERATIONS} rounds")


METHODS: dict[str, Callable[[Votes, Counts], Votes]] = {"majority": _majority, "staple": _staple}
