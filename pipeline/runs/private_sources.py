"""Where a run's studies lie: the one private file of a run's folder, which a folder that is handed on goes without.

It holds the archive's own names and paths. Everything else of the folder names pseudonyms. A run knows where in the
file each study stands, and reads it there when it is asked for: who works one shard needs not the whole cohort.
"""

import json
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pipeline.errors import OutputError, Reason
from pipeline.files import json_array, read_items, written
from pipeline.findings.spec import SOURCES_FILE
from pipeline.packed.texts import Texts
from pipeline.studies.listing.study_row import MaskSource, StudyRow
from pipeline.walk.sources import StudySource

__all__ = ["PrivateSources", "StoredSources", "read_sources", "write_sources"]

_STUDIES = '"studies":'
"""Cannot stand within a path before it: there its quotes would be escaped."""

_LONGEST_HEAD = 2**20  # bytes before the studies: the configuration's path


@dataclass(frozen=True)
class PrivateSources:
    """The configuration's file, and the studies by pseudonym, in the order of the run's list."""

    configuration: Path
    studies: Mapping[str, StudySource]

    @property
    def folder(self) -> Path:
        """What the configuration's relative paths are relative to."""
        return self.configuration.parent


def write_sources(run: Path, configuration: Path, sources: Iterable[StudySource]) -> None:
    """Write the file, its owner's alone, with the ``configuration``'s path and the studies one by one.

    Raises:
        OutputError: when it cannot be written.
    """
    path = run / SOURCES_FILE
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path.parent}: cannot be made: {error.strerror}") from error
    with written(path, private=True) as file:
        file.write(f'{{"configuration": {json.dumps(str(configuration))},\n{_STUDIES} '.encode())
        file.writelines(json_array(map(_as_json, sources)))
        file.write(b"}")


class StoredSources(Mapping[str, StudySource]):
    """Studies in their file, whose places in it are known: forty bytes a study are in memory."""

    def __init__(self, path: Path, studies: Texts, places: "array[int]", state: tuple[int, ...]) -> None:
        """Take up a file; ``places`` are first and last byte of each study, ``state`` is what the file was like."""
        self._path, self._studies, self._places, self._state = path, studies, places, state

    def __getitem__(self, study: str) -> StudySource:
        """Read a study.

        Raises:
            KeyError: when it is none of the run's.
            OutputError: when the file was removed, or is another one by now.
        """
        number = self._studies.find(study)
        if number is None:
            raise KeyError(study)
        start, end = self._places[2 * number], self._places[2 * number + 1]
        with _reading(self._path), self._path.open("rb") as file:
            if _state_of(file) != self._state:
                raise ValueError("was changed")
            file.seek(start)
            return _source(json.loads(file.read(end - start)))

    def __contains__(self, study: object) -> bool:
        return isinstance(study, str) and self._studies.find(study) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._studies)

    def __len__(self) -> int:
        return len(self._studies)


def read_sources(run: Path) -> PrivateSources:
    """Read the file, item by item: each must be a study's.

    Raises:
        OutputError: when it is not there, as in a folder that was handed on, or damaged.
    """
    path = run / SOURCES_FILE
    with _reading(path), path.open("rb") as file:
        head = file.read(_LONGEST_HEAD)
        begins = head.index(_STUDIES.encode())
        configuration = json.loads(head[:begins].rstrip().removesuffix(b",") + b"}")["configuration"]
        studies, places = Texts(), array("q")
        for item in read_items(file, begins + len(_STUDIES), "}"):
            studies.append(_source(item.value).study)
            places.extend((item.start, item.end))
        return PrivateSources(Path(configuration), StoredSources(path, studies, places, _state_of(file)))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be read ({error.strerror}): where the studies lie is not known here"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path}: is damaged; where the studies lie is not known") from error


def _state_of(file: IO[bytes]) -> tuple[int, ...]:
    """Return what tells an open file from another one, and from itself when it was written to since."""
    state = os.fstat(file.fileno())
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def _as_json(source: StudySource) -> dict[str, Any]:
    row = source.row
    return {
        "study": source.study,
        "patient": source.patient,
        "sha256": source.sha256,
        "image_sha256": source.image_sha256,
        "row": {
            "study": row.study,
            "patient": row.patient,
            "image": str(row.image),
            "root": None if row.root is None else str(row.root),
            "reference": row.reference,
            "strata": dict(row.strata),
            "masks": [_mask_as_json(mask) for mask in row.masks],
            "avoid": [_mask_as_json(mask) for mask in row.avoid],
        },
    }


def _mask_as_json(mask: MaskSource) -> dict[str, Any]:
    return {
        "reader": mask.reader,
        "label": mask.label,
        "path": str(mask.path),
        "value": mask.value,
        "key": mask.key,
        "refused": mask.refused,
    }


def _mask(content: Mapping[str, Any]) -> MaskSource:
    return MaskSource(
        content["reader"],
        content["label"],
        Path(content["path"]),
        content["value"],
        content["key"],
        None if content["refused"] is None else (Reason(content["refused"][0]), content["refused"][1]),
    )


def _source(content: Mapping[str, Any]) -> StudySource:
    row = content["row"]
    return StudySource(
        StudyRow(
            row["study"],
            row["patient"],
            Path(row["image"]),
            tuple(map(_mask, row["masks"])),
            None if row["reference"] is None else tuple(row["reference"]),
            row["strata"],
            None if row["root"] is None else Path(row["root"]),
            tuple(map(_mask, row.get("avoid", ()))),  # earlier versions wrote none
        ),
        content["study"],
        content["patient"],
        content["sha256"],
        content["image_sha256"],
    )
