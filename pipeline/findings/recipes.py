"""What an answer follows from, as digests: where they are equal, an earlier answer is this one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Place", "Recipes"]

Place = tuple[str, str]
"""(method, layer) of a map; a baseline's layer is empty."""


@dataclass(frozen=True)
class Recipes:
    """Digests of what an answer follows from.

    ``study`` covers how an image is read and prepared, the model with its code, the program, versions and device:
    what the model says of a study. ``masks`` covers how masks are read. ``maps`` adds to ``study``, for each map and
    baseline, the method's options and the layer; ``scores`` adds to that the masks and how overlap is measured: a new
    threshold changes scores and leaves the maps. The keys of both are in a run's own order.
    """

    study: str
    masks: str
    maps: Mapping[Place, str]
    scores: Mapping[Place, str]

    def columns_of(self, entry: Mapping[str, Any]) -> dict[str, str | None]:
        """Return the columns that tell what a row answers to, by its method and layer (None: a row without a map)."""
        place = (entry.get("method") or "", entry.get("layer") or "")
        return {
            "study_recipe": self.study,
            "masks_recipe": self.masks,
            "map_recipe": self.maps.get(place),
            "score_recipe": self.scores.get(place),
        }
