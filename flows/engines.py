"""Work that Prefect may drive and can never cost: what it came to is known here, not there.

A piece of work is an ``Attempt``. Whoever drives it may run it once, late, or not at all, and may break before, in or
after it. Its own outcome, and nothing that the driver says, decides whether it is done: what the work raised is
raised; what anybody else raised is the driver's fault, is told, and costs nothing but the driver.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from flows.commands.interrupts import raise_replaced_end

__all__ = ["Attempt", "Engine", "WorkError", "driven"]

Answer = TypeVar("Answer")


class WorkError(Exception):
    """What a driver gets to see of a failure: one sentence without the frames and values of the work."""


class Attempt(Generic[Answer]):
    """A piece of work that is done at most once. ``error`` is what it raised, None as long as it did not."""

    def __init__(self, work: Callable[[], Answer]) -> None:
        self._work = work
        self._answers: list[Answer] = []
        self.is_begun = False
        self.error: BaseException | None = None

    def run(self) -> None:
        """Do the work, unless it was begun before.

        Raises:
            WorkError: for whatever the work raises, except what stops a process: that is raised as it is.
        """
        if self.is_begun:
            return
        self.is_begun = True
        try:
            self._answers.append(self._work())
        except Exception as error:  # noqa: BLE001 - kept, and raised by answer()
            self.error = error
        except BaseException as error:
            self.error = error
            raise
        if self.error is not None:
            raise WorkError(str(self.error))

    def answer(self) -> Answer:
        """Return what the work returned; do it here and now when nobody has.

        Raises:
            BaseException: what the work raised.
        """
        if not self.is_begun:
            with suppress(WorkError):  # what the work raised is kept
                self.run()
        if self.error is not None:
            raise self.error
        return self._answers[0]


def driven(
    work: Callable[[], Answer], drive: Callable[[Callable[[], None]], object], on_fault: Callable[[Exception], None]
) -> Answer:
    """Return the answer of ``work``, which ``drive`` is to call; where ``drive`` breaks, tell and do without it.

    Raises:
        BaseException: what the work raises, and what stops the process. Nothing else that ``drive`` raises.
    """
    attempt = Attempt(work)
    try:
        drive(attempt.run)
    except Exception as fault:  # noqa: BLE001 - whatever it is: the work's own error is known
        if attempt.error is None:
            raise_replaced_end(fault)
            on_fault(fault)
    except BaseException:
        if attempt.error is None:
            raise
    return attempt.answer()


@dataclass
class Engine:
    """Which engine a run has had so far, and why it is not Prefect any more.

    ``say`` is told in one line, once, when the run goes on without Prefect. ``probe`` returns why its server does not
    answer, or None: Prefect itself would notice a dead server only when the flow ends.
    """

    say: Callable[[str], None]
    asked: str = "prefect"
    probe: Callable[[], str | None] = lambda: None
    flow_run: str | None = None
    lost: str | None = field(default=None, init=False)

    @property
    def is_prefect(self) -> bool:
        """Whether Prefect is still told."""
        return self.asked in ("prefect", "pool") and self.lost is None

    def check(self) -> None:
        """Ask whether Prefect's server still answers; go on without it otherwise."""
        if self.is_prefect and (reason := self.probe()):
            self.lose(reason)

    def lose(self, reason: str) -> None:
        """Go on without Prefect from here on."""
        if self.is_prefect:
            self.lost = reason
            self.say(f"{reason}: the run goes on without it")

    def __str__(self) -> str:
        if self.lost is None:
            return self.asked
        return f"{f'{self.asked}, then local' if self.flow_run else 'local'} ({self.lost})"
