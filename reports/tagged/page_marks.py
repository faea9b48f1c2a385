"""What a finished page's content stream says: which marks it has, and what it paints outside of them."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from sys import intern

import pikepdf

__all__ = ["PageMarks", "marks_of"]

_TEXT = ("Tj", "TJ", "'", '"')
_PAINT = (*_TEXT, "Do", "S", "s", "f", "f*", "F", "B", "B*", "b", "b*", "sh", "INLINE IMAGE")
_PATH = ("m", "re")
_ENDS = ("S", "s", "f", "f*", "F", "B", "B*", "b", "b*", "n")
_CMYK = ("k", "K")
_READ = " ".join((*_PAINT[:-1], "BI", "BDC", "BMC", "EMC", "BT", "ET", "cs", "CS", *_PATH, "n", *_CMYK))


@dataclass
class PageMarks:
    """A page's marked sequences, in a few bytes each; the rest are faults, counted or listed.

    ``numbers`` are their MCIDs, ``tags`` what each is by its place in ``names``, ``owners`` the objects of the elements
    that hold them, as the tree says (0: none). ``strays`` are held by an element and not on the page, ``shared`` by
    several elements.
    """

    numbers: "array[int]" = field(default_factory=lambda: array("q"))
    tags: "array[int]" = field(default_factory=lambda: array("H"))
    names: list[str] = field(default_factory=list)
    owners: "array[int]" = field(default_factory=lambda: array("I"))
    strays: list[int] = field(default_factory=list)
    shared: list[int] = field(default_factory=list)
    unmarked: int = 0
    twice: list[int] = field(default_factory=list)
    nested: int = 0
    crossed: int = 0
    cmyk: int = 0

    def tag(self, number: int) -> str | None:
        """Return what the page says that a sequence is; None where it is not on the page."""
        place = self._place(number)
        return None if place is None else self.names[self.tags[place]]

    def own(self, number: int, owner: int) -> None:
        """Note that an element, an object of the number ``owner``, holds a sequence."""
        place = self._place(number)
        if place is None:
            self.strays.append(number)
        elif self.owners[place] in (0, owner):
            self.owners[place] = owner
        else:
            self.shared.append(number)

    def _place(self, number: int) -> int | None:
        if 0 <= number < len(self.numbers) and self.numbers[number] == number:  # as they are in all our files
            return number
        return self.numbers.index(number) if number in self.numbers else None


def marks_of(page: pikepdf.Page | pikepdf.Object) -> PageMarks:
    """Read a page's marks."""
    reader = _Reader()
    for operator, operands in _operations(page):
        reader.read(operator, operands)
    return reader.result()


def _operations(page: pikepdf.Page | pikepdf.Object) -> Iterator[tuple[str, list[pikepdf.Object]]]:
    for instruction in pikepdf.parse_content_stream(page, _READ):
        yield str(instruction.operator), instruction.operands


class _Reader:
    def __init__(self) -> None:
        self._marks = PageMarks()
        self._numbers: dict[int, str] = {}
        self._open: list[str] = []  # what has begun and not ended: a mark (real, artifact) or a text
        self._path = False

    def read(self, operator: str, operands: list[pikepdf.Object]) -> None:
        if operator in ("BDC", "BMC"):
            self._begin(operands)
        elif operator in ("EMC", "ET"):
            self._end(operator)
        elif operator == "BT":
            self._open.append("text")
        elif operator in _CMYK:
            self._marks.cmyk += 1
        elif operator in _PAINT and "mark" not in self._open:
            self._marks.unmarked += 1
        self._path = operator in _PATH or (self._path and operator not in _ENDS)

    def _begin(self, operands: list[pikepdf.Object]) -> None:
        tag = intern(str(operands[0]).lstrip("/"))
        properties = operands[1] if len(operands) > 1 and isinstance(operands[1], pikepdf.Dictionary) else {}
        number = properties.get("/MCID")
        real = number is not None or tag == "Artifact"
        # what only says how it is read may stand inside
        self._marks.nested += real and any(item == "mark" for item in self._open)
        self._marks.crossed += self._path  # a mark stands between a path and what paints it
        if number is not None:
            if int(number) in self._numbers:
                self._marks.twice.append(int(number))
            self._numbers[int(number)] = tag
        self._open.append("mark" if real else "words")  # a mark without a number and a name owns nothing

    def _end(self, operator: str) -> None:
        self._marks.crossed += self._path
        if not self._open:
            self._marks.crossed += 1
            return
        last = self._open.pop()
        if (operator == "ET") != (last == "text"):
            self._marks.crossed += 1

    def result(self) -> PageMarks:
        marks, numbers = self._marks, self._numbers
        marks.crossed += len(self._open)
        marks.names = list(dict.fromkeys(numbers.values()))
        marks.numbers, marks.owners = array("q", numbers), array("I", [0] * len(numbers))
        marks.tags = array("H", map(marks.names.index, numbers.values()))
        return marks
