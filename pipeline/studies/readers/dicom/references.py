"""Which images a DICOM mask was drawn on, by what it names: instances, series, frames of reference.

A segmentation may name its sources for the whole object, for each of its frames, or both. A structure set lists what
belongs to each frame of reference, of which it may have several (a registered series beside the planning CT); what its
contours name was really drawn on, and comes first.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydicom import Dataset

from pipeline.errors import Reason
from pipeline.studies.readers.shared.base import ImageFile, refused

__all__ = ["REFERENCES", "References", "check_references", "derived", "instances_named", "items", "references_of"]

REFERENCES = (
    "ReferencedSeriesSequence", "SourceImageSequence", "ReferencedImageSequence", "ReferencedFrameOfReferenceSequence",
    "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence", "ROIContourSequence",
)  # fmt: skip
"""The attributes that hold a mask's references."""

_GROUPS = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")


@dataclass(frozen=True)
class References:
    """The UIDs that a mask names: of series, of instances, and of frames of reference."""

    series: frozenset[str]
    instances: frozenset[str]
    frames: frozenset[str]


def items(dataset: Dataset, name: str) -> list[Dataset]:
    """Return the items of a sequence; none when it is absent or empty."""
    value = dataset.get(name)
    if value is None or isinstance(value, (str, bytes, int, float)):
        return []
    return [item for item in value if isinstance(item, Dataset)]


def references_of(dataset: Dataset) -> References:
    """Return what a segmentation or a structure set names."""
    drawn = _uids(_of_contours(dataset))
    series = [*items(dataset, "ReferencedSeriesSequence"), *_structure_series(dataset)]
    listed = [
        item
        for holder in series
        for name in ("ReferencedInstanceSequence", "ContourImageSequence")
        for item in items(holder, name)
    ]
    frames = {_uid(frame, "FrameOfReferenceUID") for frame in items(dataset, "ReferencedFrameOfReferenceSequence")}
    instances = drawn or _uids([*listed, *_of_object(dataset), *derived(dataset)])
    return References(
        frozenset({_uid(holder, "SeriesInstanceUID") for holder in series} - {""}),
        instances,
        frozenset(frames - {""}),
    )


def instances_named(dataset: Dataset) -> frozenset[str]:
    """Return the instances that a segmentation names, for the whole object or for a frame."""
    listed = [
        instance
        for series in items(dataset, "ReferencedSeriesSequence")
        for instance in items(series, "ReferencedInstanceSequence")
    ]
    return _uids([*listed, *_of_object(dataset), *derived(dataset)])


def _of_object(dataset: Dataset) -> list[Dataset]:
    return [*items(dataset, "SourceImageSequence"), *items(dataset, "ReferencedImageSequence")]


def derived(dataset: Dataset) -> list[Dataset]:
    """Return the sources that frames name, each for itself or for all."""
    frames = [frame for name in _GROUPS for frame in items(dataset, name)]
    return [
        source
        for frame in frames
        for derivation in items(frame, "DerivationImageSequence")
        for source in items(derivation, "SourceImageSequence")
    ]


def _structure_series(dataset: Dataset) -> Iterator[Dataset]:
    for frame in items(dataset, "ReferencedFrameOfReferenceSequence"):
        for study in items(frame, "RTReferencedStudySequence"):
            yield from items(study, "RTReferencedSeriesSequence")


def _of_contours(dataset: Dataset) -> Iterator[Dataset]:
    for holder in items(dataset, "ROIContourSequence"):
        for contour in items(holder, "ContourSequence"):
            yield from items(contour, "ContourImageSequence")


def _uid(dataset: Dataset, keyword: str) -> str:
    return str(dataset.get(keyword) or "").strip("\0 ")


def _uids(sources: Iterable[Dataset]) -> frozenset[str]:
    return frozenset({_uid(source, "ReferencedSOPInstanceUID") for source in sources} - {""})


def check_references(named: frozenset[str] | set[str], image: ImageFile) -> None:
    """Refuse a mask that names other images only; on a projection nothing else ties the two together.

    Raises:
        StudyError: OTHER_IMAGE, excluded, with the number of images named.
    """
    has_to_name = len(image.volume.geometry.shape) == 2 or (named and image.instances)
    if has_to_name and not named & image.instances:
        message = f"the mask names {len(named)} images, and the study's image is none of them"
        raise refused(Reason.OTHER_IMAGE, message, excluded=True)
