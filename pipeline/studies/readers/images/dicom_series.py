"""A classic DICOM series (CT, MR, PT): a folder of slices, or one slice, as one volume through the geometry gate.

Each file's header is read once, by what reads it for the scan too, and its pixels are read once the whole series has
passed the gate.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.tag import Tag

from pipeline.errors import Reason, StudyError
from pipeline.studies.geometry import Geometry
from pipeline.studies.pseudonyms import allowed_header
from pipeline.studies.readers.dicom.alike import ALIKE, differing, volume_of_slices
from pipeline.studies.readers.dicom.data_set import (
    OpenFile,
    check_encoding,
    check_grey,
    check_kind,
    is_dicom,
    open_file,
    open_header,
    read_header,
    rescale_told,
    rescaled,
    stored_values,
)
from pipeline.studies.readers.dicom.header import Header, Kind, is_cut_image, kind_of, whole
from pipeline.studies.readers.dicom.pixel_format import PixelFormat, Rescale, format_of, padding_of, rescale_of
from pipeline.studies.readers.dicom.planes import Plane, Stack, check_placed, plane_of
from pipeline.studies.readers.modalities.suv import pet_units, suv_factor
from pipeline.studies.readers.modalities.volumes import b_value_of, has_repeated_positions, volumes_of
from pipeline.studies.readers.shared.base import (
    AS_STORED,
    ImageFile,
    ReadOptions,
    check_size,
    refused,
    series_files,
    volume_of,
)
from pipeline.studies.readers.shared.reader_facts import ImageNotes, ReaderFacts
from pipeline.studies.readers.shared.volume_choice import VolumeChoice, choices_told, narrowed, same_b_value

__all__ = ["FACTS", "accepts", "checked_slice", "read", "stored_labels"]

FACTS = ReaderFacts(
    title="classic DICOM series: a folder of slices, or one slice",
    kind="dicom slice",
    reads="image",
    endings=(".dcm", ".dicom", ".ima"),
    magic=((128, b"DICM"),),
    image=ImageNotes(
        "column, row, slice",
        "after each slice's own modality transform (HU for CT)",
        "positions, orientation and pixel spacing of every slice",
    ),
)

_FLOAT = 4
_NEEDED = (Tag("SharedFunctionalGroupsSequence"), Tag("BurnedInAnnotation"), Tag("ModalityLUTSequence"))


@dataclass(frozen=True)
class _Slice:
    path: Path = field(repr=False)
    header: Header = field(repr=False)
    layout: PixelFormat
    plane: Plane
    rescale: Rescale


def accepts(path: Path) -> bool:
    """Tell whether the path is a folder, or a DICOM file."""
    return path.is_dir() or is_dicom(path)


def read(path: Path, options: ReadOptions) -> ImageFile:
    """Read a series: array (column, row, slice) after each slice's own rescale, slices along the normal.

    Raises:
        StudyError: SEVERAL_VOLUMES when none, or not one, of several is chosen; as ``stored_labels``.
    """
    slices, volume = _chosen_volume(_distinct(_slices(path)), options.choice)
    return _read(slices, volume, options)


def stored_labels(path: Path) -> ImageFile:
    """Read a series of labels: as ``read``, without a rescale, which labels have none of.

    Raises:
        StudyError: NOT_AN_IMAGE, MISSING_FILE, MIXED_SERIES, LOCALIZER, MOSAIC, NOT_A_SINGLE_CHANNEL, as
            ``stacked`` for what is no volume, or as the path of all pixels.
    """
    slices = [replace(dicom_slice, rescale=Rescale()) for dicom_slice in _distinct(_slices(path))]
    return _read(slices, {}, AS_STORED)


def _read(slices: list[_Slice], volume: Mapping[str, str], options: ReadOptions) -> ImageFile:
    stack, alike = _gate(slices)
    slices = [slices[index] for index in stack.order]
    first = slices[0]
    shape = (first.layout.columns, first.layout.rows, len(slices))
    check_size(int(np.prod(shape, dtype=object)) * _FLOAT)
    frame = first.header.get("frame_of_reference")
    geometry = Geometry(shape, stack.affine, frame or None)
    opened = [open_file(dicom_slice.path, _NEEDED) for dicom_slice in slices]
    _check_classic(opened)
    units = _scale_pet(slices, options)
    array, padding = _voxels(slices, opened)
    if units.factor != 1:
        array *= units.factor
    facts = {
        **stack.facts,
        **alike,
        **volume,
        **units.facts,
        "rescale": rescale_told(dicom_slice.rescale for dicom_slice in slices),
        "voi lut": "not applied",
    }
    facts |= padding
    places = {(str(dicom_slice.header["instance"]), 1): place for place, dicom_slice in enumerate(slices)}
    instances = frozenset(instance for instance, _ in places)
    header = {**_header(slices[0].path, opened), **facts}
    return ImageFile(volume_of(array, geometry), header, instances, places=places)


def checked_slice(header: Header, *, from_file: bool = True) -> tuple[PixelFormat, Rescale]:
    """Return what a slice's header says of its pixels and its values; where it lies is checked too.

    Raises:
        StudyError: for whatever in the header keeps the slice from being read.
    """
    check_kind([header.get("image_type")])
    if whole(header, "frames", 1) > 1:
        raise refused(Reason.UNSUPPORTED_FORMAT, "a file holds several frames: it is no slice of a classic series")
    layout = format_of(header)
    check_grey(layout)
    check_encoding(header, layout, from_file=from_file)
    padding_of(header, layout)
    check_placed(header, header, header)
    return layout, rescale_of(header)


@dataclass(frozen=True)
class _Units:
    factor: float = 1.0
    facts: Mapping[str, str] = field(default_factory=dict)


def _scale_pet(slices: Sequence[_Slice], options: ReadOptions) -> _Units:
    """Return what a PET series' voxels are multiplied by, and the fact of their units.

    Raises:
        StudyError: as ``suv_factor``; NOT_READABLE where the modality transform has an intercept or a table.
    """
    if slices[0].header.get("modality") != "PT":
        return _Units()
    if options.pet == "raw":
        return _Units(facts={"pet units": f"{pet_units(open_header(slices[0].path))}, as stored"})
    if any(dicom_slice.rescale.table or dicom_slice.rescale.intercept for dicom_slice in slices):
        message = "the PET series' modality transform has a RescaleIntercept or a table: no SUV follows from it"
        raise refused(Reason.NOT_READABLE, message)
    factor, source = suv_factor([open_header(dicom_slice.path) for dicom_slice in slices])
    return _Units(factor, {"pet units": f"g/mL: SUV by body weight, {source}"})


def _gate(slices: Sequence[_Slice]) -> tuple[Stack, dict[str, str]]:
    return volume_of_slices(
        [dicom_slice.header for dicom_slice in slices], [dicom_slice.plane for dicom_slice in slices]
    )


def _chosen_volume(slices: list[_Slice], choice: VolumeChoice | None) -> tuple[list[_Slice], dict[str, str]]:
    """Return the slices of the volume that is meant, with the fact of the choice; all where none share a position.

    Raises:
        StudyError: SEVERAL_VOLUMES when the choice does not leave one, or the only volume is stated to be another one;
            without a choice as the gate, with what there is to choose from.
    """
    planes = [dicom_slice.plane for dicom_slice in slices]
    if differing([dicom_slice.header for dicom_slice in slices], ALIKE):
        return slices, {}
    if not has_repeated_positions(planes):
        _check_meant(slices[0], choice)
        return slices, {}
    volumes = volumes_of([open_header(dicom_slice.path) for dicom_slice in slices], planes)
    traits = [volume.traits for volume in volumes]
    if len(volumes) == 1:
        return slices, {}
    if choice is None:
        try:
            _gate(slices)
        except StudyError as error:
            reason, message = error.reason, f"{error}; archive.volume would choose one: {choices_told(traits)}"
        else:
            return slices, {}
        raise refused(reason, message)
    number = narrowed(traits, choice, "volumes")
    fact = f"{len(volumes)} volumes ({choices_told(traits)}): {choice} chosen"
    return [slices[index] for index in volumes[number].slices], {"volume": fact}


def _check_meant(first: _Slice, choice: VolumeChoice | None) -> None:
    """Refuse an image of one volume that states another b-value than the chosen one."""
    if choice is None or choice.b_value is None:
        return
    stated = b_value_of(open_header(first.path))
    if stated is not None and not same_b_value(stated, choice.b_value):
        message = f"archive.volume is {choice}, and the image's only volume states a b-value of {stated:g}"
        raise refused(Reason.SEVERAL_VOLUMES, message, excluded=True)


def _header(path: Path, opened: Sequence[OpenFile]) -> dict[str, str]:
    """Return what may leave of the first slice; that nothing is burned in has to be said of every slice."""
    header = allowed_header(open_header(path))
    said = {str(file.dataset.get("BurnedInAnnotation") or "") for file in opened}
    if said != {"NO"}:
        header.pop("BurnedInAnnotation", None)
    return {**header, "BurnedInAnnotation": "YES"} if "YES" in said else header


def _slices(path: Path) -> list[_Slice]:
    slices, others = [], 0
    for file in series_files(path):
        if not is_dicom(file):
            if FACTS.bears(file):
                raise refused(Reason.NOT_READABLE, "a file of the series is named as DICOM and is none")
            continue
        with file.open("rb") as content:
            header, _ = read_header(content, file.stat().st_size)
        kind = kind_of(header)
        if kind in (Kind.SLICE, Kind.MOSAIC, Kind.FRAMES, Kind.PROJECTION):
            layout, rescale = checked_slice(header)
            slices.append(_Slice(file, header, layout, plane_of(header, header, header), rescale))
        elif kind is Kind.OBJECT and is_cut_image(header):
            raise refused(Reason.NOT_READABLE, "a DICOM file of the series states no Rows and Columns")
        else:
            others += 1
    if not slices and others:
        raise refused(Reason.NOT_AN_IMAGE, "the DICOM file holds a report, a plan, a dose, a signal or the like")
    if not slices:
        raise refused(Reason.MISSING_FILE, "the folder holds no DICOM slice")
    return slices


def _check_classic(opened: Sequence[OpenFile]) -> None:
    if any("SharedFunctionalGroupsSequence" in file.dataset for file in opened):
        raise refused(Reason.UNSUPPORTED_FORMAT, "a file holds functional groups: it is no slice of a classic series")


def _distinct(slices: list[_Slice]) -> list[_Slice]:
    """Return one slice for each SOP instance; copies must be identical to the byte."""
    kept: dict[str, _Slice] = {}
    for dicom_slice in slices:
        first = kept.setdefault(str(dicom_slice.header["instance"]), dicom_slice)
        if first is not dicom_slice and _content(first.path) != _content(dicom_slice.path):
            raise refused(Reason.MIXED_SERIES, "two files bear the same instance UID and differ in content")
    return list(kept.values())


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _voxels(slices: list[_Slice], opened: Sequence[OpenFile]) -> tuple[NDArray[np.float32], dict[str, str]]:
    """Return the voxels (column, row, slice), each slice after its own transform, and the share that is padding."""
    first = slices[0].layout
    array = np.empty((len(slices), first.rows, first.columns), dtype=np.float32)
    stated, count, excess = False, 0, 0
    with np.errstate(over="ignore"):  # beyond float32 is infinity, which is refused
        for plane, dicom_slice, file in zip(array, slices, opened, strict=True):
            stored, behind = stored_values(file, dicom_slice.header, dicom_slice.layout)
            excess = max(excess, behind)
            padding = padding_of(dicom_slice.header, dicom_slice.layout)
            if padding is not None:
                stated = True
                count += int(np.count_nonzero((stored >= padding[0]) & (stored <= padding[1])))
            plane[:] = rescaled(file.dataset, dicom_slice.rescale, stored, dicom_slice.layout.ends[0])
    facts = {"pixel padding": f"{100 * count / array.size:.1f} % of the voxels"} if stated else {}
    facts |= {"bytes behind the pixels": f"{excess}, all 0"} if excess else {}
    return array.transpose(2, 1, 0), facts
