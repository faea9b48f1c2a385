"""One process at a time on a file: an advisory lock that ends with its block, and with the process that holds it."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import OutputError

__all__ = ["is_locked", "locked", "locked_at_once", "read_unlocked"]


@contextmanager
def locked(path: Path, *, create: bool = False) -> Iterator[int]:
    """Yield a descriptor of a file, for reading and writing, that no other ``locked`` block has meanwhile.

    Waits for the block that has it. With ``create`` an absent file is made, empty. On Windows, where one process does
    everything, nothing is locked.

    Raises:
        OutputError: when the file cannot be opened, or its file system knows no locks.
    """
    try:
        descriptor = _open_locked(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0))
    except OSError as error:
        raise OutputError(f"{path}: cannot be opened and locked: {error.strerror or error}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)  # the lock ends with it


@contextmanager
def locked_at_once(path: Path) -> Iterator[bool]:
    """Yield whether the file, made where it is absent, is this block's alone; it does not wait for who has it.

    Raises:
        OutputError: when the file cannot be opened, or its file system knows no locks.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_CREAT, 0o666)
    except OSError as error:
        raise OutputError(f"{path}: cannot be opened: {error.strerror or error}") from error
    try:
        yield _is_locked_now(path, descriptor)
    finally:
        os.close(descriptor)  # the lock ends with it


def _is_locked_now(path: Path, descriptor: int) -> bool:
    try:
        _lock(descriptor, wait=False)
    except BlockingIOError:
        return False
    except OSError as error:
        raise OutputError(f"{path}: cannot be locked: {error.strerror or error}") from error
    return True


def is_locked(path: Path) -> bool | None:
    """Tell whether a ``locked`` block has a file now; None where that cannot be told (no such file, no locks here)."""
    if os.name != "posix":
        return None
    try:
        with path.open("rb") as file:
            _lock(file.fileno(), shared=True, wait=False)
    except BlockingIOError:
        return True
    except OSError:
        return None
    return False


def read_unlocked(path: Path) -> bytes:
    """Read a whole file while no ``locked`` block has it; where the file system knows no locks, read it all the same.

    Raises:
        OSError: when it cannot be read.
    """
    with path.open("rb") as file:
        with contextlib.suppress(OSError):
            _lock(file.fileno(), shared=True)
        return file.read()


def _open_locked(path: Path, flags: int) -> int:
    while True:
        descriptor = os.open(path, flags, 0o666)
        try:
            _lock(descriptor)
            if _is_still(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # removed or replaced while this process waited: what is there now is to be locked


def _lock(descriptor: int, *, shared: bool = False, wait: bool = True) -> None:
    if os.name != "posix":
        return
    import fcntl  # there is none on Windows

    fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
