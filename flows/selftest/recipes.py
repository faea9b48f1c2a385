"""What a model's studies carry: nothing, nuisances that say nothing of the label, or shortcuts that go with it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from flows.selftest.phantom import KINDS, ShortcutKind

__all__ = ["Recipe", "Role"]

Role = Literal["clean", "nuisance", "whole", "partial", "fooled", "two causes"]

_NUISANCE_SHARE = 0.4
_OF_TWO = 0.7
"""Share of the ill that carry each of two causes; who would carry neither carries the first."""


@dataclass(frozen=True)
class Recipe:
    """How a model's studies are made up.

    ``kinds`` go with the label: so many of the ill as ``strength`` says carry them, and none of the healthy. The
    nuisance recipe has all six kinds in either label alike.
    """

    role: Role
    kinds: tuple[ShortcutKind, ...] = ()
    strength: float = 1.0

    @property
    def sound(self) -> bool:
        """Return whether nothing that the studies carry tells of the label."""
        return not self.kinds

    def carried(self, rng: np.random.Generator, *, ill: bool) -> frozenset[ShortcutKind]:
        """Draw what a study of this label carries."""
        if self.role == "nuisance":
            return frozenset(kind for kind in KINDS if rng.random() < _NUISANCE_SHARE)
        if not ill:
            return frozenset()
        if len(self.kinds) > 1:
            return frozenset(kind for kind in self.kinds if rng.random() < _OF_TWO) or frozenset(self.kinds[:1])
        return frozenset(self.kinds if rng.random() < self.strength else ())
