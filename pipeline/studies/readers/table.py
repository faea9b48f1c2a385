"""The tables of formats in a document, made from what the readers declare.

``python -m pipeline.studies.readers.table docs/formats.md`` puts them there. The document marks where each table
stands: it is what lies between ``<!-- images -->`` or ``<!-- masks -->`` and the next empty line.
"""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.studies.readers import BUILT_IN, ReaderFacts

__all__ = ["TABLES", "with_tables"]


def image_table() -> str:
    """Return the table of images, as Markdown."""
    rows = (
        (*_known_by(facts, facts.endings), facts.image.axes, facts.image.values, facts.image.place)
        for facts in _distinct(reader.FACTS for reader in BUILT_IN.images)
        if facts.image is not None
    )
    return _markdown(("image", "files", "array axes", "values", "geometry from"), rows)


def mask_table() -> str:
    """Return the table of masks, as Markdown."""
    rows = (
        (
            *_known_by(facts, (*facts.endings, *facts.mask_endings)),
            facts.mask.images,
            facts.mask.label,
            facts.mask.inside,
        )
        for facts in _distinct(reader.FACTS for reader in BUILT_IN.masks)
        if facts.mask is not None
    )
    return _markdown(("mask", "files", "for images", "which label", "inside"), rows)


TABLES: dict[str, Callable[[], str]] = {"images": image_table, "masks": mask_table}
"""The tables by their marks."""


def with_tables(text: str) -> str:
    """Return a document with the tables in their places."""
    for name, table in TABLES.items():
        mark = re.compile(rf"(<!-- {name} -->\n).*?(?=\n\n)", re.DOTALL)
        text = mark.sub(lambda match, table=table: f"{match[1]}{table()}", text)  # type: ignore[misc]
    return text


def _distinct(facts: Iterator[ReaderFacts]) -> Iterator[ReaderFacts]:
    return iter(dict.fromkeys(facts))


def _known_by(facts: ReaderFacts, endings: tuple[str, ...]) -> tuple[str, str]:
    """Return a format's title, and the endings that its files bear."""
    return facts.title, ", ".join(f"`{ending}`" for ending in endings) or _by_content(facts)


def _by_content(facts: ReaderFacts) -> str:
    return "as DICOM" if facts.kind.startswith("dicom") else f"as {facts.title.split()[0].strip(',')}"


def _markdown(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(with_tables(document.read_text(encoding="utf-8")), encoding="utf-8")
