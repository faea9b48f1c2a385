"""``camaudit work``: one more process for a run that another one began."""

import os
import sys
from functools import partial
from pathlib import Path

from flows.allocation import keep_freed_memory
from flows.commands.interrupts import when_input_ends

__all__ = ["join"]

_NAMED_BY_INPUT = Path("-")


def join(run: Path, device: str | None, *, quiet: bool, end_with_input: bool) -> int:
    """Work the shards of a run that nobody has; return how many they were.

    Of a run called ``-`` the folder is the first line of the standard input; what it takes is loaded until then. With
    ``end_with_input`` this process ends when its standard input does, which is when the one that started it has.

    Raises:
        AuditError: one line that says what is wrong.
        InternalError: when camaudit's own code fails.
    """
    keep_freed_memory()
    from flows.working import work_shards
    from pipeline.faults import package_logger
    from pipeline.studies.untrusted.workers import WorkerPool
    from pipeline.studies.warm_up import warm_up

    def told(shard: int) -> None:
        if not quiet:
            package_logger().info("shard %d is done", shard)

    with WorkerPool() as pool:
        warm_up(pool)
        if run == _NAMED_BY_INPUT:
            named = _first_line()
            if not named:
                return 0  # no run came of it
            run = Path(named)
        if end_with_input:
            # the run is done, or its leading process is gone: nobody would read what is left to write
            when_input_ends(partial(os._exit, 0))
        return work_shards(run, device, on_shard=told, pool=pool)


def _first_line() -> str:
    """Return the first line of the standard input; empty where that ends before."""
    line = b""
    while not line.endswith(b"\n"):
        if not (read := os.read(sys.stdin.fileno(), 1)):
            return ""
        line += read
    return os.fsdecode(line[:-1])
