"""A case's panels as data: planes of image, masks and maps on the same pixels, kept as one ``.npz`` each."""

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import OutputError
from pipeline.findings.pictures.array_file import write_arrays

__all__ = ["CasePanels", "Plane", "View", "ViewRole", "load_panels", "save_panels"]


Plane = NDArray[np.float32]

ViewRole = Literal["main", "lesion", "peak", "maximum"]
"""What a view is for: a plane that holds every map; or, with the first map alone, a plane through the lesion, one
through the map's peak, or the highest values along each line."""


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
    and to.
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


_VIEW_FACTS = (
    "pixel_mm", "letters", "caption", "role", "plane", "number", "planes", "position_mm", "thickness_mm", "peaks",
    "zoom",
)  # fmt: skip


def save_panels(panels: CasePanels, path: Path) -> None:
    """Write the panels as one ``.npz`` without pickles; load with ``load_panels``."""
    arrays: dict[str, NDArray[np.generic]] = {}
    views = []
    for number, view in enumerate(panels.views):
        arrays |= {f"{number}/image": view.image, f"{number}/seen": view.seen}
        arrays |= {f"{number}/mask/{reader}": mask for reader, mask in view.masks.items()}
        arrays |= {f"{number}/map/{method}": plane for method, plane in view.maps.items()}
        views.append({name: getattr(view, name) for name in _VIEW_FACTS})
    names = ("study", "target", "unit", "window", "window_rule", "ranges", "thresholds", "length_unit")
    facts = {name: getattr(panels, name) for name in names}
    arrays["facts"] = np.array(json.dumps({**facts, "views": views}))
    write_arrays(path, arrays)


def load_panels(path: Path) -> CasePanels:
    """Read what ``save_panels`` wrote.

    Raises:
        OutputError: when the file is missing or is not such a file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        facts = json.loads(str(arrays.pop("facts")))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise OutputError(f"{path}: the case's panels cannot be read; run the audit again") from error
    views = []
    for number, view in enumerate(facts.pop("views")):

        def part(kind: str, number: int = number) -> dict[str, NDArray[Any]]:
            start = f"{number}/{kind}/"
            return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}

        view["pixel_mm"], view["letters"] = tuple(view["pixel_mm"]), tuple(view["letters"])
        view["peaks"] = {name: tuple(place) for name, place in view["peaks"].items()}
        view["zoom"] = None if view["zoom"] is None else tuple(view["zoom"])
        arrays_of = {"image": arrays[f"{number}/image"], "seen": arrays[f"{number}/seen"]}
        views.append(View(**view, **arrays_of, masks=part("mask"), maps=part("map")))
    ranges = {method: tuple(pair) for method, pair in facts.pop("ranges").items()}
    return CasePanels(**{**facts, "window": tuple(facts["window"]), "ranges": ranges, "views": tuple(views)})
