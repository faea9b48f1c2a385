"""Work on files that nobody vouches for, in processes that may fail: each task has limits and is answered for.

A worker is an interpreter of its own, started by ``exec``, never by a bare fork: the parent has torch's threads. It
loads what the function needs and nothing of the parent's main module. Answers come back through anonymous memory (a
deleted temporary file where the system has no ``memfd``), so that a volume is neither sent through a pipe nor left
behind by whoever is killed. Workers are kept for the next call; they end with the parent, however it ends.

The limits guard against damaged and oversized files, not against code that a file smuggles into a decoder.
"""

import atexit
import contextlib
import mmap
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO, TypeVar

from pipeline.errors import AuditError, Reason, Stage, StudyError

__all__ = ["DECODING", "HEADERS", "Limits", "isolated_map"]

Argument = TypeVar("Argument")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Limits:
    """What one task may take: address space of its process in bytes, processor time and wall time in seconds.

    macOS accepts a limit on address space and does not enforce it: there, only the two times are limits.
    """

    memory_bytes: int
    cpu_seconds: int
    wall_seconds: float


HEADERS = Limits(memory_bytes=2 * 1024**3, cpu_seconds=20, wall_seconds=60.0)
"""For parsing headers."""

DECODING = Limits(memory_bytes=4 * 1024**3, cpu_seconds=120, wall_seconds=300.0)
"""For decoding the pixels of one study."""

_START_SECONDS = 120.0
_AHEAD = 2  # tasks under way or waiting to be fetched, for each worker
_SMALL = 2**20  # bytes up to which an answer is copied; a mapping holds a file handle as long as its arrays live
_ALIGNED = 64  # bytes
_NOTE = struct.Struct("<Q")
_PROGRAM = "import sys; from pipeline.studies.isolation import _serve; _serve(int(sys.argv[1]))"
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # their stacks count as memory


def isolated_map(
    function: Callable[[Argument], Result], arguments: Iterable[Argument], *, workers: int, limits: Limits
) -> Iterator[Result | StudyError]:
    """Yield ``function`` of each argument, in order, computed in worker processes, a few ahead of what is asked for.

    ``function`` is importable by its name (not from ``__main__``), or a ``functools.partial`` of such a one; it,
    arguments and results travel as pickles. Arrays arrive read-only. With ``workers`` 0 everything runs in this
    process: no limit holds, and a crash is one.

    Whatever happens to a task is its answer, a StudyError of stage READ: TIMEOUT beyond the processor or the wall
    time; OUT_OF_MEMORY for a MemoryError, or when the system killed the process; CRASHED when it ended otherwise;
    UNEXPECTED for any other exception, a decoder's panic included; a StudyError of the function's own as it is. A
    task is held to have crashed, or to have run out of memory, only by a process that had read nothing before it.

    Raises:
        AuditError: when workers cannot be started, or cannot import the function.
    """
    if workers == 0:
        yield from (_attempt(partial(function, argument)) for argument in arguments)
        return
    crew = _Crew(pickle.dumps(_Job(function, limits)), limits)
    threads = ThreadPoolExecutor(workers, thread_name_prefix="isolated")
    pending: deque[Future[Any]] = deque()
    try:
        for argument in arguments:
            pending.append(threads.submit(crew.answer, pickle.dumps(argument)))
            if len(pending) == _AHEAD * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        crew.stop()
        threads.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Job:
    """What a worker is set to do until it is told otherwise."""

    function: Callable[[Any], Any]
    limits: Limits


def _attempt(compute: Callable[[], Result]) -> Result | StudyError:
    """Return what ``compute`` returns, or why there is nothing; a library's own text stays behind, it can quote."""
    try:
        return compute()
    except (KeyboardInterrupt, SystemExit):
        raise
    except StudyError as error:  # a copy, without the frames that hold the arrays of the attempt
        return StudyError(error.stage, error.reason, str(error), excluded=error.excluded)
    except MemoryError:
        return _fault(Reason.OUT_OF_MEMORY, "reading takes more memory than is allowed")
    except BaseException as error:  # noqa: BLE001 - a panic of a Rust decoder derives from BaseException
        return _fault(Reason.UNEXPECTED, f"reading raised {type(error).__name__}")


def _fault(reason: Reason, message: str) -> StudyError:
    return StudyError(Stage.READ, reason, message)


# The parent's side.


class _Worker:
    """A process and the socket to it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(theirs.fileno())],
                stdin=subprocess.PIPE,  # never written to: it closes when this process ends, whatever ends it
                stdout=subprocess.DEVNULL,  # what decoders print can quote a header
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=os.environ
                | dict.fromkeys(_ONE_THREAD, "1")
                | {"PYTHONPATH": os.pathsep.join(one or "." for one in sys.path)},
            )
        self._job = b""
        self.answers = 0

    def answer(self, job: bytes, argument: bytes, limits: Limits) -> object:
        """Return the job's answer to one argument.

        Raises:
            AuditError: when the process does not get so far as to look at the argument.
        """
        if self._job != job:
            fault = self._ask(job, _START_SECONDS)
            if fault is not None:
                self.end()
                raise AuditError(f"a process for reading files cannot start: {fault}")
            self._job = job
        answer = self._ask(argument, limits.wall_seconds)
        self.answers += 1
        return answer

    def _ask(self, message: bytes, seconds: float) -> object:
        self._socket.settimeout(seconds)
        try:
            self._socket.sendall(message)
            note, handles, _, _ = socket.recv_fds(self._socket, _NOTE.size, 1)
        except TimeoutError:
            self.end()
            return _fault(Reason.TIMEOUT, f"reading took more than {seconds:g} s")
        except OSError:
            note, handles = b"", []
        return _received(handles[0], *_NOTE.unpack(note)) if handles else self._death()

    def _death(self) -> StudyError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)  # its socket closes a moment before it is gone
        self.end()
        code = self._process.returncode
        if code == -signal.SIGXCPU:
            return _fault(Reason.TIMEOUT, "reading took more processor time than is allowed")
        if code == -signal.SIGKILL:
            return _fault(Reason.OUT_OF_MEMORY, "the system killed the process that read it, as it does without memory")
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return _fault(Reason.CRASHED, f"the process that read it crashed ({how})")

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._socket.close()
        if self._process.stdin is not None:
            self._process.stdin.close()


_idle: list[_Worker] = []


@atexit.register
def _end_idle() -> None:
    while _idle:
        _idle.pop().end()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # they are the parent's; two could not share a socket


@dataclass
class _Crew:
    """The workers of one call."""

    job: bytes
    limits: Limits
    busy: set[_Worker] = field(default_factory=set)
    stopped: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, argument: bytes) -> object:
        """Return the answer to one argument, from a second worker where the first may have been at fault."""
        answer, fresh = self._from_one(argument)
        doubtful = isinstance(answer, StudyError) and answer.reason in (Reason.CRASHED, Reason.OUT_OF_MEMORY)
        return self._from_one(argument)[0] if doubtful and not fresh else answer

    def _from_one(self, argument: bytes) -> tuple[object, bool]:
        with self.lock:
            if self.stopped:
                return None, True
            worker = _idle_worker() or _Worker()
            self.busy.add(worker)
        fresh = worker.answers == 0
        answer = worker.answer(self.job, argument, self.limits)
        with self.lock:
            self.busy.discard(worker)
        if isinstance(answer, StudyError) and answer.reason is Reason.OUT_OF_MEMORY:
            worker.end()  # what it has not given back would be missing again
        if worker.is_alive():
            _idle.append(worker)
        return answer, fresh

    def stop(self) -> None:
        """Kill the workers whose answers nobody waits for any more."""
        with self.lock:
            self.stopped = True
            for worker in self.busy:
                worker.kill()


def _idle_worker() -> _Worker | None:
    while _idle:
        with contextlib.suppress(IndexError):  # another thread was first
            worker = _idle.pop()
            if worker.is_alive():
                return worker
    return None


def _received(handle: int, start: int) -> object:
    """Return an answer from its anonymous file, whose index begins at ``start``; large arrays stay in the file."""
    with os.fdopen(handle, "rb") as file:
        small = file.seek(0, os.SEEK_END) <= _SMALL
        file.seek(0)  # the place in the file is the worker's too
        view = memoryview(file.read() if small else mmap.mmap(handle, 0, access=mmap.ACCESS_READ))
    content, *buffers = (view[begin:end] for begin, end in pickle.loads(view[start:]))
    return pickle.loads(content, buffers=buffers)


# The worker's side.


def _serve(handle: int) -> None:
    """Answer the parent until it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to everyone; the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    job = None
    with socket.socket(fileno=handle) as channel, channel.makefile("rb") as messages:
        while True:
            job = _serve_one(channel, messages, job)


def _end_with_parent() -> None:
    os.read(0, 1)
    os._exit(1)


def _serve_one(channel: socket.socket, messages: BinaryIO, job: _Job | None) -> _Job:
    """Take a job, or an argument of the job that was taken last, and answer; return the job that holds now."""
    try:
        message: Any = pickle.load(messages)
    except EOFError:
        os._exit(0)
    except Exception as error:  # noqa: BLE001 - whatever an import raises: the parent has to know
        _send(channel, _fault(Reason.UNEXPECTED, f"{type(error).__name__}: {error}"))
        os._exit(1)
    if isinstance(message, _Job):
        _send(channel, None)
        return message
    assert job is not None  # the parent sends it first
    _enforce(job.limits)
    _send(channel, _attempt(partial(job.function, message)))
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
    packed = _attempt(partial(_packed, answer))
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
        socket.send_fds(channel, [_NOTE.pack(start)], [file.fileno()])


def _packed(answer: object) -> list[bytes | memoryview]:
    buffers: list[pickle.PickleBuffer] = []
    content = pickle.dumps(answer, protocol=5, buffer_callback=buffers.append)
    return [content, *(buffer.raw() for buffer in buffers)]


def _anonymous_file() -> BinaryIO:
    """Return a file without a name: whoever is killed, nothing is left to be cleaned up."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("answer"), "w+b")
    return tempfile.TemporaryFile()
