"""What a study's grid and masks tell of it: spacing, how many lesions a mask has and how large the largest is."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Mask
from pipeline.vocabulary import CONSENSUS

if TYPE_CHECKING:
    from pipeline.evidence.metrics.parts import Pieces

__all__ = ["COARSEST", "FINEST", "LARGEST", "LESIONS", "derived_facts", "without_derived"]

FINEST, COARSEST = "finest spacing, mm", "coarsest spacing, mm"
LESIONS, LARGEST = "lesions: ", "largest lesion: "
"""The beginnings of facts about a label's mask; the label follows."""

_DERIVED: Final = (FINEST, COARSEST, LESIONS, LARGEST)


def derived_facts(geometry: Geometry, masks: "Iterable[tuple[Mask, Pieces]]") -> dict[str, str]:
    """Return facts of a study by name, of masks with their pieces.

    Of several readers' masks of a label the consensus counts, or the first.
    """
    facts: dict[str, str] = {}
    if geometry.scaled:
        facts |= {FINEST: f"{min(geometry.spacing):.4g}", COARSEST: f"{max(geometry.spacing):.4g}"}
    chosen: dict[str, tuple[Mask, Pieces]] = {}
    for mask, pieces in masks:
        if mask.label not in chosen or mask.reader.startswith(CONSENSUS):
            chosen[mask.label] = mask, pieces
    for label, (mask, pieces) in chosen.items():
        voxels = pieces.voxels
        facts[f"{LESIONS}{label}"] = str(len(voxels) - 1)
        if len(voxels) > 1:
            facts[f"{LARGEST}{label}"] = f"{int(voxels.max()) * _voxel(mask.geometry):.4g} {_unit(mask.geometry)}"
    return facts


def _voxel(geometry: Geometry) -> float:
    """Return the size of a voxel, or of a picture's pixel, in the grid's own unit."""
    axes = geometry.affine[:3, : len(geometry.shape)]
    return float(np.sqrt(max(np.linalg.det(axes.T @ axes), 0.0)))


def _unit(geometry: Geometry) -> str:
    return f"{'mm' if geometry.scaled else 'px'}{len(geometry.shape)}"


def without_derived(facts: Mapping[str, str]) -> dict[str, str]:
    """Return the facts that the image's own header tells: they do not change with how masks are read."""
    return {name: fact for name, fact in facts.items() if not name.startswith(_DERIVED)}
