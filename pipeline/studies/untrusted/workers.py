"""Work on files that nobody vouches for, in processes that may fail: each task has limits and is answered for.

Whoever opens a ``WorkerPool`` owns its processes: they are kept from one call to the next and are gone when the block
is left. They also end with this process, however it ends.

The limits guard against damaged and oversized files, not against code that a file smuggles into a decoder.
"""

import os
import pickle
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from queue import SimpleQueue
from types import TracebackType
from typing import Any, TypeVar

from pipeline.errors import AuditError, Reason, StudyError
from pipeline.studies.untrusted.worker_loop import Job, Limits, attempt
from pipeline.studies.untrusted.worker_process import ProcessEnded, WorkerProcess

__all__ = ["DECODING", "HEADERS", "Limits", "WorkerPool", "isolated_map", "own_or_new"]

Argument = TypeVar("Argument")
Result = TypeVar("Result")

HEADERS = Limits(memory_bytes=2 * 1024**3, cpu_seconds=20, wall_seconds=60.0)
"""For parsing headers."""

DECODING = Limits(memory_bytes=4 * 1024**3, cpu_seconds=120, wall_seconds=300.0)
"""For decoding the pixels of one study."""

_AHEAD = 2  # tasks under way or waiting to be fetched, for each worker
_LEFT = "the block of the worker pool was left"


def isolated_map(
    function: Callable[[Argument], Result],
    arguments: Iterable[Argument],
    *,
    workers: int,
    limits: Limits,
    pool: "WorkerPool | None" = None,
) -> Iterator[Result | StudyError]:
    """Yield ``function`` of each argument, in order, computed in worker processes, a few ahead of what is asked for.

    The processes are the pool's; without one they are started for this call and end with it. With ``workers`` 0
    everything runs in this process: no limit holds, and a crash is one. See ``WorkerPool.map``.

    Raises:
        AuditError: when workers cannot be started, or cannot import the function.
    """
    if workers == 0:
        yield from (attempt(partial(function, argument)) for argument in arguments)
        return
    with own_or_new(pool) as working:
        yield from working.map(function, arguments, workers=workers, limits=limits)


def own_or_new(pool: "WorkerPool | None") -> AbstractContextManager["WorkerPool"]:
    """Return a block that lends the pool, or one with a pool of its own where there is none."""
    return WorkerPool() if pool is None else nullcontext(pool)


class WorkerPool(AbstractContextManager["WorkerPool"]):
    """Worker processes, started when they are needed, kept for the next call, gone when the block is left.

    Several threads may map at the same time, each with its own number of workers. A forked child may use the pool
    too: the parent's processes stay the parent's, and it starts its own.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._closed = False
        # re-entrant: a generator that nobody closed is finalised wherever memory is taken, under this lock too
        self._lock = threading.RLock()
        self._users: dict[WorkerProcess, _Call | None] = {}  # who uses which worker; None: it is idle

    def map(
        self, function: Callable[[Argument], Result], arguments: Iterable[Argument], *, workers: int, limits: Limits
    ) -> Iterator[Result | StudyError]:
        """Yield ``function`` of each argument, in order, from at most ``workers`` processes.

        ``function`` is importable by its name (not from ``__main__``), or a ``functools.partial`` of such a one; it,
        arguments and results travel as pickles. Arrays arrive read-only.

        Whatever happens to a task is its answer, a StudyError of stage READ: TIMEOUT beyond the processor or the
        wall time; OUT_OF_MEMORY for a MemoryError, or when the system killed the process; CRASHED when it ended
        otherwise; UNEXPECTED for any other exception, a decoder's panic included; a StudyError of the function's own
        as it is. A task is held to have crashed, or to have run out of memory, only by a process that had read
        nothing before it.

        Leaving early ends the processes that are at work for this call, and waits for nothing else.

        Raises:
            AuditError: when workers cannot be started, or cannot import the function.
        """
        if self._process != os.getpid():
            self._begin()
        call = _Call(self, pickle.dumps(Job(function, limits)), limits, workers)
        pending: deque[Future[Any]] = deque()
        try:
            for argument in arguments:
                pending.append(call.submit(pickle.dumps(argument)))
                if len(pending) == _AHEAD * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            call.leave()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End every process, idle or at work."""
        if self._process != os.getpid():
            return
        with self._lock:
            self._closed = True
            ended = self._release(lambda _: True)
        for worker, user in ended.items():
            if user is None:
                worker.end()
            else:  # the thread that uses a worker ends it
                worker.wait()

    def take(self, call: "_Call", *, fresh: bool) -> WorkerProcess:
        """Return a worker for a call, an idle one unless a ``fresh`` one is wanted.

        Raises:
            AuditError: when the system starts no further process.
            RuntimeError: when the call, or the pool's block, was left.
        """
        with self._lock:
            self._check_wanted(call)
            idle = next((worker for worker, user in self._users.items() if user is None), None)
            if idle is not None and not fresh:
                self._users[idle] = call
                return idle
        worker = WorkerProcess()
        try:
            with self._lock:
                self._check_wanted(call)
                self._users[worker] = call
        except RuntimeError:
            worker.end()
            raise
        return worker

    def give_back(self, worker: WorkerProcess, *, keep: bool) -> None:
        """Let others have a worker, or end it.

        Raises:
            RuntimeError: when it was ended while it was at work, since its call, or the pool's block, was left.
        """
        with self._lock:
            released = worker not in self._users
            if keep and not released:
                self._users[worker] = None
                return
            self._users.pop(worker, None)
        worker.end()
        if released:
            raise RuntimeError(_LEFT)

    def leave(self, call: "_Call") -> None:
        """End the workers whose answers to a call nobody waits for any more."""
        if self._process != os.getpid():
            return
        with self._lock:
            call.left = True
            ended = self._release(lambda user: user is call)
        for worker in ended:
            worker.wait()

    def _check_wanted(self, call: "_Call") -> None:
        if call.left or self._closed:
            raise RuntimeError(_LEFT)

    def _release(self, chosen: Callable[["_Call | None"], bool]) -> dict[WorkerProcess, "_Call | None"]:
        """Kill workers and forget them, under the lock: nobody is handed one that is being ended."""
        ended = {worker: user for worker, user in self._users.items() if chosen(user)}
        for worker in ended:
            worker.kill()
            del self._users[worker]
        return ended


class _Call:
    """One call of ``map``: its tasks, and the threads that carry each to a worker and back.

    The threads are daemons: this process may end while a worker hangs over a file.
    """

    def __init__(self, pool: WorkerPool, job: bytes, limits: Limits, workers: int) -> None:
        self.left = False  # the pool's to set
        self._pool, self._job, self._limits = pool, job, limits
        self._tasks: SimpleQueue[tuple[bytes, Future[Any]] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"isolated-{number}", daemon=True) for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, argument: bytes) -> "Future[Any]":
        answer: Future[Any] = Future()
        self._tasks.put((argument, answer))
        return answer

    def leave(self) -> None:
        """End what is under way, and the threads."""
        self._pool.leave(self)
        if sys.is_finalizing():  # no daemon goes on: from Python 3.13 on, one that is joined is waited for without end
            return
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            argument, answer = task
            try:
                answer.set_result(self._answer(argument))
            except BaseException as error:  # noqa: BLE001 - it is raised where the answer is asked for
                answer.set_exception(error)

    def _answer(self, argument: bytes) -> object:
        """Return the answer to one argument, from a fresh worker where a used one may have been at fault."""
        answer, fresh = self._answer_from(argument, fresh=False)
        doubtful = isinstance(answer, StudyError) and answer.reason in (Reason.CRASHED, Reason.OUT_OF_MEMORY)
        return self._answer_from(argument, fresh=True)[0] if doubtful and not fresh else answer

    def _answer_from(self, argument: bytes, *, fresh: bool) -> tuple[object, bool]:
        worker = self._prepared_worker(fresh=fresh)
        fresh = worker.answers == 0
        try:
            answer = worker.answer(argument, self._limits.wall_seconds)
        except ProcessEnded as end:
            self._pool.give_back(worker, keep=False)
            return end.fault, fresh
        full = isinstance(answer, StudyError) and answer.reason is Reason.OUT_OF_MEMORY
        self._pool.give_back(worker, keep=not full)  # what it has not given back would be missing again
        return answer, fresh

    def _prepared_worker(self, *, fresh: bool) -> WorkerProcess:
        """Return a worker that has taken the job.

        One that ends over it is replaced once, by a fresh one; so is one that refuses it and has worked before.

        Raises:
            AuditError: when the job is not taken.
            RuntimeError: when the call, or the pool's block, was left.
        """
        for replaces in (False, True):
            worker = self._pool.take(self, fresh=fresh or replaces)
            conclusive = replaces
            try:
                refusal = worker.take_job(self._job)
                conclusive |= worker.answers == 0  # what a fresh one raises, the next would raise too
            except ProcessEnded as end:
                refusal = end.fault
            if refusal is None:
                return worker
            self._pool.give_back(worker, keep=False)
            if conclusive:
                break
        raise AuditError(f"a process for reading files cannot start: {refusal}")
