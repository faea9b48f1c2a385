"""What files of regions (LabelMe, VIA, YOLO, Pascal VOC, AIM, LIDC; DICOM reports) tell a scan: whose they are.

They have no first bytes: the reader of their format tells them by their ending and first words. Those of one image name
it by its file, by its DICOM instance, or not at all; files of many pictures are left to the manifest's author.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType

from pipeline.errors import StudyError
from pipeline.studies.index.headers import Facts, Kind, allowed_words
from pipeline.studies.readers.masks.annotations import ANY_IMAGE, Annotations
from pipeline.studies.readers.regions import aim, labelme, lidc, pascal_voc, via, yolo
from pipeline.studies.readers.regions.xml_tree import xml_tree
from pipeline.studies.readers.shared.base import guarded

__all__ = ["region_facts"]


def region_facts(path: Path) -> Facts | None:
    """Return what a file of regions names; None for any other file."""
    try:
        reader = guarded("the file", lambda: next((each for each in _READERS if each.accepts(path)), None))
        return None if reader is None else guarded("the file", lambda: _READERS[reader](path))
    except StudyError as error:
        return None if yolo.accepts(path) else {"kind": Kind.REGIONS, "reason": error.reason}


def _facts(labels: Iterable[str], **refers: object) -> Facts:
    known = dict.fromkeys(allowed_words(label) for label in labels)
    return {
        "kind": Kind.REGIONS, "reason": None, "refers": json.dumps(refers), "labels": json.dumps(list(known))
    }  # fmt: skip


def _of_annotations(stated: Annotations) -> Facts | None:
    """Return the image that a file of one names, '' where it names none; nothing for a file of several."""
    if len(stated.images) != 1:
        return None
    (name,) = stated.images
    return _facts(sorted(stated.labels), name=name)


def _of_yolo(path: Path) -> Facts:
    return _facts(sorted(yolo.labels_of(path)), name=ANY_IMAGE, vague=True)


def _of_aim(path: Path) -> Facts:
    root = xml_tree(path)
    names = [next(filter(allowed_words, names), "") for names in aim.names_of(root)]
    return _facts(names, instances=sorted(aim.instances_named_by(root)))


def _of_lidc(path: Path) -> Facts:
    root = xml_tree(path)
    sessions = len(lidc.sessions_of(root))
    return _facts([lidc.LABEL], instances=sorted(lidc.slices_named_by(root)), sessions=sessions)


_READERS: Mapping[ModuleType, Callable[[Path], Facts | None]] = {
    yolo: _of_yolo,
    pascal_voc: lambda path: _of_annotations(pascal_voc.annotations(path)),
    aim: _of_aim,
    lidc: _of_lidc,
    labelme: lambda path: _of_annotations(labelme.annotations(path)),
    via: lambda path: _of_annotations(via.annotations(path)),
}
