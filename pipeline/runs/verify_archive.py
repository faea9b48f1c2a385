"""A run held against its archive and its model: all files and scores, and some studies audited anew."""

import math
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pipeline.conclusions.tuned import rules_of, tuned_of
from pipeline.errors import AuditError, InternalError, Stage
from pipeline.evidence.localisation.tuning import RegionRules
from pipeline.experiments.anew import chosen_otherwise, tried_anew
from pipeline.findings.carried import Carried
from pipeline.findings.shards import Maps, load_maps, map_key
from pipeline.findings.spec import Member
from pipeline.findings.study_audit import StudyAudit
from pipeline.runs.first_pass import kept_averages, masks_file, read_cells
from pipeline.runs.run import Run
from pipeline.studies.file_hashes import FileHashes, open_file_hashes
from pipeline.studies.study import PASSING
from pipeline.studies.untrusted.workers import WorkerPool
from pipeline.verify.conclusions import first_difference, is_the_same
from pipeline.verify.failure import Failure, FailureKind
from pipeline.walk.alignment import with_layers
from pipeline.walk.auditor import Auditor, open_auditor, open_scorer
from pipeline.walk.first_pass.mask_survey import surveyed_masks
from pipeline.walk.sources import StudySource, row_digest
from pipeline.walk.study_walk import audit_studies

__all__ = ["audit_anew", "check_archive"]

_CLOSE = 1e-3
"""Of a map's largest value, and of a probability: a batch and a single study round differently."""

_MEASURED = 1e-4
"""Of a measured number: processors round differently, and a voxel on the threshold falls to either side."""


def check_archive(folder: Path) -> Iterator[Failure]:
    """Yield studies whose files are not those that were audited, or whose scores do not come out of the kept maps.

    Every file is hashed and read again, every map that is kept is measured again; what is measured must be the same up
    to rounding.

    Raises:
        AuditError: when the run cannot be opened, or where its studies lie is not known here.
    """
    with WorkerPool() as pool, Run.open(folder, pool=pool) as run, TemporaryDirectory() as scratch:
        layers = tuple(layer.name for layer in run.spec.layers)
        averages = kept_averages(folder, run.spec, run.members)
        scorer = replace(
            with_layers(open_scorer(run.config, layers, pool), run.spec.layers),
            average_masks=averages,
            rules=_rules(run),
        )
        with open_file_hashes(Path(scratch), deep=True) as hashes:
            for member, audit in zip(run.members, run.records(), strict=True):
                source = run.sources.studies.get(member.study)
                if source is None or not _is_unchanged(run, source, member, hashes):
                    sentence = f"the files of study {member.study} are missing, or not those that were audited"
                    yield Failure(FailureKind.ARCHIVE, sentence)
                elif (why := _measured_otherwise(scorer, folder, source, audit)) is not None:
                    yield Failure(FailureKind.SCORES, f"study {member.study}: {why}")
        if averages is not None:
            yield from _other_masks(run, scorer)
        yield from chosen_otherwise(run.spec, run.sources.studies.values())


def _rules(run: Run) -> RegionRules:
    return rules_of(run.spec, run.members, tuned_of(run.spec, run.members, run.records()))


def _other_masks(run: Run, scorer: Auditor) -> Iterator[Failure]:
    """Yield studies whose masks in the common frame are not what the archive's masks give now."""
    for shard in range(run.spec.shards):
        kept = read_cells(run.folder / masks_file(shard))
        members = [member.study for member in run.members_of(shard)]
        now = surveyed_masks(scorer, [run.sources.studies[study] for study in members])
        for key in sorted({*kept, *now}):
            if key not in kept or key not in now or not np.array_equal(kept[key], now[key]):
                sentence = f"{masks_file(shard)}: the masks of study {key.partition('/')[0]} are others now"
                yield Failure(FailureKind.SCORES, sentence, masks_file(shard))


def _is_unchanged(run: Run, source: StudySource, member: Member, hashes: FileHashes) -> bool:
    try:
        return row_digest(run.config.archive, source.row, hashes) == member.source_sha256
    except (OSError, AuditError):
        return False


def _measured_otherwise(scorer: Auditor, folder: Path, source: StudySource, audit: StudyAudit) -> str | None:
    """Read a study and measure its kept maps again; return what comes out otherwise."""
    analysed = audit.status == "analysed"
    if not analysed and (audit.stage not in (Stage.READ, Stage.PREPARE) or audit.reason in PASSING):
        return None  # what the model or the moment said cannot be read again
    untold = tuple(entry.model_copy(update={"peak": None}) for entry in audit.map_scores)  # peaks are found again, too
    carried = Carried(audit.model_copy(update={"map_scores": untold}), masks_hold=False) if analysed else None
    try:
        (again,), _ = audit_studies(scorer, [replace(source, carried=carried, kept_in=folder)])
    except (AuditError, InternalError):  # a map that is missing, or a study that reads otherwise and needs the model
        return "what is read of it now is not what the record says, or its maps are not here"
    then, now = audit.model_dump(mode="json"), again.model_dump(mode="json")
    differing = [name for name in then if not _is_like(then[name], now[name])]
    if differing == ["map_scores"]:
        return _other_score(then["map_scores"], now["map_scores"])
    return f"{differing[0]} is read otherwise now" if differing else None


def _is_like(then: object, now: object) -> bool:
    """Tell whether two JSON values are the same up to what processors round otherwise."""
    return first_difference(then, now, is_like=_is_measured_alike) is None


def _is_measured_alike(then: object, now: object) -> bool:
    if type(then) is type(now) is float:
        return math.isclose(then, now, rel_tol=_MEASURED, abs_tol=_MEASURED**2)
    if type(then) is type(now) is int:
        return abs(then - now) <= _MEASURED * abs(then)  # voxels; lesions and marks are fewer, and exact
    return is_the_same(then, now)


def _other_score(then: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> str:
    for entry, other in zip(then, now, strict=False):
        if not _is_like(entry, other):
            scores = {score["name"]: score for score in other["scores"]}
            others = (score["name"] for score in entry["scores"] if not _is_like(score, scores.get(score["name"])))
            of = f"{entry['method']} against {entry['reader'] or 'no reader'}"
            return f"{next(others, 'a fact')} of {of} is measured otherwise now"
    return "the record has other scores than are measured now"


def audit_anew(folder: Path, count: int) -> Iterator[Failure]:
    """Audit studies anew, alone, with the model, and yield those whose answer or maps are not the record's.

    Experiments are done anew as a whole. The studies are drawn by the system's randomness, which nobody can foresee.

    Raises:
        AuditError: when the run cannot be opened, or the model not be loaded.
    """
    with WorkerPool() as pool, Run.open(folder, pool=pool) as run:
        layers = tuple(layer.name for layer in run.spec.layers)
        opened = open_auditor(run.config, run.sources.folder, layers=layers, pool=pool)
        aligned = with_layers(opened, run.spec.layers)
        averages = kept_averages(folder, run.spec, run.members)
        one_by_one = run.spec.model.one_by_one
        auditor = replace(
            aligned, prepared_cache=None, one_by_one=one_by_one, average_masks=averages, rules=_rules(run)
        )
        known = (run.spec.model.sha256, run.spec.model.code_sha256)
        if (auditor.loaded.sha256, auditor.loaded.code_sha256) != known:
            yield Failure(FailureKind.RECOMPUTED, "the model here is not the one that was audited")
            return
        analysed = [audit.study for audit in run.records() if audit.status == "analysed"]
        drawn = secrets.SystemRandom().sample(analysed, min(count, len(analysed)))
        for audit in run.records().of(drawn).values():
            yield from _audited_anew(run, auditor, audit)
        yield from tried_anew(folder, run.spec, run.sources.studies, auditor)


def _audited_anew(run: Run, auditor: Auditor, audit: StudyAudit) -> Iterator[Failure]:
    source = replace(run.sources.studies[audit.study], sha256=audit.source_sha256, carried=None)
    (again,), maps = audit_studies(auditor, [source])
    failure = partial(Failure, FailureKind.RECOMPUTED)
    if again.status != audit.status or again.predicted != audit.predicted:
        yield failure(f"study {audit.study}: the model says something else now, or the study cannot be read")
    elif not _are_close({**audit.probabilities, **audit.values}, {**again.probabilities, **again.values}):
        yield failure(f"study {audit.study}: the model's probabilities are others now")
    else:
        yield from (failure(f"study {audit.study}: {why}") for why in _other_maps(run.folder, audit, again, maps))


def _are_close(then: Mapping[str, float], now: Mapping[str, float]) -> bool:
    return then.keys() == now.keys() and all(
        abs(then[label] - now[label]) <= _CLOSE * max(1.0, abs(then[label])) for label in then
    )


def _other_maps(folder: Path, audit: StudyAudit, again: StudyAudit, maps: Maps) -> Iterator[str]:
    """Yield maps that differ by more than rounding; where all are equal to the bit, so are scores up to rounding."""
    kept = load_maps(folder, audit.map_scores)
    exact = True
    for entry in {entry.map: entry for entry in audit.map_scores if entry.map is not None}.values():
        then, now = kept[map_key(entry)], maps.get(map_key(entry))
        largest = float(np.abs(then).max())
        if now is None or now.shape != then.shape or float(np.abs(now - then).max()) > _CLOSE * largest:
            yield f"the map of {entry.method} at {entry.layer} comes out otherwise"
            return
        exact = exact and np.array_equal(now, then)
    if exact and not _is_like(_scores_and_peaks(audit), _scores_and_peaks(again)):
        yield "its maps come out equal to the bit, and its scores do not"


def _scores_and_peaks(audit: StudyAudit) -> list[object]:
    return [entry.model_dump(mode="json", include={"scores", "peak"}) for entry in audit.map_scores]
