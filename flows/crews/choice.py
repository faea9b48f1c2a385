"""The crew that a configuration asks for."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from flows.crews.crew import Crew
from flows.crews.processes import devices_of, processes
from pipeline.config import RunConfig
from pipeline.errors import ConfigError

__all__ = ["crew_of", "only_watches"]


def only_watches(config: RunConfig) -> bool:
    """Tell whether the process that begins a run leaves all work on it to others."""
    return config.engine in ("dask", "pool")


@contextmanager
def crew_of(config: RunConfig) -> Iterator[Crew]:
    """Yield who works the shards of a run beside the process that begins it; looked for before anything is written.

    Raises:
        ConfigError: when the pool or the cluster is not there.
    """
    if config.engine == "dask":
        from flows.crews.dask_cluster import dask_cluster

        yield dask_cluster(config.cluster, config.processes or len(os.sched_getaffinity(0)))
    elif config.engine == "pool":
        if config.pool is None:
            raise ConfigError("run.pool: engine pool needs the name of a Prefect work pool")
        from flows.crews.work_pool import work_pool

        yield work_pool(config.pool, config.processes or 1)
    else:
        with processes(devices_of(config.device, config.processes, _gpus(config.device))) as crew:
            yield crew


def _gpus(device: str) -> int:
    if device not in ("auto", "cuda"):
        return 0
    import torch

    return torch.cuda.device_count()
