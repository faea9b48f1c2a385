"""What an answer follows from, as digests: where they are equal, an earlier answer is this one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Place", "Recipes"]

Place = tuple[str, str]
"""(method, layer) of a map; a baseline's layer is empty."""


@dataclass(frozen=True)
class Recipes:
    """Digests of what an answer follows from: where they are equal, an earlier answer is this one.

    ``study`` covers what is read of the files, preparation, model, versions and device. ``maps`` adds to it, for each
    map and baseline, the method's options, the layer and how overlap is scored; its keys are in a run's own order.
    """

    study: str
    maps: Mapping[Place, str]

    def of_row(self, entry: Mapping[str, Any]) -> str | None:
        """Return the digest of a finding (or of a study's row without one: None) by its method and layer."""
        return self.maps.get((entry.get("method") or "", entry.get("layer") or ""))
