"""The walk of a study, on one screen: read, prepare, explain, carry to the mask's grid, measure, record."""

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial

from cam.out_of_memory import is_out_of_memory
from pipeline.errors import OutputError, Reason, StudyError
from pipeline.evidence.answers import roles_of
from pipeline.evidence.sketch import input_facts
from pipeline.faults import internal_error, log_fault
from pipeline.findings.carried import MapPlace
from pipeline.findings.scores import MapScores
from pipeline.findings.shards import Maps, map_digest
from pipeline.findings.study_audit import StudyAudit
from pipeline.models.outputs import StudyAnswer
from pipeline.models.prepared_studies import PreparedStudy
from pipeline.progress import Progress, silent
from pipeline.studies.geometry import cells
from pipeline.vocabulary import BASELINES
from pipeline.walk.auditor import Auditor
from pipeline.walk.device_copies import on_device
from pipeline.walk.explaining import Explained, RawMaps, explain_batch
from pipeline.walk.fault_origin import origin_of
from pipeline.walk.map_plan import in_order, places_of
from pipeline.walk.measuring import StudyMap, StudyMeasuring, kept_maps
from pipeline.walk.read_ahead import Later, WorkBehind
from pipeline.walk.reading import ReadOutcome, read_facts
from pipeline.walk.sources import StudySource
from pipeline.walk.stretches import Audited, Rows, Stretch, in_turn

__all__ = ["audit_in_turn", "audit_studies"]


def audit_studies(auditor: Auditor, sources: Sequence[StudySource], on_maps: Progress = silent) -> Audited:
    """Audit studies in order; one that fails becomes a row with its stage and reason. Maps are kept by key.

    Raises:
        InternalError: when camaudit's own code fails, whatever the study.
    """
    if not sources:
        return [], {}
    (audited,) = audit_in_turn(Stretch(auditor, sources, on_maps), lambda: None)
    return audited


def audit_in_turn(first: Stretch, upcoming: Callable[[], Stretch | None]) -> Generator[Audited, None, None]:
    """Audit stretches of studies; yield what ``audit_studies`` would return of each. ``upcoming``: see ``in_turn``.

    Raises:
        InternalError: when camaudit's own code fails, whatever the study.
    """
    return in_turn(_audit_batch, first, upcoming)


def _audit_batch(
    auditor: Auditor, batch: Sequence[ReadOutcome], on_maps: Callable[[int], None], behind: WorkBehind
) -> Callable[[], Rows]:
    """Explain a batch and hand its maps over to be scored; return what waits for the rows."""
    faults = [(ready.source, ready.fault) for ready in batch if ready.fault is not None]
    if faults:
        refused = [(_logged(auditor, source, fault, fault), Maps()) for source, fault in faults]
        return lambda: refused
    try:
        score = _analyse(auditor, batch, on_maps)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a model and a third party's metric may raise anything
        stopped = _stopped(auditor, batch, error)
        if not stopped and is_out_of_memory(error):
            auditor.batch_limit.ran_out(len(batch))
    else:
        return partial(_scored, auditor, batch, on_maps, behind, behind.begin(score))
    rows = stopped or _halved(auditor, batch, on_maps, behind)
    return lambda: rows


def _scored(
    auditor: Auditor,
    batch: Sequence[ReadOutcome],
    on_maps: Callable[[int], None],
    behind: WorkBehind,
    later: Later[Rows],
) -> Rows:
    try:
        return later.result()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a model and a third party's metric may raise anything
        stopped = _stopped(auditor, batch, error)
    return stopped or _halved(auditor, batch, on_maps, behind)


def _halved(auditor: Auditor, batch: Sequence[ReadOutcome], on_maps: Callable[[int], None], behind: WorkBehind) -> Rows:
    """Audit a batch in halves, to find the study at fault; called outside a handler, whose exception keeps memory."""
    parts = auditor.batch_limit.parts(batch)
    return [row for part in parts for row in _audit_batch(auditor, part, on_maps, behind)()]


def _stopped(auditor: Auditor, batch: Sequence[ReadOutcome], error: BaseException) -> Rows:
    """Return the row of the study that was stopped by an error; none where it may be any of several.

    Raises:
        InternalError: when the fault is our own. What is no fault of a study is raised as it is.
    """
    if isinstance(error, OutputError):
        raise error  # a map that an earlier run kept was altered meanwhile: no fault of the study
    if isinstance(error, SystemExit) and type(error) is not SystemExit:
        raise error  # this process is asked to end; a network that says sys.exit() is at fault like any other
    fault = _as_fault(auditor, batch, error)
    return [(_logged(auditor, batch[0].source, fault, error), Maps())] if len(batch) == 1 else []


def _logged(auditor: Auditor, source: StudySource, fault: StudyError, error: BaseException) -> StudyAudit:
    """Return the row of a study that ``error`` stopped; what the archive itself rules out leaves no trace."""
    if not fault.excluded:
        log_fault(error, fault.stage, [source.study])
    return _not_analysed(auditor, source, fault)


def _analyse(auditor: Auditor, batch: Sequence[ReadOutcome], on_maps: Callable[[int], None]) -> Callable[[], Rows]:
    """Show a batch to the model where it has to be shown; return what scores its maps."""
    explained = [Explained(None, {})] * len(batch)
    if any(outcome.needs_model for outcome in batch):
        pictures = [outcome.study.shown.x for outcome in batch if outcome.study is not None]
        x = on_device(pictures, auditor.device, auditor.config.run.memory_format)
        explained = explain_batch(auditor, x, batch, on_maps)

    def score() -> Rows:
        return [
            _record(auditor, outcome, said.answer, said.maps) for outcome, said in zip(batch, explained, strict=True)
        ]

    return score


def _record(
    auditor: Auditor, outcome: ReadOutcome, answer: StudyAnswer | None, computed: RawMaps
) -> tuple[StudyAudit, Maps]:
    """Score a study's new maps, and the kept ones whose scores no longer hold; return its record and the new maps."""
    study, carried = outcome.study, outcome.carried
    assert study is not None
    new = _new_maps(study, computed)
    arrays: Maps = {map.reference: map.values for map in new.values()}
    arrays |= {f"{map.reference}/affine": map.grid.affine for map in new.values()}
    first = places_of(auditor.config, auditor.layers)[0]
    predicted = carried.audit.predicted if carried else answer.predicted if answer else ()
    roles = roles_of(auditor.config, study.reference, predicted)
    measuring = StudyMeasuring(auditor, outcome.source, study, roles)
    if carried is None:
        assert answer is not None
        targets = dict.fromkeys(target for target, _, _ in new)
        entries = measuring.maps(new) + measuring.baselines(new, targets)
        return _analysed(auditor, outcome.source, study, answer, entries), arrays
    missing = outcome.missing or {}
    places = {(target, *place) for target, wanted in missing.items() for place in wanted} | carried.stale
    targets = dict.fromkeys(target for target, method, _ in sorted(places) if method in BASELINES)
    needed = {place for place in carried.stale if place not in new and place[1] not in BASELINES}
    needed |= {(target, *first) for target in targets if (target, *first) not in new}
    old = kept_maps(outcome.source, carried, study.geometry, needed) if needed else {}
    stale = {place: map for place, map in old.items() if place in carried.stale}
    entries = measuring.maps({**new, **stale}) + measuring.baselines({**new, **old}, targets)
    measured = {(entry.target, entry.method, entry.layer or "") for entry in entries}
    held = [
        entry for entry in carried.audit.map_scores if (entry.target, entry.method, entry.layer or "") not in measured
    ]
    audit = carried.audit.model_copy(update={"map_scores": (*held, *entries)})
    return in_order(audit, auditor.config, auditor.layers), arrays


def _new_maps(study: PreparedStudy, computed: RawMaps) -> dict[MapPlace, StudyMap]:
    return {
        place: StudyMap(
            values,
            cells(study.shown.grid, values.shape),
            "/".join((study.identity, *place)),
            map_digest(values),
        )
        for place, values in computed.items()
    }


def _analysed(
    auditor: Auditor, source: StudySource, study: PreparedStudy, answer: StudyAnswer, map_scores: Sequence[MapScores]
) -> StudyAudit:
    facts: Mapping[str, object] = {
        "study": study.identity,
        "patient": study.patient,
        "source_sha256": source.sha256,
        "status": "analysed",
        "predicted": answer.predicted,
        "probabilities": answer.probabilities,
        "values": answer.values,
        "model_input": input_facts(study.shown.x.numpy()),
        "map_scores": tuple(map_scores),
    }
    return StudyAudit.model_validate({**facts, **read_facts(auditor.config, study)})


def _not_analysed(auditor: Auditor, source: StudySource, fault: StudyError) -> StudyAudit:
    """Return the row of a study without scores; what its archive says of it tells which claims it is missing from."""
    model, reference = auditor.config.model, source.row.reference
    findings = [label for label in model.labels if label != model.negative_label]
    return StudyAudit(
        study=source.study,
        patient=source.patient,
        source_sha256=source.sha256,
        status="excluded" if fault.excluded else "failed",
        stage=fault.stage,
        reason=fault.reason,
        message=str(fault),
        reference=None if reference is None else tuple(label for label in reference if label in findings),
        masks=len(source.row.masks),
        strata=source.row.strata,
    )


def _as_fault(auditor: Auditor, batch: Sequence[ReadOutcome], error: BaseException) -> StudyError:
    """Turn a fault of the model into a row's; the library's own text stays behind, it can quote the input.

    Raises:
        InternalError: when the fault is our own.
    """
    if isinstance(error, StudyError):
        return error
    origin = origin_of(error, auditor.model.network if auditor.model else None)
    if origin.ours:
        log_fault(error, origin.stage, [outcome.source.study for outcome in batch])
        raise internal_error(error) from error
    if is_out_of_memory(error):
        return StudyError(origin.stage, Reason.OUT_OF_MEMORY, "memory ran out for this study alone")
    return StudyError(origin.stage, Reason.MODEL_FAILED, f"the model or a map raised {type(error).__name__}")
