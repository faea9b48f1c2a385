"""The counts of a kept volume, counted again from the map's cells and the masks that lie in the same file."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from pipeline.conclusions.shown_cases.case_volume import LaidMap, kept_map
from pipeline.config import OverlapConfig
from pipeline.evidence.metrics.registry import evidence_of
from pipeline.findings.pictures.volumes import CaseVolume, KeptMap, ReaderCounts
from pipeline.studies.geometry import Geometry, plan
from pipeline.studies.volume import Heatmap, Mask

__all__ = ["counted_otherwise"]

_ROUNDED: Final = 1e-5
"""Of a map's voxels, and of a sum: what carrying it to the grid once more can round otherwise."""


def counted_otherwise(volume: CaseVolume) -> Iterator[tuple[str, str]]:
    """Yield each map of a volume whose counts are not those of its values, with what differs first.

    The region that the audit's own rule draws is not drawn again: the rule is not in the file.

    Raises:
        ValueError: when the file's grids do not belong together.
    """
    grid = Geometry(volume.shape, volume.affine)
    masks = [Mask(array, grid, "", reader) for reader, array in volume.masks.items()]
    for name, kept in volume.maps.items():
        if kept.readers.keys() != volume.masks.keys():
            yield name, "readers"
            continue
        again = kept_map(_laid(kept, grid), masks)
        if (what := _difference(kept, again, int(np.prod(volume.shape)))) is not None:
            yield name, what


def _laid(kept: KeptMap, grid: Geometry) -> LaidMap:
    """Carry a map's cells to the image's voxels, as the run did."""
    cells = replace(grid, shape=kept.values.shape, affine=grid.affine @ np.linalg.inv(kept.seen_step))
    resampling = replace(plan(cells, grid), step=kept.step)
    field = resampling.apply(kept.values)
    heatmap = Heatmap(np.maximum(field, 0) if kept.rectified else field, grid, resampling.seen, "", "", "")
    evidence = evidence_of(heatmap, OverlapConfig(), "otsu")  # some rule: the region that it draws is not compared
    return LaidMap(kept.values, kept.step, kept.seen_step, kept.rectified, heatmap, evidence)


def _difference(kept: KeptMap, again: KeptMap, voxels: int) -> str | None:
    slack = 1 + _ROUNDED * voxels
    whole = {"region": (kept.region, again.region), "tied": ((kept.tied,), (again.tied,))}
    shares = {
        "maximum": ((kept.maximum,), (again.maximum,)),
        "thresholds": (kept.thresholds, again.thresholds),
        "total": ((kept.total,), (again.total,)),
    }
    for reader, counts in kept.readers.items():
        whole[f"counts of {reader}"] = _numbers(counts), _numbers(again.readers[reader])
        shares[f"total of {reader}"] = (counts.total,), (again.readers[reader].total,)
    for what, (said, counted) in whole.items():
        if len(said) != len(counted) or any(abs(a - b) > slack for a, b in zip(said, counted, strict=True)):
            return what
    for what, (values, own) in shares.items():
        largest = abs(again.total if "total" in what else again.maximum)
        if len(values) != len(own) or not np.allclose(values, own, rtol=_ROUNDED, atol=_ROUNDED * largest):
            return what
    return None


def _numbers(counts: ReaderCounts) -> tuple[int, ...]:
    return (*counts.common, counts.mask, counts.visible, counts.at_maximum)
