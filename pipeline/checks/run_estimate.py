"""What a run will take, as whoever waits for it is told."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["ExperimentCost", "RunEstimate", "in_words"]

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclass(frozen=True)
class ExperimentCost:
    """Maps and answers that the experiments ask the model for, and about how many seconds they take."""

    maps: int = 0
    answers: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class RunEstimate:
    """Seconds, bytes of memory and bytes on disk of a run; ``shares`` is each method's part of the maps' time.

    ``tried`` is what the experiments take beside that.
    A study is taken to have the targets of ``expected_targets``. Reading the files comes on top, beside the model's
    work where ``run.workers`` is not 0.
    """

    seconds: float
    memory_bytes: int
    disk_bytes: int
    maps: int
    seconds_a_map: Mapping[str, float]
    shares: Mapping[str, float]
    tried: ExperimentCost = field(default_factory=ExperimentCost)

    @property
    def sentence(self) -> str:
        """The estimate in words."""
        largest = max(self.shares, key=lambda name: self.shares[name])
        memory, disk = self.memory_bytes / 2**30, self.disk_bytes / 2**20
        experiments = (
            f"; experiments: {self.tried.maps} maps and {self.tried.answers} answers in about "
            f"{in_words(self.tried.seconds)}"
        )
        return (
            f"{self.maps} maps in about {in_words(self.seconds)}, {largest} takes {100 * self.shares[largest]:.0f} %; "
            f"{memory:.1f} GiB of memory, {disk:.0f} MiB of maps"
            f"{experiments if self.tried != ExperimentCost() else ''}"
        )


def in_words(seconds: float) -> str:
    """Return a duration as a person would say it: ``40 s``, ``12 min``, ``3 h 20 min``, ``2 days 5 h``."""
    if seconds < _MINUTE:
        return f"{math.ceil(seconds)} s"
    minutes = round(seconds / _MINUTE)
    if minutes < _HOUR // _MINUTE:
        return f"{minutes} min"
    if seconds < _DAY:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(seconds / _HOUR)
    return f"{hours // 24} {'day' if hours < 48 else 'days'} {hours % 24} h"
