"""What goes on beside the work on a run: who shows it, who helps, and who may ask it to end after a shard."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from flows.crews.crew import NO_CREW, Crew
from pipeline.errors import AuditError

if TYPE_CHECKING:
    from pipeline.runs.run import Run

__all__ = ["ALONE", "Beside", "RunPage", "StopRequestedError"]


class StopRequestedError(AuditError):
    """Somebody asked the run to end; what is written is carried over by the next one."""


class RunPage(Protocol):
    """Shows a run to people; nothing that it is told may cost the run anything."""

    def begun(self, run: "Run") -> None:
        """Tell that the run is created."""

    def shard_done(self, shard: int, studies: int, seconds: float | None) -> None:
        """Tell that a shard is written; ``seconds`` is None where another process did it."""

    def finished(self, folder: Path) -> None:
        """Tell that results and report are written."""


class _NoPage:
    """Shows nothing."""

    def begun(self, run: "Run") -> None:
        """Do nothing."""

    def shard_done(self, shard: int, studies: int, seconds: float | None) -> None:
        """Do nothing."""

    def finished(self, folder: Path) -> None:
        """Do nothing."""


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Beside:
    """``page`` shows the run; ``must_stop`` is asked after each shard whether the run is to end; ``crew`` helps."""

    page: RunPage = field(default_factory=_NoPage)
    must_stop: Callable[[], bool] = _never
    crew: Crew = NO_CREW


ALONE = Beside()
"""Nobody watches, asks to end, or helps."""
