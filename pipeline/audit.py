"""The walk of a study, on one screen: read, prepare, explain, carry to the mask's grid, measure, record."""

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray

from cam import Explanation, Memory, Target, explain
from pipeline.archives import read_rows
from pipeline.config import AuditConfig
from pipeline.errors import Reason, Stage, StudyError
from pipeline.evidence.baselines import centre_prior, random_map
from pipeline.evidence.experts import agreement
from pipeline.evidence.localisation import Evidence, score_all
from pipeline.models.load import LoadedModel, probabilities
from pipeline.models.prepare import Preparation
from pipeline.prefetch import prefetched
from pipeline.prepared import Kept, PreparedStudy, prepared_study
from pipeline.record import Finding, PairAgreement, StudyAudit
from pipeline.shards import Maps
from pipeline.studies.archive import StudyRow, read_study
from pipeline.studies.geometry import Geometry, Resampling, cells, plan
from pipeline.studies.isolation import DECODING, isolated_map
from pipeline.studies.privacy import Pseudonyms
from pipeline.studies.readers.base import ReadOptions
from pipeline.studies.study import Study
from pipeline.studies.volume import Heatmap, Mask

__all__ = ["Auditor", "StudySource", "audit_studies", "negative_label", "predicted_labels", "read_studies"]


@dataclass(frozen=True)
class Auditor:
    """Everything that is the same for every study of a run. ``layers`` are names, ``auto`` resolved."""

    config: AuditConfig
    model: LoadedModel
    preparation: Preparation
    device: torch.device
    layers: tuple[str, ...]
    pseudonyms: Pseudonyms
    kept: Kept | None = None
    memory: Memory = field(default_factory=Memory)


@dataclass(frozen=True)
class StudySource:
    """A row of the archive with its pseudonyms and the hash of its files."""

    row: StudyRow
    study: str
    patient: str
    sha256: str


def audit_studies(
    auditor: Auditor, sources: Sequence[StudySource], on_study: Callable[[], None]
) -> tuple[list[StudyAudit], Maps]:
    """Audit studies in order; one that fails becomes a row with its stage and reason. Maps are kept by key."""
    audits: list[StudyAudit] = []
    maps: Maps = {}
    size = auditor.config.run.batch_size
    ready = _read_and_prepare(auditor, sources)
    for batch in _batches(prefetched(ready, size) if auditor.config.run.workers else ready, size):
        for audit, kept in _audit_batch(auditor, batch):
            audits.append(audit)
            maps.update(kept)
            on_study()
    return audits, maps


@dataclass(frozen=True)
class _Ready:
    """A study that can be shown to the model, or the fault that prevents it."""

    source: StudySource
    study: PreparedStudy | None = None
    fault: StudyError | None = None


def _read_and_prepare(auditor: Auditor, sources: Sequence[StudySource]) -> Generator[_Ready, None, None]:
    kept = auditor.kept
    held = [kept is not None and kept.holds(source.study, source.sha256) for source in sources]
    rest = read_studies(auditor, [source.row for source, known in zip(sources, held, strict=True) if not known])
    for source, known in zip(sources, held, strict=True):
        found = kept.load(source.study, source.sha256) if kept and known else None
        if found is not None:
            yield _prepare(auditor, source, found)
            continue
        (study,) = read_studies(auditor, [source.row]) if known else (next(rest),)  # known, and damaged
        ready = _prepare(auditor, source, study)
        if kept and ready.study:
            kept.store(ready.study, source.sha256)
        yield ready
    if kept:
        kept.make_room()


def read_studies(auditor: Auditor, rows: Iterable[StudyRow]) -> Iterator[Study | StudyError]:
    """Read studies in order, each in a worker process that may fail without harm; the fault is its answer then.

    A server's studies are fetched as they are asked for.
    """
    archive = auditor.config.archive
    options = ReadOptions(archive.voi, archive.volume, archive.consensus)
    read = partial(read_study, pseudonyms=auditor.pseudonyms, options=options)
    mapped = partial(isolated_map, workers=auditor.config.run.workers, limits=DECODING)
    return read_rows(archive, rows, read, mapped)


def _prepare(auditor: Auditor, source: StudySource, study: Study | PreparedStudy | StudyError) -> _Ready:
    if isinstance(study, StudyError):
        return _Ready(source, fault=study)
    try:
        _check_reference(study, auditor.config)
        if isinstance(study, Study):
            study = prepared_study(study, auditor.preparation(study.image))
    except StudyError as fault:
        return _Ready(source, fault=fault)
    return _Ready(source, study)


def _batches(ready: Iterable[_Ready], size: int) -> Iterator[list[_Ready]]:
    """Group neighbours whose inputs have the same shape, at most ``size`` together; a fault is a batch of its own."""
    for _, group in groupby(ready, key=lambda one: one.study and one.study.prepared.x.shape):
        batch: list[_Ready] = []
        for one in group:
            batch.append(one)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch


def _audit_batch(auditor: Auditor, batch: Sequence[_Ready]) -> list[tuple[StudyAudit, Maps]]:
    try:
        return _analyse(auditor, batch)
    except Exception as error:  # noqa: BLE001 - whatever one study does to the model, the run goes on
        if len(batch) > 1:  # find the one at fault; halving also serves a device that is out of memory
            half = len(batch) // 2
            return _audit_batch(auditor, batch[:half]) + _audit_batch(auditor, batch[half:])
        return [(_not_analysed(batch[0].source, _as_fault(error)), {})]


def _analyse(auditor: Auditor, batch: Sequence[_Ready]) -> list[tuple[StudyAudit, Maps]]:
    if batch[0].study is None:
        return [(_not_analysed(one.source, one.fault or _as_fault(ValueError())), {}) for one in batch]
    labels = auditor.config.model.labels
    x = torch.stack([one.study.prepared.x for one in batch if one.study is not None]).to(auditor.device)
    wanted = _targets(auditor, batch, x)
    union = list(dict.fromkeys(label for targets in wanted for label in targets))
    explanation = explain(
        auditor.model.network,
        x,
        [Target(labels.index(label)) for label in union],
        methods=auditor.config.explain.methods,
        layers=auditor.layers,
        options=auditor.config.explain.options,
        memory=auditor.memory,
    )
    shares = probabilities(explanation.logits, auditor.config.model.output)
    return [
        _record(auditor, one, shares[number], _maps_of(explanation, union, wanted[number], number))
        for number, one in enumerate(batch)
    ]


MapKey = tuple[str, str, str]
"""(target, method, layer)."""


def _maps_of(
    explanation: Explanation, union: Sequence[str], wanted: Sequence[str], sample: int
) -> dict[MapKey, NDArray[np.float32]]:
    return {
        (union[target], method, layer): values[sample].float().cpu().numpy()
        for (method, layer, target), values in explanation
        if union[target] in wanted
    }


def _record(
    auditor: Auditor, one: _Ready, share: torch.Tensor, raw: Mapping[MapKey, NDArray[np.float32]]
) -> tuple[StudyAudit, Maps]:
    study = one.study
    assert study is not None
    findings: list[Finding] = []
    kept: Maps = {}
    plans = {layer: _to_mask_grid(values, study) for (_, _, layer), values in raw.items()}
    for (target, method, layer), values in raw.items():
        grid, resampling = plans[layer]
        key = f"{study.identity}/{target}/{method}/{layer}"
        kept |= {key: values, f"{key}/affine": grid.affine}
        heatmap = Heatmap(resampling.apply(values), study.geometry, resampling.seen, method, layer, target)
        digest = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
        findings += _measure(auditor, study, heatmap, {"map": key, "map_sha256": digest, "cell_mm": grid.spacing})
    for target in dict.fromkeys(target for target, _, _ in raw):
        findings += _measure_baselines(auditor, study, target, next(iter(plans.values())))
    return _analysed(auditor, one.source, study, share, findings), kept


def _to_mask_grid(values: NDArray[np.float32], study: PreparedStudy) -> tuple[Geometry, Resampling]:
    layer_grid = cells(study.prepared.grid, values.shape)
    return layer_grid, plan(layer_grid, study.geometry)


def _measure(auditor: Auditor, study: PreparedStudy, heatmap: Heatmap, facts: Mapping[str, object]) -> list[Finding]:
    evidence = Evidence(heatmap, auditor.config.overlap.threshold)
    common = {
        **facts,
        "target": heatmap.target,
        "method": heatmap.method,
        "layer": heatmap.layer or None,
        "degenerate": evidence.degenerate,
    }
    masks = [mask for mask in study.masks if mask.label == heatmap.target]
    if not masks:
        return [Finding.model_validate({**common, "reader": None})]
    return [
        Finding.model_validate(
            {**common, "reader": mask.reader, "scores": score_all(evidence, mask), **_shares(mask, heatmap)}
        )
        for mask in masks
    ]


def _shares(mask: Mask, heatmap: Heatmap) -> dict[str, float | None]:
    marked, seen = int(mask.array.sum()), int(heatmap.seen.sum())
    both = int((mask.array & heatmap.seen).sum())
    return {"seen_share": both / marked if marked else None, "mask_share": both / seen if seen else None}


def _measure_baselines(
    auditor: Auditor, study: PreparedStudy, target: str, layer: tuple[Geometry, Resampling]
) -> list[Finding]:
    grid, resampling = layer
    noise = random_map(grid.shape, auditor.config.run.seed, study.identity)
    geometry = study.geometry
    baselines = {"random_map": resampling.apply(noise), "centre_prior": centre_prior(geometry)}
    return [
        finding
        for name, values in baselines.items()
        for finding in _measure(auditor, study, Heatmap(values, geometry, resampling.seen, name, "", target), {})
    ]


def _targets(auditor: Auditor, batch: Sequence[_Ready], x: torch.Tensor) -> list[list[str]]:
    """Return the labels to explain for each study of the batch."""
    asked = auditor.config.explain.targets
    predicted: list[tuple[str, ...]] = [()] * len(batch)
    if "predicted" in asked:
        with torch.no_grad():
            shares = probabilities(auditor.model.network(x), auditor.config.model.output)
        predicted = [predicted_labels(auditor.config, share) for share in shares]
    negative = negative_label(auditor.config)
    found = []
    for one, guess in zip(batch, predicted, strict=True):
        reference = (one.study.reference if one.study else None) or ()
        named = [label for label in asked if label not in ("predicted", "reference")]
        labels = [*(reference if "reference" in asked else ()), *guess, *named]
        found.append(list(dict.fromkeys(label for label in labels if label != negative or label in named)))
    return found


def negative_label(config: AuditConfig) -> str | None:
    """Return the label that means "nothing found": the first, unless labels are independent (multi-label)."""
    return None if config.model.output == "sigmoid" else config.model.labels[0]


def predicted_labels(config: AuditConfig, share: torch.Tensor) -> tuple[str, ...]:
    """Return the findings that the model calls, from its probabilities (labels,); the negative label is no finding."""
    labels, threshold = config.model.labels, config.model.threshold
    if config.model.output == "sigmoid":
        return tuple(label for label, value in zip(labels, share.tolist(), strict=True) if value > threshold)
    if len(labels) == 2:
        return (labels[1],) if float(share[1]) > threshold else ()
    best = labels[int(share.argmax())]
    return () if best == negative_label(config) else (best,)


def _check_reference(study: Study | PreparedStudy, config: AuditConfig) -> None:
    # an unmarked mask of a study without findings has no label
    named = {*(study.reference or ()), *(mask.label for mask in study.masks)} - {""}
    if not named <= set(config.model.labels):
        message = "the reference or a mask has a label that the model does not have"
        raise StudyError(Stage.READ, Reason.UNKNOWN_LABEL, message, excluded=True)


def _analysed(
    auditor: Auditor, source: StudySource, study: PreparedStudy, share: torch.Tensor, findings: Sequence[Finding]
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
        agreement=tuple(
            PairAgreement(label=label, readers=(one, other), scores=scores)
            for (label, one, other), scores in agreement(study.masks).items()
        ),
        findings=tuple(findings),
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


def _as_fault(error: Exception) -> StudyError:
    """Turn a fault of the model into a row; the library's own text stays behind, it can quote the input."""
    if isinstance(error, StudyError):
        return error
    if isinstance(error, torch.OutOfMemoryError):
        return StudyError(Stage.INFER, Reason.OUT_OF_MEMORY, "the device ran out of memory for this study alone")
    return StudyError(Stage.EXPLAIN, Reason.MODEL_FAILED, f"the model or a map raised {type(error).__name__}")
