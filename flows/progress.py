"""The progress bar of a run in this process: studies done, studies a second, time left."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.status import Status
from rich.text import Text

from flows.watch import Watcher, watched_by

__all__ = ["watching"]


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Show the speed of the last stretch."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} studies/s")


@contextmanager
def watching(status: Status, *, quiet: bool) -> Iterator[None]:
    """Turn ``status`` into a progress bar once the number of a run's studies is known."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Speed(),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=Console(stderr=True, quiet=quiet))
    bar = progress.add_task("auditing", total=None)

    def started(found: int, new: int) -> None:
        status.stop()
        progress.update(
            bar, total=new, description="auditing" if new == found else f"auditing the {new} new of {found}"
        )
        progress.start()

    try:
        with watched_by(Watcher(started, lambda: progress.advance(bar))):
            yield
    finally:
        progress.stop()
