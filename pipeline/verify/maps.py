"""Every map that is kept or referred to against the hash in its row, those of earlier runs against their ledgers."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from pipeline.errors import OutputError
from pipeline.findings.custody.recorded_files import check_file, files_told_by
from pipeline.findings.pictures.volumes import CaseVolume, load_volume
from pipeline.findings.scores import MapScores
from pipeline.findings.shards import load_map, load_maps, map_key, maps_path
from pipeline.findings.spec import LEDGER_FILE
from pipeline.findings.study_audit import StudyAudit, map_name, methods_at_layers
from pipeline.verify.failure import Failure, FailureKind
from pipeline.verify.run_folder import RunFolder, without_path

__all__ = ["check_maps", "check_volumes"]


def check_maps(run: RunFolder) -> Iterator[Failure]:
    """Yield maps that are not the measured ones, and earlier runs that do not prove theirs; each run and study once."""
    keepers: dict[str, Failure | None] = {}
    for name, audit in run.counting():
        entries = [entry for entry in audit.map_scores if entry.map is not None]
        for file in dict.fromkeys(_file(entry) for entry in entries):
            if file.startswith("../") and file not in keepers:
                keepers[file] = _keeper_failure(run, file)
                if failure := keepers[file]:
                    yield failure
        yield from _wrong_map(run, name, audit, [entry for entry in entries if keepers.get(_file(entry)) is None])


def _file(entry: MapScores) -> str:
    return str(entry.map).partition("#")[0]


def _keeper_failure(run: RunFolder, file: str) -> Failure | None:
    """Hold a maps file of an earlier run against that run's ledger, signed with the same key as this one's."""
    try:
        path = maps_path(run.path, file)
    except OutputError:
        return None  # the map itself says so
    keeper = path.parents[1]
    if not keeper.is_dir():
        sentence = f"maps of run {keeper.name} are referred to, and its folder is not beside this one"
        return Failure(FailureKind.CARRIED_ABSENT, sentence, file)
    try:
        check_file(keeper, f"maps/{path.name}", files_told_by(keeper / LEDGER_FILE, public=run.public))
    except OutputError as error:
        sentence = f"run {keeper.name}, which keeps maps of this one: {without_path(error, keeper)}"
        return Failure(FailureKind.CARRIED_ALTERED, sentence, file)
    return None


def _wrong_map(run: RunFolder, shard: str, audit: StudyAudit, entries: list[MapScores]) -> Iterator[Failure]:
    try:
        maps = load_maps(run.path, entries)
    except OutputError as error:
        yield _failure(shard, audit, without_path(error, _folder_of(error, run.path)))
        return
    for entry in entries:
        if entry.map_sha256 is None:
            yield _failure(shard, audit, "its row holds no hash")
        values, affine = maps[map_key(entry)], maps[f"{map_key(entry)}/affine"]
        if (
            values.dtype != np.float32
            or not values.size
            or not (np.isfinite(values).all() and np.isfinite(affine).all())
        ):
            yield _failure(shard, audit, "holds values that no map has")
        elif not _peak_fits(run, entry, values, affine):
            yield _failure(shard, audit, "has its peak elsewhere than its row says")


_SMALLEST = float(np.finfo(np.float32).tiny)
_ROUNDING = 1e-3  # of the map's highest value: interpolation in single precision, and a position as it is written


def _peak_fits(run: RunFolder, entry: MapScores, values: NDArray[np.float32], affine: NDArray[np.float64]) -> bool:
    """Tell whether the peak that a row states has its value in the map, at its place, and no more than the map has.

    A map that was moved to where its cells look has its peak moved with it: its value alone is compared then.
    """
    peak, highest = entry.peak, float(values.max())
    if peak is None:
        return True
    slack = _ROUNDING * max(highest, _SMALLEST)
    if peak.value <= 0 or peak.value > highest + slack:
        return False
    if run.spec is None or run.spec.config.overlap.align != "grid":
        return True
    index = (np.linalg.inv(affine) @ [*peak.position_mm, 1.0])[: values.ndim, None]
    there = float(map_coordinates(values.astype(np.float64), index, order=1, mode="nearest")[0])
    return abs(there - peak.value) <= slack


def _folder_of(error: OutputError, run: Path) -> Path:
    return run if str(error).startswith(str(run)) else run.parent


def check_volumes(run: RunFolder) -> Iterator[Failure]:
    """Yield volumes kept for scrolling whose maps are not the measured ones, or whose counts do not follow from them.

    Counts at all thresholds are counted again from the kept cells and masks; those of the audit's own region are held
    against the row's IoU. That the masks are the archive's only the archive can tell.
    """
    from pipeline.conclusions.shown_cases.recounted import counted_otherwise  # asked for, not part of every check

    kept = {case.study: case.volume for case in run.results.cases if case.volume} if run.results else {}
    for _, audit in run.counting():
        name = kept.get(audit.study)
        if name is None:
            continue
        try:
            volume = load_volume(run.path / name)
            wrong = [*_other_maps(run.path, volume, audit), *counted_otherwise(volume)]
        except (OutputError, ValueError, LookupError):
            yield Failure(FailureKind.PICTURES, f"the volume of study {audit.study} cannot be counted again", name)
            continue
        for method, what in wrong:
            sentence = f"the volume of study {audit.study}: map {method}: {what} is not what follows from its values"
            yield Failure(FailureKind.PICTURES, sentence, name)


def _other_maps(folder: Path, volume: CaseVolume, audit: StudyAudit) -> Iterator[tuple[str, str]]:
    """Yield maps of a volume that are not the kept ones, or whose region has another overlap than its row says."""
    at_layers = methods_at_layers([audit])
    roles = sorted(audit.map_scores, key=lambda entry: entry.target_role != "reference")  # stable: the first is shown
    for entry in audit.map_scores:
        own = volume.maps.get(map_name(entry, at_layers))
        if own is None or entry.map is None or entry.target != roles[0].target:
            continue
        if not np.array_equal(load_map(folder, entry)[0], own.values):
            yield map_name(entry, at_layers), "what is kept of it"
        counts, scores = own.readers.get(entry.reader or ""), {score.name: score.value for score in entry.scores}
        if counts is None or own.drawn is None or scores.get("iou") is None:
            continue
        union = own.drawn[1] + counts.mask - counts.drawn
        if not union or not np.isclose(counts.drawn / union, float(scores["iou"] or 0), rtol=1e-9, atol=0):
            yield map_name(entry, at_layers), f"the region that was drawn, in the mask of {entry.reader},"


def _failure(shard: str, audit: StudyAudit, why: str) -> Failure:
    return Failure(FailureKind.MAP, f"a map of study {audit.study}: {why}", shard)
