"""Where a scan's manifest takes labels and patients from: folders' names, files' names, a table, or the header.

``folder``: the nearest folder that names no kind of file (``images``, ``masks``, ``train``); ``folder:1`` the
outermost below the archive, ``folder:2`` the next. ``name:REGEX``: what the expression finds in the path below the
archive, of its first group if it has one.
A CSV: a column ``label`` or ``patient``, and one that names the image: ``image`` (a path below the archive, a file's
name with or without ending, or the name of a folder that it lies in), ``patient``, ``study`` or ``series`` (as the
header has them).
"""

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from pipeline.errors import ArchiveError, ConfigError
from pipeline.studies.listing.mask_names import is_container

__all__ = ["Column", "ImagePlace", "ValueSource", "check_values", "value_source"]

Column = Literal["label", "patient"]

_KEYS = ("image", "patient", "study", "series")
_MANY_LABELS = 10  # from here on a label for every second image is a study's name
_ENDINGS = re.compile(r"(?:\.(?:nii|seg|ome|tar))?\.[A-Za-z]{1,5}$")
_NAME = "name:"
_DEPTH = re.compile(r"folder:([1-9]\d?)")
_FORMS = {
    "label": "folder, folder:N, name:REGEX or a CSV file",
    "patient": "folder, folder:N, name:REGEX, a CSV file or header",
}


@dataclass(frozen=True)
class ImagePlace:
    """What names an image: its path below the archive (of its first file, or of the folder of a series), and UIDs."""

    path: str = field(repr=False)
    is_folder: bool
    header: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders that it lies in below the archive, outermost first; a series' own folder is one of them."""
        parts = PurePosixPath(self.path).parts
        return parts if self.is_folder else parts[:-1]

    @property
    def names(self) -> tuple[str, ...]:
        """What a table may call it: its path, its name, and both without their ending."""
        name = PurePosixPath(self.path).name
        return tuple(dict.fromkeys((self.path, _ENDINGS.sub("", self.path), name, _ENDINGS.sub("", name))))


@dataclass(frozen=True)
class ValueSource:
    """Where the values of a column come from."""

    column: Column
    kind: Literal["folder", "name", "table", "header"]
    pattern: re.Pattern[str] | None = field(default=None, repr=False)
    depth: int | None = None
    table: Mapping[tuple[str, str], str] = field(default_factory=dict, repr=False)

    @property
    def needs_paths(self) -> bool:
        """Whether it asks the archive's own folders and names, which a server has not."""
        return self.kind in ("folder", "name")

    def value_of(self, image: ImagePlace) -> str | None:
        """Return the column's value for an image; None when nothing is said of it."""
        if self.depth is not None:
            return image.folders[self.depth - 1] if len(image.folders) >= self.depth else None
        if self.kind == "folder":
            return next((folder for folder in reversed(image.folders) if not is_container(folder)), None)
        if self.pattern is not None:
            match = self.pattern.search(image.path)
            return (match[1] if match.re.groups else match[0]) or None if match else None
        if self.kind == "header":
            return image.header.get("patient")
        key = self.key_of(image)
        return None if key is None else self.table[key]

    def key_of(self, image: ImagePlace) -> tuple[str, str] | None:
        """Return the entry of the table that names an image, by its column and cell."""
        by_header = ((key, image.header.get(key, "")) for key in ("series", "study", "patient"))
        folders = reversed(image.folders)  # the nearest first: a study's folder stands for all of its images
        keys = [*(("image", name) for name in image.names), *by_header, *(("image", folder) for folder in folders)]
        return next((key for key in keys if key in self.table), None)


def value_source(column: Column, text: str) -> ValueSource:
    """Return the source that an option states, such as ``folder`` or ``name:[A-Z]+``.

    Raises:
        ConfigError: one line, for a form, an expression or a table that cannot be used.
    """
    option = f"--{column}-from"
    if text == "folder" or (text == "header" and column == "patient"):
        return ValueSource(column, "folder" if text == "folder" else "header")
    depth = _DEPTH.fullmatch(text)
    if depth:
        return ValueSource(column, "folder", depth=int(depth[1]))
    if text.startswith(_NAME):
        try:
            pattern = re.compile(text.removeprefix(_NAME))
        except re.error as error:
            raise ConfigError(f"{option}: {text!r} holds no regular expression: {error}") from error
        if pattern.groups > 1:
            raise ConfigError(f"{option}: {text!r} has {pattern.groups} groups; one at most tells the {column}")
        return ValueSource(column, "name", pattern)
    if not Path(text).is_file():
        raise ConfigError(f"{option}: must be {_FORMS[column]}, not {text!r}")
    return ValueSource(column, "table", table=_table(column, option, Path(text)))


def _table(column: Column, option: str, path: Path) -> dict[tuple[str, str], str]:
    """Return a table's values by the column that names the image and its cell; empty values are none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = [name.strip() for name in next(rows, [])]
            lines = [(rows.line_num, [cell.strip() for cell in cells]) for cells in rows if cells]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{option}: {path} cannot be read as CSV in UTF-8") from error
    key = next((name for name in _KEYS if name in header and name != column), None)
    if column not in header or key is None:
        needed = " or ".join(repr(name) for name in _KEYS if name != column)
        message = f"{option}: {path} needs the columns {column!r} and {needed}; it has {', '.join(header) or 'none'}"
        raise ConfigError(message)
    values: dict[tuple[str, str], str] = {}
    for line, cells in lines:
        if len(cells) != len(header):
            raise ConfigError(f"{option}: {path}: line {line} has {len(cells)} cells for {len(header)} columns")
        name, value = cells[header.index(key)], cells[header.index(column)]
        if value and values.setdefault((key, name), value) != value:
            raise ConfigError(f"{option}: {path}: line {line} states another {column} than a line before it")
    return values


def check_values(source: ValueSource, images: Sequence[ImagePlace]) -> None:
    """Refuse a source that says nothing of any image, says one thing of several, or labels nearly each by itself.

    Raises:
        ArchiveError: one line, without a name.
    """
    option = f"--{source.column}-from"
    stated = {source.value_of(image) for image in images} - {None}
    if not stated:
        raise ArchiveError(f"{option}: nothing matches: none of the {len(images)} usable images gets a {source.column}")
    named = ((source.key_of(image), image.names) for image in images)
    names = Counter(key for key, own in named if key is not None and key[0] == "image" and key[1] in own)
    doubled = sum(times > 1 for times in names.values())
    if doubled:
        message = f"{option}: {doubled} names of the table are borne by several images; write their paths"
        raise ArchiveError(message)
    if source.column == "label" and len(stated) > max(_MANY_LABELS, len(images) // 2):
        message = f"{option}: gives {len(stated)} labels to {len(images)} images: names of studies, not of classes"
        raise ArchiveError(message)
