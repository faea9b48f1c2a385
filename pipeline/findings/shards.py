"""A shard on disk: its studies as Parquet, its maps as arrays at the layer's own resolution.

The Parquet file has one row for each finding (study x target x layer x method x reader); a study without findings has
one row, so that none is lost. Four columns tell what a row answers to (``Recipes``): what the model said of the study,
what was read of masks, the map, its scores. A map is kept in the run that computed it; later runs refer to it.
"""

import hashlib
import re
import sys
import zipfile
import zlib
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import OutputError
from pipeline.files import written
from pipeline.findings.carried import Carried
from pipeline.findings.frozen_model import share_names_of_fields
from pipeline.findings.recipes import Recipes
from pipeline.findings.scores import MapScores
from pipeline.findings.study_audit import StudyAudit

__all__ = [
    "Maps",
    "iter_answers",
    "iter_shard",
    "load_map",
    "load_maps",
    "map_digest",
    "map_key",
    "maps_by_study",
    "maps_path",
    "read_answers",
    "read_shard",
    "runs_named",
    "study_names",
    "write_maps",
    "write_shard",
]

Maps = dict[str, NDArray[Any]]
"""A map's key, or its layer's ``<key>/affine``, to its array."""

_FAST = 1
"""How hard maps are deflated: NumPy's own writer takes level 6: up to twice as long, for a few percent of a map that is
not nearly everywhere 0."""

_MAPS_NAME = re.compile(r"(?:\.\./[A-Za-z0-9-]+/)?maps/[a-z0-9]+\.npz")

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
_COUNTS = pa.struct(
    [
        ("region", pa.list_(pa.int64())),
        ("common", pa.list_(pa.int64())),
        ("mask", pa.int64()),
        ("visible", pa.int64()),
        ("seen", pa.int64()),
    ]
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
_SHAPES = pa.struct(
    [
        ("label", pa.string()),
        ("reader", pa.string()),
        ("axes", pa.int64()),
        ("lesions", pa.int64()),
        ("image_share", pa.float64()),
        ("size", pa.float64()),
        ("elongation", pa.float64()),
        ("irregularity", pa.float64()),
    ]
)
_INPUT = pa.struct(
    [
        ("shape", pa.list_(pa.int64())),
        ("minimum", pa.float64()),
        ("mean", pa.float64()),
        ("maximum", pa.float64()),
        ("deviation", pa.float64()),
        ("sha256", pa.string()),
        ("sketch", pa.string()),
    ]
)
_PEAK = pa.struct(
    [
        ("region", pa.string()),
        ("body_region", pa.string()),
        ("place", pa.string()),
        ("position_mm", pa.list_(pa.float64())),
        ("normalised", pa.list_(pa.float64())),
        ("value", pa.float64()),
    ]
)
_SHARES = pa.struct([(name, pa.map_(pa.string(), pa.float64())) for name in ("evidence", "voxels")])
_AVOIDED = pa.list_(
    pa.struct(
        [("name", pa.string()), ("evidence", pa.float64()), ("area", pa.float64()), ("reason", pa.string())],
    )
)
_MARKS = pa.struct([("found", pa.list_(pa.int64())), ("false", pa.list_(pa.int64())), ("lesions", pa.int64())])
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
        ("values", pa.map_(pa.string(), pa.float64())),
        ("strata", pa.map_(pa.string(), pa.string())),
        ("facts", pa.map_(pa.string(), pa.string())),
        ("masks", pa.int64()),
        ("mask_faults", pa.list_(_REFUSED)),
        ("avoid_faults", pa.list_(_REFUSED)),
        ("model_input", _INPUT),
        (
            "agreement",
            pa.list_(pa.struct([("label", pa.string()), ("readers", pa.list_(pa.string())), ("scores", _SCORES)])),
        ),
        ("mask_shapes", pa.list_(_SHAPES)),
    ]
)
_PLACEMENT = pa.struct(
    [
        ("peak", pa.list_(pa.float64())),
        ("energy_in_body", pa.float64()),
        ("peak_in_body", pa.float64()),
        ("body_share", pa.float64()),
        ("reason", pa.string()),
    ]
)
_FINDING = pa.schema(
    [
        ("target", pa.string()),
        ("method", pa.string()),
        ("layer", pa.string()),
        ("reader", pa.string()),
        ("target_role", pa.string()),
        ("map", pa.string()),
        ("map_sha256", pa.string()),
        ("cell_mm", pa.list_(pa.float64())),
        ("degenerate", pa.bool_()),
        ("seen_share", pa.float64()),
        ("mask_share", pa.float64()),
        ("placement", _PLACEMENT),
        ("peak", _PEAK),
        ("scores", _SCORES),
        ("counts", _COUNTS),
        ("shares", _SHARES),
        ("marks", _MARKS),
        ("unaligned", _SCORES),
        ("avoided", _AVOIDED),
    ]
)
_RECIPES = pa.schema([(name, pa.string()) for name in ("study_recipe", "masks_recipe", "map_recipe", "score_recipe")])
_SCHEMA = pa.schema([*_STUDY, *_FINDING, *_RECIPES])
_SHARED = ("facts", "strata")
_BATCH = 512
"""Rows that are objects at a time."""
_GROUP = 512
"""Studies of a file that are written, and passed over, together."""


def write_shard(path: Path, studies: Iterable[StudyAudit | Carried], recipes: Recipes) -> None:
    """Write a shard's studies, complete or not at all; every row answers to ``recipes`` but for what is stale.

    Raises:
        OutputError: when the file cannot be written.
    """
    left = iter(studies)
    with written(path) as file, pq.ParquetWriter(file, _SCHEMA, compression="zstd") as writer:
        while some := list(islice(left, _GROUP)):
            rows = [row for study in some for row in _rows_of(study, recipes)]
            writer.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA))


def _rows_of(study: StudyAudit | Carried, recipes: Recipes) -> list[dict[str, object]]:
    carried = study if isinstance(study, Carried) else Carried(study)
    content = carried.audit.model_dump(mode="json")
    rows = []
    for entry in content.pop("map_scores") or [{}]:
        columns = recipes.columns_of(entry)
        if not carried.masks_hold:
            columns["masks_recipe"] = None
        if (entry.get("target"), entry.get("method"), entry.get("layer") or "") in carried.stale:
            columns["score_recipe"] = None
        rows.append({**content, **entry, **columns})
    return rows


def read_shard(path: Path) -> list[StudyAudit]:
    """Read a shard's studies back.

    Raises:
        OutputError: when the file is missing or not a shard.
    """
    return list(iter_shard(path))


def iter_shard(path: Path, only: Collection[str] | None = None) -> Iterator[StudyAudit]:
    """Yield a shard's studies, or those of a few names, a few hundred rows in memory at a time.

    Raises:
        OutputError: when the file is missing or not a shard.
    """
    for _, group in groupby(_rows(path, only), key=lambda row: row["study"]):
        yield _study(list(group))


def study_names(path: Path) -> set[str]:
    """Return the names of a shard's studies.

    Raises:
        OutputError: when the file is missing or not a shard.
    """
    with _reading_shard(path):
        return set(pq.read_table(path, columns=["study"]).column("study").to_pylist())


def runs_named(path: Path) -> frozenset[str]:
    """Return the earlier runs whose maps a shard refers to; only that column is read, of any version.

    Raises:
        OutputError: when the file is missing or not a shard.
    """
    try:
        maps = pq.read_table(path, columns=["map"]).column("map").to_pylist()
    except (OSError, ValueError, KeyError) as error:  # pyarrow's own errors are of the first two
        raise OutputError(f"{path}: cannot be read: which maps it refers to cannot be told") from error
    return frozenset(name.split("/")[1] for name in maps if name is not None and name.startswith("../"))


def read_answers(path: Path, recipes: Recipes) -> list[Carried]:
    """Read what ``iter_answers`` yields of a whole shard.

    Raises:
        OutputError: when the file is missing or not a shard.
    """
    return list(iter_answers(path, recipes))


def iter_answers(path: Path, recipes: Recipes, only: Collection[str] | None = None) -> Iterator[Carried]:
    """Yield the studies of a shard, or those of a few names, whose model answers are those of ``recipes``.

    Each has the maps that are theirs, too.

    Raises:
        OutputError: when the file is missing or not a shard.
    """
    rows = (row for row in _rows(path, only) if row["study_recipe"] == recipes.study)
    for _, group in groupby(rows, key=lambda row: row["study"]):
        yield _carried(list(group), recipes)


def _carried(rows: Sequence[Mapping[str, Any]], recipes: Recipes) -> Carried:
    chosen, stale = [], set()
    for row in rows:
        columns = recipes.columns_of(row)
        if row["map_recipe"] != columns["map_recipe"]:
            continue
        chosen.append(row)
        if row["score_recipe"] != columns["score_recipe"] and row["target"] is not None:
            stale.add((row["target"], row["method"], row["layer"] or ""))
    return Carried(_study(rows, chosen), frozenset(stale), rows[0]["masks_recipe"] == recipes.masks)


def _rows(path: Path, only: Collection[str] | None = None) -> Iterator[dict[str, Any]]:
    with _reading_shard(path), pq.ParquetFile(path) as file:
        if file.schema_arrow.names != _SCHEMA.names:  # of another version: a missing column would read as null
            raise OutputError(f"{path}: is a shard of another version; run the audit again with this one")
        wanted = None if only is None else pa.array(sorted(only), pa.string())
        for group in range(file.num_row_groups):
            if wanted is not None and not _names_any(file, group, wanted):
                continue
            # a hundred columns of a few hundred rows: handing each to another thread costs more than reading it
            for batch in file.iter_batches(_BATCH, row_groups=[group], use_threads=False):
                table = pa.Table.from_batches([batch])
                if wanted is not None:
                    table = table.filter(pc.is_in(table["study"], wanted))
                yield from map(_sharing_names, table.cast(_SCHEMA).to_pylist(maps_as_pydicts="strict"))


def _names_any(file: pq.ParquetFile, group: int, wanted: pa.Array) -> bool:
    """Tell whether a part of a file has a row of any of some studies; only that column is read."""
    return bool(pc.any(pc.is_in(file.read_row_group(group, columns=["study"])["study"], wanted)).as_py())


@contextmanager
def _reading_shard(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise OutputError(f"{path}: cannot be read as a shard of this version; run the audit again") from error


def _sharing_names(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row in which what thousands of rows say alike is one string: a cohort's records stay in memory."""
    named = {name: sys.intern(row[name]) for name in ("target", "method", "layer", "reader") if row[name] is not None}
    for score in row["scores"] or ():
        score["name"] = sys.intern(score["name"])
    facts = {name: {sys.intern(key): sys.intern(text) for key, text in row[name].items()} for name in _SHARED}
    return {**row, **named, **facts}


def _study(rows: Sequence[Mapping[str, Any]], chosen: Sequence[Mapping[str, Any]] | None = None) -> StudyAudit:
    """Return a study from its rows, with the findings of all of them or of those that are chosen."""
    study = {name: rows[0][name] for name in _STUDY.names}
    map_scores = [
        MapScores.model_validate({name: row[name] for name in _FINDING.names})
        for row in (rows if chosen is None else chosen)
        if row["target"] is not None
    ]
    scores = (score for entry in map_scores for score in entry.scores)
    deque(share_names_of_fields(chain(map_scores, scores)), maxlen=0)
    return StudyAudit.model_validate({**study, "map_scores": map_scores})


def write_maps(path: Path, maps: Maps) -> None:
    """Write a shard's maps as one ``.npz`` without pickles.

    Raises:
        OutputError: when the file cannot be written.
    """
    with written(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_FAST) as archive:
        for name, values in maps.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)


def load_map(run: Path, entry: MapScores) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return an entry's map and its layer's affine (4, 4) to RAS+ mm.

    Raises:
        OutputError: when it is not there, or is not the map that was measured.
    """
    maps = load_maps(run, [entry])
    key = map_key(entry)
    return maps[key], maps[f"{key}/affine"]


def load_maps(run: Path, entries: Iterable[MapScores]) -> Maps:
    """Return maps with their affines by key; each file is opened once, and each map held against its hash.

    Raises:
        OutputError: when one is not there, or is not the map that was measured.
    """
    wanted: dict[str, dict[str, str | None]] = {}
    for entry in entries:
        if entry.map is not None:
            wanted.setdefault(entry.map.partition("#")[0], {})[map_key(entry)] = entry.map_sha256
    maps: Maps = {}
    for name, hashes in wanted.items():
        path = maps_path(run, name)
        with _reading(path), np.load(path, allow_pickle=False) as file:
            for key, sha256 in hashes.items():
                maps |= {key: _checked(path, file[key], sha256), f"{key}/affine": file[f"{key}/affine"]}
    return maps


def maps_by_study(run: Path, audits: Iterable[StudyAudit]) -> Iterator[tuple[StudyAudit, Maps]]:
    """Yield studies with their maps by key, without affines, one study in memory at a time.

    A study's maps may lie in several files: what earlier runs keep, and what this run added. Studies that follow each
    other and lie in the same files are read from them while these are open; those without a map are left out.

    Raises:
        OutputError: when a map is not there, or is not the map that was measured.
    """
    for names, studies in groupby(audits, key=_files_of):
        if not names:
            continue
        paths = {name: maps_path(run, name) for name in names}
        with _reading(paths[names[0]]), ExitStack() as opened:
            arrays = {name: opened.enter_context(np.load(paths[name], allow_pickle=False)) for name in names}
            for audit in studies:
                maps: Maps = {}
                for entry in audit.map_scores:
                    if entry.map is None:
                        continue
                    name, _, key = str(entry.map).partition("#")
                    if key not in maps:
                        maps[key] = _checked(paths[name], arrays[name][key], entry.map_sha256)
                yield audit, maps


def _files_of(audit: StudyAudit) -> tuple[str, ...]:
    return tuple(sorted({entry.map.partition("#")[0] for entry in audit.map_scores if entry.map is not None}))


def map_key(entry: MapScores) -> str:
    """Return the key of an entry's map within its file."""
    return str(entry.map).partition("#")[2]


def maps_path(run: Path, name: str) -> Path:
    """Return the file of maps that a reference names: ``maps/<shard>.npz``, or ``../<earlier run>/maps/<shard>.npz``.

    Raises:
        OutputError: for every other name: a record must not lead elsewhere.
    """
    if not _MAPS_NAME.fullmatch(name):
        raise OutputError(f"{run}: a record refers to {name!r}, which is no file of maps; the record was altered")
    return run.parent / name[3:] if name.startswith("../") else run / name


def _checked(path: Path, values: NDArray[Any], sha256: str | None) -> NDArray[Any]:
    if sha256 != map_digest(values):
        raise OutputError(f"{path}: a map is not the one that was measured; the file was altered or damaged")
    return values


def map_digest(values: NDArray[Any]) -> str:
    """Return the SHA-256 of a map's values."""
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise OutputError(f"{path}: the maps of this run are missing or damaged") from error
