"""The cases that a report shows: chosen by a stated rule, their panels cut so that a report only has to draw them."""

import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from nibabel.orientations import io_orientation
from numpy.typing import NDArray

from pipeline.config import CasesConfig
from pipeline.errors import OutputError
from pipeline.files import written
from pipeline.findings.record import StudyAudit
from pipeline.studies.consensus import CONSENSUS
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Heatmap, Mask, Volume
from pipeline.vocabulary import Better

__all__ = ["CasePanels", "View", "choose_cases", "cut_panels", "load_panels", "save_panels", "withheld"]

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


def choose_cases(
    audits: Sequence[StudyAudit],
    scores: Mapping[str, float],
    cases: CasesConfig | Literal["all"],
    seed: int,
    better: Better,
) -> tuple[list[tuple[str, str]], str]:
    """Choose the studies to show; the choice depends on the scores and the seed alone.

    ``scores`` ranks the studies, and ``better`` says which end is the good one; only studies in it are worst or best.
    Correct and wrong predictions are chosen apart, because the same overlap means different things in the two.

    Returns:
        Pairs of study and why it is shown, and the rule in words.
    """
    mapped = sorted((audit for audit in audits if audit.map_scores), key=lambda audit: audit.study)
    if cases == "all":
        return [(audit.study, "every study with a map is shown") for audit in mapped], "every study with a map is shown"
    chosen: dict[str, str] = {}
    generator = np.random.Generator(np.random.PCG64(seed))
    sign = 1 if better == "higher" else -1
    for group, correct in (("correct prediction", True), ("wrong prediction", False)):
        members = [audit.study for audit in mapped if _correct(audit) == correct]
        ranked = sorted(
            (study for study in members if study in scores), key=lambda study: (sign * scores[study], study)
        )
        for study in ranked[: cases.worst]:
            chosen.setdefault(study, f"worst overlap, {group}")
        for study in reversed(ranked[-cases.best :] if cases.best else []):
            chosen.setdefault(study, f"best overlap, {group}")
        rest = [study for study in members if study not in chosen]
        for index in generator.permutation(len(rest))[: cases.random]:
            chosen[rest[index]] = f"drawn at random, {group}"
    rule = (
        f"the {cases.worst} worst, the {cases.best} best and {cases.random} at random (PCG64, seed {seed}) "
        "of the correct and of the wrong predictions"
    )
    return list(chosen.items()), rule


def _correct(audit: StudyAudit) -> bool | None:
    return None if audit.reference is None else set(audit.reference) == set(audit.predicted)


def withheld(facts: Mapping[str, str], pictures: Literal["not_burned_in", "all"]) -> str | None:
    """Return why an image with these facts must not be shown, or None when it may be.

    Names and dates that are burned into the pixels reach every copy of a picture. DICOM's BurnedInAnnotation
    (0028,0301) is optional: absent, as in most archives and in every other format, it says nothing.
    """
    burned_in = facts.get("BurnedInAnnotation")
    if pictures == "all" or burned_in == "NO":
        return None
    said = "says that annotation is" if burned_in == "YES" else "does not say that no annotation is"
    return f"the pictures are withheld: the image's header {said} burned into the pixels (report.pictures)"


def cut_panels(
    image: Volume,
    masks: Sequence[Mask],
    heatmaps: Mapping[str, Heatmap],
    thresholds: Mapping[str, float | None],
    *,
    study: str,
    window: tuple[float, float] | None = None,
    unit: str = "",
) -> CasePanels:
    """Cut one study's panels: a projection whole, a volume in the planes that matter.

    A volume is cut across its coarsest axis, where the masks are largest and, when that is another plane, where the
    first map has its maximum. Planes are turned by whole voxels only: axial ones with anterior on top, coronal and
    sagittal ones with superior on top, the patient's right (or anterior) on the left.
    """
    geometry = image.geometry
    low, high = window or (float(v) for v in np.percentile(image.array, (0.5, 99.5)))
    views = []
    for cut, caption in _cuts(geometry, masks, heatmaps):
        pick = cut.apply
        views.append(
            View(
                pick(image.array),
                cut.pixel_mm,
                cut.letters,
                caption,
                {mask.reader: pick(mask.array) for mask in sorted(masks, key=_standing)},
                {name: pick(heatmap.array) for name, heatmap in heatmaps.items()},
                pick(next(iter(heatmaps.values())).seen) if heatmaps else np.ones_like(pick(image.array), bool),
            )
        )
    ranges = {name: (float(heatmap.array.min()), float(heatmap.array.max())) for name, heatmap in heatmaps.items()}
    target = next(iter(heatmaps.values())).target if heatmaps else ""
    shown = (low, max(high, low + 1e-6))
    return CasePanels(study, target, unit, shown, ranges, dict(thresholds), tuple(views), geometry.unit)


def _standing(mask: Mask) -> tuple[bool, str]:
    """Order the readers by name, behind their consensus: the first is what a map's region is drawn against."""
    return not mask.reader.startswith(CONSENSUS), mask.reader


@dataclass(frozen=True)
class _Cut:
    """A plane of a grid: ``index`` along ``axis`` (None in 2D), then the axes for (rows, columns), then flips."""

    axis: int | None
    index: int
    order: tuple[int, int]
    flips: tuple[int, ...]
    pixel_mm: tuple[float, float]
    letters: tuple[str, str, str, str]

    def apply(self, array: NDArray[np.generic]) -> NDArray:  # type: ignore[type-arg]
        plane = array if self.axis is None else np.take(array, self.index, axis=self.axis)
        if self.order[0] > self.order[1]:
            plane = plane.T
        return np.ascontiguousarray(np.flip(plane, self.flips))


def _cuts(geometry: Geometry, masks: Sequence[Mask], heatmaps: Mapping[str, Heatmap]) -> list[tuple[_Cut, str]]:
    letters = geometry.letters()
    if len(geometry.shape) == 2:
        (top, bottom), (left, right) = letters
        spacing = (geometry.spacing[0], geometry.spacing[1])
        return [(_Cut(None, 0, (0, 1), (), spacing, (left, right, top, bottom)), "projection")]
    axis = _through_plane(geometry)
    places = []
    marked = [mask.array for mask in masks if mask.array.any()]
    if marked:
        others = tuple(number for number in range(3) if number != axis)
        area = sum(mask.sum(axis=others) for mask in marked)
        places.append((int(np.argmax(area)), "where the experts' masks are largest"))
    for name, heatmap in list(heatmaps.items())[:1]:
        peak = _peak(heatmap, axis)
        if peak is not None:
            places.append((peak, f"where the map ({name}) has its maximum"))
    planes: dict[int, list[str]] = {}
    for index, why in places or [(geometry.shape[axis] // 2, "the middle plane")]:
        planes.setdefault(index, []).append(why)
    size = geometry.shape[axis]
    return [
        (_cut(geometry, axis, index), f"plane {index + 1} of {size}: {' and '.join(why)}")
        for index, why in planes.items()
    ]


def _peak(heatmap: Heatmap, axis: int) -> int | None:
    """Return the plane of the map's maximum, or None for a map that is the same everywhere: it has none."""
    values = heatmap.array[heatmap.seen]
    if not values.size or values.min() == values.max():
        return None
    place = np.argmax(np.where(heatmap.seen, heatmap.array, -np.inf))
    return int(np.unravel_index(place, heatmap.array.shape)[axis])


def _through_plane(geometry: Geometry) -> int:
    """Return the coarsest axis; when spacings are alike, the one nearest to head-foot."""
    spacing = np.array(geometry.spacing)
    if spacing.max() > 1.01 * np.median(spacing):
        return int(spacing.argmax())
    return int(np.flatnonzero(io_orientation(geometry.affine)[:, 0] == 2)[0])


def _cut(geometry: Geometry, axis: int, index: int) -> _Cut:
    world_axes = io_orientation(geometry.affine)  # for each array axis: (world axis, +1 or -1)
    across = int(world_axes[axis, 0])
    row_world, column_world = {0: (2, 1), 1: (2, 0), 2: (1, 0)}[across]
    place = {int(world): number for number, (world, _) in enumerate(world_axes)}
    rows, columns = place[row_world], place[column_world]
    # rows run from superior (anterior) down, columns from right (anterior) on: all against the RAS+ directions
    flips = tuple(number for number, array_axis in enumerate((rows, columns)) if world_axes[array_axis, 1] > 0)
    ends = {0: ("L", "R"), 1: ("P", "A"), 2: ("I", "S")}
    (bottom, top), (right, left) = ends[row_world], ends[column_world]
    names = (left, right, top, bottom) if geometry.oriented else ("", "", "", "")
    return _Cut(axis, index, (rows, columns), flips, (geometry.spacing[rows], geometry.spacing[columns]), names)


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
