"""How a command ends: quietly, or in one line with an exit code that tells whose turn it is."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from flows.commands.interrupts import ADVICE, Interrupted, interruptible, leave
from pipeline.errors import AuditError, InternalError
from pipeline.extras import lacking
from pipeline.faults import package_logger

__all__ = ["one_line_at_the_end"]


@contextmanager
def one_line_at_the_end(*, debug: bool) -> Iterator[None]:
    """End the process in one line on standard error for what a command raises.

    Exit code 2: bad input, or an extra of this package is not installed. 3: camaudit itself is wrong. 130, 143:
    interrupted by Ctrl-C or SIGTERM. With ``debug`` the first two show their traceback, and what the package logs.

    Raises:
        SystemExit: with that code.
    """
    try:
        with interruptible(), _own_log(shown=debug):
            yield
    except Interrupted as interruption:
        _say(ADVICE)
        leave(interruption)
    except (AuditError, InternalError) as error:
        if debug:
            raise
        missing = lacking(error.__cause__) if isinstance(error, InternalError) else None
        _say(missing or str(error))
        sys.exit(3 if isinstance(error, InternalError) and missing is None else 2)
    except ModuleNotFoundError as error:
        missing = lacking(error)
        if debug or missing is None:
            raise
        _say(missing)
        sys.exit(2)


@contextmanager
def _own_log(*, shown: bool) -> Iterator[None]:
    """Keep what the package logs from handlers that libraries hang on the root; show it by our own, or not at all."""
    logger, handler = package_logger(), logging.StreamHandler()
    level, propagated = logger.level, logger.propagate
    logger.propagate = False
    if shown:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagated


def _say(line: str) -> None:
    print(f"camaudit: {line}", file=sys.stderr)  # noqa: T201 - the command line's last word
