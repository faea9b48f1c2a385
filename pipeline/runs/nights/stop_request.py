"""A schedule asks the run that it began to end after the shard under way: a file, since it may work on another machine.

It lies beside the runs and is the schedule's: made when it is to end, taken away when it has ended or begins.
"""

from contextlib import suppress
from pathlib import Path

from pipeline.files import written

__all__ = ["forget_stop", "request_stop", "stop_is_requested"]

_FILE = ".stop"


def request_stop(audits: Path) -> None:
    """Ask the run under way, if it is a schedule's, to end after its shard.

    Raises:
        OutputError: when the file cannot be written.
    """
    with written(audits / _FILE) as file:
        file.write(b"after the shard under way\n")


def stop_is_requested(audits: Path) -> bool:
    """Tell whether a schedule's run is to end."""
    return (audits / _FILE).exists()


def forget_stop(audits: Path) -> None:
    """Take the request back."""
    with suppress(OSError):
        (audits / _FILE).unlink()
