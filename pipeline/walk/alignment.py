"""Where a layer's cells are taken to lie: edge to edge on the model's input, or where they were measured to look."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.errors import ConfigError
from pipeline.findings.facts import LayerFacts
from pipeline.studies.geometry import Geometry, Resampling, plan
from pipeline.walk.auditor import Auditor

__all__ = ["map_resampling", "with_layers"]


def with_layers(auditor: Auditor, layers: Sequence[LayerFacts]) -> Auditor:
    """Return an auditor for these layers; where maps are to be moved by a layer's shift, with that in cells.

    Raises:
        ConfigError: when the shift of a layer could not be measured, and maps are to be moved by it.
    """
    names = tuple(layer.name for layer in layers)
    if auditor.config.overlap.align == "grid":
        return replace(auditor, layers=names)
    for layer in layers:
        if layer.shift_mm is None:
            raise ConfigError(
                f"overlap.align: the cells of layer {layer.name!r} do not react to the noise that their shift is "
                "measured with, so no map of it can be moved; use grid, or another layer"
            )
    shifts = {layer.name: _in_cells(layer) for layer in layers}
    return replace(auditor, layers=names, shifts=shifts)


def _in_cells(layer: LayerFacts) -> tuple[float, ...]:
    """Return a shift in cells: that is the network's, whatever the size of a study's voxels."""
    return tuple(shift / cell for shift, cell in zip(layer.shift_mm or (), layer.cell_mm, strict=True))


def map_resampling(auditor: Auditor, layer: str, grid: Geometry, target: Geometry) -> Resampling:
    """Plan how a layer's map is read at the voxels of ``target``; ``grid`` are its cells edge to edge.

    What the model saw stays what it was: it is the border cells' value that reaches as far as the map was moved.
    """
    shift = auditor.shifts.get(layer)
    laid = plan(grid, target)
    if shift is None:
        return laid
    affine = np.array(grid.affine)
    affine[:3, 3] += affine[:3, : len(shift)] @ np.array(shift)
    return replace(plan(replace(grid, affine=affine), target), seen=laid.seen)
