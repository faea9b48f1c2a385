"""Readers loaded by a worker process before there is anything to read, while the run's own process loads torch."""

import contextlib
import threading

from pipeline.errors import AuditError
from pipeline.studies.untrusted.workers import DECODING, WorkerPool

__all__ = ["warm_up"]


def warm_up(pool: WorkerPool) -> None:
    """Let a worker of the pool start and load the readers, beside what the caller does next."""
    threading.Thread(target=_load, args=(pool,), name="warm-up", daemon=True).start()


def _load(pool: WorkerPool) -> None:
    # what becomes of it tells nothing: a worker that cannot start is told of when it is needed, and whoever leaves the
    # pool's block meanwhile wants no worker any more
    with contextlib.suppress(AuditError, RuntimeError):
        list(pool.map(_load_readers, [None], workers=1, limits=DECODING))


def _load_readers(_: None) -> None:
    import pipeline.studies.read_study  # noqa: F401 - in the worker: this process has yet to need it
