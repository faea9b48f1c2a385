"""Charts read back: where text stands, which numbers the words tell, and what the shapes' places say on the axes."""

import re
from itertools import combinations

from reportlab.graphics.shapes import Circle, Line, PolyLine, String

from reports.page.fonts import width_of


def shapes(drawing, kind):
    return [shape for shape in drawing.contents if isinstance(shape, kind)]


def texts(drawing):
    return [shape.text for shape in shapes(drawing, String)]


def box(string):
    """The (left, bottom, right, top) of a line of text."""
    wide = width_of(string.text, string.fontSize, string.fontName)
    left = string.x - {"start": 0, "middle": wide / 2, "end": wide}[string.textAnchor]
    return left, string.y - 0.22 * string.fontSize, left + wide, string.y + 0.76 * string.fontSize


def overlapping(drawing):
    """The pairs of text that lie over each other."""
    boxes = [(string.text, box(string)) for string in shapes(drawing, String)]
    return [
        (a, b)
        for (a, (left, low, right, high)), (b, (left_b, low_b, right_b, high_b)) in combinations(boxes, 2)
        if min(right, right_b) - max(left, left_b) > 0.5 and min(high, high_b) - max(low, low_b) > 0.5
    ]


def outside(drawing, slack=1.0):
    """Text that leaves the drawing."""
    return [
        string.text
        for string in shapes(drawing, String)
        for left, low, right, high in [box(string)]
        if left < -slack or low < -slack or right > drawing.width + slack or high > drawing.height + slack
    ]


def check(drawing):
    """What holds of every chart: text inside and apart, words that stand for it, numbers only."""
    assert overlapping(drawing) == []
    assert outside(drawing) == []
    words = vars(drawing)["alternative_text"]
    assert len(words) > 20
    for said in (words, *texts(drawing)):
        assert "nan" not in re.findall(r"\b\w+\b", said.lower())
        assert "inf" not in re.findall(r"\b\w+\b", said.lower())
    return words


def points(drawing, radius):
    """The middles of circles of a size, in the order in which they were drawn."""
    return [(shape.cx, shape.cy) for shape in shapes(drawing, Circle) if abs(shape.r - radius) < 1e-9]


def corners(line):
    assert isinstance(line, PolyLine)
    flat = line.points
    return list(zip(flat[::2], flat[1::2], strict=True))


def upright(drawing, width=None):
    """Upright lines: (x, low, high), of a stroke's width where it is given."""
    return [
        (line.x1, min(line.y1, line.y2), max(line.y1, line.y2))
        for line in shapes(drawing, Line)
        if line.x1 == line.x2 and (width is None or line.strokeWidth == width)
    ]


def level(drawing, width):
    """Level lines: (left, right, y) of a stroke's width."""
    return [
        (line.x1, line.x2, line.y1)
        for line in shapes(drawing, Line)
        if line.y1 == line.y2 and line.strokeWidth == width
    ]
