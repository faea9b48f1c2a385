"""Joining a run that another process began: shards that nobody has are claimed and worked until none is left."""

from collections.abc import Callable
from pathlib import Path

from pipeline.faults import own_faults
from pipeline.progress import Progress, silent
from pipeline.runs.run import Run
from pipeline.runs.shared.joining import check_joinable
from pipeline.runs.shared.turns import shards_in_turn
from pipeline.runs.shared.worker import ShardWorker
from pipeline.studies.untrusted.workers import WorkerPool

__all__ = ["work_shards"]


def work_shards(
    folder: Path,
    device: str | None = None,
    on_maps: Progress = silent,
    on_shard: Callable[[int], None] = lambda shard: None,  # noqa: ARG005 - the name is the documentation
    pool: WorkerPool | None = None,
    *,
    while_called: bool = False,
) -> int:
    """Work the shards of a run that no other process has; return how many they were.

    The run's folder and its site's keys are all that processes share. ``device`` takes the place of the
    configuration's; ``on_shard`` is told each shard that was finished here. The processes of ``pool`` read the studies;
    without one the run has its own. With ``while_called`` this process ends after its shard once the one that called it
    to the run has gone, or wants nobody any more.

    Raises:
        AuditError: when the folder is no run's, the run is finished, or this process would not compute what it asks.
        InternalError: when camaudit's own code fails.
    """
    count = 0

    def goes_on() -> bool:
        return not while_called or run.claims.is_called

    with Run.open(folder, device=device, pool=pool) as run, own_faults():
        check_joinable(run)
        with ShardWorker(run, shards_in_turn(run, waits=False), on_maps) as worker:
            while goes_on() and (shard := worker.begin()) is not None:
                worker.finish()
                on_shard(shard)
                count += 1
    return count
