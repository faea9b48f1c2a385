"""Who is told while a run is created, and that an audit has one run under way at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.checks.run_estimate import RunEstimate
from pipeline.faults import package_logger
from pipeline.runs.exclusive import exclusive
from pipeline.studies.untrusted.workers import WorkerPool

__all__ = ["SILENT", "StartWatch", "alone_in"]


def _warn(sentence: str) -> None:
    package_logger().warning(sentence)


def _tell_nobody(estimate: RunEstimate) -> None:
    pass


@dataclass(frozen=True)
class StartWatch:
    """Who is told while a run is created, and whose processes read its studies (None: the run's own).

    ``say`` is told when the folder of the audit's runs is taken over from a process that died.
    """

    pool: WorkerPool | None = None
    on_estimate: Callable[[RunEstimate], None] = _tell_nobody
    say: Callable[[str], None] = _warn


SILENT = StartWatch()


@contextmanager
def alone_in(audits: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the folder of an audit's runs; leave none behind where nothing came of it.

    Raises:
        OutputError: when another process holds it.
    """
    try:
        with exclusive(audits, say):
            yield
    finally:
        with suppress(OSError):  # it holds runs
            audits.rmdir()
