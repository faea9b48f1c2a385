"""LIDC-IDRI XML: the nodules of a CT as up to four readers outlined them, each in a reading session of its own.

A nodule of 3 mm and more is an edge map a slice: pixels around it, of which none belongs to it. What lies inside of
them is the nodule; of a region with ``inclusion`` FALSE it is taken out. Nodules below 3 mm are a single point and have
no extent; they and what was called no nodule are counted in the facts.

The readers have no names: the mask's reader states the session by the number that its name ends in, as in
``mask:reader2:nodule``.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason
from pipeline.studies.readers.regions.pascal_voc import FACTS as XML
from pipeline.studies.readers.regions.plain_numbers import plain_number
from pipeline.studies.readers.regions.xml_tree import root_name, text_in, xml_tree
from pipeline.studies.readers.shared.base import ImageFile, MaskFile, MaskRequest, refused
from pipeline.studies.readers.shared.even_odd import filled
from pipeline.studies.readers.shared.labels import matching, name_facts
from pipeline.studies.readers.shared.reader_facts import MaskNotes, ReaderFacts

__all__ = ["FACTS", "LABEL", "accepts", "read_mask", "sessions_of", "slices_named_by"]

FACTS = ReaderFacts(
    title="LIDC-IDRI XML",
    kind="lidc",
    reads="mask",
    covers_many=True,
    mask=MaskNotes(
        "slices that it names",
        "nodules",
        "inside the edge map, without its own pixels; `inclusion` FALSE takes out",
    ),
)

_ROOTS = ("LidcReadMessage", "IdriReadMessage")
LABEL = "nodule"
"""What the readers marked."""

_NAMED = [(LABEL, 1)]
_WHAT = "labels"
_POINT = 1  # edge points of a nodule without extent
_NUMBER = re.compile(r"(\d{1,4})$")


@dataclass(frozen=True, eq=False)
class _Roi:
    """A nodule's edge map on one slice: pixels (column, row) from 0 on; ``holed``: what is inside is taken out."""

    instance: str = field(repr=False)
    edge: NDArray[np.int64]
    nodule: int
    holed: bool


def accepts(path: Path) -> bool:
    """Tell by the ending and the outermost element whether the file is LIDC-IDRI's."""
    return XML.bears(path) and root_name(path) in _ROOTS


def read_mask(path: Path, image: ImageFile, wanted: MaskRequest) -> MaskFile:
    """Draw the nodules of one reading session on the slices that they name.

    Raises:
        StudyError: NOT_READABLE for what is not LIDC-IDRI's; UNSUPPORTED_FORMAT for the reading of a radiograph;
            excluded: MASK_MISSING_LABEL for another label than nodules, MASK_MISSING_ENTRY when no session is meant,
            OTHER_IMAGE when a slice is not the study's, OTHER_GRID for pixels outside of it, MASK_WITHOUT_AREA.
    """
    root = wanted.kept.of(xml_tree, path)
    sessions = sessions_of(root)
    if not sessions and root.find("CXRreadingSession") is not None:
        raise refused(Reason.UNSUPPORTED_FORMAT, "the file holds the readings of a radiograph; those of CT are read")
    matching(_NAMED, wanted, _WHAT)
    session = _session(sessions, wanted)
    nodules = session.findall("unblindedReadNodule")
    rois = [_roi(roi, number) for number, nodule in enumerate(nodules) for roi in nodule.findall("roi")]
    outlines = [roi for roi in rois if len(roi.edge) > _POINT]
    mask = _mask(outlines, image)
    points = len(rois) - len(outlines)
    if points and not outlines:
        message = f"the reader marked {points} nodules below 3 mm by a point each, which has no extent"
        raise refused(Reason.MASK_WITHOUT_AREA, message, excluded=True)
    facts = {"nodules marked by a point, left out": str(points)} if points else {}
    others = len(session.findall("nonNodule"))
    facts |= {"marks that are no nodule, left out": str(others)} if others else {}
    return MaskFile(mask.marked, {**mask.header, **facts, **name_facts(_NAMED, wanted)})


def sessions_of(root: Element) -> list[Element]:
    """Return the reading sessions, in the file's order."""
    return root.findall("readingSession")


def slices_named_by(root: Element) -> frozenset[str]:
    """Return the instances on which anything is marked."""
    return frozenset(text_in(roi, "imageSOP_UID") for roi in root.iter("roi")) - {""}


def _session(sessions: list[Element], wanted: MaskRequest) -> Element:
    stated = _NUMBER.search(wanted.reader or "")
    number = int(stated[1]) if stated else 1 if len(sessions) == 1 else 0
    if not 1 <= number <= len(sessions):
        message = f"the file holds {len(sessions)} reading sessions, and the mask's reader names none of them: its "
        message += "name has to end in the session's number, as in mask:reader1:nodule"
        raise refused(Reason.MASK_MISSING_ENTRY, message, excluded=True)
    return sessions[number - 1]


def _roi(roi: Element, nodule: int) -> _Roi:
    """Return an edge map's pixels.

    Raises:
        StudyError: NOT_READABLE for points that are no pixels.
    """
    points = roi.findall("edgeMap")
    edge = [[plain_number(text_in(point, f"{axis}Coord"), "an edge point") for axis in "xy"] for point in points]
    pixels = np.asarray(edge, dtype=np.float64).reshape(-1, 2)
    if not len(pixels) or (pixels != np.rint(pixels)).any() or np.abs(pixels).max() >= 2**31:
        raise refused(Reason.NOT_READABLE, "an edge map holds no point, or one that is no pixel's number")
    holed = text_in(roi, "inclusion").upper() == "FALSE"
    return _Roi(text_in(roi, "imageSOP_UID"), pixels.astype(np.int64), nodule, holed)


def _mask(rois: list[_Roi], image: ImageFile) -> MaskFile:
    shape = image.volume.geometry.shape
    missing = sum((roi.instance, 1) not in image.places for roi in rois)
    if missing or (rois and len(shape) != 3):
        message = f"{missing or len(rois)} of the reader's {len(rois)} outlines lie on slices that are none of the "
        raise refused(Reason.OTHER_IMAGE, f"{message}study's image", excluded=True)
    marked, lost = np.zeros(shape, dtype=bool), 0
    for nodule in sorted({roi.nodule for roi in rois}):
        own = np.zeros(shape, dtype=bool)
        for roi in sorted((roi for roi in rois if roi.nodule == nodule), key=lambda roi: roi.holed):
            inside = _inside(roi.edge, (shape[0], shape[1]))
            own[..., image.places[roi.instance, 1]][inside] = not roi.holed
            lost += not inside.any()
        marked |= own
    if rois and not marked.any():
        message = f"the reader's {len(rois)} outlines enclose no pixel: the pixels of an edge map are outside"
        raise refused(Reason.MASK_WITHOUT_AREA, message, excluded=True)
    facts = {"mask drawn from": "edge maps, their own pixels outside"} if rois else {}
    facts |= {"outlines that enclose no pixel": f"{lost} of {len(rois)}"} if lost else {}
    return MaskFile(marked, facts)


def _inside(edge: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels (column, row) inside of an edge map, without its own."""
    if (edge < 0).any() or (edge >= size).any():
        low, high = edge.min(axis=0).tolist(), edge.max(axis=0).tolist()
        message = f"an edge map reaches from {low} to {high}, a slice of the image to {list(size)} (x, y)"
        raise refused(Reason.OTHER_GRID, message, excluded=True)
    inside, _ = filled([edge.astype(np.float64)], size)
    inside[edge[:, 0], edge[:, 1]] = False
    return inside
