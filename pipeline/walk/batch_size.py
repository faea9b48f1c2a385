"""How many studies the model is shown at once: as configured, or found; never again as many as memory ran out for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch

__all__ = ["BatchLimit", "BatchSize", "largest_batch", "usual_batch"]

Item = TypeVar("Item")

_FIRST = 8
_MOST_ON_A_DEVICE = 128
"""What ``auto`` begins with, and where it ends. A processor gains nothing beyond the first."""


@dataclass
class BatchLimit:
    """The largest batch that memory may suffice for, as far as is known; it lives as long as the model does."""

    most: int | None = None

    def ran_out(self, size: int) -> None:
        """Take down that memory ran out for so many studies together: from now on there are half of them at most."""
        self.most = max(size // 2, 1) if self.most is None else max(min(self.most, size // 2), 1)

    def within(self, size: int) -> int:
        """Return a size, or the limit where that is lower."""
        return size if self.most is None else min(size, self.most)

    def parts(self, batch: Sequence[Item]) -> Iterator[Sequence[Item]]:
        """Yield a batch's halves, in smaller parts from where the limit has fallen meanwhile."""
        half, start = -(-len(batch) // 2), 0
        while start < len(batch):
            part = batch[start : start + self.within(half)]
            yield part
            start += len(part)


class BatchSize:
    """The size of a shard's next batch.

    It begins with ``first`` and doubles with each full batch, up to ``most``: anew with each shard, so that a shard is
    cut into the same batches whichever process works it.
    """

    def __init__(self, first: int, most: int, limit: BatchLimit) -> None:
        self._size, self._most, self._limit = first, most, limit

    def now(self) -> int:
        """Return how many studies the batch that is being gathered may hold."""
        return self._limit.within(self._size)

    def filled(self) -> None:
        """Take down that a full batch was shown to the model."""
        self._size = min(2 * self.now(), self._most)


def usual_batch(size: int | Literal["auto"]) -> int:
    """Return the size that a run begins with."""
    return _FIRST if size == "auto" else size


def largest_batch(size: int | Literal["auto"], device: torch.device) -> int:
    """Return the largest size that a run may come to."""
    if size != "auto":
        return size
    return _FIRST if device.type == "cpu" else _MOST_ON_A_DEVICE
