"""A case as it can be scrolled through: exact values around what matters, the rest small, masks and maps whole.

Kept as one ``.npz`` for each shown study where ``report.volumes`` asks for it. Everything lies on the image's own grid,
or says by an affine step where on it.
"""

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import OutputError
from pipeline.findings.pictures.array_file import write_arrays

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
        "image": {"origin": image.origin, "scale": image.scale, "offset": image.offset, "error": image.error},
        "small": None if small is None else {name: value for name, value in vars(small).items() if name != "webp"},
        "maps": {name: _map_facts(kept) for name, kept in volume.maps.items()},
    }
    arrays["facts"] = np.array(json.dumps(facts))
    write_arrays(path, arrays)


def _map_facts(kept: KeptMap) -> dict[str, object]:
    names = ("rectified", "maximum", "region", "thresholds", "drawn", "total", "tied")
    readers = {reader: vars(counts) for reader, counts in kept.readers.items()}
    return {**{name: getattr(kept, name) for name in names}, "readers": readers}


def load_volume(path: Path) -> CaseVolume:
    """Read what ``save_volume`` wrote.

    Raises:
        OutputError: when the file is missing or is not such a file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        return _volume(json.loads(str(arrays.pop("facts"))), arrays)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise OutputError(f"{path}: the case's volume cannot be read; run the audit again") from error


def _volume(facts: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> CaseVolume:
    shape = tuple(facts["shape"])
    voxels = int(np.prod(shape))
    readers = [name.removeprefix("mask/") for name in arrays if name.startswith("mask/")]
    masks = {
        reader: np.unpackbits(arrays[f"mask/{reader}"], count=voxels).astype(bool).reshape(shape) for reader in readers
    }
    stated = facts["image"]
    image = ExactValues(
        arrays["image"], tuple(stated["origin"]), stated["scale"], stated["offset"], stated["error"]
    )  # fmt: skip
    return CaseVolume(
        study=facts["study"],
        shape=shape,
        affine=arrays["affine"],
        unit=facts["unit"],
        oriented=facts["oriented"],
        planes=tuple(
            TurnedPlane(**{name: _tuples(value) for name, value in plane.items()}) for plane in facts["planes"]
        ),
        image=image,
        small=None if facts["small"] is None else _small(facts["small"], arrays["small"]),
        masks=masks,
        maps={name: _kept_map(stated, name, arrays) for name, stated in facts["maps"].items()},
    )


def _small(facts: dict[str, Any], webp: NDArray[np.uint8]) -> SmallPicture:
    return SmallPicture(webp=webp.tobytes(), **{name: _tuples(value) for name, value in facts.items()})


def _kept_map(facts: dict[str, Any], name: str, arrays: Mapping[str, NDArray[Any]]) -> KeptMap:
    readers = {
        reader: ReaderCounts(**{key: _tuples(value) for key, value in counts.items()})
        for reader, counts in facts.pop("readers").items()
    }
    stated = {key: _tuples(value) for key, value in facts.items()}
    return KeptMap(arrays[f"map/{name}"], arrays[f"step/{name}"], arrays[f"seen/{name}"], readers=readers, **stated)


def _tuples(value: Any) -> Any:  # noqa: ANN401 - a value of JSON
    return tuple(value) if isinstance(value, list) else value
