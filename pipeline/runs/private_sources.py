"""Where a run's studies lie: the one private file of a run's folder, which a folder that is handed on goes without.

It holds the archive's own names and paths. Everything else of the folder names pseudonyms.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import OutputError, Reason
from pipeline.files import json_array, json_items, written
from pipeline.findings.spec import SOURCES_FILE
from pipeline.studies.listing.study_row import MaskSource, StudyRow
from pipeline.walk.sources import StudySource

__all__ = ["PrivateSources", "read_sources", "write_sources"]

_STUDIES = '"studies":'
"""Cannot stand within a path before it: there its quotes would be escaped."""


@dataclass(frozen=True)
class PrivateSources:
    """The configuration's file, and the studies by pseudonym."""

    configuration: Path
    studies: Mapping[str, StudySource]

    @property
    def folder(self) -> Path:
        """What the configuration's relative paths are relative to."""
        return self.configuration.parent


def write_sources(run: Path, sources: PrivateSources) -> None:
    """Write the file, its owner's alone.

    Raises:
        OutputError: when it cannot be written.
    """
    path = run / SOURCES_FILE
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path.parent}: cannot be made: {error.strerror}") from error
    with written(path, private=True) as file:
        file.write(f'{{"configuration": {json.dumps(str(sources.configuration))},\n{_STUDIES} '.encode())
        file.writelines(json_array(map(_as_json, sources.studies.values())))
        file.write(b"}")


def read_sources(run: Path) -> PrivateSources:
    """Read the file.

    Raises:
        OutputError: when it is not there, as in a folder that was handed on, or damaged.
    """
    path = run / SOURCES_FILE
    try:
        text = path.read_text(encoding="utf-8")
        begins = text.index(_STUDIES)
        configuration = json.loads(text[:begins].rstrip().removesuffix(",") + "}")["configuration"]
        studies = map(_source, json_items(text, begins + len(_STUDIES), "}"))
        return PrivateSources(Path(configuration), {source.study: source for source in studies})
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be read ({error.strerror}): where the studies lie is not known here"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path}: is damaged; where the studies lie is not known") from error


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
