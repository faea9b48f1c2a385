"""The volumes of one classic series whose slices share positions: diffusion weights, echoes, times, kinds of picture.

Slices are parted by b-value, echo time and Image Type, each as they state it. What still shares a position is parted by
the first of temporal position, trigger time, acquisition number and gradient direction that leaves no position twice;
else the slices of each position are counted by Instance Number, where every position has as many.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from pipeline.studies.readers.dicom.planes import Plane
from pipeline.studies.readers.shared.volume_choice import VolumeTraits, same_b_value

__all__ = ["SliceVolume", "b_value_of", "has_repeated_positions", "ranks", "volumes_of"]

_SAME_PLACE = 0.01  # mm
_ECHO_SHARE = 0.01
# attributes of which each value may be a volume of its own, and whether they are times
_PARTING = (
    ("TemporalPositionIdentifier", True),
    ("TriggerTime", True),
    ("AcquisitionNumber", True),
    ("DiffusionGradientOrientation", False),
)
_GE_OFFSET = 1_000_000_000  # which its b-values carry
_PRIVATE_B_VALUES = (
    (0x0019, "SIEMENS MR HEADER", 0x0C),
    (0x2001, "Philips Imaging DD 001", 0x03),
    (0x0043, "GEMS_PARM_01", 0x39),
)


@dataclass(frozen=True)
class SliceVolume:
    """One of a series' volumes: its slices by their numbers, and what it is among the others."""

    slices: tuple[int, ...]
    traits: VolumeTraits


def has_repeated_positions(planes: Sequence[Plane]) -> bool:
    """Tell whether two slices lie at one place."""
    places = np.sort(_heights(planes))
    return bool((np.diff(places) <= _SAME_PLACE).any())


def volumes_of(datasets: Sequence[Dataset], planes: Sequence[Plane]) -> list[SliceVolume]:
    """Return the volumes of slices, by b-value, echo, Image Type and time."""
    b_values = [b_value_of(dataset) for dataset in datasets]
    echoes = [_number(dataset.get("EchoTime")) for dataset in datasets]
    echo_of = ranks(echoes, lambda first, second: abs(first - second) <= _ECHO_SHARE * max(first, second))
    weight_of = ranks(b_values, same_b_value)
    kinds = [str(dataset.get("ImageType") or "") for dataset in datasets]
    groups: dict[tuple[int, int, str], list[int]] = defaultdict(list)
    for number in range(len(datasets)):
        groups[weight_of[number], echo_of[number], kinds[number]].append(number)
    several_echoes = len(set(echo_of)) > 1
    volumes = []
    weight_at = dict(zip(weight_of, b_values, strict=True))  # of those that rounding tells apart, any
    for (weight, echo, _), members in sorted(groups.items()):
        parts, timed = _in_time(members, datasets, planes)
        for time, part in enumerate(parts):
            traits = VolumeTraits(
                weight_at[weight], time if timed and len(parts) > 1 else None, echo + 1 if several_echoes else None
            )
            volumes.append(SliceVolume(tuple(part), traits))
    return volumes


def b_value_of(dataset: Dataset) -> float | None:
    """Return the b-value (s/mm2) that a slice states, by the standard or by its vendor; None where it states none."""
    stated = _number(dataset.get("DiffusionBValue"))
    if stated is not None:
        return stated
    for group, creator, element in _PRIVATE_B_VALUES:
        try:
            value = dataset.private_block(group, creator)[element].value
        except KeyError:
            continue
        numbers = _numbers(value)  # GE's holds more behind the b-value
        if numbers:
            return numbers[0] - _GE_OFFSET if numbers[0] >= _GE_OFFSET else numbers[0]
    return None


def ranks(values: Sequence[float | None], same: Callable[[float, float], bool]) -> list[int]:
    """Return each value's number among the different ones, from 0 on; those that state none come first."""
    rank_of: dict[float | None, int] = {}
    first: float | None = None
    rank = 0 if None in values else -1
    for value in sorted({value for value in values if value is not None}):
        if first is None or not same(first, value):
            first, rank = value, rank + 1
        rank_of[value] = rank
    return [rank_of.get(value, 0) for value in values]


def _in_time(
    members: Sequence[int], datasets: Sequence[Dataset], planes: Sequence[Plane]
) -> tuple[list[list[int]], bool]:
    """Return the volumes of slices that are alike, in order, and whether what parts them is time."""
    if not has_repeated_positions([planes[number] for number in members]):
        return [list(members)], False
    for keyword, timed in _PARTING:
        parts: dict[tuple[float, ...], list[int]] = defaultdict(list)
        for number in members:
            parts[_numbers(datasets[number].get(keyword))].append(number)
        apart = not any(has_repeated_positions([planes[number] for number in part]) for part in parts.values())
        if len(parts) > 1 and () not in parts and apart:
            return [parts[key] for key in sorted(parts)], timed
    return _by_instance(members, datasets, planes), True


def _by_instance(members: Sequence[int], datasets: Sequence[Dataset], planes: Sequence[Plane]) -> list[list[int]]:
    """Return the first slices of all positions, the second ones, and so on; all together where that is no order."""
    heights = _heights([planes[number] for number in members])
    order = np.argsort(heights, kind="stable")
    places = np.cumsum([0, *(np.diff(heights[order]) > _SAME_PLACE)])
    at_place = [
        sorted((_numbers(datasets[members[index]].get("InstanceNumber")), members[index]) for index, _ in held)
        for _, held in groupby(zip(order, places, strict=True), key=lambda pair: int(pair[1]))
    ]
    counts = {len(held) for held in at_place}
    numbers: list[Hashable] = [number for held in at_place for number, _ in held]
    if len(counts) > 1 or len(set(numbers)) < len(numbers):
        return [list(members)]
    return [[held[rank][1] for held in at_place] for rank in range(counts.pop())]


def _heights(planes: Sequence[Plane]) -> NDArray[np.float64]:
    first = planes[0].orientation
    normal = np.cross(first[:3], first[3:])
    return np.array([plane.position @ normal for plane in planes])


def _number(value: object) -> float | None:
    numbers = _numbers(value)
    return numbers[0] if len(numbers) == 1 else None


def _numbers(value: object) -> tuple[float, ...]:
    """Return the finite numbers of an attribute; none for what states none."""
    if value is None or isinstance(value, bytes):
        return ()
    values: Iterable[Any] = value if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    try:
        parts = tuple(float(part) for part in values)
    except (ValueError, TypeError):
        return ()
    return parts if np.isfinite(parts).all() else ()
