"""Enhanced multi-frame DICOM (CT, MR, PET, tomosynthesis; PS3.3 C.7.6.16): one file of many frames as one volume.

Each frame states its position, orientation, spacing and pixel value transformation, itself or for all frames
together. Frames go through the geometry gate as the slices of a classic series do, by where they lie and not by
their number in the file.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry
from pipeline.studies.pseudonyms import allowed_header
from pipeline.studies.readers.dicom.data_set import (
    check_encoding,
    check_grey,
    check_kind,
    file_kind,
    open_whole,
    rescale_told,
    rescaled,
)
from pipeline.studies.readers.dicom.header import Header, Kind, header_of
from pipeline.studies.readers.dicom.pixel_format import PixelFormat, Rescale, format_of, padding_of, rescale_of
from pipeline.studies.readers.dicom.pixel_values import pixels_of, stored_values
from pipeline.studies.readers.dicom.planes import Plane, Stack, plane_of, stacked
from pipeline.studies.readers.modalities.volumes import has_repeated_positions, ranks
from pipeline.studies.readers.shared.base import ImageFile, ReadOptions, check_size, refused, volume_of
from pipeline.studies.readers.shared.reader_facts import ImageNotes, ReaderFacts
from pipeline.studies.readers.shared.volume_choice import (
    VolumeChoice,
    VolumeTraits,
    choices_told,
    narrowed,
    same_b_value,
)

__all__ = ["FACTS", "accepts", "checked_frames", "read"]

FACTS = ReaderFacts(
    title="enhanced CT, MR, PET, X-ray volumes: one DICOM file",
    kind="dicom frames",
    reads="image",
    image=ImageNotes(
        "column, row, slice",
        "after each frame's own pixel value transformation",
        "functional groups, each frame's own or shared",
    ),
)

_FRAME_TYPES = (
    "CTImageFrameTypeSequence",
    "MRImageFrameTypeSequence",
    "PETFrameTypeSequence",
    "XRay3DFrameTypeSequence",
)
_PLACE = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
_FLOAT = 4

# what may differ from frame to frame within one volume: the place along the stack, and when a slice was taken
_WITHIN_A_VOLUME = (
    0x00200032,  # image position
    0x00209057,  # in-stack position
    0x00201041,  # slice location
    0x00200013,  # instance number of the slices that were converted
    0x00209156,  # frame acquisition number
    0x00189074,  # frame acquisition date and time
    0x00189151,  # frame reference date and time
)


_WEIGHTS = (("MRDiffusionSequence", "DiffusionBValue"),)
_ECHOES = (("MREchoSequence", "EffectiveEchoTime"),)
_TIMES = (
    ("FrameContentSequence", "TemporalPositionIndex"),
    ("TemporalPositionSequence", "TemporalPositionTimeOffset"),
    ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
)


def accepts(path: Path) -> bool:
    """Tell by its class whether the file is an enhanced CT, MR or PET image."""
    return file_kind(path) is Kind.FRAMES


@dataclass(frozen=True)
class _Frame:
    """One frame's functional groups: its own, and those that all frames share."""

    own: Dataset
    shared: Dataset

    def group(self, keyword: str) -> Dataset:
        items = self.own.get(keyword) or self.shared.get(keyword)
        return items[0] if items else Dataset()


def read(path: Path, options: ReadOptions) -> ImageFile:
    """Read an enhanced image: array (column, row, slice) after each frame's own transform.

    Raises:
        StudyError: SEVERAL_VOLUMES when frames differ in more than place and none, or not one, of their volumes is
            chosen, MIXED_SERIES for several stacks,
            UNSUPPORTED_FORMAT for a part of a concatenation, LOCALIZER, NOT_A_SINGLE_CHANNEL, as ``stacked`` or
            as ``decoded``.
    """
    dataset, header = open_whole(path)
    if header.get("modality") == "PT" and options.pet != "raw":
        message = "SUV is not computed of enhanced PET; archive.pet: raw reads it as it is stored"
        raise refused(Reason.UNSUPPORTED_FORMAT, message)
    layout, stack, transforms = checked_frames(dataset, header, options.choice)
    reference = header.get("frame_of_reference")
    geometry = Geometry((layout.columns, layout.rows, len(stack.order)), stack.affine, reference or None)
    array, padding = _voxels(dataset, header, layout, stack.order, transforms)
    rescale = rescale_told(transforms[frame] for frame in stack.order)
    facts = {**stack.facts, "rescale": rescale, "voi lut": "not applied", **padding}
    instance = str(header["instance"])
    places = {(instance, frame + 1): place for place, frame in enumerate(stack.order)}
    header_facts = {**allowed_header(dataset), **facts}
    return ImageFile(volume_of(array, geometry), header_facts, frozenset({instance}), places=places)


def checked_frames(
    dataset: Dataset, header: Header, choice: VolumeChoice | None = None, *, from_file: bool = True
) -> tuple[PixelFormat, Stack, list[Rescale]]:
    """Return what the header says of the pixels, of the volume that frames make up, and of each frame's values.

    The stack's order holds the numbers of the chosen frames among all.

    Raises:
        StudyError: for whatever in the header keeps the file from being read.
    """
    if "ConcatenationUID" in dataset or str(dataset.get("InConcatenationTotalNumber") or 1) != "1":
        raise refused(Reason.UNSUPPORTED_FORMAT, "the file is one part of a concatenation, which is not read")
    layout = format_of(header)
    frames = _frames(dataset, layout.frames)
    check_kind([header.get("image_type"), *(_type(frame, keyword) for frame in frames for keyword in _FRAME_TYPES)])
    check_grey(layout)
    check_encoding(header, layout, from_file=from_file)
    padding_of(header, layout)
    _check_one_stack(frames)
    planes = [plane_of(*(header_of(frame.group(keyword)) for keyword in _PLACE)) for frame in frames]
    members, facts = _chosen_frames(dataset, frames, planes, choice)
    stack = stacked([planes[number] for number in members])
    stack = replace(stack, order=tuple(members[place] for place in stack.order), facts={**stack.facts, **facts})
    check_size(layout.values * _FLOAT)
    return layout, stack, [_transform(header, frame) for frame in frames]


def _type(frame: _Frame, keyword: str) -> str:
    value = frame.group(keyword).get("FrameType")
    return value if isinstance(value, str) else "\\".join(map(str, value or ()))


def _frames(dataset: Dataset, announced: int) -> list[_Frame]:
    own = list(dataset.get("PerFrameFunctionalGroupsSequence") or ())
    if len(own) != announced:
        message = f"NumberOfFrames is {announced}, and PerFrameFunctionalGroupsSequence describes {len(own)}"
        raise refused(Reason.NOT_READABLE, message)
    shared = next(iter(dataset.get("SharedFunctionalGroupsSequence") or ()), Dataset())
    return [_Frame(groups, shared) for groups in own]


def _check_one_stack(frames: Sequence[_Frame]) -> None:
    stacks = len({str(frame.group("FrameContentSequence").get("StackID", "")) for frame in frames})
    if stacks > 1:
        raise refused(Reason.MIXED_SERIES, f"the file holds {stacks} stacks of frames")


def _chosen_frames(
    dataset: Dataset, frames: Sequence[_Frame], planes: Sequence[Plane], choice: VolumeChoice | None
) -> tuple[list[int], dict[str, str]]:
    """Return the numbers of the frames of the volume that is meant, with the fact of the choice.

    Volumes differ along a dimension (PS3.3 C.7.6.17) that is not the place in a stack; where frames of one still share
    a place, by b-value, echo and time.

    Raises:
        StudyError: SEVERAL_VOLUMES when there are several and the choice does not leave one.
    """
    along = _dimensions(dataset, frames)
    groups: dict[tuple[float, ...], list[int]] = defaultdict(list)
    for number, indices in enumerate(along):
        groups[indices].append(number)
    shared = any(has_repeated_positions([planes[number] for number in group]) for group in groups.values())
    if len(groups) == 1 and (choice is None or not shared):
        return groups.popitem()[1], {}
    traits = _traits(frames)
    if shared:
        groups = defaultdict(list)
        for number, (indices, own) in enumerate(zip(along, traits, strict=True)):
            groups[*_order(own), *indices].append(number)
    members = [groups[key] for key in sorted(groups, key=lambda key: (_order(traits[groups[key][0]]), key))]
    volumes = [traits[group[0]] for group in members]
    if choice is None:
        message = f"the file's {len(frames)} frames hold {len(members)} times, echoes or contrasts; archive.volume "
        raise refused(Reason.SEVERAL_VOLUMES, f"{message}would choose one: {choices_told(volumes)}")
    number = narrowed(volumes, choice, "volumes")
    return members[number], {"volume": f"{len(members)} volumes ({choices_told(volumes)}): {choice} chosen"}


def _order(traits: VolumeTraits) -> tuple[float, ...]:
    return tuple(-1.0 if part is None else part for part in (traits.b_value, traits.echo, traits.time))


def _dimensions(dataset: Dataset, frames: Sequence[_Frame]) -> list[tuple[float, ...]]:
    """Return each frame's indices along the dimensions that tell volumes apart."""
    pointers = [item.get("DimensionIndexPointer") for item in dataset.get("DimensionIndexSequence") or ()]
    values = [_indices(frame.group("FrameContentSequence"), len(pointers)) for frame in frames]
    telling = [place for place, pointer in enumerate(pointers) if pointer not in _WITHIN_A_VOLUME]
    return [tuple(float(indices[place]) for place in telling) for indices in values]


def _traits(frames: Sequence[_Frame]) -> list[VolumeTraits]:
    """Return what each frame's volume is among the others: b-value, and the numbers of its echo and its time."""
    weights = [_stated(frame, _WEIGHTS) for frame in frames]
    echoes = [_stated(frame, _ECHOES) for frame in frames]
    times = [_stated(frame, _TIMES) for frame in frames]
    echo_of, time_of = ranks(echoes, _equal), ranks(times, _equal)
    weight_of = ranks(weights, same_b_value)
    weight_at = dict(zip(weight_of, weights, strict=True))  # of those that rounding tells apart, any
    several_echoes, several_times = len(set(echo_of)) > 1, len(set(time_of)) > 1
    return [
        VolumeTraits(
            weight_at[weight],
            time_of[number] if several_times else None,
            echo_of[number] + 1 if several_echoes else None,
        )
        for number, weight in enumerate(weight_of)
    ]


def _equal(first: float, second: float) -> bool:
    return first == second


def _stated(frame: _Frame, places: Sequence[tuple[str, str]]) -> float | None:
    """Return the first number that a frame's groups state at one of these places."""
    for group, keyword in places:
        value = frame.group(group).get(keyword)
        try:
            number = None if value is None else float(value)
        except (ValueError, TypeError):
            number = None
        if number is not None and np.isfinite(number):
            return number
    return None


def _indices(content: Dataset, count: int) -> list[int]:
    value = content.get("DimensionIndexValues") or []
    try:
        indices = [int(index) for index in ([value] if isinstance(value, int) else value)]
    except (ValueError, TypeError):
        indices = []
    return indices if len(indices) == count else [0] * count


def _transform(header: Header, frame: _Frame) -> Rescale:
    """Return a frame's rescale; some writers state it once for the file."""
    own = header_of(frame.group("PixelValueTransformationSequence"))
    return rescale_of(own if own.get("slope") else header)


def _voxels(
    dataset: Dataset, header: Header, layout: PixelFormat, order: Sequence[int], transforms: Sequence[Rescale]
) -> tuple[NDArray[np.float32], dict[str, str]]:
    """Return the voxels (column, row, slice) of the frames in this order, each after its own transform; facts."""
    stored = stored_values(pixels_of(dataset, str(header["transfer_syntax"]), layout), layout)
    stored = stored.reshape(layout.frames, layout.rows, layout.columns)
    array = np.empty((len(order), layout.rows, layout.columns), dtype=np.float32)
    with np.errstate(over="ignore"):  # beyond float32 is infinity, which is refused
        for plane, index in zip(array, order, strict=True):
            plane[:] = rescaled(dataset, transforms[index], stored[index], layout.ends[0])
    padding = padding_of(header, layout)
    if padding is None:
        return array.transpose(2, 1, 0), {}
    chosen = stored[list(order)]
    share = np.count_nonzero((chosen >= padding[0]) & (chosen <= padding[1])) / chosen.size
    return array.transpose(2, 1, 0), {"pixel padding": f"{100 * share:.1f} % of the voxels"}
