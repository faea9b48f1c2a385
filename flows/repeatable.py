"""Trainings that repeat themselves on the CPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["repeatable"]

_THREADS = 1


@contextmanager
def repeatable(seed: int = 0) -> Iterator[None]:
    """Make torch repeat itself on the CPU: own random numbers, a fixed number of threads; then as it was before."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(_THREADS)  # sums are split by thread: another number rounds in another way
        torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(strict)
