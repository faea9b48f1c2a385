"""The walk of a study, on one screen: read, prepare, explain, carry to the mask's grid, measure, record."""

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray

from cam import Memory, Target, explain
from pipeline.config import AuditConfig
from pipeline.errors import Reason, Stage, StudyError
from pipeline.evidence.baselines import BASELINES, centre_prior, random_map
from pipeline.evidence.experts import agreement
from pipeline.evidence.localisation import METRICS, MaskedEvidence, score_all
from pipeline.faults import internal_error, log_fault
from pipeline.findings.record import InputFacts, MapScores, PairAgreement, RefusedMask, Score, StudyAudit
from pipeline.findings.shards import Maps
from pipeline.models.load import LoadedModel, probabilities
from pipeline.models.prepare import Preparation
from pipeline.models.prepared_studies import PreparedCache, PreparedStudy, prepared_study
from pipeline.progress import BatchProgress, Progress, silent
from pipeline.studies.consensus import CONSENSUS
from pipeline.studies.geometry import Geometry, Resampling, cells, plan
from pipeline.studies.pseudonyms import Pseudonyms
from pipeline.studies.read_study import StudyRow, read_study
from pipeline.studies.readers.shared.base import ReadOptions
from pipeline.studies.study import PASSING, Study, faults_of
from pipeline.studies.untrusted.workers import DECODING, WorkerPool, isolated_map
from pipeline.studies.volume import Heatmap, Mask
from pipeline.walk.fault_origin import is_out_of_memory, origin_of
from pipeline.walk.map_plan import (
    MapsToCompute,
    calls_for,
    expected_maps,
    in_order,
    missing_maps,
    negative_label,
    places_of,
    predicted_labels,
    targets_of,
)
from pipeline.walk.read_ahead import prefetched
from pipeline.walk.sources import read_rows

__all__ = ["Auditor", "StudySource", "audit_studies", "check_reference", "read_studies"]

_READ_AHEAD = 16  # studies in memory besides those of the batch that is analysed, whatever the size of a batch


@dataclass(frozen=True)
class Auditor:
    """Everything that is the same for every study of a run. ``layers`` are names, ``auto`` resolved.

    ``pool`` is whose processes read the studies; without one, each call of ``read_studies`` has its own.
    """

    config: AuditConfig
    model: LoadedModel
    preparation: Preparation
    device: torch.device
    layers: tuple[str, ...]
    pseudonyms: Pseudonyms
    prepared_cache: PreparedCache | None = None
    pool: WorkerPool | None = None
    memory: Memory = field(default_factory=Memory)


@dataclass(frozen=True)
class StudySource:
    """A row of the archive with its pseudonyms and the hash of its files; ``image_sha256`` is the image's alone.

    ``carried`` is what earlier runs have answered of it: only the maps that it lacks are computed.
    """

    row: StudyRow
    study: str
    patient: str
    sha256: str
    image_sha256: str = ""
    carried: StudyAudit | None = None


def audit_studies(
    auditor: Auditor, sources: Sequence[StudySource], on_maps: Progress = silent
) -> tuple[list[StudyAudit], Maps]:
    """Audit studies in order; one that fails becomes a row with its stage and reason. Maps are kept by key.

    Raises:
        InternalError: when camaudit's own code fails, whatever the study.
    """
    audits: list[StudyAudit] = []
    maps: Maps = {}
    size = auditor.config.run.batch_size
    expected = expected_maps(auditor.config, auditor.layers)
    ready = _read_and_prepare(auditor, sources)
    ahead = prefetched(ready, min(size, _READ_AHEAD)) if auditor.config.run.workers else ready
    for batch in _batches(auditor, ahead, size):
        progress = BatchProgress(on_maps, expected * len(batch))
        before = len(maps)
        for audit, kept in _audit_batch(auditor, batch, progress.on_maps):
            audits.append(audit)
            maps.update(kept)
        progress.finish((len(maps) - before) // 2)  # a map and its affine
    return audits, maps


@dataclass(frozen=True)
class _ReadOutcome:
    """A study that can be shown to the model, or the fault that prevents it."""

    source: StudySource
    study: PreparedStudy | None = None
    fault: StudyError | None = None

    @property
    def carried(self) -> StudyAudit | None:
        """What earlier runs answered, unless the study does not read as it did then (a server's may change)."""
        audit, study = self.source.carried, self.study
        if audit is None or study is None:
            return None
        same = dict(audit.facts) == dict(study.header) and audit.mask_faults == _refused(study)
        return audit if same else None


def _read_and_prepare(auditor: Auditor, sources: Sequence[StudySource]) -> Generator[_ReadOutcome, None, None]:
    cache = auditor.prepared_cache
    held = [cache is not None and cache.holds(source.study, source.sha256) for source in sources]
    rest = read_studies(auditor, [source.row for source, known in zip(sources, held, strict=True) if not known])
    for source, known in zip(sources, held, strict=True):
        stored = cache.load(source.study, source.sha256) if cache and known else None
        if stored is not None:
            yield _prepare(auditor, source, stored)
            continue
        (study,) = read_studies(auditor, [source.row]) if known else (next(rest),)  # known, and damaged
        ready = _prepare(auditor, source, study)
        if cache and ready.study and not any(fault.reason in PASSING for fault in ready.study.mask_faults):
            cache.store(ready.study, source.sha256)
        yield ready
    if cache:
        cache.make_room()


def read_studies(auditor: Auditor, rows: Iterable[StudyRow]) -> Iterator[Study | StudyError]:
    """Read studies in order, each in a worker process that may fail without harm; the fault is its answer then.

    A server's studies are fetched as they are asked for. Where a mask ends the process or cannot be fetched, the study
    is read without it.
    """
    archive = auditor.config.archive
    options = ReadOptions(
        voi=archive.voi,
        volume=archive.volume,
        consensus=archive.consensus,
        labels=auditor.config.model.labels,
        negative=negative_label(auditor.config),
        contours=archive.contours,
    )
    read = partial(read_study, pseudonyms=auditor.pseudonyms, options=options)
    mapped = partial(isolated_map, workers=auditor.config.run.workers, limits=DECODING, pool=auditor.pool)
    under_way: deque[StudyRow] = deque()

    def noted() -> Iterator[StudyRow]:
        for row in rows:
            under_way.append(row)
            yield row

    def read_alone(row: StudyRow) -> Study | StudyError:
        (study,) = read_rows(archive, [row], read, mapped)
        return study

    for study in read_rows(archive, noted(), read, mapped):
        row = under_way.popleft()
        fatal = isinstance(study, StudyError) and study.reason in PASSING and row.masks
        yield _without_fatal_masks(row, study, read_alone) if fatal and isinstance(study, StudyError) else study


def _without_fatal_masks(
    row: StudyRow, fault: StudyError, read_alone: Callable[[StudyRow], Study | StudyError]
) -> Study | StudyError:
    """Read a study whose reading was ended without the masks that end it; all of them where no single one does."""
    if isinstance(read_alone(replace(row, masks=())), StudyError):
        return fault
    alone = [read_alone(replace(row, masks=(mask,))) for mask in row.masks]
    faults = [study if isinstance(study, StudyError) else None for study in alone]
    if not any(faults):
        faults = [fault] * len(faults)
    masks = [
        mask if own is None else replace(mask, refused=(own.reason, str(own)))
        for mask, own in zip(row.masks, faults, strict=True)
    ]
    return read_alone(replace(row, masks=tuple(masks)))


def _prepare(auditor: Auditor, source: StudySource, study: Study | PreparedStudy | StudyError) -> _ReadOutcome:
    if isinstance(study, StudyError):
        return _ReadOutcome(source, fault=study)
    try:
        check_reference(study, auditor.config)
        if isinstance(study, Study):
            study = prepared_study(study, auditor.preparation(study.image))
    except StudyError as fault:
        return _ReadOutcome(source, fault=fault)
    return _ReadOutcome(source, study)


def _batches(auditor: Auditor, ready: Iterable[_ReadOutcome], size: int) -> Iterator[list[_ReadOutcome]]:
    """Group neighbours with inputs of one shape that lack the same maps, at most ``size``; faults stay apart."""

    def kind(outcome: _ReadOutcome) -> object:
        return outcome.study and (
            outcome.study.prepared.x.shape,
            outcome.carried and set(_missing(auditor, outcome.carried).values()),
        )

    for _, group in groupby(ready, key=kind):
        batch: list[_ReadOutcome] = []
        for outcome in group:
            batch.append(outcome)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch


def _audit_batch(
    auditor: Auditor, batch: Sequence[_ReadOutcome], on_maps: Callable[[int], None]
) -> list[tuple[StudyAudit, Maps]]:
    faults = [(ready.source, ready.fault) for ready in batch if ready.fault is not None]
    if faults:
        return [(_logged(source, fault, fault), {}) for source, fault in faults]
    try:
        return _analyse(auditor, batch, on_maps)
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit) and type(error) is not SystemExit:
            raise  # this process is asked to end; a network that says sys.exit() is at fault like any other
        fault = _as_fault(auditor, batch, error)
        if len(batch) == 1:
            return [(_logged(batch[0].source, fault, error), {})]
    # outside the handler, whose exception keeps what did not fit the memory: halves, to find the study at fault
    half = len(batch) // 2
    return _audit_batch(auditor, batch[:half], on_maps) + _audit_batch(auditor, batch[half:], on_maps)


def _logged(source: StudySource, fault: StudyError, error: BaseException) -> StudyAudit:
    """Return the row of a study that ``error`` stopped; what the archive itself rules out leaves no trace."""
    if not fault.excluded:
        log_fault(error, fault.stage, [source.study])
    return _not_analysed(source, fault)


def _analyse(
    auditor: Auditor, batch: Sequence[_ReadOutcome], on_maps: Callable[[int], None]
) -> list[tuple[StudyAudit, Maps]]:
    x = torch.stack([outcome.study.prepared.x for outcome in batch if outcome.study is not None]).to(auditor.device)
    carried = all(outcome.carried for outcome in batch)
    first_look = "predicted" in auditor.config.explain.targets and not carried
    shares = _shares(auditor, auditor.model.network, x) if first_look else None
    wanted = [
        _wanted(auditor, outcome, shares[number] if shares is not None else None)
        for number, outcome in enumerate(batch)
    ]
    logits, maps = _explained(auditor, x, wanted, on_maps)
    if shares is None and not carried:
        shares = _shares(auditor, lambda x: auditor.model.network(x) if logits is None else logits, x)
    return [
        _record(auditor, outcome, shares[number] if shares is not None else None, (wanted[number], maps[number]))
        for number, outcome in enumerate(batch)
    ]


MapKey = tuple[str, str, str]
"""(target, method, layer)."""

RawMaps = dict[MapKey, NDArray[np.float32]]


def _shares(auditor: Auditor, forward: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Return the probabilities (studies, labels)."""
    with torch.no_grad():
        return probabilities(forward(x), auditor.config.model.output)


def _explained(
    auditor: Auditor, x: torch.Tensor, wanted: Sequence[MapsToCompute], on_maps: Callable[[int], None]
) -> tuple[torch.Tensor | None, list[RawMaps]]:
    """Return each study's maps, and the logits (studies, labels) where the model had to be run for them."""
    labels, options = auditor.config.model.labels, auditor.config.explain.options
    logits, maps = None, [RawMaps() for _ in wanted]
    for call in calls_for(wanted, auditor.layers):
        explanation = explain(
            auditor.model.network,
            x,
            [Target(label) for label in call.targets],
            labels=labels,
            methods=call.methods,
            layers=call.layers,
            options={name: given for name, given in options.items() if name in call.methods},
            memory=auditor.memory,
            on_maps=on_maps,
            rectify=False,  # a map is carried to the mask's grid first, and rectified there
        )
        logits = explanation.logits
        for (method, layer, key), values in explanation:
            target = str(key)
            for sample, study in enumerate(wanted):
                if (method, layer) in study.get(target, ()):
                    maps[sample][target, method, layer] = values[sample].float().cpu().numpy()
    return logits, maps


def _wanted(auditor: Auditor, outcome: _ReadOutcome, share: torch.Tensor | None) -> MapsToCompute:
    """Return what is to be computed for a study: what earlier runs lack, or everything."""
    if outcome.carried is not None:
        return _missing(auditor, outcome.carried)
    assert outcome.study is not None
    predicted = () if share is None else predicted_labels(auditor.config, share)
    targets = targets_of(auditor.config, outcome.study.reference, predicted)
    return dict.fromkeys(targets, places_of(auditor.config, auditor.layers))


def _missing(auditor: Auditor, carried: StudyAudit) -> MapsToCompute:
    return missing_maps(carried, auditor.config, auditor.layers)


def _record(
    auditor: Auditor,
    outcome: _ReadOutcome,
    share: torch.Tensor | None,
    computed: tuple[MapsToCompute, RawMaps],
) -> tuple[StudyAudit, Maps]:
    wanted, raw = computed
    study = outcome.study
    assert study is not None
    map_scores: list[MapScores] = []
    kept: Maps = {}
    plans = {layer: _to_mask_grid(values, study) for (_, _, layer), values in raw.items()}
    for (target, method, layer), values in raw.items():
        grid, resampling = plans[layer]
        key = f"{study.identity}/{target}/{method}/{layer}"
        kept |= {key: values, f"{key}/affine": grid.affine}
        heatmap = Heatmap(resampling.apply(values), study.geometry, resampling.seen, method, layer, target)
        digest = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
        map_scores += _measure(auditor, study, heatmap, {"map": key, "map_sha256": digest, "cell_mm": grid.spacing})
    _, first = places_of(auditor.config, auditor.layers)[0]
    for target, places in wanted.items():
        if any(name in BASELINES for name, _ in places):
            map_scores += _measure_baselines(auditor, study, target, plans[first])
    if outcome.carried is None:
        assert share is not None
        return _analysed(auditor, outcome.source, study, share, map_scores), kept
    new = {(entry.target, entry.method, entry.layer) for entry in map_scores}
    held = [entry for entry in outcome.carried.map_scores if (entry.target, entry.method, entry.layer) not in new]
    audit = outcome.carried.model_copy(update={"map_scores": (*held, *map_scores)})
    return in_order(audit, auditor.config, auditor.layers), kept


def _to_mask_grid(values: NDArray[np.float32], study: PreparedStudy) -> tuple[Geometry, Resampling]:
    layer_grid = cells(study.prepared.grid, values.shape)
    return layer_grid, plan(layer_grid, study.geometry)


def _measure(auditor: Auditor, study: PreparedStudy, heatmap: Heatmap, facts: Mapping[str, object]) -> list[MapScores]:
    evidence = MaskedEvidence(heatmap, auditor.config.overlap.threshold)
    common = {
        **facts,
        "target": heatmap.target,
        "method": heatmap.method,
        "layer": heatmap.layer or None,
        "degenerate": evidence.degenerate,
    }
    masks = [mask for mask in study.masks if mask.label == heatmap.target]
    rows: list[dict[str, object]] = [
        {"reader": mask.reader, "scores": score_all(evidence, mask), **_mask_shares(mask, heatmap)} for mask in masks
    ]
    for fault in faults_of(heatmap.target, study.masks, study.mask_faults):
        scores = [Score(name=name, reason=fault.reason) for name in METRICS]
        rows.append({"reader": fault.reader, "scores": scores})
    return [MapScores.model_validate({**common, **row}) for row in rows or [{"reader": None}]]


def _mask_shares(mask: Mask, heatmap: Heatmap) -> dict[str, float | None]:
    marked, seen = int(mask.array.sum()), int(heatmap.seen.sum())
    both = int((mask.array & heatmap.seen).sum())
    return {"seen_share": both / marked if marked else None, "mask_share": both / seen if seen else None}


def _measure_baselines(
    auditor: Auditor, study: PreparedStudy, target: str, layer: tuple[Geometry, Resampling]
) -> list[MapScores]:
    grid, resampling = layer
    noise = random_map(grid.shape, auditor.config.run.seed, study.identity)
    geometry = study.geometry
    baselines = {"random_map": resampling.apply(noise), "centre_prior": centre_prior(geometry)}
    return [
        entry
        for name, values in baselines.items()
        for entry in _measure(auditor, study, Heatmap(values, geometry, resampling.seen, name, "", target), {})
    ]


def check_reference(study: Study | PreparedStudy, config: AuditConfig) -> None:
    """Refuse a study whose reference has a label that the model does not have.

    Raises:
        StudyError: READ, UNKNOWN_LABEL.
    """
    if not set(study.reference or ()) <= set(config.model.labels):
        message = "the reference has a label that the model does not have"
        raise StudyError(Stage.READ, Reason.UNKNOWN_LABEL, message, excluded=True)


def _analysed(
    auditor: Auditor, source: StudySource, study: PreparedStudy, share: torch.Tensor, map_scores: Sequence[MapScores]
) -> StudyAudit:
    negative = negative_label(auditor.config)
    reference = None if study.reference is None else tuple(label for label in study.reference if label != negative)
    return StudyAudit(
        study=study.identity,
        patient=study.patient,
        source_sha256=source.sha256,
        status="analysed",
        reference=reference,
        predicted=predicted_labels(auditor.config, share),
        probabilities=dict(zip(auditor.config.model.labels, map(float, share), strict=True)),
        strata=study.strata,
        facts=study.header,
        masks=sum(not mask.reader.startswith(CONSENSUS) for mask in study.masks),
        mask_faults=_refused(study),
        model_input=_input_facts(study.prepared.x),
        agreement=tuple(
            PairAgreement(label=label, readers=(first, second), scores=scores)
            for (label, first, second), scores in agreement(study.masks).items()
        ),
        map_scores=tuple(map_scores),
    )


def _refused(study: PreparedStudy) -> tuple[RefusedMask, ...]:
    return tuple(RefusedMask.model_validate(asdict(fault)) for fault in study.mask_faults)


def _input_facts(x: torch.Tensor) -> InputFacts:
    """Describe a model input (channels, ...); the sums are taken in double precision."""
    mean = float(x.mean(dtype=torch.float64))
    return InputFacts(
        shape=tuple(x.shape),
        minimum=float(x.min()),
        mean=mean,
        maximum=float(x.max()),
        deviation=float((x - mean).square_().mean(dtype=torch.float64).sqrt()),
    )


def _not_analysed(source: StudySource, fault: StudyError) -> StudyAudit:
    return StudyAudit(
        study=source.study,
        patient=source.patient,
        source_sha256=source.sha256,
        status="excluded" if fault.excluded else "failed",
        stage=fault.stage,
        reason=fault.reason,
        message=str(fault),
        strata=source.row.strata,
    )


def _as_fault(auditor: Auditor, batch: Sequence[_ReadOutcome], error: BaseException) -> StudyError:
    """Turn a fault of the model into a row's; the library's own text stays behind, it can quote the input.

    Raises:
        InternalError: when the fault is our own.
    """
    if isinstance(error, StudyError):
        return error
    origin = origin_of(error, auditor.model.network)
    if origin.ours:
        log_fault(error, origin.stage, [outcome.source.study for outcome in batch])
        raise internal_error(error) from error
    if is_out_of_memory(error):
        return StudyError(origin.stage, Reason.OUT_OF_MEMORY, "memory ran out for this study alone")
    return StudyError(origin.stage, Reason.MODEL_FAILED, f"the model or a map raised {type(error).__name__}")
