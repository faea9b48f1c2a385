"""After a night's run: older runs of its audit go, where the configuration says how many it keeps."""

from collections.abc import Callable

from pipeline.config import AuditConfig
from pipeline.errors import AuditError
from pipeline.runs.nights.retention import remove_runs

__all__ = ["keep_newest"]


def keep_newest(config: AuditConfig, say: Callable[[str], None]) -> None:
    """Remove what ``camaudit prune --keep`` would, if ``keep.nightly`` is given; ``say`` hears which runs, or why none.

    The run that has just ended is not touched by what may go wrong here.
    """
    if config.keep.nightly is None:
        return
    try:
        plan = remove_runs(config.run.output / config.name, config.keep.nightly, say)
    except AuditError as fault:
        say(f"keep.nightly: no run was removed: {fault}")
        return
    if plan.removable:
        names = ", ".join(run.run for run in plan.removable)
        say(f"keep.nightly: removed {names}; {len(plan.kept)} runs are kept")
