"""What a label map's values mean: the one that is stated, or by the file that its archive keeps beside it.

Read are BIDS label tables (``*dseg.tsv``: beside the map or further up to the folder that holds
``dataset_description.json``; every part of the table's name must be in the map's) and the ``labels`` of a
``dataset.json`` of the Medical Segmentation Decathlon or of nnU-Net (in the map's folder or the one above).
Symbolic links are not followed. 0 is the background.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason
from pipeline.studies.readers.masks.label_maps import (
    binary,
    holding,
    named_values_facts,
    present,
    stated_value,
    whole_values,
)
from pipeline.studies.readers.regions.yolo import FACTS as YOLO
from pipeline.studies.readers.regions.yolo_classes import classes_file
from pipeline.studies.readers.shared.base import MaskRequest, refused
from pipeline.studies.readers.shared.labels import check_distinct, check_meant, matching, name_facts
from pipeline.studies.readers.shared.unique_keys import unique_json

__all__ = ["named_values", "sidecar_of", "where_meant"]

_CAP = 1024**2
_BIDS_ROOT = "dataset_description.json"
_DATASET = "dataset.json"
_TABLE = "dseg"


def sidecar_of(path: Path) -> Path | None:
    """Return the file that names a label map's values, or the classes of YOLO's text, or None."""
    if YOLO.bears(path):
        return classes_file(path)
    return next(_tables(path), None) or next(_datasets(path), None)


def where_meant(
    values: NDArray[np.generic], path: Path, wanted: MaskRequest
) -> tuple[NDArray[np.bool_], dict[str, str]]:
    """Return where a label map holds what is meant, with what should be known of it; a binary map needs no telling.

    Raises:
        StudyError: NOT_FINITE or NOT_READABLE for values that are no labels, or when the sidecar is not what its name
            says; MASK_MISSING_LABEL, excluded, when the sidecar does not name the wanted label, or a value that the
            map holds; UNSUPPORTED_FORMAT for several labels that nothing names.
    """
    whole = whole_values(values)
    if wanted.value is not None:
        return stated_value(whole, wanted)
    named = named_values(path)
    if not named:
        return binary(whole)
    numbers = matching(named, wanted, "labels")
    facts = named_values_facts(present(whole), frozenset(number for _, number in named), numbers)
    marked = holding(whole, numbers)
    check_meant(numbers, wanted, bool(marked.any()), "labels")
    return marked, facts | name_facts(named, wanted)


def named_values(path: Path) -> tuple[tuple[str, int], ...]:
    """Return the names and the values of the labels that a map's sidecar states; empty without a sidecar.

    Raises:
        StudyError: NOT_READABLE when the sidecar is not what its name says.
    """
    sidecar = sidecar_of(path)
    if sidecar is None:
        return ()
    text = sidecar.read_text(encoding="utf-8-sig") if sidecar.stat().st_size <= _CAP else ""
    try:
        stated = tuple(_of_dataset(unique_json(text)) if sidecar.name == _DATASET else _of_table(text))
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        stated = ()
    _check_numbers(stated, regions=sidecar.name == _DATASET)
    named = tuple((name, value) for name, value in stated if value != 0)
    if not named:
        raise refused(Reason.NOT_READABLE, "the file beside the mask that should name its values names none")
    return named


def _check_numbers(stated: Sequence[tuple[str, int]], *, regions: bool) -> None:
    """Refuse a table in which one value has two names; nnU-Net's regions may overlap, but no two are the same."""
    values: dict[str, set[int]] = defaultdict(set)
    for name, value in stated:
        values[name.strip().lower()].add(value)
    keys = [frozenset(numbers) for numbers in values.values()]
    check_distinct(keys if regions else [number for numbers in keys for number in numbers], "the label table's index")


def _tables(path: Path) -> Iterator[Path]:
    parts = set(path.name.split(".")[0].split("_"))
    if not any(part.endswith(_TABLE) for part in parts):
        return  # a table's last part ends so and must be in the map's name: a folder of thousands need not be listed
    for folder in _bids_folders(path):
        fitting = [
            table
            for table in sorted(folder.glob(f"*{_TABLE}.tsv"))
            if _is_plain(table) and set(table.name.removesuffix(".tsv").split("_")) <= parts
        ]
        yield from sorted(fitting, key=lambda table: -len(table.name.split("_")))


def _bids_folders(path: Path) -> tuple[Path, ...]:
    """Return the map's folder and those above it, up to the data set's; only its own outside of a data set."""
    above = tuple(takewhile(lambda folder: not (folder / _BIDS_ROOT).is_file(), path.parents))
    return (*above, path.parents[len(above)]) if len(above) < len(path.parents) else (path.parent,)


def _datasets(path: Path) -> Iterator[Path]:
    return (folder / _DATASET for folder in path.parents[:2] if _is_plain(folder / _DATASET))


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _of_table(text: str) -> Iterator[tuple[str, int]]:
    for row in csv.DictReader(io.StringIO(text), delimiter="\t"):
        yield row["name"].strip(), int(row["index"])


def _of_dataset(content: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield ``{"1": "tumour"}`` (Decathlon) and ``{"tumour": 1}`` or ``{"tumour": [1, 2]}`` (nnU-Net)."""
    for key, stated in content["labels"].items():
        if key.isdecimal():
            yield str(stated), int(key)
        else:
            yield from ((key, int(value)) for value in (stated if isinstance(stated, list) else [stated]))
