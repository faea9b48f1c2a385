"""One run of an audit at a time: a second process says who holds the folder, and what a dead one left is taken over."""

import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.file_lock import locked

__all__ = ["exclusive"]

_FILE = ".running"


@dataclass(frozen=True)
class _Holder:
    """A process, so that no later one with its number passes for it. ``world``: where its number means something."""

    host: str
    world: str
    process: int
    started: str | None
    since: str


@contextmanager
def exclusive(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the folder of an audit's runs as the only process while the block lasts.

    Raises:
        OutputError: when another process holds it; says which, since when, and what to do.
    """
    path = folder / _FILE
    mine = _Holder(socket.gethostname(), _world(), os.getpid(), _started(os.getpid()), _now())
    _take(folder, path, mine, say)
    try:
        yield
    finally:
        _release(path, mine)


def _take(folder: Path, path: Path, mine: _Holder, say: Callable[[str], None]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}; choose another run.output") from error
    with locked(path, create=True) as descriptor:  # for the decision only: two that take over at once do so in turn
        content = os.pread(descriptor, 4096, 0)
        holder = _holder(path, content) if content else None
        if holder is not None:
            _refuse_if_alive(folder, path, holder, mine)
            say(f"{folder}: was held by process {holder.process}, which has ended since {holder.since}; taken over")
        try:
            _write(descriptor, json.dumps(asdict(mine)).encode())
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def _write(descriptor: int, content: bytes) -> None:
    """Write the whole file anew; what a full disk leaves of it is cut off again: half a name would refuse every run."""
    os.ftruncate(descriptor, 0)
    try:
        os.pwrite(descriptor, content, 0)
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, 0)
        raise


def _release(path: Path, mine: _Holder) -> None:
    """Remove the file where it is still this process's: a forked child leaves the block too."""
    if not path.exists() or os.getpid() != mine.process:
        return
    with locked(path) as descriptor:
        if os.pread(descriptor, 4096, 0) == json.dumps(asdict(mine)).encode():
            path.unlink()


def _refuse_if_alive(folder: Path, path: Path, holder: _Holder, mine: _Holder) -> None:
    who = f"{folder}: is held by process {holder.process} on {holder.host} since {holder.since}"
    if (holder.host, holder.world) != (mine.host, mine.world):
        raise OutputError(f"{who}; wait for it or stop it; if it has ended, remove {path}")
    if _is_alive(holder):
        raise OutputError(f"{who}; wait for it or stop it")


def _holder(path: Path, content: bytes) -> _Holder:
    try:
        holder = _Holder(**json.loads(content))
        if isinstance(holder.process, int) and holder.process > 0:
            return holder
    except (ValueError, TypeError):
        pass
    raise OutputError(f"{path}: does not say which process holds the folder; if no run is going on, remove it")


def _is_alive(holder: _Holder) -> bool:
    try:
        os.kill(holder.process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # another user's
    started = _started(holder.process)
    return started != "ended" and (None in (started, holder.started) or started == holder.started)


def _started(process: int) -> str | None:
    """Return what tells when a process started, ``ended`` for one that only waits to be reaped, None if unknown."""
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return _started_by_ps(process)
    state, *rest = status.rpartition(")")[2].split()  # the program's name may hold blanks and brackets
    return "ended" if state in "ZX" else f"{boot} {rest[18]}"


def _started_by_ps(process: int) -> str | None:
    command = ["ps", "-o", "lstart=", "-p", str(process)]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None
    except OSError:
        return None


def _world() -> str:
    """Return the name space of process numbers: containers of one host each have their own."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
