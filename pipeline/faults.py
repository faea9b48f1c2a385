"""The trace that a fault leaves: a package logger, and a run's private ``faults.log``.

A trace says where something broke and never what was worked on: frames are files, lines and functions, and of an
exception only its type is kept. Its text stays behind, since a library can quote a header or a path in it.
"""

import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import AuditError, Frame, InternalError, ModelError, StudyError, frames_of

__all__ = ["FAULTS", "fault_log", "internal_error", "log_fault", "own_faults", "package_logger"]

FAULTS = "faults.log"
"""The name of the file in a run's folder."""

_OURS = ("cam", "pipeline", "reports", "flows")
_DEEPEST = 8  # exceptions of a chain
_TRACE = "camaudit_trace"


def package_logger() -> logging.Logger:
    """Return the logger of everything that camaudit says; silent until somebody adds a handler."""
    return logging.getLogger("camaudit")


package_logger().addHandler(logging.NullHandler())


def log_fault(error: BaseException, stage: str, studies: Sequence[str] = ()) -> None:
    """Log that ``error`` broke a ``stage`` of the work on these studies (pseudonyms)."""
    chain = _chain(error)
    innermost = _trace_of(chain[-1])
    where = f"{innermost[-1].file}:{innermost[-1].line}" if innermost else "a place that left no trace"
    trace = {
        "studies": list(studies),
        "stage": stage,
        "exceptions": [
            {"type": _kind(exception), "frames": [asdict(frame) for frame in _trace_of(exception)]}
            for exception in chain
        ],
    }
    package_logger().error(
        "%s: %s at %s, stage %s", ", ".join(studies) or "the run", _kind(chain[-1]), where, stage, extra={_TRACE: trace}
    )


def internal_error(error: BaseException) -> InternalError:
    """Return what ends a run that ``error``, a fault of ours, has broken; ``log_fault`` leaves its trace."""
    ours = [frame for frame in frames_of(error) if frame.file.startswith(tuple(f"{name}/" for name in _OURS))]
    place = f"{ours[-1].file}:{ours[-1].line}" if ours else "an unknown place"
    return InternalError(place, type(error).__name__, _open_trace())


@contextmanager
def own_faults(path: Path | None = None) -> Iterator[None]:
    """End what is done inside the block with an ``InternalError`` when our own code fails; log faults to ``path``.

    Raises:
        InternalError: for every exception that was not raised on purpose.
        ModelError: for an attempt to end the process; only the user's code makes one.
    """
    with fault_log(path) if path else nullcontext():
        try:
            yield
        except (AuditError, InternalError):
            raise
        except SystemExit as error:
            if type(error) is not SystemExit:
                raise  # this process is asked to end
            raise ModelError(
                "the model's code called sys.exit; it must raise an exception that says what is wrong"
            ) from error
        except Exception as error:
            log_fault(error, "run")
            raise internal_error(error) from error


@contextmanager
def fault_log(path: Path) -> Iterator[None]:
    """Write the faults that are logged inside the block to ``path``, one JSON object a line, its owner's alone.

    The file is made by the first fault. Where it cannot be written, the work goes on without it.
    """
    handler = _TraceFile(path)
    package_logger().addHandler(handler)
    try:
        yield
    finally:
        package_logger().removeHandler(handler)


def _open_trace() -> Path | None:
    """Return the file that faults are being written to."""
    files = [handler.path for handler in package_logger().handlers if isinstance(handler, _TraceFile)]
    return files[-1] if files else None


class _TraceFile(logging.Handler):
    def __init__(self, path: Path) -> None:
        super().__init__(logging.ERROR)
        self.path = path

    def emit(self, record: logging.LogRecord) -> None:
        """Append a fault's trace; what else is logged is not for this file."""
        trace = getattr(record, _TRACE, None)
        if trace is None:
            return
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": time, **trace}, ensure_ascii=True)
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "a", encoding="ascii") as file:
                file.write(f"{line}\n")
        except OSError:
            self.handleError(record)


def _chain(error: BaseException) -> list[BaseException]:
    """Return an exception and what caused it, the cause last."""
    chain = [error]
    while len(chain) < _DEEPEST:
        last = chain[-1]
        cause = last.__cause__ or (None if last.__suppress_context__ else last.__context__)
        if cause is None or cause in chain:
            break
        chain.append(cause)
    return chain


def _trace_of(error: BaseException) -> tuple[Frame, ...]:
    """Return where an exception came through, in the process that it came from."""
    return (isinstance(error, StudyError) and error.trace) or frames_of(error)


def _kind(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
