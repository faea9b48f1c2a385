"""What a crew is: help that starts with a block and ends with it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NO_CREW", "Crew", "IsWorking", "Say"]

IsWorking = Callable[[], bool]
"""Tells whether anybody of a crew still works."""

Say = Callable[[str], None]
"""Is told in a sentence what ended a helper before the shards were done."""


@dataclass(frozen=True)
class Crew:
    """``at(folder, say)`` starts the help on a run's folder, yields whether it still works, and ends it with its block.

    ``leads``: whether the process that began the run works shards as well, and takes over those of helpers who died.
    Where it does not, help that ends before the shards do is called again. ``abreast`` is what that process is in while
    it works shards, so that it computes as the others do.
    """

    name: str
    at: Callable[[Path, Say], AbstractContextManager[IsWorking]]
    leads: bool = True
    abreast: Callable[[], AbstractContextManager[None]] = nullcontext


@contextmanager
def _nobody(_folder: Path, _say: Say) -> Iterator[IsWorking]:
    yield lambda: False


NO_CREW = Crew("alone", _nobody)
"""No help: every shard is worked by the process that began the run, or by whoever else claims one."""
