"""What a run will take, from what one map of each method took: an estimate before hours are spent."""

import math
from collections.abc import Mapping
from types import MappingProxyType

from cam import METHODS
from pipeline.checks.experiment_cost import experiment_cost
from pipeline.checks.model_check import Probe
from pipeline.checks.run_estimate import RunEstimate
from pipeline.config import AuditConfig
from pipeline.evidence.answers import expected_targets
from pipeline.vocabulary import Family
from pipeline.walk.batch_size import usual_batch

__all__ = ["estimate_run"]

_BYTES = 4  # of a map's value


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
