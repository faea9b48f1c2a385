"""One attribute of a DICOM file changed: absent, empty, or in another value representation, in its meta group too."""

import copy
from collections.abc import Iterator
from pathlib import Path

from pydicom import Dataset, FileDataset
from pydicom.config import disable_value_validation
from pydicom.dataelem import DataElement
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

GROUP_LENGTH = 0x00020000


def mutants(image: FileDataset) -> Iterator[tuple[str, FileDataset]]:
    """Yield a name and a changed copy for each attribute that is no pixels."""
    for place in _places(image):
        for tag in [element.tag for element in _part(image, place)]:
            if tag.group == 0x7FE0:
                continue
            for how in ("absent", "empty", "as text", "as nonsense", "as bytes", "as a float", "twice", "short"):
                changed = copy.deepcopy(image)
                with disable_value_validation():
                    sensible = _change(_part(changed, place), tag, how)
                if sensible:
                    yield f"{place} {_part(image, place)[tag].keyword or tag} {how}", changed


def _places(image: FileDataset) -> Iterator[tuple[int | str, ...]]:
    """Yield where attributes stand: in the data set, in the meta group, and in the first and last item of sequences."""
    yield ("meta",)
    waiting: list[tuple[int | str, ...]] = [()]
    while waiting:
        place = waiting.pop()
        yield place
        for element in _part(image, place):
            if element.VR == "SQ" and element.value:
                waiting += [(*place, int(element.tag), index) for index in sorted({0, len(element.value) - 1})]


def _part(image: FileDataset, place: tuple[int | str, ...]) -> Dataset:
    part: Dataset = image.file_meta if place == ("meta",) else image
    for tag, index in zip(place[::2], place[1::2], strict=False):
        part = part[tag].value[index]
    return part


def _change(part: Dataset, tag: int, how: str) -> bool:
    """Change an element; tell whether the change makes sense for what it holds."""
    element = part[tag]
    if how == "absent":
        del part[tag]
        return True
    if how == "empty":
        part.add(DataElement(tag, element.VR, [] if element.VR == "SQ" else None))
        return True
    if element.VR == "SQ" or element.value is None:
        return False
    parts = element.value if element.VM > 1 else [element.value]
    text = "\\".join(map(str, parts))
    if how in ("twice", "short") and isinstance(parts[0], bytes):
        return False
    if how == "twice":
        part.add(DataElement(tag, element.VR, [*parts, *parts]))
    elif how == "short":
        part.add(DataElement(tag, element.VR, parts[:-1]))
        return len(parts) > 1
    elif how == "as text":
        part.add(DataElement(tag, "UT", text))
    elif how == "as nonsense":
        part.add(DataElement(tag, "LO", "nonsense"))
    elif how == "as bytes":
        part.add(DataElement(tag, "OB", text.encode() + b" " * (len(text) % 2)))
    else:
        try:
            numbers = [float(one) for one in parts]
        except (ValueError, TypeError):
            return False
        part.add(DataElement(tag, "FD", numbers))
    return True


def write(path: Path, image: FileDataset) -> Path:
    """Write a file as it is, in explicit little endian, with what contradicts the standard in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, Dataset(dict(image.file_meta._dict)))
    group = buffer.getvalue()
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, image)
    path.write_bytes(bytes(128) + b"DICM" + group + buffer.getvalue())
    return path
