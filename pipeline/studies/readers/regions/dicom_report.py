"""A DICOM structured report of measurements (PS3.16 TID 1500) as a mask: the planar regions of its measurement groups.

A region is an outline, a circle or an ellipse in the pixels of an image that it names (SCOORD). A polyline that does
not end where it begins is open (PS3.3 C.18.6.1.2) and, like a point, encloses nothing. A group's names are its finding,
its site and its tracking identifier; any of them may be the wanted label. Of a group whose region is a segment of a
DICOM segmentation, that file is the mask; regions in space (SCOORD3D) are refused.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom import Dataset

from pipeline.errors import Reason
from pipeline.studies.readers.dicom.data_set import is_dicom, open_whole, read_header
from pipeline.studies.readers.dicom.references import items
from pipeline.studies.readers.regions.drawn_shapes import points_of
from pipeline.studies.readers.regions.planar_regions import PlanarForm, PlanarRegion, marked_regions, round_region
from pipeline.studies.readers.shared.base import ImageFile, MaskFile, MaskRequest, refused
from pipeline.studies.readers.shared.labels import check_meant, matching, name_facts
from pipeline.studies.readers.shared.reader_facts import MaskNotes, ReaderFacts

__all__ = ["FACTS", "REPORTS", "accepts", "groups_of", "instances_named_by", "names_of", "read_mask"]

FACTS = ReaderFacts(
    title="DICOM report of measurements (TID 1500)",
    kind="dicom report",
    reads="mask",
    mask=MaskNotes(
        "slices and projections that they name",
        "finding, site or tracking identifier",
        "pixel centres inside",
    ),
)

REPORTS = frozenset(f"1.2.840.10008.5.1.4.1.1.88.{kind}" for kind in (22, 33, 34, 35))
"""SOP classes of the reports that may hold coordinates."""

_GROUP = "125007"  # codes of DCM: measurement group; finding, tracking identifier; referenced segment and its frame
_NAMING = ("121071", "112039")
_SITE = ("363698007", "G-C0E3")
_SEGMENTS = ("121191", "121214")
_DEEPEST = 20
_WHAT = "measurement groups"


def accepts(path: Path) -> bool:
    """Tell by its class whether the file is a report that may hold coordinates."""
    if not is_dicom(path):
        return False
    with path.open("rb") as file:
        header, _ = read_header(file, path.stat().st_size)
    return header.get("class") in REPORTS


def read_mask(path: Path, image: ImageFile, wanted: MaskRequest) -> MaskFile:
    """Draw the regions of the measurement groups that bear the wanted label, or of the only one.

    Raises:
        StudyError: NOT_READABLE for coordinates that are none; UNSUPPORTED_FORMAT for regions in space, and where
            segments take their place; MASK_MISSING_LABEL, excluded, when none of several is the wanted one; as
            ``marked_regions``.
    """
    dataset, _ = open_whole(path)
    groups = groups_of(dataset)
    if not groups:
        raise refused(Reason.UNSUPPORTED_FORMAT, "the report holds no measurement group (TID 1500) with a region")
    named = [(name, number) for number, group in enumerate(groups) for name in _names(group) or [""]]
    numbers = matching(named, wanted, _WHAT)
    regions = [region for number in sorted(numbers) for region in _regions(groups[number])]
    mask = marked_regions(regions, image)
    check_meant(numbers, wanted, bool(mask.marked.any()), _WHAT)
    facts = name_facts(named, wanted) if len(groups) == 1 else {}
    return MaskFile(mask.marked, {**mask.header, **facts})


def groups_of(dataset: Dataset) -> list[Dataset]:
    """Return the measurement groups that hold a region."""
    return [group for group in _containers(dataset, 0) if any(map(_is_region, items(group, "ContentSequence")))]


def instances_named_by(dataset: Dataset) -> frozenset[str]:
    """Return the instances on which the groups' regions are drawn."""
    return frozenset(
        str(source.get("ReferencedSOPInstanceUID") or "")
        for group in groups_of(dataset)
        for region in items(group, "ContentSequence")
        if str(region.get("ValueType") or "") == "SCOORD"
        for source in _sources(region)
    ) - {""}


def names_of(dataset: Dataset) -> list[list[str]]:
    """Return what each measurement group with a region is called."""
    return [_names(group) for group in groups_of(dataset)]


def _containers(item: Dataset, depth: int) -> Iterator[Dataset]:
    if depth > _DEEPEST:
        raise refused(Reason.NOT_READABLE, f"the report's items are nested more than {_DEEPEST} deep")
    for content in items(item, "ContentSequence"):
        if _code(content, "ConceptNameCodeSequence")[0] == _GROUP:
            yield content
        else:
            yield from _containers(content, depth + 1)


def _code(item: Dataset, keyword: str) -> tuple[str, str]:
    """Return a coded entry's value and its meaning."""
    code = next(iter(items(item, keyword)), Dataset())
    return str(code.get("CodeValue") or code.get("LongCodeValue") or ""), str(code.get("CodeMeaning") or "")


def _is_region(item: Dataset) -> bool:
    kind = str(item.get("ValueType") or "")
    segment = kind == "IMAGE" and _code(item, "ConceptNameCodeSequence")[0] in _SEGMENTS
    return kind in ("SCOORD", "SCOORD3D") or segment


def _names(group: Dataset) -> list[str]:
    names = []
    for item in items(group, "ContentSequence"):
        if _code(item, "ConceptNameCodeSequence")[0] in (*_NAMING, *_SITE):
            stated = str(item.get("TextValue") or "") or _code(item, "ConceptCodeSequence")[1]
            names += [stated.strip()] if stated.strip() else []
    return names


def _regions(group: Dataset) -> Iterator[PlanarRegion]:
    for item in filter(_is_region, items(group, "ContentSequence")):
        kind = str(item.get("ValueType") or "")
        if kind == "IMAGE":
            message = "the wanted region is a segment of a DICOM segmentation: name that file as the mask"
            raise refused(Reason.UNSUPPORTED_FORMAT, message)
        if kind == "SCOORD3D":
            message = "the wanted region is drawn in space (SCOORD3D), which is not read"
            raise refused(Reason.UNSUPPORTED_FORMAT, message)
        yield from _drawn_on(item)


def _drawn_on(item: Dataset) -> Iterator[PlanarRegion]:
    """Yield a region for each image, or frame, that it names."""
    sources = _sources(item)
    if not sources:
        raise refused(Reason.NOT_READABLE, "a region of the report names no image that it was drawn on")
    form, content = _graphic(item)
    for source in sources:
        stated = source.get("ReferencedFrameNumber")
        frames = [None] if stated is None else [stated] if isinstance(stated, int) else list(stated)
        for frame in frames:
            number = None if frame is None else int(frame)
            yield PlanarRegion(str(source.get("ReferencedSOPInstanceUID") or ""), number, form, content)


def _sources(region: Dataset) -> list[Dataset]:
    images = [item for item in items(region, "ContentSequence") if str(item.get("ValueType") or "") == "IMAGE"]
    return [source for image in images for source in items(image, "ReferencedSOPSequence")]


def _graphic(item: Dataset) -> tuple[PlanarForm, object]:
    kind = str(item.get("GraphicType") or "").strip().upper()
    value = item.get("GraphicData")
    points = points_of([] if value is None else np.atleast_1d(value).tolist())
    if kind in ("CIRCLE", "ELLIPSE"):
        return "ellipses", round_region(kind.lower(), points.tolist())
    if kind == "POLYLINE" and len(points) and (points[0] == points[-1]).all():
        return "polygons", points
    if kind in ("POLYLINE", "POINT", "MULTIPOINT"):
        return "left out", None
    raise refused(Reason.NOT_READABLE, "a region's GraphicType is none that the standard knows")
