"""What a pretended device was asked to do: faults, waits of the host, and the program's line that asked."""

import sys
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

__all__ = ["WAITS", "DeviceMistakeError", "Happening", "Meter"]

WAITS = ("value", "to_host", "to_device", "shape", "solver")
"""The kinds for which the host stands still: a value that Python reads, a copy either way from or to memory that is not
pinned, a result whose shape depends on data, a solver whose status is read back."""

_OWN_FILES = {str(Path(__file__).with_name(name)) for name in ("happenings.py", "device_tensor.py", "pretended.py")}


class DeviceMistakeError(RuntimeError):
    """What a real device would have refused."""


@dataclass(frozen=True)
class Happening:
    """Its kind, the operation, the program's line, and how many bytes were copied."""

    kind: str
    operation: str
    line: str
    size: int = 0


@dataclass
class Meter:
    """Everything that happened while the device was pretended; ``roots`` are the folders whose lines are named."""

    roots: Sequence[Path] = ()
    happenings: list[Happening] = field(default_factory=list)
    faults: list[Happening] = field(default_factory=list)

    def note(self, kind: str, operation: str, size: int = 0) -> None:
        """Write a happening down."""
        self.happenings.append(Happening(kind, operation, self._line(), size))

    def fault(self, operation: str, rule: str) -> DeviceMistakeError:
        """Write a fault down and return it, to be raised."""
        self.faults.append(Happening("fault", operation, self._line()))
        return DeviceMistakeError(f"{operation}: {rule}")

    def waits(self) -> int:
        """Return how often the host waited for the device."""
        return sum(happening.kind in WAITS for happening in self.happenings)

    def kinds(self) -> Counter[str]:
        """Count the happenings by kind."""
        return Counter(happening.kind for happening in self.happenings)

    def lines(self, kinds: Sequence[str] = WAITS) -> Counter[tuple[str, str]]:
        """Count the happenings of these kinds by (kind, line)."""
        return Counter((happening.kind, happening.line) for happening in self.happenings if happening.kind in kinds)

    def table(self) -> str:
        """Return the waits as lines of text, the most frequent first."""
        return "\n".join(f"{number:6d}  {kind:9s} {line}" for (kind, line), number in self.lines().most_common())

    def clear(self) -> None:
        """Forget what happened so far."""
        self.happenings.clear()
        self.faults.clear()

    def _line(self) -> str:
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            name = frame.f_code.co_filename
            for root in self.roots:
                if name.startswith(f"{root}/") and name not in _OWN_FILES:
                    return f"{root.name}{name[len(str(root)) :]}:{frame.f_lineno}"
            frame = frame.f_back
        return "backward" if threading.current_thread() is not threading.main_thread() else "elsewhere"
