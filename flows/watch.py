"""Who is told of a run's progress in this process."""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.checks.run_estimate import RunEstimate
from pipeline.faults import package_logger
from pipeline.progress import Progress, silent

__all__ = ["Watcher"]


@dataclass(frozen=True)
class Watcher:
    """Callbacks: ``estimated(estimate)`` before anything is computed, ``started(studies, new, maps)``, ``on_maps``.

    ``new`` are the studies that no earlier run has answered, ``maps`` how many they are expected to need.
    ``said(sentence)`` tells what must not be overlooked.
    """

    started: Callable[[int, int, int], None] = lambda studies, new, maps: None  # noqa: ARG005 - the names are the documentation
    on_maps: Progress = silent
    estimated: Callable[[RunEstimate], None] = lambda estimate: None  # noqa: ARG005
    said: Callable[[str], None] = package_logger().warning
