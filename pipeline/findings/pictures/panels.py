"""A case's panels as data: planes of image, masks and maps on the same pixels, kept as one ``.npz`` each."""

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from pipeline.errors import OutputError
from pipeline.findings.frozen_model import FrozenModel
from pipeline.findings.pictures.array_file import require_arrays, write_arrays

__all__ = ["CasePanels", "Plane", "View", "ViewRole", "load_panels", "save_panels"]


Plane = NDArray[np.float32]

ViewRole = Literal["main", "own_peak", "lesion", "peak", "maximum"]
"""What a view is for: a plane that holds every map; one through the peak of the only map that it holds; or, with the
first map alone, a plane through the lesion, one through the map's peak, or the highest values along each line."""


@dataclass(frozen=True)
class View:
    """One plane of a study: image, masks and maps on the same pixels, rows from the top, columns from the left.

    ``pixel_mm`` is (height, width) of a pixel. ``letters`` are the anatomical directions at (left, right,
    top, bottom), empty where unknown. ``caption`` says which plane it is and by what rule. ``masks`` goes
    from a reader to a bool plane, ``maps`` from a method to its map in raw values, negative ones among them
    only where the method is signed; ``seen`` marks the pixels that the model saw.

    ``plane`` is ``axial``, ``coronal``, ``sagittal`` or ``projection``; ``number`` of ``planes`` counts from 1, and
    ``position_mm`` is its place along the patient's axis, None for what is no slice. ``peaks`` holds the pixel of each
    map's peak that lies in this plane. ``zoom`` is what of it is worth a closer look: rows from and to, columns from
    and to. ``close`` is that part with all pixels of the image, where the plane itself has fewer than the image; it
    holds no map.
    """

    image: Plane
    pixel_mm: tuple[float, float]
    letters: tuple[str, str, str, str]
    caption: str
    masks: Mapping[str, NDArray[np.bool_]]
    maps: Mapping[str, Plane]
    seen: NDArray[np.bool_]
    role: ViewRole = "main"
    plane: str = "projection"
    number: int | None = None
    planes: int | None = None
    position_mm: float | None = None
    thickness_mm: float | None = None
    peaks: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    zoom: tuple[int, int, int, int] | None = None
    close: "View | None" = None


@dataclass(frozen=True)
class CasePanels:
    """All views of a case.

    ``window`` is the display window (low, high) in the image's values, ``window_rule`` says why it is that.
    ``ranges`` gives each method's (minimum, maximum) over the whole image, so that a colour means the same in
    every view. ``thresholds``
    gives the value above which a method's map counts as its region (None: no region). ``target`` is the
    explained label. ``length_unit`` is ``px`` where the image states no physical size: its lengths are no mm.
    """

    study: str
    target: str
    unit: str
    window: tuple[float, float]
    ranges: Mapping[str, tuple[float, float]]
    thresholds: Mapping[str, float | None]
    views: tuple[View, ...]
    length_unit: str = "mm"
    window_rule: str = ""


class _ViewFacts(FrozenModel):
    """What a file says of a view, as JSON."""

    pixel_mm: tuple[float, float]
    letters: tuple[str, str, str, str]
    caption: str
    role: ViewRole = "main"
    plane: str = "projection"
    number: int | None = None
    planes: int | None = None
    position_mm: float | None = None
    thickness_mm: float | None = None
    peaks: dict[str, tuple[int, int]]
    zoom: tuple[int, int, int, int] | None
    close: "_ViewFacts | None" = None


class _PanelFacts(FrozenModel):
    """What a file says of a case, as JSON."""

    study: str
    target: str
    unit: str
    window: tuple[float, float]
    window_rule: str = ""
    ranges: dict[str, tuple[float, float]]
    thresholds: dict[str, float | None]
    length_unit: str = "mm"
    views: tuple[_ViewFacts, ...]

    @model_validator(mode="after")
    def _each_map_has_both(self) -> Self:
        if self.ranges.keys() != self.thresholds.keys():
            raise ValueError("maps with a range and no threshold, or the reverse")
        return self


def save_panels(panels: CasePanels, path: Path) -> None:
    """Write the panels as one ``.npz`` without pickles; load with ``load_panels``."""
    arrays: dict[str, NDArray[np.generic]] = {}
    views = []
    for number, view in enumerate(panels.views):
        arrays |= _arrays_of(view, f"{number}")
        views.append(_facts_of(view))
        if view.close is not None:
            arrays |= _arrays_of(view.close, f"{number}/close")
            views[-1]["close"] = _facts_of(view.close)
    facts = {name: getattr(panels, name) for name in _PanelFacts.model_fields if name != "views"}
    arrays["facts"] = np.array(json.dumps({**facts, "views": views}))
    write_arrays(path, arrays)


def _arrays_of(view: View, place: str) -> dict[str, NDArray[np.generic]]:
    return {
        f"{place}/image": view.image,
        f"{place}/seen": view.seen,
        **{f"{place}/mask/{reader}": mask for reader, mask in view.masks.items()},
        **{f"{place}/map/{method}": plane for method, plane in view.maps.items()},
    }


def _facts_of(view: View) -> dict[str, Any]:
    return {name: getattr(view, name) for name in _ViewFacts.model_fields if name != "close"}


def load_panels(path: Path) -> CasePanels:
    """Read what ``save_panels`` wrote.

    Raises:
        OutputError: when the file is missing or is not such a file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        facts = _PanelFacts.model_validate_json(str(arrays.pop("facts")))
        views = tuple(_view(view, arrays, f"{number}") for number, view in enumerate(facts.views))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise OutputError(f"{path}: the case's panels cannot be read; run the audit again") from error
    return CasePanels(**{**vars(facts), "views": views})


def _view(facts: _ViewFacts, arrays: Mapping[str, NDArray[Any]], place: str) -> View:
    """Return the view at a ``place`` of the file, such as ``0`` or ``0/close``.

    Raises:
        KeyError: when an array is missing.
        ValueError: when one is of another type or size than the image, or holds what is no number.
    """

    def part(kind: str) -> dict[str, NDArray[Any]]:
        start = f"{place}/{kind}/"
        return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}

    image, seen, masks, maps = arrays[f"{place}/image"], arrays[f"{place}/seen"], part("mask"), part("map")
    if image.ndim != 2 or image.size == 0:
        raise ValueError("a view's image is no plane")
    require_arrays([image, *maps.values()], np.float32, image.shape)
    require_arrays([seen, *masks.values()], np.bool_, image.shape)
    close = None if facts.close is None else _view(facts.close, arrays, f"{place}/close")
    return View(**{**vars(facts), "close": close}, image=image, seen=seen, masks=masks, maps=maps)
