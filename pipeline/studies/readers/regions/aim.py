"""AIM XML (Annotation and Image Markup 3 and 4): outlines, circles and ellipses on the images that they name.

A polyline encloses what lies between its points. An annotation's names are those of its observations, of what it
shows, of its type, and its own; any of them may be the wanted label. Points, lines of measurements and text are left
out, with a fact; markup in three dimensions is refused.
"""

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from pipeline.errors import Reason
from pipeline.studies.readers.regions.drawn_shapes import points_of
from pipeline.studies.readers.regions.pascal_voc import FACTS as XML
from pipeline.studies.readers.regions.plain_numbers import plain_number
from pipeline.studies.readers.regions.planar_regions import PlanarForm, PlanarRegion, marked_regions, round_region
from pipeline.studies.readers.regions.xml_tree import root_name, xml_tree
from pipeline.studies.readers.shared.base import ImageFile, MaskFile, MaskRequest, refused
from pipeline.studies.readers.shared.labels import check_meant, matching, name_facts
from pipeline.studies.readers.shared.reader_facts import MaskNotes, ReaderFacts

__all__ = ["FACTS", "accepts", "instances_named_by", "names_of", "read_mask"]

FACTS = ReaderFacts(
    title="AIM XML 3 and 4: polyline, circle, ellipse in an image's plane",
    kind="aim",
    reads="mask",
    covers_many=True,
    mask=MaskNotes(
        "slices and projections that they name",
        "name or type of the annotation, its observation or what it shows",
        "pixel centres inside; `includeFlag` false takes out of its annotation",
    ),
)

_ROOTS = ("ImageAnnotationCollection", "ImageAnnotation")
_ANNOTATION = "ImageAnnotation"
_MARKUPS = ("MarkupEntity", "GeometricShape")
_NAMED = ("ImagingObservationEntity", "ImagingObservation", "ImagingPhysicalEntity", "AnatomicEntity")
_OUTLINES = ("TwoDimensionPolyline", "Polyline")
_ROUND = {"TwoDimensionCircle": "circle", "Circle": "circle", "TwoDimensionEllipse": "ellipse", "Ellipse": "ellipse"}
_SPACE = "ThreeDimension"
_WHAT = "annotations"


def accepts(path: Path) -> bool:
    """Tell by the ending and the outermost element whether the file is AIM's."""
    return XML.bears(path) and root_name(path) in _ROOTS


def read_mask(path: Path, image: ImageFile, wanted: MaskRequest) -> MaskFile:
    """Draw the annotations that bear the wanted label, or the only one, on the images that they name.

    Raises:
        StudyError: NOT_READABLE for what is not AIM's; UNSUPPORTED_FORMAT for markup in space; MASK_MISSING_LABEL,
            excluded, when none of several is the wanted one; MASK_WITHOUT_AREA, excluded, for one without markup; as
            ``xml_tree`` and ``marked_regions``.
    """
    annotations = _annotations(wanted.kept.of(xml_tree, path))
    named = [(name, number) for number, annotation in enumerate(annotations) for name in _names(annotation) or [""]]
    numbers = matching(named, wanted, _WHAT)
    regions = [region for number in sorted(numbers) for region in _regions(annotations[number], number)]
    if not regions:
        message = f"the wanted of the file's {len(annotations)} annotations holds no markup: a segmentation's own file "
        raise refused(Reason.MASK_WITHOUT_AREA, f"{message}is the mask, if there is one", excluded=True)
    mask = marked_regions(regions, image)
    check_meant(numbers, wanted, bool(mask.marked.any()), _WHAT)
    facts = name_facts(named, wanted) if len(annotations) == 1 else {}
    return MaskFile(mask.marked, {**mask.header, **facts})


def instances_named_by(root: Element) -> frozenset[str]:
    """Return the instances on which anything is drawn."""
    return frozenset(
        _attribute(markup, "imageReferenceUid", "imageReferenceUID") for markup in root.iter() if markup.tag in _MARKUPS
    ) - {""}


def names_of(root: Element) -> list[list[str]]:
    """Return what each annotation is called."""
    return [_names(annotation) for annotation in _annotations(root)]


def _annotations(root: Element) -> list[Element]:
    return [root] if root.tag == _ANNOTATION else list(root.iter(_ANNOTATION))


def _names(annotation: Element) -> list[str]:
    """Return what an annotation is called; what it states in codes counts by the codes' words."""
    own = [_attribute(annotation, "name"), *_words(annotation, ("typeCode",)), annotation.get("codeMeaning", "")]
    for entity in annotation.iter():
        if entity.tag in _NAMED:
            own += [entity.get("codeMeaning", ""), _attribute(entity, "label"), *_words(entity, ("typeCode",))]
    return [name.strip() for name in own if name.strip()]


def _words(element: Element, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        for code in element.findall(name):
            yield code.get("codeMeaning") or code.get("displayName") or ""
            yield from (word.get("value", "") for word in code.findall("displayName"))


def _attribute(element: Element, *names: str) -> str:
    """Return a value that version 4 keeps in an element of its own (``root``, ``value``), and version 3 beside others.

    ``names`` are its name's spellings.
    """
    for name in names:
        if name in element.attrib:
            return element.attrib[name].strip()
        holder = element.find(name)
        if holder is not None:
            return (holder.get("root") or holder.get("value") or holder.text or "").strip()
    return ""


def _regions(annotation: Element, finding: int) -> Iterator[PlanarRegion]:
    for markup in annotation.iter():
        if markup.tag in _MARKUPS:
            yield _region(markup, markup.get("type", "").rpartition(":")[2], finding)


def _region(markup: Element, kind: str, finding: int) -> PlanarRegion:
    if kind.startswith(_SPACE):
        message = "the wanted annotation is drawn in three dimensions, which is not read"
        raise refused(Reason.UNSUPPORTED_FORMAT, message)
    instance = _attribute(markup, "imageReferenceUid", "imageReferenceUID")
    frame = _attribute(markup, "referencedFrameNumber")
    number = plain_number(frame, "referencedFrameNumber of a markup") if frame else 1.0
    if not number.is_integer():
        raise refused(Reason.NOT_READABLE, "referencedFrameNumber of a markup is no whole number")
    holed = _attribute(markup, "includeFlag").lower() == "false"
    form, content = _drawn_form(markup, kind)
    return PlanarRegion(instance, int(number), form, content, holed, finding)


def _drawn_form(markup: Element, kind: str) -> tuple[PlanarForm, object]:
    if kind in _OUTLINES:
        return "polygons", points_of(_points(markup))
    return ("ellipses", round_region(_ROUND[kind], _points(markup))) if kind in _ROUND else ("left out", None)


def _points(markup: Element) -> list[tuple[float, float]]:
    """Return a markup's points in the order that they state.

    Raises:
        StudyError: NOT_READABLE for numbers that are none, or an order with gaps.
    """
    ordered = []
    for point in markup.iter():
        if point.tag in ("TwoDimensionSpatialCoordinate", "SpatialCoordinate"):
            index, across, down = (plain_number(_attribute(point, key), f"{key} of a point") for key in _OF_POINT)
            ordered.append((index, across, down))
    ordered.sort()
    indices = [index for index, _, _ in ordered]
    if indices and indices != [indices[0] + place for place in range(len(indices))]:
        raise refused(Reason.NOT_READABLE, f"a markup's {len(indices)} points are not numbered one after the other")
    return [(across, down) for _, across, down in ordered]


_OF_POINT = ("coordinateIndex", "x", "y")
