"""Who is told of a run's progress in this process."""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.progress import Progress, silent

__all__ = ["Watcher"]


@dataclass(frozen=True)
class Watcher:
    """Two callbacks: ``started(studies, new, maps)`` once these are known, ``on_maps`` as maps are made.

    ``new`` are the studies that no earlier run has answered, ``maps`` how many they are expected to need.
    """

    started: Callable[[int, int, int], None] = lambda studies, new, maps: None  # noqa: ARG005 - the names are the documentation
    on_maps: Progress = silent
