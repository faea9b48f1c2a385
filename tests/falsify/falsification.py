"""A falsification, and what must detect it."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.falsify.world import World, by_verify


@dataclass(frozen=True)
class Falsification:
    """``falsify`` alters a world, ``detect`` tells what is said of it then, which must begin with or hold ``says``.

    What a verification says begins with the failure whose exit code ends the command.
    """

    name: str
    falsify: Callable[[World], object]
    says: str
    detect: Callable[[World], str] = by_verify

    def is_detected(self, said: str) -> bool:
        """Tell whether what was said is what must be."""
        return said.startswith(self.says) if self.says[:2].isdigit() else self.says in said
