"""A case as it can be scrolled through: exact values around what matters, the rest small, masks and maps whole.

Kept as one ``.npz`` for each shown study where ``report.volumes`` asks for it. Everything lies on the image's own grid,
or says by an affine step where on it.
"""

import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import OutputError
from pipeline.findings.frozen_model import FrozenModel
from pipeline.findings.pictures.array_file import require_arrays, write_arrays

__all__ = [
    "CROP_VOXELS", "VOLUME_SHARES", "CaseVolume", "ExactValues", "KeptMap", "ReaderCounts", "SmallPicture",
    "TurnedPlane", "load_volume", "save_volume", "volume_name",
]  # fmt: skip

CROP_VOXELS: Final = 2**19
"""How many voxels of a case are kept exactly where not all are: about half a megabyte of a CT, packed."""

VOLUME_SHARES: Final = tuple(step / 200 for step in range(1, 200))
"""The thresholds at which a map's voxels are counted: shares of its maximum, 0.005 to 0.995."""


@dataclass(frozen=True)
class TurnedPlane:
    """How a plane of the grid stands on the page: across ``axis`` (None of a picture), by ``order`` (rows, columns).

    ``flips`` names those of the two that are turned round; ``letters`` are (left, right, top, bottom), '' if unknown.
    """

    name: str
    axis: int | None
    order: tuple[int, int]
    flips: tuple[int, ...]
    pixel_mm: tuple[float, float]
    letters: tuple[str, str, str, str]


@dataclass(frozen=True, eq=False)
class ExactValues:
    """The image's values in a box of its grid that begins at ``origin``: ``offset + scale * values`` (int16).

    ``error`` is how far a value may be from the image's: 0 where whole numbers were kept as they are.
    """

    values: NDArray[np.int16]
    origin: tuple[int, ...]
    scale: float
    offset: float
    error: float


@dataclass(frozen=True, eq=False)
class SmallPicture:
    """The whole image reduced to 8 bits and the means of blocks (``strides``): a sheet of planes as lossy WebP.

    ``shape`` is the reduced grid, ``columns`` the planes beside each other on the sheet; grey 0 to 255 stands for
    ``low`` to ``high``. It shows where one is; no value is read from it.
    """

    webp: bytes
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    columns: int
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class ReaderCounts:
    """A map against one reader's mask: ``common`` voxels at each threshold, and the mask's ``total`` of the evidence.

    ``mask`` counts its voxels, ``visible`` those that the model saw, ``at_maximum`` those that are tied for the map's
    maximum, ``drawn`` those in the region that the audit drew.
    """

    common: tuple[int, ...]
    drawn: int
    mask: int
    visible: int
    total: float
    at_maximum: int


@dataclass(frozen=True, eq=False)
class KeptMap:
    """A map at its layer's cells. ``step`` (4, 4) takes a voxel's index to a place among the cells, linear between.

    ``seen_step`` does so for what the model saw: half a cell beyond the outermost centres. ``rectified``: negative
    values are shown as 0, as the method's formula ends. ``region`` counts the voxels above each of ``VOLUME_SHARES`` of
    ``maximum``; empty for a map that is the same everywhere. ``drawn`` is the threshold of the audit's own rule and the
    voxels of its region, None where it draws none. ``readers`` holds the map against each reader's mask.
    """

    values: NDArray[np.float32]
    step: NDArray[np.float64]
    seen_step: NDArray[np.float64]
    rectified: bool
    maximum: float
    region: tuple[int, ...]
    thresholds: tuple[float, ...]
    drawn: tuple[float, int] | None
    total: float
    tied: int
    readers: Mapping[str, ReaderCounts]


@dataclass(frozen=True, eq=False)
class CaseVolume:
    """One study on its image's grid: ``shape`` of 2 or 3 axes, ``affine`` to RAS+ mm.

    ``unit`` is what lengths are in; without ``oriented`` no direction of the patient is known.
    """

    study: str
    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    unit: str
    oriented: bool
    planes: tuple[TurnedPlane, ...]
    image: ExactValues
    small: SmallPicture | None
    masks: Mapping[str, NDArray[np.bool_]]
    maps: Mapping[str, KeptMap]


def volume_name(study: str) -> str:
    """Return the name of a study's file in its run's folder."""
    return f"cases/{study}.volume.npz"


def save_volume(volume: CaseVolume, path: Path) -> None:
    """Write a case as one ``.npz`` without pickles.

    Raises:
        OutputError: when the file cannot be written.
    """
    image, small = volume.image, volume.small
    arrays: dict[str, NDArray[np.generic]] = {"image": image.values, "affine": volume.affine}
    arrays |= {f"mask/{reader}": np.packbits(mask.ravel()) for reader, mask in volume.masks.items()}
    for name, kept in volume.maps.items():
        arrays |= {f"map/{name}": kept.values, f"step/{name}": kept.step, f"seen/{name}": kept.seen_step}
    if small is not None:
        arrays["small"] = np.frombuffer(small.webp, np.uint8)
    facts = {
        "study": volume.study,
        "shape": volume.shape,
        "unit": volume.unit,
        "oriented": volume.oriented,
        "planes": [vars(plane) for plane in volume.planes],
        "image": _facts_of(image, _ImageFacts),
        "small": None if small is None else _facts_of(small, _SmallFacts),
        "maps": {name: _map_facts(kept) for name, kept in volume.maps.items()},
    }
    arrays["facts"] = np.array(json.dumps(facts))
    write_arrays(path, arrays)


def _map_facts(kept: KeptMap) -> dict[str, object]:
    readers = {reader: vars(counts) for reader, counts in kept.readers.items()}
    return {**_facts_of(kept, _MapFacts), "readers": readers}


def _facts_of(part: object, stated: type[FrozenModel]) -> dict[str, object]:
    """Return what a file says of a part beside its arrays."""
    return {name: getattr(part, name) for name in stated.model_fields}


class _ImageFacts(FrozenModel):
    origin: tuple[int, ...]
    scale: float
    offset: float
    error: float


class _SmallFacts(FrozenModel):
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    columns: int
    low: float
    high: float


class _MapFacts(FrozenModel):
    rectified: bool
    maximum: float
    region: tuple[int, ...]
    thresholds: tuple[float, ...]
    drawn: tuple[float, int] | None
    total: float
    tied: int
    readers: dict[str, ReaderCounts]


class _VolumeFacts(FrozenModel):
    """What a file says of a case, as JSON: parts without arrays are the types above, the others lack their arrays."""

    study: str
    shape: tuple[int, ...]
    unit: str
    oriented: bool
    planes: tuple[TurnedPlane, ...]
    image: _ImageFacts
    small: _SmallFacts | None
    maps: dict[str, _MapFacts]


def load_volume(path: Path) -> CaseVolume:
    """Read what ``save_volume`` wrote.

    Raises:
        OutputError: when the file is missing or is not such a file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        return _volume(_VolumeFacts.model_validate_json(str(arrays.pop("facts"))), arrays)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise OutputError(f"{path}: the case's volume cannot be read; run the audit again") from error


def _volume(facts: _VolumeFacts, arrays: Mapping[str, NDArray[Any]]) -> CaseVolume:
    """Return the volume that a file states.

    Raises:
        KeyError: when an array is missing.
        ValueError: when one of them, or what is said of it, does not fit the others.
    """
    shape = facts.shape
    image = ExactValues(arrays["image"], **vars(facts.image))
    require_arrays([image.values], np.int16, None)
    within = zip(shape, image.origin, image.values.shape, strict=True)
    _require(len(shape) in (2, 3) and min(shape) > 0, "the grid is no picture and no volume")
    _require(all(start >= 0 and size > 0 and start + size <= whole for whole, start, size in within), "a box outside")
    require_arrays([arrays["affine"]], np.float64, (4, 4))
    return CaseVolume(
        study=facts.study,
        shape=shape,
        affine=arrays["affine"],
        unit=facts.unit,
        oriented=facts.oriented,
        planes=_fitting(facts.planes, len(shape)),
        image=image,
        small=None if facts.small is None else _small(facts.small, shape, arrays["small"]),
        masks={name.removeprefix("mask/"): _mask(arrays[name], shape) for name in arrays if name.startswith("mask/")},
        maps={name: _kept_map(stated, name, arrays, len(shape)) for name, stated in facts.maps.items()},
    )


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)


def _mask(packed: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    voxels = math.prod(shape)
    require_arrays([packed], np.uint8, (-(-voxels // 8),))
    return np.unpackbits(packed, count=voxels).astype(bool).reshape(shape)


def _fitting(planes: tuple[TurnedPlane, ...], axes: int) -> tuple[TurnedPlane, ...]:
    for plane in planes:
        across = () if plane.axis is None else (plane.axis,)
        _require(sorted((*across, *plane.order)) == list(range(axes)), "a plane along axes that the grid lacks")
        _require(min(plane.pixel_mm) > 0, "a pixel without size")
    return planes


def _small(facts: _SmallFacts, shape: tuple[int, ...], webp: NDArray[Any]) -> SmallPicture:
    require_arrays([webp], np.uint8, None)
    _require(min(facts.strides) > 0 and facts.columns > 0, "a reduced picture without size")
    reduced = tuple(-(-size // stride) for size, stride in zip(shape, facts.strides, strict=True))
    _require(facts.shape == reduced, "a reduced picture of another grid")
    return SmallPicture(webp=webp.tobytes(), **vars(facts))


def _kept_map(facts: _MapFacts, name: str, arrays: Mapping[str, NDArray[Any]], axes: int) -> KeptMap:
    values = arrays[f"map/{name}"]
    require_arrays([values], np.float32, None)
    require_arrays([arrays[f"step/{name}"], arrays[f"seen/{name}"]], np.float64, (4, 4))
    _require(values.ndim == axes and values.size > 0, "a map of other axes than the image's")
    counted = [facts.region, *(counts.common for counts in facts.readers.values())]
    _require(all(len(each) == len(facts.thresholds) for each in counted), "counts without their thresholds")
    return KeptMap(values, arrays[f"step/{name}"], arrays[f"seen/{name}"], **vars(facts))
