"""``results.json``: every number that the PDF prints, so that a report is rendered from the run's folder alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import ValidationError, model_validator

from pipeline.errors import OutputError
from pipeline.findings.context.changes import RunChange
from pipeline.findings.context.cohort import CohortRow, Leakage, TrainingOverlap
from pipeline.findings.estimates import Agreement, Estimate, Verdict
from pipeline.findings.experiments.bundle import ExperimentFindings
from pipeline.findings.facts import InputSummary, Lock, MethodFacts, MetricFacts, ModelFacts, Provenance
from pipeline.findings.frozen_model import FrozenModel
from pipeline.findings.localisation.curves import ThresholdCurve
from pipeline.findings.localisation.lesions import LesionStrata, LesionTrend
from pipeline.findings.localisation.tuning import TunedThreshold
from pipeline.findings.plotted.classifier import AnswerCount, LabelPlots
from pipeline.findings.plotted.differences import GroupDifference
from pipeline.findings.plotted.history import RunPoint
from pipeline.findings.plotted.marks import FrocCurve
from pipeline.findings.plotted.shares import AvoidedShares, CohortShares
from pipeline.findings.study_audit import RefusedMask, StudyAudit
from pipeline.vocabulary import Answer, ConfusionCell, Framework, PeakRegion, Stratum

__all__ = [
    "SCHEMA_VERSION",
    "CaseEntry",
    "CellFindings",
    "Compared",
    "ConfusionMatrix",
    "Flow",
    "PictureFacts",
    "Results",
    "SliceFacts",
    "Whereabouts",
    "WrongAnswer",
    "load_results",
]


SCHEMA_VERSION: Literal[7] = 7


class Flow(FrozenModel):
    """n in = n analysed + n excluded + n failed, with reasons; ``computed`` in this run, or ``reused``.

    ``mask_faults`` counts the masks of analysed studies that could not be used, by reason, and ``without_mask`` the
    analysed studies that are left with none although masks were named. A study with one new map is ``computed``;
    ``maps_reused`` of all ``maps`` were carried over from earlier runs. ``tuning`` of the analysed studies, of
    ``tuning_patients``, served to tune thresholds and count in no metric that a threshold has a part in.
    """

    found: int
    analysed: int
    excluded: Mapping[str, int]
    failed: Mapping[str, int]
    patients: int
    computed: int
    reused: int
    mask_faults: Mapping[str, int] = {}
    without_mask: int = 0
    maps: int = 0
    maps_reused: int = 0
    tuning: int = 0
    tuning_patients: int = 0

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.found != self.analysed + sum(self.excluded.values()) + sum(self.failed.values()):
            raise ValueError(f"{self.found} studies in, but {self.analysed} analysed, {self.excluded}, {self.failed}")
        if self.found != self.computed + self.reused:
            raise ValueError(f"{self.found} studies in, but {self.computed} computed and {self.reused} reused")
        if self.tuning > self.analysed:
            raise ValueError(f"{self.tuning} studies tune, but {self.analysed} were analysed")
        return self


class Compared(FrozenModel):
    """What was held against the experts' masks: ``studies`` with a map that was scored, and their ``patients``.

    ``mapped`` counts the studies that have a map at all. Maps of labels that were called wrongly count for neither.
    """

    mapped: int
    studies: int
    patients: int


class CellFindings(FrozenModel):
    """A cell of the confusion matrix: how often it came, and what the maps of its two labels looked at.

    ``reference_map`` are estimates of the map of the reference's label; without a finding there is none.
    ``answered_map`` are those of the label that was called instead, against the masks of the reference's findings, and
    ``placement`` says where that map lies in the body; both are empty where the answer is right, or the answered label
    was not explained.
    """

    cell: ConfusionCell
    studies: int
    patients: int
    reference_map: tuple[Estimate, ...] = ()
    answered_map: tuple[Estimate, ...] = ()
    placement: tuple[Estimate, ...] = ()


class ConfusionMatrix(FrozenModel):
    """Every answer by what the reference says: the ``studies`` with a reference that the model answered.

    ``unanswered`` are the studies with a reference that were not analysed: each may belong to any cell of its labels.
    ``cells`` are those that came; a study is in one for each finding of its reference, or in one of the negative label.
    Where each label is called by itself, it has cells of its own: found, missed, and called where it is not.
    ``reason`` says why there are none.
    """

    studies: int = 0
    unanswered: int = 0
    cells: tuple[CellFindings, ...] = ()
    reason: str | None = None


class Whereabouts(FrozenModel):
    """Where the peaks of one method's maps lie in a stratum, of maps that could be held against an expert's mask.

    ``maps`` = all of ``regions`` + ``constant``: maps that are the same everywhere have no peak. A peak counts as in
    the lesion when it lies in any reader's outline. ``places`` names parts of the picture (``axes`` 2) or of the
    patient (3). Under ``all`` stand maps without a mask, too.
    """

    method: str
    among: Stratum
    maps: int
    studies: int
    regions: Mapping[PeakRegion, int]
    places: Mapping[str, int]
    constant: int = 0
    axes: int = 2

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        peaks = sum(self.regions.values())
        if self.maps != peaks + self.constant or peaks != sum(self.places.values()):
            raise ValueError(f"{self.maps} maps, but {self.regions}, {self.places} and {self.constant} constant")
        return self


class WrongAnswer(FrozenModel):
    """A kind of wrong answer: what the reference says and what the model called (empty: nothing), and which studies."""

    reference: tuple[str, ...]
    answered: tuple[str, ...]
    patients: int
    studies: tuple[str, ...]


class SliceFacts(FrozenModel):
    """A plane of a case: ``number`` of ``planes``, its place and the distance to its neighbour; None: no slice."""

    role: str
    plane: str
    caption: str
    number: int | None = None
    planes: int | None = None
    position_mm: float | None = None
    thickness_mm: float | None = None


class PictureFacts(FrozenModel):
    """What is printed beside a case's pictures: display window and why, each map's range and threshold, the planes."""

    unit: str
    length_unit: str
    window: tuple[float, float]
    window_rule: str
    ranges: Mapping[str, tuple[float, float]]
    thresholds: Mapping[str, float | None]
    planes: tuple[SliceFacts, ...]


class CaseEntry(FrozenModel):
    """A study that the report shows, why, and its panels' file (``cases/<study>.npz``; None: withheld).

    ``picture`` is what that file says in numbers. ``volume`` is the file that the viewer scrolls through
    (``cases/<study>.volume.npz``; None: withheld, or not asked for).
    """

    study: str
    rule: str
    panels: str | None
    volume: str | None = None
    note: str | None = None
    picture: PictureFacts | None = None
    audit: StudyAudit


class Results(FrozenModel):
    """``results.json``. ``mask_faults`` goes from a study to its masks that could not be used.

    ``answer_counts`` count the analysed studies. ``history`` holds the criteria of the audit's earlier runs, oldest
    first. ``lost_at_most`` is the locked share of studies that may be excluded or fail without a warning.
    ``frameworks`` are those whose clauses the report lists. ``changes`` hold this run against others; ``margins`` go
    from a metric to by how much less of it is still not worse. ``answers`` counts the verdicts; ``wrong_answers`` holds
    the studies that the model got wrong, by kind. ``statements`` go from a key of ``STATEMENTS`` to what was stated;
    ``training_overlap`` is None where no list of the training data's hashes was given. ``unaligned`` are
    the estimates of maps that were moved, as they would be unmoved, where they differ. ``leakage`` is None where
    pictures were not compared. ``size_curves`` are those of each third of the lesions'
    sizes. ``avoided`` tells of regions to avoid, which are no findings. ``experiments`` holds what
    was tried on the model itself, None for each family that was not asked for.
    """

    schema_version: Literal[7] = SCHEMA_VERSION
    audit: str
    run: str
    title: str
    organisation: str
    prepared_by: str
    intended_use: str
    reference_standard: str
    lock: Lock
    provenance: Provenance
    model: ModelFacts
    preparation: tuple[str, ...]
    inputs: InputSummary | None = None
    overlap_rule: str
    methods: tuple[MethodFacts, ...]
    metrics: tuple[MetricFacts, ...]
    flow: Flow
    compared: Compared | None = None
    cohort_facts: Mapping[str, Mapping[str, int]]
    answer_counts: tuple[AnswerCount, ...] = ()
    classification: tuple[Estimate, ...]
    confusion: ConfusionMatrix = ConfusionMatrix()
    label_plots: tuple[LabelPlots, ...] = ()
    estimates: tuple[Estimate, ...]
    group_differences: tuple[GroupDifference, ...] = ()
    answer_differences: tuple[GroupDifference, ...] = ()
    curves: tuple[ThresholdCurve, ...] = ()
    size_curves: tuple[ThresholdCurve, ...] = ()
    froc_curves: tuple[FrocCurve, ...] = ()
    region_shares: tuple[CohortShares, ...] = ()
    avoided: tuple[AvoidedShares, ...] = ()
    tuned: tuple[TunedThreshold, ...] = ()
    unaligned: tuple[Estimate, ...] = ()
    lesion_strata: tuple[LesionStrata, ...] = ()
    lesion_trends: tuple[LesionTrend, ...] = ()
    agreements: tuple[Agreement, ...]
    equivalent_methods: tuple[tuple[str, ...], ...] = ()
    verdicts: tuple[Verdict, ...]
    history: tuple[RunPoint, ...] = ()
    answers: Mapping[Answer, int] = {}
    whereabouts: tuple[Whereabouts, ...] = ()
    wrong_answers: tuple[WrongAnswer, ...] = ()
    case_rule: str
    cases: tuple[CaseEntry, ...]
    lost_at_most: float = 0.05
    not_analysed: tuple[StudyAudit, ...]
    mask_faults: Mapping[str, tuple[RefusedMask, ...]] = {}
    frameworks: tuple[Framework, ...] = ()
    changes: tuple[RunChange, ...] = ()
    margins: Mapping[str, float] = {}
    statements: Mapping[str, tuple[str, ...]] = {}
    cohort_table: tuple[CohortRow, ...] = ()
    training_overlap: TrainingOverlap | None = None
    leakage: Leakage | None = None
    experiments: ExperimentFindings = ExperimentFindings()

    def points(self) -> tuple[RunPoint, ...]:
        """Return a point for each criterion of the run, as later runs carry them on."""
        lock = None if self.lock.exploratory else self.lock.criteria
        return tuple(
            RunPoint(
                run=self.run,
                finished_at=self.provenance.finished_at,
                criterion=verdict.criterion,
                value=verdict.estimate.value,
                low=verdict.estimate.low,
                high=verdict.estimate.high,
                bound=verdict.bound,
                patients=verdict.estimate.patients,
                answer=verdict.answer,
                lock=lock,
            )
            for verdict in self.verdicts
        )


def load_results(run: Path) -> Results:
    """Read ``results.json`` of a run's folder.

    Raises:
        OutputError: when it is missing or of another schema.
    """
    path = run / "results.json"
    try:
        return Results.model_validate_json(path.read_bytes())
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be read ({error.strerror}); is this the folder of a finished run?"
        ) from error
    except ValidationError as error:
        faults = error.errors()
        other = next((fault["input"] for fault in faults if fault["loc"] == ("schema_version",)), None)
        if other is not None:
            raise OutputError(
                f"{path}: is of schema {other!r:.20}, and this version of camaudit reads schema {SCHEMA_VERSION}"
            ) from None
        first = faults[0]
        where = ".".join(map(str, first["loc"]))
        raise OutputError(
            f"{path}: is not of schema {SCHEMA_VERSION}, which this version reads: {where}: {first['msg']}"
        ) from None
