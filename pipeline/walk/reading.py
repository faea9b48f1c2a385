"""A study from its row in the archive to what can be shown to the model, or to the fault that prevents it."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from pipeline.config import AuditConfig, VolumeConfig
from pipeline.errors import ArchiveError, Reason, Stage, StudyError
from pipeline.evidence.cohort.acquisition import derived_facts, without_derived
from pipeline.evidence.experts import agreement
from pipeline.evidence.localisation.mask_shapes import mask_shapes
from pipeline.evidence.metrics.parts import pieces_of
from pipeline.findings.carried import Carried
from pipeline.findings.scores import PairAgreement
from pipeline.findings.study_audit import RefusedMask
from pipeline.models.prepared_studies import PreparedStudy, prepared_study
from pipeline.studies.read_study import StudyRow, read_study
from pipeline.studies.readers.shared.base import ReadOptions
from pipeline.studies.readers.shared.kept_files import KeptFiles
from pipeline.studies.readers.shared.volume_choice import VolumeChoice
from pipeline.studies.readers.third_parties import load_readers
from pipeline.studies.study import PASSING, MaskFault, Study
from pipeline.studies.untrusted.workers import DECODING, isolated_map
from pipeline.vocabulary import BASELINES, CONSENSUS, IMAGE_BASELINES
from pipeline.walk.auditor import Auditor
from pipeline.walk.map_plan import MapsToCompute, missing_maps
from pipeline.walk.sources import StudySource, bound

__all__ = [
    "ReadOutcome",
    "check_reference",
    "read_and_prepare",
    "read_facts",
    "read_options",
    "read_studies",
    "unless_away",
]

_OF_AN_ABSENCE = (Reason.MISSING_FILE, Reason.CHANGED_DURING_RUN)


@dataclass(frozen=True)
class ReadOutcome:
    """A study that was read, or the fault that prevents it.

    ``carried`` is what earlier runs answered, brought up to what was read now; None where the study does not read as it
    did then (a server's may change). ``missing`` are the maps that are to be computed; where there is none, and the
    study was answered before, it is not prepared for the model.
    """

    source: StudySource
    study: PreparedStudy | None = None
    fault: StudyError | None = None
    carried: Carried | None = None
    missing: MapsToCompute | None = None

    @property
    def needs_model(self) -> bool:
        """Whether the study is to be shown to the model."""
        return self.study is not None and (self.carried is None or bool(self.missing))


def read_and_prepare(auditor: Auditor, sources: Sequence[StudySource]) -> Generator[ReadOutcome, None, None]:
    """Yield studies in order, read by worker processes and prepared here, or out of the cache of prepared ones."""
    cache = auditor.prepared_cache
    held = [cache is not None and cache.holds(source.study, source.sha256) for source in sources]
    rest = read_studies(auditor, [source.row for source, known in zip(sources, held, strict=True) if not known])
    for source, known in zip(sources, held, strict=True):
        stored = cache.load(source.study, source.sha256) if cache and known else None
        if stored is not None:
            yield _outcome(auditor, source, stored)
            continue
        (study,) = read_studies(auditor, [source.row]) if known else (next(rest),)  # known, and damaged
        study = unless_away(auditor, source, study)
        outcome = _outcome(auditor, source, bound(study, source.sha256))
        if cache and outcome.study and _can_be_kept(outcome.study):
            cache.store(outcome.study, source.sha256)
        yield outcome
    if cache:
        cache.make_room()


def unless_away(auditor: Auditor, source: StudySource, study: Study | StudyError) -> Study | StudyError:
    """Return what was read of a study, read once more where its files were not those that the run saw.

    A folder that is mounted from elsewhere may be away for a moment; a study must not be lost over it.

    Raises:
        ArchiveError: where the archive's folder is away, or holds nothing: one study after another would be lost. That
            of a server's studies holds what was fetched, which may be nothing.
    """
    fault = bound(study, source.sha256)
    if not isinstance(fault, StudyError) or fault.reason not in _OF_AN_ABSENCE:
        return study
    archive = auditor.config.archive
    if archive.dicomweb is None and not _holds_anything(archive.path):
        raise ArchiveError(f"{archive.path}: the archive is not there any more; see to its folder, then run again")
    (again,) = read_studies(auditor, [source.row])
    return again


def _holds_anything(folder: Path) -> bool:
    try:
        return next(folder.iterdir(), None) is not None
    except OSError:
        return False


def _can_be_kept(study: PreparedStudy) -> bool:
    faults = (*study.mask_faults, *study.avoid_faults)
    return study.prepared is not None and not any(fault.reason in PASSING for fault in faults)


def _outcome(auditor: Auditor, source: StudySource, study: Study | PreparedStudy | StudyError) -> ReadOutcome:
    if isinstance(study, StudyError):
        return ReadOutcome(source, fault=study)
    try:
        check_reference(study, auditor.config)
        carried = _brought_up_to(source.carried, auditor.config, study)
        missing = missing_maps(carried.audit, auditor.config, auditor.layers) if carried else None
        if isinstance(study, Study):
            shown = auditor.preparation(study.image) if not carried or missing or _asks_for_input(carried) else None
            study = prepared_study(study, shown)
    except StudyError as fault:
        return ReadOutcome(source, fault=fault)
    return ReadOutcome(source, study, carried=carried, missing=missing)


def _asks_for_input(carried: Carried) -> bool:
    """Tell whether what the model was shown is needed to score again.

    Baselines are made of it, and where a map's peak and its evidence lie is told by the body that it shows.
    """
    return any(method in IMAGE_BASELINES or method not in BASELINES for _, method, _ in carried.stale)


def _brought_up_to(carried: Carried | None, config: AuditConfig, study: Study | PreparedStudy) -> Carried | None:
    """Return what was answered before with what was read of masks and reference now, where that is another reading."""
    if carried is None or without_derived(carried.audit.facts) != dict(study.header):
        return None
    if not carried.masks_hold:
        entries = carried.audit.map_scores
        stale = frozenset((entry.target, entry.method, entry.layer or "") for entry in entries)
        return Carried(carried.audit.model_copy(update=read_facts(config, study)), stale)
    faults = (_refused(study.mask_faults), _refused(study.avoid_faults))
    return carried if (carried.audit.mask_faults, carried.audit.avoid_faults) == faults else None


def read_facts(config: AuditConfig, study: Study | PreparedStudy) -> dict[str, object]:
    """Return what a study's record says of the reading alone, whatever the model says."""
    negative = config.model.negative_label
    reference = None if study.reference is None else tuple(label for label in study.reference if label != negative)
    geometry = study.image.geometry if isinstance(study, Study) else study.geometry
    masks = [(mask, pieces_of(mask.array)) for mask in study.masks]
    return {
        "reference": reference,
        "strata": study.strata,
        "facts": {**study.header, **derived_facts(geometry, masks)},
        "masks": sum(not mask.reader.startswith(CONSENSUS) for mask in study.masks),
        "mask_faults": _refused(study.mask_faults),
        "avoid_faults": _refused(study.avoid_faults),
        "agreement": tuple(
            PairAgreement(label=label, readers=(first, second), scores=scores)
            for (label, first, second), scores in agreement(study.masks).items()
        ),
        "mask_shapes": mask_shapes(masks),
    }


def _refused(faults: Iterable[MaskFault]) -> tuple[RefusedMask, ...]:
    return tuple(RefusedMask.model_validate(asdict(fault)) for fault in faults)


def _choice(volume: VolumeConfig | int | None) -> VolumeChoice | int | None:
    return VolumeChoice(**volume.model_dump()) if isinstance(volume, VolumeConfig) else volume


def read_options(config: AuditConfig) -> ReadOptions:
    """Return what a configuration chooses where a study's files leave a choice."""
    archive = config.archive
    return ReadOptions(
        voi=archive.voi,
        volume=_choice(archive.volume),
        pet=archive.pet,
        regrid=archive.regrid,
        consensus=archive.consensus,
        labels=config.model.labels,
        negative=config.model.negative_label,
        contours=archive.contours,
    )


def read_studies(auditor: Auditor, rows: Iterable[StudyRow]) -> Iterator[Study | StudyError]:
    """Read studies in order, each in a worker process that may fail without harm; the fault is its answer then.

    A server's studies are fetched as they are asked for. Where a mask ends the process or cannot be fetched, the study
    is read without it.
    """
    archive, options = auditor.config.archive, read_options(auditor.config)
    read = partial(read_study, pseudonyms=auditor.pseudonyms, options=options, kept=KeptFiles(), readers=load_readers())
    mapped = partial(isolated_map, workers=auditor.config.run.workers, limits=DECODING, pool=auditor.pool)
    under_way: deque[StudyRow] = deque()

    def noted() -> Iterator[StudyRow]:
        for row in rows:
            under_way.append(row)
            yield row

    def read_alone(row: StudyRow) -> Study | StudyError:
        (study,) = auditor.archive_reader.read(archive, [row], read, mapped)
        return study

    for study in auditor.archive_reader.read(archive, noted(), read, mapped):
        row = under_way.popleft()
        fatal = isinstance(study, StudyError) and study.reason in PASSING and (row.masks or row.avoid)
        yield _without_fatal_masks(row, study, read_alone) if fatal and isinstance(study, StudyError) else study


def _without_fatal_masks(
    row: StudyRow, fault: StudyError, read_alone: Callable[[StudyRow], Study | StudyError]
) -> Study | StudyError:
    """Read a study whose reading was ended without the masks that end it; all of them where no single one does."""
    bare = replace(row, masks=(), avoid=())
    if isinstance(read_alone(bare), StudyError):
        return fault
    alone = [read_alone(replace(bare, masks=(mask,))) for mask in row.masks]
    alone += [read_alone(replace(bare, avoid=(mask,))) for mask in row.avoid]
    faults = [study if isinstance(study, StudyError) else None for study in alone]
    if not any(faults):
        faults = [fault] * len(faults)
    masks = [
        mask if own is None else replace(mask, refused=(own.reason, str(own)))
        for mask, own in zip((*row.masks, *row.avoid), faults, strict=True)
    ]
    return read_alone(replace(row, masks=tuple(masks[: len(row.masks)]), avoid=tuple(masks[len(row.masks) :])))


def check_reference(study: Study | PreparedStudy, config: AuditConfig) -> None:
    """Refuse a study whose reference has a label that the model does not have.

    Raises:
        StudyError: READ, UNKNOWN_LABEL.
    """
    if not set(study.reference or ()) <= set(config.model.labels):
        message = "the reference has a label that the model does not have"
        raise StudyError(Stage.READ, Reason.UNKNOWN_LABEL, message, excluded=True)
