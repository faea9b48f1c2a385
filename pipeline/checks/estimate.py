"""What a run will take, from what one map of each method took: an estimate before hours are spent."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from cam import METHODS
from pipeline.checks.experiment_cost import ExperimentCost, experiment_cost
from pipeline.checks.model_check import Probe
from pipeline.config import AuditConfig
from pipeline.evidence.answers import expected_targets
from pipeline.vocabulary import Family
from pipeline.walk.batch_size import usual_batch

__all__ = ["RunEstimate", "estimate_run", "in_words"]

_BYTES = 4  # of a map's value
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


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


def estimate_run(
    config: AuditConfig, probe: Probe, studies: int, tried: Mapping[Family, int] = MappingProxyType({})
) -> RunEstimate:
    """Return the estimate for a number of studies that are to be computed, and of families (``tried``) on so many."""
    targets = expected_targets(config)
    layers = [layer.name for layer in probe.layers]
    places = {name: len(METHODS[name].places(layers)) for name in config.explain.methods}
    # what was measured holds the forward, which all maps of a study share
    beyond = {name: max(probe.seconds[name] - probe.forward_seconds, 0.0) for name in config.explain.methods}
    seconds = {name: beyond[name] * targets for name in config.explain.methods}
    total = sum(seconds.values()) or 1.0
    cells = sum(
        count * (math.prod(probe.shape[1:]) if METHODS[name].at == "input" else _cells(probe))
        for name, count in places.items()
    )
    inputs = (
        math.prod(probe.shape) * _BYTES * usual_batch(config.run.batch_size) * 3
    )  # one batch at the model, two made ready
    return RunEstimate(
        seconds=studies * (probe.forward_seconds + sum(seconds.values())),
        memory_bytes=probe.peak_bytes + inputs,
        disk_bytes=studies * targets * cells * _BYTES,
        maps=studies * targets * sum(places.values()),
        seconds_a_map=dict(probe.seconds),
        shares={name: spent / total for name, spent in seconds.items()},
        tried=experiment_cost(config, probe, tried),
    )


def _cells(probe: Probe) -> int:
    return max(math.prod(layer.shape) for layer in probe.layers)


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
