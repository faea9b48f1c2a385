"""Who is told while a run is created, and that an audit has one run under way at a time."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.checks.run_estimate import RunEstimate
from pipeline.faults import package_logger
from pipeline.findings.spec import LEDGER_FILE
from pipeline.runs.exclusive import exclusive
from pipeline.studies.untrusted.workers import WorkerPool

__all__ = ["SILENT", "StartWatch", "alone_in", "none_half_made"]


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


@contextmanager
def none_half_made(audits: Path) -> Iterator[None]:
    """Leave no folder of a run that another process was making in the block when it died: one without a ledger.

    Whoever enters it holds ``audits``, the folder of the audit's runs.
    """
    before = set(audits.iterdir())
    try:
        yield
    except BaseException:
        for made in set(audits.iterdir()) - before:
            if not made.name.startswith(".") and not (made / LEDGER_FILE).exists():
                shutil.rmtree(made, ignore_errors=True)
        raise
