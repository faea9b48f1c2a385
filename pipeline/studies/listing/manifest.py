"""A manifest (CSV) as study rows.

Columns: ``study``, ``patient``, ``image``; ``mask:<reader>``, ``mask:<reader>:<label>`` or, where a label map shows
several labels by their numbers, ``mask:<reader>:<label>=<number>``, any number of them (several numbers of a label are
united); ``avoid:<region>`` or ``avoid:<region>=<number>``, masks of what must not be leaned on (a tube, a marker),
which are no finding of anybody's; ``label`` (``a;b`` for several, empty for none present, ``?`` where the archive does
not say). ``doubts``, which a scan writes for people to read, is passed over. Every other column is a stratum. A mask in
a file that covers many images (JSON, CSV) is ``path`` where the image's file bears the name that the file knows, else
``path#name``.
Several files in one cell, ``a.png;b.png``, are one mask. A path that ends in ``.files`` is a list of files beside the
manifest, as ``camaudit scan`` writes it. Errors name lines and columns, never values: a value may name a patient.
"""

import csv
import difflib
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ArchiveError
from pipeline.packed.items import PackedItems
from pipeline.packed.repeated import repeated
from pipeline.studies.listing.study_row import MaskSource, StudyRow, inside, is_list
from pipeline.vocabulary import AVOID

if TYPE_CHECKING:
    import _csv

__all__ = ["read_manifest"]

_NEEDED = ("study", "patient", "image")
_LABEL = "label"
_UNKNOWN = "?"
_DOUBTS = "doubts"
_KEY = "#"
_MASK = "mask:"
_MASK_FORM = "mask:<reader>, mask:<reader>:<label> or mask:<reader>:<label>=<number above 0>"
_MASK_COLUMN = re.compile(r"mask:(\s*[^:\s][^:]*)(?::(\s*[^:=\s][^:=]*)(?:=\s*([1-9]\d*)\s*)?)?")
_AVOID_COLUMN = re.compile(rf"{AVOID}(\s*[^:=\s][^:=]*)(?:=\s*([1-9]\d*)\s*)?")
_LIKELY_MISSPELT = 0.8
_IDENTIFYING = re.compile(
    r"(patient|subject|first|last|family|given|full)?(name|id|mrn|birthdate|birthday|dob|address|ssn|phone|email)"
    r"|dateofbirth|medicalrecordnumber|accession(number)?|(study|series|sop)instanceuid"
)


def read_manifest(root: Path, manifest: Path) -> Sequence[StudyRow]:
    """Return the manifest's rows in its order; relative paths start at ``root``. Few of them are objects at a time.

    Raises:
        ArchiveError: one line, when the manifest is missing, unreadable, lacks a column, or a row is wrong.
    """
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            table = csv.reader(file, strict=True)
            columns = [name.strip() for name in next(table, [])]
            _check_columns(manifest, columns)
            lines = array("q")
            rows = PackedItems(_rows(root.resolve(), root, manifest, columns, _cells_of(table, lines)))
    except OSError as error:
        raise ArchiveError(f"{manifest}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ArchiveError(f"{manifest}: is not CSV in UTF-8") from error
    _check_distinct(manifest, lines, rows)
    return rows


def _cells_of(table: "_csv.Reader", lines: "array[int]") -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of each line that has any, and note the number in ``lines``."""
    for cells in table:
        if cells:
            lines.append(table.line_num)
            yield table.line_num, cells


def _check_columns(manifest: Path, columns: Sequence[str]) -> None:
    for name in _NEEDED:
        if name not in columns:
            near = difflib.get_close_matches(name, columns, n=1, cutoff=0.6)
            advice = f"; is {near[0]!r} meant?" if near else f"; it has {', '.join(columns) or 'none'}"
            raise ArchiveError(f"{manifest}: column {name!r} is missing{advice}")
    doubled = [name for name, count in Counter(columns).items() if count > 1 or not name]
    if doubled:
        raise ArchiveError(f"{manifest}: the column name {doubled[0]!r} is empty or stands twice")
    for name in columns:
        _check_column(manifest, name)
    _check_readers(manifest, [_mask_column(name) for name in columns if _is_mask(name)])


def _check_readers(manifest: Path, columns: Sequence[tuple[str, str | None, int | None]]) -> None:
    """Refuse columns that could give one study two masks of one reader and one label.

    Several numbers of one label (a region of several parts) are one mask together.
    """
    for reader, label, _ in columns:
        others = [(other_label, value) for name, other_label, value in columns if name == reader]
        values = [value for other_label, value in others if other_label == label]
        doubled = len(values) > 1 and (None in values or len(set(values)) < len(values))
        if doubled or (label is None and len(others) > 1):
            whose = f"of the region {label!r} to avoid" if reader == AVOID else f"of reader {reader!r}"
            raise ArchiveError(f"{manifest}: the mask columns {whose} contradict each other")


def _check_column(manifest: Path, name: str) -> None:
    """Refuse a column that would pass for a stratum and is none: a slip of the pen, or an identity."""
    if name in (*_NEEDED, _LABEL, _DOUBTS):
        return
    if _is_mask(name):
        form = "avoid:<region> or avoid:<region>=<number above 0>" if _is_avoided(name) else _MASK_FORM
        if not (_AVOID_COLUMN if _is_avoided(name) else _MASK_COLUMN).fullmatch(name):
            raise ArchiveError(f"{manifest}: column {name!r} must be {form}")
        return
    if name.lower().startswith(("mask", "seg", "avoid", "forbid")):
        form = "mask:<reader>, and of what must not be leaned on in avoid:<region>"
        raise ArchiveError(f"{manifest}: column {name!r} is unknown; masks stand in {form}")
    near = difflib.get_close_matches(name.lower(), (*_NEEDED, _LABEL), n=1, cutoff=_LIKELY_MISSPELT)
    if near:
        raise ArchiveError(f"{manifest}: column {name!r} is unknown; is {near[0]!r} meant?")
    if _IDENTIFYING.fullmatch(re.sub(r"[^a-z]", "", name.lower())):
        raise ArchiveError(f"{manifest}: column {name!r} would carry patients' identity into the report; remove it")


def _is_mask(name: str) -> bool:
    return name.startswith(_MASK) or _is_avoided(name)


def _is_avoided(name: str) -> bool:
    return name.startswith(AVOID)


def _mask_column(name: str) -> tuple[str, str | None, int | None]:
    """Return reader, label and value of a mask's column; of a region to avoid its name, and nobody who read it."""
    avoided = _AVOID_COLUMN.fullmatch(name)
    if avoided:
        return AVOID, avoided[1].strip(), int(avoided[2]) if avoided[2] else None
    match = _MASK_COLUMN.fullmatch(name)
    reader, label, value = match.groups() if match else (name, None, None)
    return reader.strip(), label and label.strip(), int(value) if value else None


def _rows(
    real_root: Path,
    root: Path,
    manifest: Path,
    columns: Sequence[str],
    lines: Iterable[tuple[int, list[str]]],
) -> Iterator[StudyRow]:
    keyed = None
    for line, cells in lines:
        keyed = keyed or (_keyed() if any(_KEY in cell for cell in cells) else None)
        if len(cells) != len(columns):
            message = f"{manifest}: line {line} has {len(cells)} cells for {len(columns)} columns"
            raise ArchiveError(message)
        values = dict(zip(columns, (cell.strip() for cell in cells), strict=True))
        for name in _NEEDED:
            if not values[name]:
                raise ArchiveError(f"{manifest}: line {line}: column {name!r} is empty")
        where = f"{manifest}: line {line}, column "
        image = _path(real_root, root, manifest, values["image"], f"{where}'image'")
        sources = [
            _source(name, _path(real_root, root, manifest, path, f"{where}{name!r}"), key)
            for name in columns
            if _is_mask(name)
            for path, key in _paths_and_keys(values[name], keyed)
        ]
        masks = tuple(source for source in sources if source.reader != AVOID)
        avoid = tuple(source for source in sources if source.reader == AVOID)
        own = (*_NEEDED, _LABEL, _DOUBTS)
        strata = {name: values[name] for name in columns if name not in own and not _is_mask(name)}
        reference = _labels(values[_LABEL]) if _LABEL in values else None
        listed = root if any(map(is_list, (image, *(source.path for source in sources)))) else None
        yield StudyRow(values["study"], values["patient"], image, masks, reference, strata, listed, avoid)


def _path(real_root: Path, root: Path, manifest: Path, cell: str, where: str) -> Path:
    """Return a cell's path below the archive's root; a list of files lies beside the manifest."""
    if is_list(Path(cell)):
        return inside(manifest.parent.resolve(), manifest.parent / cell, where)
    return inside(real_root, root / cell, where)


def _paths_and_keys(cell: str, keyed: re.Pattern[str] | None) -> Iterator[tuple[str, str | None]]:
    """Yield the paths of a mask's cell, and the image's name in the file where ``path#name`` states it.

    Several files, ``a.png;b.png``, are one reader's mask of one label together.
    """
    for path in filter(None, map(str.strip, cell.split(";"))):
        match = keyed.fullmatch(path) if keyed else None
        yield (match[1], match[2]) if match else (path, None)


def _source(name: str, path: Path, key: str | None) -> MaskSource:
    reader, label, value = _mask_column(name)
    return MaskSource(reader, label, path, value, key)


def _labels(cell: str) -> tuple[str, ...] | None:
    """Return the labels of a cell; None where nobody has looked."""
    return (
        None if cell == _UNKNOWN else tuple(dict.fromkeys(label for label in map(str.strip, cell.split(";")) if label))
    )


def _check_distinct(manifest: Path, lines: Sequence[int], rows: Sequence[StudyRow]) -> None:
    """Refuse a study that is listed twice; only names whose hashes stand twice are held against each other."""
    suspects = repeated(hash((row.patient, row.study)) for row in rows)
    first: dict[tuple[str, str], int] = {}
    for line, row in zip(lines, rows, strict=True) if suspects else ():
        name = (row.patient, row.study)
        if hash(name) in suspects and (first_line := first.setdefault(name, line)) != line:
            raise ArchiveError(f"{manifest}: lines {first_line} and {line} name the same study of the same patient")


def _keyed() -> re.Pattern[str]:
    """Return what a file with an entry's key behind it looks like: ``boxes.csv#image``."""
    from pipeline.studies.readers import BUILT_IN  # loads every format's library: a mistake is told without

    many = [ending for facts in BUILT_IN.facts if facts.covers_many for ending in facts.endings]
    return re.compile(rf"(.+(?:{'|'.join(map(re.escape, many))})){_KEY}(.+)", re.IGNORECASE)
