"""A function called in a process of its own, which ends with the call; errors and interruptions pass through."""

import contextlib
import gc
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection, Pipe
from typing import Any, TypeVar

from flows.commands.interrupts import Interrupted, interruptible, leave, when_input_ends
from pipeline.errors import AuditError, InternalError
from pipeline.faults import own_faults
from pipeline.studies.untrusted.import_path import import_path

__all__ = ["Tell", "in_own_process", "serve_call"]

Result = TypeVar("Result")

Tell = Callable[[Any], None]
"""Tells the process that waits something on the way."""

_END_SECONDS = 20.0  # until a process that was asked to end has put in order what it was at
_PROGRAM = """
import sys
handle, *sys.path[:] = sys.argv[1:]
from flows.apart.own_process import serve_call
serve_call(int(handle))
"""


def in_own_process(function: Callable[..., Result], *arguments: object, hear: Tell) -> Result:
    """Return ``function(*arguments, tell)``, called in a new process; whatever it tells there, ``hear`` hears here.

    The function is a module's own, and all that travels can be pickled. Where this process is asked to end, the other
    is asked too, and waited for; where this one dies, the other ends by itself.

    Raises:
        AuditError: what the function raised; one line where its process ended before it had answered.
        InternalError: when the function failed by a fault of ours.
    """
    ours, theirs = Pipe()
    with ours:
        with theirs:
            process = _started(theirs.fileno())
        with _waited_for(process):
            try:
                ours.send((function, arguments))
                outcome, answer, cause = _outcome(ours, hear)
            except (EOFError, ConnectionError):
                process.wait()
                raise AuditError(_how_it_ended(process.returncode)) from None
    if outcome == "raised":
        raise answer from cause
    return answer  # type: ignore[no-any-return]  # pickled


def _started(handle: int) -> "subprocess.Popen[bytes]":
    """Start a process that waits for a call at its end of a pipe; nothing of the parent's main module runs in it."""
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, str(handle), *import_path(sys.path)],
            stdin=subprocess.PIPE,  # never written to: it closes when this process ends, whatever ends it
            pass_fds=[handle],
            process_group=0,  # a terminal's Ctrl-C is for this process alone
        )
    except OSError as error:
        raise AuditError(f"a process for a part of the run cannot start: {error.strerror}") from error


@contextmanager
def _waited_for(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Wait until a process is gone, asked to end where the block was left early."""
    try:
        yield
    except BaseException:
        process.terminate()
        raise
    finally:
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdin is not None
        process.stdin.close()


def _outcome(channel: "Connection[Any, Any]", hear: Tell) -> tuple[str, Any, BaseException | None]:
    """Pass on what is told until the call is over; return how it ended, with what, and the cause of an error."""
    while True:
        kind, content, cause = channel.recv()
        if kind != "told":
            return kind, content, cause
        hear(content)


def _how_it_ended(code: int) -> str:
    how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
    memory = "; the system does so where memory runs out" if code == -signal.SIGKILL else ""
    return f"a process of this run ended before it was done ({how}{memory}); run the same command again to go on"


def serve_call(handle: int) -> None:
    """Answer one call at this end of a pipe, then end; asked to end, in the way that a command does."""
    when_input_ends(partial(os.kill, os.getpid(), signal.SIGTERM))
    try:
        with interruptible(), Connection(handle) as channel:
            try:
                function, arguments = channel.recv()
            except EOFError:
                return  # whoever called was ended before it had said what for
            channel.send(_called(function, arguments, lambda content: channel.send(("told", content, None))))
            gc.freeze()  # looking through torch once more before the end takes a second
    except Interrupted as interruption:
        leave(interruption)


def _called(function: Callable[..., object], arguments: tuple[object, ...], tell: Tell) -> tuple[str, object, object]:
    try:
        with own_faults():
            return "returned", function(*arguments, tell), None
    except (AuditError, InternalError) as error:
        missing = error.__cause__ if isinstance(error.__cause__, ModuleNotFoundError) else None
        return "raised", _able_to_travel(error), missing  # of causes only this one is spoken of


def _able_to_travel(error: AuditError | InternalError) -> AuditError | InternalError:
    with contextlib.suppress(Exception):
        pickle.loads(pickle.dumps(error))
        return error
    return AuditError(str(error))
