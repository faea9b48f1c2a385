"""A worker process as its parent sees it: started, asked, ended."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading

from pipeline.errors import AuditError, Reason, StudyError
from pipeline.studies.untrusted.import_path import import_path
from pipeline.studies.untrusted.worker_loop import NOTE, fault, receive

__all__ = ["ProcessEnded", "WorkerProcess"]

_START_SECONDS = 120.0
_END_SECONDS = 10.0  # how long a killed process may take to go: a file system that hangs can hold it for ever
_PROGRAM = """
import sys
handle, *sys.path[:] = sys.argv[1:]
from pipeline.studies.untrusted.worker_loop import serve
serve(int(handle))
"""
# what a study took is kept for the next one: handed back to the system, each of its pages would have to be cleared anew
_ALLOCATION = {"MALLOC_TRIM_THRESHOLD_": str(128 * 1024**2), "MALLOC_MMAP_THRESHOLD_": str(32 * 1024**2)}
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # their stacks count as memory


class ProcessEnded(Exception):  # noqa: N818 - no error by itself: it says what became of a task
    """A worker process is gone; ``fault`` says how, as a fault of the task that it was at."""

    def __init__(self, fault: StudyError) -> None:
        super().__init__(str(fault))
        self.fault = fault


class WorkerProcess:
    """An interpreter of its own and the socket to it.

    It is started by ``exec``, since the parent has torch's threads, with nothing of the parent's main module and
    nothing from the working folder (see ``import_path``). One thread asks it; any thread may kill it.

    Raises:
        AuditError: when the system starts no further process.
    """

    def __init__(self) -> None:
        self._parent = os.getpid()
        self._lock = threading.Lock()  # so that nobody wakes a socket whose number is another's by now
        self._job = b""
        self.answers = 0
        try:
            self._socket, theirs = socket.socketpair()
            with theirs:
                self._process = _started(theirs)
        except OSError as error:
            raise AuditError(f"a process for reading files cannot start: {error.strerror}") from error

    def take_job(self, job: bytes) -> StudyError | None:
        """Set the process to a pickled ``Job``; return what the import of its function raised.

        Raises:
            ProcessEnded: when the process ends over it.
        """
        if self._job != job:
            refusal = self._ask(job, _START_SECONDS)
            if isinstance(refusal, StudyError):
                return refusal
            self._job = job
        return None

    def answer(self, argument: bytes, seconds: float) -> object:
        """Return the job's answer to a pickled argument within a wall time.

        Raises:
            ProcessEnded: when the process ends over it, or is ended because the time is over.
        """
        answer = self._ask(argument, seconds)
        self.answers += 1
        return answer

    def kill(self) -> None:
        """End the process and wake the thread that waits for its answer; ``end`` is then that thread's to call."""
        if self._parent != os.getpid():  # a forked child: the process is the parent's
            return
        with self._lock, contextlib.suppress(OSError):
            self._process.kill()
            self._socket.shutdown(socket.SHUT_RDWR)

    def wait(self) -> None:
        """Wait until a killed process is gone."""
        if self._parent == os.getpid():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)

    def end(self) -> None:
        """Kill the process, wait until it is gone and let go of what belongs to it."""
        self.kill()
        self.wait()
        with self._lock:
            self._socket.close()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _ask(self, message: bytes, seconds: float) -> object:
        self._socket.settimeout(seconds)
        try:
            self._socket.sendall(message)
            note, handles, _, _ = socket.recv_fds(self._socket, NOTE.size, 1)
        except TimeoutError:
            self.end()
            raise ProcessEnded(fault(Reason.TIMEOUT, f"reading took more than {seconds:g} s")) from None
        except OSError:
            handles = []
        if not handles:
            self.wait()  # its socket closes a moment before it is gone
            cause = _cause_of_death(self._process.returncode)
            self.end()
            raise ProcessEnded(cause)
        return receive(handles[0], *NOTE.unpack(note))


def _started(theirs: socket.socket) -> "subprocess.Popen[bytes]":
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _PROGRAM, str(theirs.fileno()), *import_path(sys.path)],
        stdin=subprocess.PIPE,  # never written to: it closes when this process ends, whatever ends it
        stdout=subprocess.DEVNULL,  # what decoders print can quote a header
        stderr=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
        env=environment | dict.fromkeys(_ONE_THREAD, "1") | _ALLOCATION,
    )


def _cause_of_death(code: int | None) -> StudyError:
    if code is None:
        return fault(Reason.CRASHED, "the process that read it answers no more")
    if code == -signal.SIGXCPU:
        return fault(Reason.TIMEOUT, "reading took more processor time than is allowed")
    if code == -signal.SIGKILL:
        return fault(Reason.OUT_OF_MEMORY, "the system killed the process that read it, as it does without memory")
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return fault(Reason.CRASHED, f"the process that read it crashed ({how})")
