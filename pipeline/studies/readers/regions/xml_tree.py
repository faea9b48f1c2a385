"""XML of strangers as a tree, without what makes XML dangerous: a document type, and with it every entity, is refused.

Nothing outside of the file is read. Names go without their name spaces.
"""

import re
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from pipeline.errors import Reason
from pipeline.studies.readers.shared.base import first_bytes, refused

__all__ = ["root_name", "text_in", "xml_tree"]

_CAP = 64 * 1024**2
_MOST_ELEMENTS = 2_000_000
_DEEPEST = 100
_HEAD = 64 * 1024
_NAME_SPACE = "}"
_NO_ELEMENT = re.compile(rb"<!--.*?-->|<\?.*?\?>", re.DOTALL)
_ROOT = re.compile(rb"[^<]*<(?:!DOCTYPE\s+)?(?:[\w.-]+:)?([A-Za-z_][\w.-]*)")


def root_name(path: Path) -> str:
    """Return the name of a file's outermost element, without its name space; '' for a file that has none."""
    match = _ROOT.match(_NO_ELEMENT.sub(b"", first_bytes(path, _HEAD)))
    return match[1].decode() if match else ""


def xml_tree(path: Path) -> Element:
    """Return a file's outermost element.

    Raises:
        StudyError: TOO_LARGE above the caps; NOT_READABLE for a document type, for nesting that no format needs, or
            for what is not XML.
    """
    size = path.stat().st_size
    if size > _CAP:
        raise refused(Reason.TOO_LARGE, f"the file has {size / 2**20:.0f} MiB; the cap is {_CAP / 2**20:.0f} MiB")
    builder = _Builder()
    parser = expat.ParserCreate(namespace_separator=_NAME_SPACE)
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_document_type
    parser.StartElementHandler, parser.EndElementHandler = builder.start, builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(path.read_bytes(), True)
        return builder.close()
    except (expat.ExpatError, AssertionError, ValueError, LookupError):  # the last two: of encodings
        pass
    raise refused(Reason.NOT_READABLE, "the file is not XML")


def _refuse_document_type(*_: object) -> None:
    raise refused(Reason.NOT_READABLE, "the XML file declares a document type; entities are not resolved")


class _Builder(TreeBuilder):
    """Builds elements whose names and attributes have no name spaces, up to a depth and a number."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = self._count = 0

    def start(self, tag: str, attributes: dict[str, str]) -> Element:
        """Begin an element."""
        self._depth, self._count = self._depth + 1, self._count + 1
        if self._depth > _DEEPEST:
            raise refused(Reason.NOT_READABLE, f"the XML file's elements are nested more than {_DEEPEST} deep")
        if self._count > _MOST_ELEMENTS:
            raise refused(Reason.TOO_LARGE, f"the XML file holds more than {_MOST_ELEMENTS} elements")
        return super().start(_local(tag), {_local(name): value for name, value in attributes.items()})

    def end(self, tag: str) -> Element:
        """End an element."""
        self._depth -= 1
        return super().end(_local(tag))


def _local(name: str) -> str:
    return name.rpartition(_NAME_SPACE)[2]


def text_in(element: Element, path: str) -> str:
    """Return the text of the first element below this one at ``path``, without blanks around it; '' without any."""
    return (element.findtext(path) or "").strip()
