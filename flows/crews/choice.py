"""The crew that a configuration asks for."""

import os

from flows.crews.crew import Crew
from flows.crews.processes import devices_of, processes
from pipeline.config import RunConfig
from pipeline.errors import ConfigError

__all__ = ["crew_of"]


def crew_of(config: RunConfig) -> Crew:
    """Return who works the shards of a run beside the process that begins it.

    Raises:
        ConfigError: when the pool or the cluster is not there.
    """
    if config.engine == "dask":
        from flows.crews.dask_cluster import dask_cluster

        return dask_cluster(config.cluster, config.processes or len(os.sched_getaffinity(0)))
    if config.engine == "pool":
        if config.pool is None:
            raise ConfigError("run.pool: engine pool needs the name of a Prefect work pool")
        from flows.crews.work_pool import work_pool

        return work_pool(config.pool, config.processes or 1)
    import torch

    return processes(devices_of(config.device, config.processes, torch.cuda.device_count()))
