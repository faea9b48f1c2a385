"""What runs inside a worker process: it takes a job, then answers one argument after another until its parent is gone.

An answer travels in an anonymous file, whose handle is sent: content and large arrays, then an index of both.
"""

import contextlib
import gc
import mmap
import os
import pickle
import signal
import socket
import struct
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, TypeVar

from pipeline.errors import Frame, Reason, Stage, StudyError, frames_of

__all__ = ["NOTE", "Job", "Limits", "attempt", "fault", "receive", "serve"]

Result = TypeVar("Result")

NOTE = struct.Struct("<Q")
"""What is sent beside an answer's handle: where the index begins."""

_SMALL = 2**20  # bytes up to which an answer is copied; a mapping holds a file handle as long as its arrays live
_ALIGNED = 64  # bytes


@dataclass(frozen=True)
class Limits:
    """What one task may take: address space of its process in bytes, processor time and wall time in seconds.

    macOS accepts a limit on address space and does not enforce it: there, only the two times are limits.
    """

    memory_bytes: int
    cpu_seconds: int
    wall_seconds: float


@dataclass(frozen=True)
class Job:
    """What a worker is set to do until it is given another job."""

    function: Callable[[Any], Any]
    limits: Limits


def attempt(compute: Callable[[], Result]) -> Result | StudyError:
    """Return what ``compute`` returns, or why there is nothing; a library's own text stays behind, it can quote."""
    try:
        return compute()
    except (KeyboardInterrupt, SystemExit):
        raise
    except StudyError as error:
        return error.without_frames()
    except MemoryError:
        return fault(Reason.OUT_OF_MEMORY, "reading takes more memory than is allowed")
    except BaseException as error:  # noqa: BLE001 - a panic of a Rust decoder derives from BaseException
        return fault(Reason.UNEXPECTED, f"reading raised {type(error).__name__}", frames_of(error))


def fault(reason: Reason, message: str, trace: tuple[Frame, ...] = ()) -> StudyError:
    """Return a fault of reading."""
    return StudyError(Stage.READ, reason, message, trace=trace)


def serve(handle: int) -> None:
    """Answer the parent through the socket with this handle until it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to everyone; the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    job = None
    gc.disable()  # until the first job has made its imports
    with socket.socket(fileno=handle) as channel, channel.makefile("rb") as messages:
        while True:
            job = _serve_one(channel, messages, job)


def _end_with_parent() -> None:
    os.read(0, 1)
    os._exit(1)


def _serve_one(channel: socket.socket, messages: BinaryIO, job: Job | None) -> Job:
    """Take a job, or an argument of the job that was taken last, and answer; return the job that holds now."""
    try:
        message: Any = pickle.load(messages)
    except EOFError:
        os._exit(0)
    except Exception as error:  # noqa: BLE001 - whatever an import raises: the parent has to know
        _send(channel, fault(Reason.UNEXPECTED, f"{type(error).__name__}: {error}"))
        os._exit(1)
    if isinstance(message, Job):
        gc.freeze()  # what its import made is there to stay: it is not looked through at every study
        gc.enable()
        _send(channel, None)
        return message
    assert job is not None  # the parent sends it first
    _enforce(job.limits)
    _send(channel, attempt(partial(job.function, message)))
    return job


def _enforce(limits: Limits) -> None:
    """Set what the process may take from here on; a core file would hold the patient."""
    import resource  # there is none on Windows, where everything runs in one process

    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1 + limits.cpu_seconds
    wanted = {resource.RLIMIT_CORE: 0, resource.RLIMIT_CPU: seconds, resource.RLIMIT_AS: limits.memory_bytes}
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        with contextlib.suppress(ValueError, OSError):  # macOS refuses some
            resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _send(channel: socket.socket, answer: object) -> None:
    """Send an answer: content and large arrays in an anonymous file, with an index at its end."""
    packed = attempt(partial(_packed, answer))
    parts = _packed(packed) if isinstance(packed, StudyError) else packed
    places: list[tuple[int, int]] = []
    with _anonymous_file() as file:
        for part in parts:
            start = file.seek(-file.tell() % _ALIGNED, os.SEEK_CUR)
            file.write(part)
            places.append((start, file.tell()))
        start = file.tell()
        file.write(pickle.dumps(places))
        file.flush()
        socket.send_fds(channel, [NOTE.pack(start)], [file.fileno()])


def _packed(answer: object) -> list[bytes | memoryview]:
    buffers: list[pickle.PickleBuffer] = []
    content = pickle.dumps(answer, protocol=5, buffer_callback=buffers.append)
    return [content, *(buffer.raw() for buffer in buffers)]


def _anonymous_file() -> BinaryIO:
    """Return a file without a name: whoever is killed, nothing is left to be cleaned up."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("answer"), "w+b")
    return tempfile.TemporaryFile()


def receive(handle: int, start: int) -> object:
    """Return an answer from its anonymous file, whose index begins at ``start``; large arrays stay in the file."""
    with os.fdopen(handle, "rb") as file:
        small = file.seek(0, os.SEEK_END) <= _SMALL
        file.seek(0)  # the place in the file is the worker's too
        view = memoryview(file.read() if small else mmap.mmap(handle, 0, access=mmap.ACCESS_READ))
    content, *buffers = (view[begin:end] for begin, end in pickle.loads(view[start:]))
    return pickle.loads(content, buffers=buffers)
