"""``results.json``: every number that the PDF prints, so that a report is rendered from the run's folder alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import ValidationError, model_validator

from pipeline.errors import OutputError
from pipeline.findings.estimates import Agreement, Estimate, Verdict
from pipeline.findings.facts import InputSummary, Lock, MethodFacts, MetricFacts, ModelFacts, Provenance
from pipeline.findings.frozen_model import FrozenModel
from pipeline.findings.localisation.curves import ThresholdCurve
from pipeline.findings.localisation.lesions import LesionStrata, LesionTrend
from pipeline.findings.localisation.tuning import TunedThreshold
from pipeline.findings.study_audit import RefusedMask, StudyAudit

__all__ = ["SCHEMA_VERSION", "CaseEntry", "Compared", "Flow", "Results", "load_results"]


SCHEMA_VERSION: Literal[4] = 4


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

    ``mapped`` counts the studies that have a map at all.
    """

    mapped: int
    studies: int
    patients: int


class CaseEntry(FrozenModel):
    """A study that the report shows, why, and its panels' file (``cases/<study>.npz``; None: withheld)."""

    study: str
    rule: str
    panels: str | None
    note: str | None = None
    audit: StudyAudit


class Results(FrozenModel):
    """``results.json``. ``mask_faults`` goes from a study to its masks that could not be used.

    ``lost_at_most`` is the locked share of studies that may be excluded or fail without a warning. ``unaligned`` are
    the estimates of maps that were moved, as they would be unmoved, where they differ.
    """

    schema_version: Literal[4] = SCHEMA_VERSION
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
    classification: tuple[Estimate, ...]
    estimates: tuple[Estimate, ...]
    curves: tuple[ThresholdCurve, ...] = ()
    tuned: tuple[TunedThreshold, ...] = ()
    unaligned: tuple[Estimate, ...] = ()
    lesion_strata: tuple[LesionStrata, ...] = ()
    lesion_trends: tuple[LesionTrend, ...] = ()
    agreements: tuple[Agreement, ...]
    equivalent_methods: tuple[tuple[str, ...], ...] = ()
    verdicts: tuple[Verdict, ...]
    case_rule: str
    cases: tuple[CaseEntry, ...]
    lost_at_most: float = 0.05
    not_analysed: tuple[StudyAudit, ...]
    mask_faults: Mapping[str, tuple[RefusedMask, ...]] = {}


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
