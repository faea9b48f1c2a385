"""A case's panels as data: planes of image, masks and maps on the same pixels, kept as one ``.npz`` each."""

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import OutputError
from pipeline.files import written

__all__ = ["CasePanels", "Plane", "View", "load_panels", "save_panels"]


Plane = NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """One plane of a study: image, masks and maps on the same pixels, rows from the top, columns from the left.

    ``pixel_mm`` is (height, width) of a pixel. ``letters`` are the anatomical directions at (left, right,
    top, bottom), empty where unknown. ``caption`` says which plane it is and by what rule. ``masks`` goes
    from a reader to a bool plane, ``maps`` from a method to its map in raw values, negative ones among them
    only where the method is signed; ``seen`` marks the pixels that the model saw.
    """

    image: Plane
    pixel_mm: tuple[float, float]
    letters: tuple[str, str, str, str]
    caption: str
    masks: Mapping[str, NDArray[np.bool_]]
    maps: Mapping[str, Plane]
    seen: NDArray[np.bool_]


@dataclass(frozen=True)
class CasePanels:
    """All views of a case.

    ``window`` is the display window (low, high) in the image's values; ``ranges`` gives each method's
    (minimum, maximum) over the whole image, so that a colour means the same in every view. ``thresholds``
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


def save_panels(panels: CasePanels, path: Path) -> None:
    """Write the panels as one ``.npz`` without pickles; load with ``load_panels``."""
    arrays: dict[str, NDArray[np.generic]] = {}
    views = []
    for number, view in enumerate(panels.views):
        arrays |= {f"{number}/image": view.image, f"{number}/seen": view.seen}
        arrays |= {f"{number}/mask/{reader}": mask for reader, mask in view.masks.items()}
        arrays |= {f"{number}/map/{method}": plane for method, plane in view.maps.items()}
        views.append({"pixel_mm": view.pixel_mm, "letters": view.letters, "caption": view.caption})
    names = ("study", "target", "unit", "window", "ranges", "thresholds", "length_unit")
    facts = {name: getattr(panels, name) for name in names}
    arrays["facts"] = np.array(json.dumps({**facts, "views": views}))
    with written(path) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


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

        views.append(
            View(
                arrays[f"{number}/image"],
                tuple(view["pixel_mm"]),
                tuple(view["letters"]),
                view["caption"],
                part("mask"),
                part("map"),
                arrays[f"{number}/seen"],
            )
        )
    ranges = {method: tuple(pair) for method, pair in facts.pop("ranges").items()}
    return CasePanels(**{**facts, "window": tuple(facts["window"]), "ranges": ranges, "views": tuple(views)})
