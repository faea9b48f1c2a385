"""The numbers that a report prints, and those of its results: what stands on a page has to stand in ``results.json``.

What a clause is called and says stands in the file of clauses; the error rates of the rule on shortcuts were fixed with
the rule. Not counted are page and section numbers, hashes, the
rulers of pictures and plots, and digits within a word (SHA-256).
"""

import json
import re
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pikepdf

import reports.clauses
from reports.numbers import count, number, raw, share
from reports.registry import sections
from reports.sections import shortcuts

__all__ = ["NUMBER", "unexplained"]

_CLAUSES = Path(reports.clauses.__file__).with_name("clauses.toml")
"""Laws and standards have numbers of their own."""
NUMBER = re.compile(r"(?<![\w.\-\u2212])[\u2212-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[\u2212-]?\d+)?(?![\w-])")
_FURNITURE = (
    r"Page \d+ of \d+",
    r"\(p\. \d+\)",
    r"Case \d+: ",
    r"\b[0-9a-f]{12,64}\b",
    r"(?m)^\d+(?:\.\d+)? (?:mm|px)$",  # the scale of a picture
)


_ROW = re.compile(r"(?m)^(?:\u2212?\d(?:[\d.,]*\d)?[ \n]){3,}")
"""Nothing but numbers in a row: the ticks of an axis, or the cells of a table."""


def unexplained(report: Path, results: Path) -> list[tuple[int, str]]:
    """Return each number on a report's pages that its results do not hold, with its page."""
    known = _known(json.loads(results.read_text(encoding="utf-8")))
    known |= set(NUMBER.findall(_CLAUSES.read_text("utf-8") + shortcuts.RATES))
    text = subprocess.run(["pdftotext", "-raw", report, "-"], capture_output=True, check=True, text=True).stdout
    pages = text.replace("\u00a0", " ").split("\f")
    return [
        (page, token)
        for page, words in [*enumerate(pages, 1), *((0, words) for words in _read_in_place(report))]
        for token in NUMBER.findall(_without_furniture(words))
        if token not in known
    ]


def _read_in_place(report: Path) -> list[str]:
    """Return the alternative texts: what is read aloud in the place of figures; they count as page 0."""
    with pikepdf.open(report) as pdf:
        return [str(item.Alt) for item in pdf.objects if isinstance(item, pikepdf.Dictionary) and "/Alt" in item]


def _without_furniture(words: str) -> str:
    for part in sections():
        words = re.sub(rf"\b\d+\s+{re.escape(part.title)}" if part.title else r"(?!)", " ", words)
    for pattern in _FURNITURE:
        words = re.sub(pattern, " ", words)
    return _ROW.sub(lambda row: _without_ticks(row[0].split()), words)


def _without_ticks(row: list[str]) -> str:
    """Return a row's numbers without those that stand at even steps, three and more: the ticks of an axis."""
    values = [float(part.replace(",", "").replace("\u2212", "-")) for part in row]
    steps = [after - before for before, after in pairwise(values)]
    rounded = [10.0 ** -len(part.partition(".")[2]) for part in row]  # what the last digit of each is worth
    even = [
        bool(steps[place])
        and abs(steps[place + 1] - steps[place]) <= 1.01 * (rounded[place + 1] if "." in row[place] else 0)
        for place in range(len(steps) - 1)
    ]
    ticks = {place + step for place, is_even in enumerate(even) if is_even for step in range(3)}
    return " ".join(part for place, part in enumerate(row) if place not in ticks) + " "


def _known(value: object) -> set[str]:
    return {token for text in _texts(value) for token in NUMBER.findall(text)}


def _texts(value: object) -> Iterator[str]:
    """Yield every way in which the one formatter writes a value, the length of a list, and the sum of counts."""
    if isinstance(value, dict):
        yield from map(str, value)
        whole = [part for part in value.values() if isinstance(part, int) and not isinstance(part, bool)]
        yield count(len(value))
        if len(whole) == len(value):
            yield count(sum(whole))
        yield from (share(value["confidence"]) for _ in range("confidence" in value))
        yield from (share(value["redrawn"] / value["values"]) for _ in range("redrawn" in value))
        if {"count", "of", "low", "high"} <= value.keys():  # a rate of the self-test, printed in hundredths
            yield from (f"{100 * value[end]:.1f}" for end in ("low", "high") if value[end] is not None)
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        yield count(len(value))
        for part in value:
            yield from _texts(part)
    elif isinstance(value, str):
        yield from (value, value.replace("T", " "))
    elif isinstance(value, int) and not isinstance(value, bool):
        yield from (count(value), str(value))
    elif isinstance(value, float):
        yield from _formatted(value)


def _formatted(value: float) -> Iterator[str]:
    for beside in (0.005, 0.05, 0.5, 15.0, 150.0):
        if beside >= abs(value) / 10:
            yield from (number(value, like=(beside,), more=more) for more in (0, 1))
    yield from (number(value), number(value, more=1), raw(value), raw(round(value, 1)), "0.001")
