"""How far the work is, counted in maps: one study, one target, one method at one place."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cam import METHODS
from pipeline.config import AuditConfig

__all__ = ["BatchProgress", "Progress", "expected_maps", "silent"]


class Progress(Protocol):
    """Called as the work goes on, in the thread that does it.

    ``done``: so many further maps are finished. ``more``: so many more are to be made than was announced, or fewer
    when it is negative, since a study failed or has other targets than its configuration let expect.
    """

    def __call__(self, done: int, more: int = 0, /) -> None:
        """Tell of maps that were made, and of a number of maps that is another than expected."""


def silent(done: int, more: int = 0, /) -> None:
    """Tell nobody."""


def expected_maps(config: AuditConfig, layers: Sequence[str]) -> int:
    """Return how many maps a study is expected to need before anything is known of it.

    A study whose targets follow from its reference or its prediction is taken to have one.
    """
    named = [target for target in config.explain.targets if target in config.model.labels]
    targets = len(named) + (len(named) < len(config.explain.targets))
    return targets * sum(len(METHODS[name].places(layers)) for name in config.explain.methods)


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
