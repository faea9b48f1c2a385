"""A shard on disk: its studies as Parquet, its maps as arrays at the layer's own resolution.

The Parquet file has one row for each finding (study x target x layer x method x reader); a study without findings has
one row, so that none is lost. Two columns tell what a row answers to: ``study_recipe`` digests what the study's own
facts follow from, ``map_recipe`` what the map and its scores do.
"""

import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import OutputError
from pipeline.files import written
from pipeline.findings.recipes import Recipes
from pipeline.findings.record import MapScores, StudyAudit

__all__ = ["Maps", "load_map", "load_maps", "maps_by_study", "read_answers", "read_shard", "write_maps", "write_shard"]

Maps = dict[str, NDArray[Any]]
"""A map's key, or its layer's ``<key>/affine``, to its array."""

_SCORES = pa.list_(
    pa.struct(
        [
            ("name", pa.string()),
            ("version", pa.int64()),
            ("value", pa.float64()),
            ("chance", pa.float64()),
            ("reason", pa.string()),
        ]
    )
)
_REFUSED = pa.struct(
    [
        ("reader", pa.string()),
        ("label", pa.string()),
        ("reason", pa.string()),
        ("message", pa.string()),
        ("masks", pa.int64()),
    ]
)
_INPUT = pa.struct(
    [
        ("shape", pa.list_(pa.int64())),
        ("minimum", pa.float64()),
        ("mean", pa.float64()),
        ("maximum", pa.float64()),
        ("deviation", pa.float64()),
    ]
)
_STUDY = pa.schema(
    [
        ("study", pa.string()),
        ("patient", pa.string()),
        ("source_sha256", pa.string()),
        ("status", pa.string()),
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("message", pa.string()),
        ("reference", pa.list_(pa.string())),
        ("predicted", pa.list_(pa.string())),
        ("probabilities", pa.map_(pa.string(), pa.float64())),
        ("strata", pa.map_(pa.string(), pa.string())),
        ("facts", pa.map_(pa.string(), pa.string())),
        ("masks", pa.int64()),
        ("mask_faults", pa.list_(_REFUSED)),
        ("model_input", _INPUT),
        (
            "agreement",
            pa.list_(pa.struct([("label", pa.string()), ("readers", pa.list_(pa.string())), ("scores", _SCORES)])),
        ),
    ]
)
_FINDING = pa.schema(
    [
        ("target", pa.string()),
        ("method", pa.string()),
        ("layer", pa.string()),
        ("reader", pa.string()),
        ("map", pa.string()),
        ("map_sha256", pa.string()),
        ("cell_mm", pa.list_(pa.float64())),
        ("degenerate", pa.bool_()),
        ("seen_share", pa.float64()),
        ("mask_share", pa.float64()),
        ("scores", _SCORES),
    ]
)
_RECIPES = pa.schema([("study_recipe", pa.string()), ("map_recipe", pa.string())])
_SCHEMA = pa.schema([*_STUDY, *_FINDING, *_RECIPES])


def write_shard(path: Path, audits: Iterable[StudyAudit], recipes: Recipes) -> None:
    """Write a shard's studies, complete or not at all; every row answers to ``recipes``.

    Raises:
        OutputError: when the file cannot be written.
    """
    rows = []
    for audit in audits:
        content = audit.model_dump(mode="json")
        content["study_recipe"] = recipes.study
        map_scores = content.pop("map_scores") or [{}]
        rows += [{**content, **entry, "map_recipe": recipes.of_row(entry)} for entry in map_scores]
    table = pa.Table.from_pylist(rows, schema=_SCHEMA)
    with written(path) as file:
        pq.write_table(table, file, compression="zstd")


def read_shard(path: Path) -> list[StudyAudit]:
    """Read a shard's studies back.

    Raises:
        OutputError: when the file is missing or not a shard.
    """
    return [_study(group) for group in _by_study(_rows(path))]


def read_answers(path: Path, recipes: Recipes) -> list[StudyAudit]:
    """Read the studies of a shard whose facts answer to ``recipes``, each with those of its findings that do.

    Raises:
        OutputError: when the file is missing or not a shard.
    """
    rows = [row for row in _rows(path) if row["study_recipe"] == recipes.study]
    return [
        _study(group, [row for row in group if row["map_recipe"] == recipes.of_row(row)]) for group in _by_study(rows)
    ]


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        table = pq.read_table(path)
        if table.schema.names != _SCHEMA.names:  # of another version: a missing column would read as null
            raise OutputError(f"{path}: is a shard of another version")
        return list(table.cast(_SCHEMA).to_pylist(maps_as_pydicts="strict"))
    except (OSError, pa.ArrowException) as error:
        raise OutputError(f"{path}: cannot be read as a shard of this version") from error


def _by_study(rows: Iterable[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    return [list(group) for _, group in groupby(rows, key=lambda row: row["study"])]


def _study(rows: Sequence[Mapping[str, Any]], chosen: Sequence[Mapping[str, Any]] | None = None) -> StudyAudit:
    """Return a study from its rows, with the findings of all of them or of those that are chosen."""
    study = {name: rows[0][name] for name in _STUDY.names}
    map_scores = [
        MapScores.model_validate({name: row[name] for name in _FINDING.names})
        for row in (rows if chosen is None else chosen)
        if row["target"] is not None
    ]
    return StudyAudit.model_validate({**study, "map_scores": map_scores})


def write_maps(path: Path, maps: Maps) -> None:
    """Write a shard's maps as one ``.npz`` without pickles.

    Raises:
        OutputError: when the file cannot be written.
    """
    with written(path) as file:
        np.savez_compressed(file, allow_pickle=False, **maps)


def load_map(run: Path, reference: str) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return a map and its layer's affine (4, 4) to RAS+ mm, from a finding's ``map`` (``maps/<shard>.npz#<key>``).

    Raises:
        OutputError: when it is not there.
    """
    name, _, key = reference.partition("#")
    try:
        with np.load(run / name, allow_pickle=False) as file:
            return file[key], file[f"{key}/affine"]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise OutputError(f"{run / name}: the map of this run is missing or damaged") from error


def maps_by_study(run: Path, audits: Iterable[StudyAudit]) -> Iterator[tuple[StudyAudit, Maps]]:
    """Yield studies with their maps by key, without affines, one study in memory at a time.

    A study's maps may lie in several files: what was carried over, and what this run added. Studies come in the order
    of their files, so that each file is opened seldom; those without a map are left out.

    Raises:
        OutputError: when a map is not there.
    """
    groups: dict[tuple[str, ...], list[tuple[StudyAudit, dict[str, str]]]] = {}
    for audit in audits:
        places = [entry.map.partition("#") for entry in audit.map_scores if entry.map is not None]
        files = {key: name for name, _, key in places}
        if files:
            groups.setdefault(tuple(sorted(set(files.values()))), []).append((audit, files))
    for names, studies in groups.items():
        try:
            with ExitStack() as opened:
                arrays = {name: opened.enter_context(np.load(run / name, allow_pickle=False)) for name in names}
                for audit, files in studies:
                    yield audit, {key: arrays[name][key] for key, name in files.items()}
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise OutputError(f"{run / names[0]}: the maps of this run are missing or damaged") from error


def load_maps(run: Path, audits: Iterable[StudyAudit]) -> Maps:
    """Return all maps of some studies of a run, with their affines, by key; each file is opened once.

    Raises:
        OutputError: when one is not there.
    """
    wanted: dict[str, list[str]] = {}
    for audit in audits:
        for entry in audit.map_scores:
            if entry.map is not None:
                name, _, key = entry.map.partition("#")
                wanted.setdefault(name, []).append(key)
    maps: Maps = {}
    for name, keys in wanted.items():
        try:
            with np.load(run / name, allow_pickle=False) as file:
                maps |= {part: file[part] for key in dict.fromkeys(keys) for part in (key, f"{key}/affine")}
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise OutputError(f"{run / name}: the maps of this run are missing or damaged") from error
    return maps
