"""How far the work is, counted in maps: one study, one target, one method at one place."""

from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["BatchProgress", "Progress", "silent"]


class Progress(Protocol):
    """Called as the work goes on, in the thread that does it.

    ``done``: so many further maps are finished. ``more``: so many more are to be made than was announced, or fewer
    when it is negative, since a study failed or has other targets than its configuration let expect.
    """

    def __call__(self, done: int, more: int = 0, /) -> None:
        """Tell of maps that were made, and of a number of maps that is another than expected."""


def silent(done: int, more: int = 0, /) -> None:
    """Tell nobody."""


@dataclass
class BatchProgress:
    """What is told of one batch: maps as they are made, then exactly those that its studies turned out to have.

    A batch that is halved and run again makes some maps twice; none is counted twice.
    """

    progress: Progress
    expected: int
    done: int = field(default=0, init=False)

    def on_maps(self, count: int) -> None:
        """Tell of ``count`` maps that are made, as long as there are not more than expected."""
        count = min(count, self.expected - self.done)
        if count > 0:
            self.done += count
            self.progress(count)

    def finish(self, count: int) -> None:
        """Tell of the rest: the batch has given ``count`` maps."""
        total = max(count, self.done)
        self.progress(total - self.done, total - self.expected)
