"""Who works on a run right now: a lock that ends with its process, whatever ends that, and a time for other machines.

The file lies beside the runs (``.working``), in none of them: a run's folder holds only what its ledger tells of.
"""

import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.file_lock import is_locked, locked

__all__ = ["SILENT_SECONDS", "Worker", "at_work", "beats_of_others", "workers_of"]

_FOLDER = ".working"
_INTERVAL = 10.0
SILENT_SECONDS = 60.0
"""After so long without a beat a process of another machine counts as ended."""


@dataclass(frozen=True)
class Worker:
    """A process that began to work on a run. ``beat``: seconds since it last said that it lives."""

    host: str
    process: int
    beat: float
    alive: bool


@contextmanager
def at_work(run: Path, interval: float = _INTERVAL) -> Iterator[None]:
    """Say, while the block lasts, that this process works on the run of a folder.

    Raises:
        OutputError: when the file cannot be made, or its file system knows no locks.
    """
    folder = run.parent / _FOLDER
    path = folder / f"{run.name}.{_host()}.{os.getpid()}.{secrets.token_hex(4)}"  # one process may open a run twice
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
    ended = threading.Event()
    with locked(path, create=True):
        beating = threading.Thread(target=_beat, args=(path, ended, interval), daemon=True)
        beating.start()
        try:
            yield
        finally:
            ended.set()
            beating.join()
            with suppress(OSError):
                path.unlink()
                folder.rmdir()  # unless others work


def workers_of(run: Path) -> tuple[Worker, ...]:
    """Return the processes that work on a run, or did and never said that they ended."""
    paths = sorted((run.parent / _FOLDER).glob(f"{run.name}.*"))
    return tuple(worker for path in paths if (worker := _worker(path)) is not None)


def beats_of_others(run: Path) -> frozenset[tuple[str, int]]:
    """Return when the other processes that work on a run last said so, by the clock of the folder that they share.

    While one of them lives, what this returns changes every few seconds; whose clock is right does not matter.
    """
    mine = f"{run.name}.{_host()}.{os.getpid()}."
    beats = set()
    for path in (run.parent / _FOLDER).glob(f"{run.name}.*"):
        with suppress(OSError):  # it has just ended
            if not path.name.startswith(mine):
                beats.add((path.name, path.stat().st_mtime_ns))
    return frozenset(beats)


def _worker(path: Path) -> Worker | None:
    *_, host, process, _unique = path.name.split(".")
    held = is_locked(path)
    try:
        beat = max(time.time() - path.stat().st_mtime, 0.0)
    except OSError:
        return None  # it has just ended
    is_near = host == _host() and held is not None
    return Worker(host, int(process) if process.isdigit() else 0, beat, bool(held) or (not is_near and _is_fresh(beat)))


def _is_fresh(beat: float) -> bool:
    return beat < SILENT_SECONDS


def _beat(path: Path, ended: threading.Event, interval: float) -> None:
    while not ended.wait(interval):
        with suppress(OSError):
            os.utime(path)


def _host() -> str:
    return socket.gethostname().replace(".", "-").replace("/", "-")
