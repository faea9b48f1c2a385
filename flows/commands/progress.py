"""The progress bar of a run in this process: maps done, maps a second, time left."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from flows.watch import Watcher
from pipeline.checks.run_estimate import RunEstimate

__all__ = ["time_left", "watching"]

_WORTH_TELLING = 60.0  # seconds


def time_left(done: float, total: float | None, seconds: float) -> float | None:
    """Return the seconds that the rest takes at the speed of all that is done; None while nothing is known."""
    if total is None or done <= 0 or seconds <= 0:
        return None
    return max(total - done, 0) * seconds / done


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Show the speed since the work began; that of the last stretch leaps with every batch."""
        seconds = task.elapsed or 0.0
        return Text(f"{task.completed / seconds:.1f} maps/s" if task.completed and seconds else "")


class _TimeLeft(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Show the time left at that speed."""
        seconds = time_left(task.completed, task.total, task.elapsed or 0.0)
        return Text("-:--:--" if seconds is None else f"{timedelta(seconds=round(seconds))} left")


@contextmanager
def watching(preparing: str, *, quiet: bool) -> Iterator[Watcher]:
    """Show ``preparing``, then a bar once it is known how many maps a run needs; yield who is to be told."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Speed(), _TimeLeft())
    console = Console(stderr=True, quiet=quiet)
    progress = Progress(
        *columns, console=console, disable=quiet
    )  # or a thread draws what nobody sees, ten times a second
    bar = progress.add_task("auditing", total=None, start=False)

    def started(studies: int, new: int, maps: int) -> None:
        if status is not None:
            status.stop()
        described = f"auditing {new} studies" if new == studies else f"auditing the {new} new of {studies} studies"
        progress.update(bar, total=maps, description=described)
        progress.start_task(bar)
        progress.start()

    def on_maps(done: int, more: int = 0, /) -> None:
        progress.update(bar, advance=done, total=max((progress.tasks[0].total or 0) + more, 0))

    def estimated(estimate: RunEstimate) -> None:
        if estimate.seconds > _WORTH_TELLING:
            console.print(estimate.sentence, highlight=False)

    with nullcontext() if quiet else console.status(preparing) as status:
        try:
            yield Watcher(started, on_maps, estimated)
        finally:
            progress.stop()
