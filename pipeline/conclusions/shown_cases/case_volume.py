"""A case cut for scrolling: what of the image is kept exactly, what small, and how its maps stand against its masks."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.evidence.metrics.map_evidence import MarkedVoxels, MaskedEvidence, RegionOverlap, Undefined
from pipeline.evidence.planes import PlaneCut, plane_at, projection
from pipeline.evidence.thresholds import threshold_of
from pipeline.findings.pictures.volumes import (
    CROP_VOXELS,
    VOLUME_SHARES,
    CaseVolume,
    ExactValues,
    KeptMap,
    ReaderCounts,
    SmallPicture,
    TurnedPlane,
)
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Heatmap, Mask, Volume

__all__ = ["LaidMap", "cut_volume", "kept_map"]

_MARGIN_MM: Final = 10.0
_SMALL_SIDE, _SMALL_BYTES = 256, 350_000
_SHEET_SIDE: Final = 16_000  # WebP holds 16,383 pixels a side
_QUALITY: Final = 75


@dataclass(frozen=True, eq=False)
class LaidMap:
    """A map at its layer's cells, how it is read at the image's voxels, and the same map there, also as evidence."""

    values: NDArray[np.float32]
    step: NDArray[np.float64]
    seen_step: NDArray[np.float64]
    rectified: bool
    heatmap: Heatmap
    evidence: MaskedEvidence


def cut_volume(
    image: Volume,
    masks: Sequence[Mask],
    maps: Mapping[str, LaidMap],
    study: str,
    keep: Literal["crops", "whole"],
) -> CaseVolume:
    """Return what is kept of one study: masks and maps whole; of the image the values around them, or all.

    The exact values reach 10 mm beyond the masks and the peak of the first map, and hold at most ``CROP_VOXELS``
    voxels around their middle.
    """
    geometry = image.geometry
    box = _whole(geometry) if keep == "whole" else _exact_box(geometry, masks, next(iter(maps.values()), None))
    everything = all(part == slice(0, size) for part, size in zip(box, geometry.shape, strict=True))
    return CaseVolume(
        study=study,
        shape=geometry.shape,
        affine=np.array(geometry.affine),
        unit=geometry.unit,
        oriented=geometry.oriented,
        planes=_planes(geometry),
        image=_exact(image.array, box),
        small=None if everything else _small(image.array),
        masks={mask.reader: mask.array for mask in masks},
        maps={name: kept_map(laid, masks) for name, laid in maps.items()},
    )


def _planes(geometry: Geometry) -> tuple[TurnedPlane, ...]:
    """Return the planes in the order axial, coronal, sagittal; of a picture the only one."""
    if len(geometry.shape) == 2:
        return (_turned(projection(geometry)),)
    order = ("axial", "coronal", "sagittal")
    return tuple(
        sorted((_turned(plane_at(geometry, axis, 0)) for axis in range(3)), key=lambda plane: order.index(plane.name))
    )


def _turned(cut: PlaneCut) -> TurnedPlane:
    return TurnedPlane(cut.name, cut.axis, cut.order, cut.flips, cut.pixel_mm, cut.letters)


def _whole(geometry: Geometry) -> tuple[slice, ...]:
    return tuple(slice(0, size) for size in geometry.shape)


def _exact_box(geometry: Geometry, masks: Sequence[Mask], first: LaidMap | None) -> tuple[slice, ...]:
    """Return the voxels that are kept exactly: all where they are few, else those around masks and peak."""
    shape = np.array(geometry.shape)
    if shape.prod() <= CROP_VOXELS:
        return _whole(geometry)
    places = [np.argwhere(mask.array) for mask in masks if mask.array.any()]
    if first is not None and not first.evidence.degenerate:
        places.append(np.stack(np.unravel_index(first.evidence.maxima[:1], geometry.shape), 1))
    marked = np.concatenate(places) if places else (shape // 2)[None]
    margin = np.ceil(_MARGIN_MM / np.array(geometry.spacing)).astype(int)
    low = np.maximum(marked.min(axis=0) - margin, 0)
    high = np.minimum(marked.max(axis=0) + 1 + margin, shape)
    return _limited(low, high, shape)


def _limited(low: NDArray[np.int_], high: NDArray[np.int_], shape: NDArray[np.int_]) -> tuple[slice, ...]:
    """Grow or shrink a box about its middle to the number of voxels that may be kept; it stays within ``shape``."""
    size = (high - low).astype(float)
    for _ in range(8):  # a side that meets the image's end leaves the others more room
        size = np.minimum(size * (CROP_VOXELS / size.prod()) ** (1 / len(size)), shape)
    sides = np.maximum(1, np.floor(size + 1e-9).astype(int))
    first = np.clip((low + high - sides) // 2, 0, shape - sides)
    return tuple(slice(int(start), int(start + side)) for start, side in zip(first, sides, strict=True))


def _exact(array: NDArray[np.float32], box: tuple[slice, ...]) -> ExactValues:
    """Keep values as 16 bits: whole numbers that fit as they are, all others in 65,535 steps over their range."""
    values = array[box]
    low, high = float(values.min()), float(values.max())
    origin = tuple(part.start for part in box)
    if high - low <= 65_535 and bool((values == np.rint(values)).all()):
        offset = 0.0 if low >= -32_768 and high <= 32_767 else low + 32_768
        return ExactValues((values.astype(np.float64) - offset).astype(np.int16), origin, 1.0, offset, 0.0)
    scale = (high - low) / 65_535 or 1.0
    offset = low + 32_768 * scale
    steps = np.clip(np.rint((values.astype(np.float64) - offset) / scale), -32_768, 32_767).astype(np.int16)
    return ExactValues(steps, origin, scale, offset, scale / 2)


def _small(array: NDArray[np.float32]) -> SmallPicture:
    """Reduce an image until it packs into ``_SMALL_BYTES``: means of blocks, coarser along the longest axis."""
    strides = [max(1, -(-size // _SMALL_SIDE)) for size in array.shape]
    low, high = (float(value) for value in np.percentile(_means(array, strides), (0.1, 99.9)))
    high = max(high, low + 1e-6)
    while True:
        reduced = _means(array, strides)
        sheet, columns = _sheet(np.rint(np.clip((reduced - low) / (high - low), 0, 1) * 255).astype(np.uint8))
        file = io.BytesIO()
        Image.fromarray(sheet).convert("RGB").save(file, "WEBP", quality=_QUALITY, method=2)
        if file.tell() <= _SMALL_BYTES or max(reduced.shape) == 1:
            return SmallPicture(file.getvalue(), reduced.shape, tuple(strides), columns, low, high)
        strides[int(np.argmax(reduced.shape))] += 1


def _means(array: NDArray[np.float32], strides: Sequence[int]) -> NDArray[np.float32]:
    """Return the means of blocks; those at the ends may be smaller."""
    reduced = array
    for axis, (size, stride) in enumerate(zip(array.shape, strides, strict=True)):
        starts = np.arange(0, size, stride)
        counts = np.diff([*starts, size]).astype(np.float32)
        along = [len(starts) if own == axis else 1 for own in range(array.ndim)]
        reduced = np.asarray(np.add.reduceat(reduced, starts, axis=axis) / counts.reshape(along), np.float32)
    return reduced


def _sheet(grey: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """Lay the planes across the last axis beside and below each other; a picture is its own sheet."""
    if grey.ndim == 2:
        return grey, 1
    rows, across, planes = grey.shape
    columns = max(1, min(planes, _SHEET_SIDE // across))
    columns = min(columns, max(1, round((planes * rows / across) ** 0.5)))
    lines = -(-planes // columns)
    sheet = np.zeros((lines * rows, columns * across), np.uint8)
    for plane in range(planes):
        row, column = divmod(plane, columns)
        sheet[row * rows : (row + 1) * rows, column * across : (column + 1) * across] = grey[:, :, plane]
    return sheet, columns


def kept_map(laid: LaidMap, masks: Sequence[Mask]) -> KeptMap:
    """Return what is kept of a map: its cells, and how many of its voxels lie above each threshold and in each mask."""
    evidence = laid.evidence
    ordered, thresholds = evidence.ordered, np.zeros(0, np.float32)
    if not evidence.degenerate:
        thresholds = np.array([threshold_of(share, ordered) for share in VOLUME_SHARES], np.float32)
    return KeptMap(
        values=laid.values,
        step=laid.step,
        seen_step=laid.seen_step,
        rectified=laid.rectified,
        maximum=evidence.extremes[1],
        region=_above(ordered, thresholds),
        thresholds=tuple(thresholds.tolist()),
        drawn=_drawn(evidence),
        total=evidence.total,
        tied=0 if evidence.degenerate else evidence.tied_voxels,
        readers={mask.reader: _counts(evidence, mask, thresholds) for mask in masks},
    )


def _drawn(evidence: MaskedEvidence) -> tuple[float, int] | None:
    """Return the audit's own threshold and the voxels of its region; None where its rule draws none."""
    try:
        threshold = evidence.threshold
    except Undefined:
        return None
    return None if threshold is None else (threshold, evidence.region_voxels)


def _counts(evidence: MaskedEvidence, mask: Mask, thresholds: NDArray[np.float32]) -> ReaderCounts:
    overlap = RegionOverlap(evidence, MarkedVoxels(mask.array, evidence.heatmap.geometry))
    return ReaderCounts(
        common=_above(overlap.visible_values, thresholds),
        drawn=0 if _drawn(evidence) is None else overlap.common_voxels,
        mask=overlap.mask_voxels,
        visible=overlap.visible_voxels,
        total=overlap.marked_total,
        at_maximum=0 if evidence.degenerate else overlap.marked_at_maximum,
    )


def _above(values: NDArray[np.float32], thresholds: NDArray[np.float32]) -> tuple[int, ...]:
    return tuple((len(values) - np.searchsorted(values, thresholds, side="right")).tolist())
