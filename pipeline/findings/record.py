"""What an audit leaves behind, as data: rows, estimates, verdicts, cases, and how they are read back.

``Results`` is ``results.json``: every number that the PDF prints. The report reads this module and nothing
that computes, so a report can be rendered again from the run's folder alone.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from pipeline.errors import OutputError

__all__ = [
    "SCHEMA_VERSION",
    "Agreement",
    "Amendment",
    "CaseEntry",
    "Compared",
    "Estimate",
    "Flow",
    "InputFacts",
    "InputSummary",
    "LayerFacts",
    "Lock",
    "MapScores",
    "MethodFacts",
    "MetricFacts",
    "ModelFacts",
    "PairAgreement",
    "Provenance",
    "RefusedMask",
    "RegisterMark",
    "Results",
    "Score",
    "StudyAudit",
    "Verdict",
    "load_results",
]

SCHEMA_VERSION: Literal[1] = 1

Stratum = Literal["all", "reference_positive", "true_positive", "false_negative"]
Answer = Literal["MET", "NOT MET", "INCONCLUSIVE", "NOT EVALUATED"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Score(_Frozen):
    """One metric of one map against one mask: a value, or the reason why there is none."""

    name: str
    value: float | None = None
    reason: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.value is None) == (self.reason is None):
            raise ValueError(f"score {self.name!r} needs a value or a reason, not both or neither")
        return self


class MapScores(_Frozen):
    """One map of one study against one reader's mask (``reader`` None: no mask to compare with).

    Where the reader's mask could not be used, every score is undefined for that reason.

    ``map`` is the map's key in the run's maps files, where it is kept before the ReLU that may end its
    formula; baselines have none. ``cell_mm`` is the size of a layer's cell. ``seen_share`` is the share of
    the mask's voxels that lie in the model's field of view, ``mask_share`` the mask's share of that field of
    view (the level of chance for energy and average precision).
    """

    target: str
    method: str
    layer: str | None
    reader: str | None
    map: str | None = None
    map_sha256: str | None = None
    cell_mm: tuple[float, ...] | None = None
    degenerate: bool = False
    seen_share: float | None = None
    mask_share: float | None = None
    scores: tuple[Score, ...] = ()


class PairAgreement(_Frozen):
    """How well two readers agree on one label in one study."""

    label: str
    readers: tuple[str, str]
    scores: tuple[Score, ...]


class RefusedMask(_Frozen):
    """A reader's mask of an analysed study that could not be used, and why.

    ``label`` is None where nothing tells which label it shows, or the model does not have it. ``masks`` is the number
    of masks that this stands for.
    """

    reader: str
    label: str | None
    reason: str
    message: str
    masks: int = 1


class InputFacts(_Frozen):
    """What the model was shown of one study: the input's shape (channels, ...) and its values."""

    shape: tuple[int, ...]
    minimum: float
    mean: float
    maximum: float
    deviation: float


class StudyAudit(_Frozen):
    """One study: what the model said, what was measured, or where and why it stopped.

    ``facts`` holds allow-listed facts of the image (modality, how values were made); ``reference`` is None when
    nobody said what is present. ``masks`` counts the experts' masks that could be used, ``mask_faults`` tells of
    the others; ``model_input`` is None for a study that the model was not shown.
    """

    study: str
    patient: str
    source_sha256: str
    status: Literal["analysed", "excluded", "failed"]
    stage: str | None = None
    reason: str | None = None
    message: str | None = None
    reference: tuple[str, ...] | None = None
    predicted: tuple[str, ...] = ()
    probabilities: Mapping[str, float] = {}
    strata: Mapping[str, str] = {}
    facts: Mapping[str, str] = {}
    masks: int = 0
    mask_faults: tuple[RefusedMask, ...] = ()
    model_input: InputFacts | None = None
    agreement: tuple[PairAgreement, ...] = ()
    map_scores: tuple[MapScores, ...] = ()

    @model_validator(mode="after")
    def _reason_when_not_analysed(self) -> Self:
        if (self.status == "analysed") != (self.reason is None):
            raise ValueError(f"a study that is {self.status!r} cannot have the reason {self.reason!r}")
        return self


class Estimate(_Frozen):
    """A number about the cohort with its interval.

    ``method`` is a map's name, a baseline's (``random_map``, ``centre_prior``) or ``classifier``. ``group``
    is a subgroup such as ``site=A``. ``value`` is None with a ``reason`` when nothing could be estimated;
    ``low`` and ``high`` are None when there are too few patients for an interval. ``undefined`` counts
    missing scores by reason.
    """

    metric: str
    method: str
    among: Stratum
    group: str | None = None
    value: float | None
    low: float | None = None
    high: float | None = None
    confidence: float
    interval: str
    patients: int
    studies: int
    undefined: Mapping[str, int] = {}
    chance: float | None = None
    reason: str | None = None


class Agreement(_Frozen):
    """How well two experts agree with each other by the same metric: the ceiling for a map."""

    metric: str
    readers: tuple[str, str]
    estimate: Estimate


class Verdict(_Frozen):
    """One criterion and its answer, decided on the interval's bound.

    ``rule`` is ``at least 0.7``, ``at most 0.2`` or ``better than centre_prior``; for the last the estimate is the
    difference to that map.
    """

    criterion: str
    metric: str
    method: str
    among: Stratum
    rule: str
    estimate: Estimate
    answer: Answer
    reason: str

    @property
    def better_than(self) -> str | None:
        """The map that the method is held against; the estimate is then a difference, and no value of the metric."""
        said, rule, name = self.rule.partition("better than ")
        return name if rule and not said else None


class Flow(_Frozen):
    """n in = n analysed + n excluded + n failed, with reasons; ``computed`` in this run, or ``reused``.

    ``mask_faults`` counts the masks of analysed studies that could not be used, by reason, and ``without_mask`` the
    analysed studies that are left with none although masks were named. A study with one new map is ``computed``;
    ``maps_reused`` of all ``maps`` were carried over from earlier runs.
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

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.found != self.analysed + sum(self.excluded.values()) + sum(self.failed.values()):
            raise ValueError(f"{self.found} studies in, but {self.analysed} analysed, {self.excluded}, {self.failed}")
        if self.found != self.computed + self.reused:
            raise ValueError(f"{self.found} studies in, but {self.computed} computed and {self.reused} reused")
        return self


class Compared(_Frozen):
    """What was held against the experts' masks: ``studies`` with a map that was scored, and their ``patients``.

    ``mapped`` counts the studies that have a map at all.
    """

    mapped: int
    studies: int
    patients: int


class Amendment(_Frozen):
    """A lock that was changed in the open: when and why, what changed, and which runs had been looked at by then."""

    amended_at: str
    reason: str
    previous: str
    previous_locked_at: str
    changed: tuple[str, ...]
    seen: tuple[str, ...]


class RegisterMark(_Frozen):
    """What the register of looks held at a moment: since when it exists, its newest entry's hash, its length."""

    since: str
    head: str
    length: int


class Lock(_Frozen):
    """What was fixed before the first inference, and whether it was fixed before anybody looked.

    ``exploratory`` lists why the run is stamped EXPLORATORY; empty: it was locked beforehand. ``digest`` is the lock's
    in the register, ``site_key`` the fingerprint of the key that signs lock, register and ledger.
    """

    locked_at: str | None
    digest: str | None = None
    recipe: str
    criteria: str
    statistics: str = ""
    shown: str = ""
    model: str
    code: str = ""
    program: str = ""
    cohort: str
    exploratory: tuple[str, ...] = ()
    amendments: tuple[Amendment, ...] = ()
    register_mark: RegisterMark | None = None
    site_key: str | None = None


class LayerFacts(_Frozen):
    """A layer that maps were taken from. ``requested`` is what the configuration says (``auto`` or a name).

    ``shift_mm`` is how far beside the place where it is drawn the middle cell looks, along each axis of the model's
    input; measured on the network, None when the cell does not react. ``shift_mm`` and ``cell_mm`` are the first
    study's; ``cell_range`` is the smallest and the largest size of a cell over all studies, along each axis. ``unit``
    is that of all: ``px`` where the first study states no physical size.
    """

    name: str
    requested: str
    shape: tuple[int, ...]
    cell_mm: tuple[float, ...]
    shift_mm: tuple[float, ...] | None = None
    unit: str = "mm"
    cell_range: tuple[tuple[float, float], ...] | None = None


class ModelFacts(_Frozen):
    """The model's identity."""

    name: str
    version: str
    source: str
    architecture: str
    parameters: int
    sha256: str
    labels: tuple[str, ...]
    output: str
    threshold: float
    layers: tuple[LayerFacts, ...]
    training_data: str

    @property
    def negative_label(self) -> str | None:
        """The label that means "nothing found": the first, unless labels are independent of each other (sigmoid)."""
        return None if self.output == "sigmoid" else self.labels[0]


class MethodFacts(_Frozen):
    """What a reader must know of a map."""

    name: str
    title: str
    paper: str
    formula: str
    limits: str


class MetricFacts(_Frozen):
    """What a reader must know of a metric."""

    name: str
    title: str
    definition: str
    better: Literal["higher", "lower"]
    unit: str


class CaseEntry(_Frozen):
    """A study that the report shows, why, and its panels' file (``cases/<study>.npz``; None: withheld)."""

    study: str
    rule: str
    panels: str | None
    note: str | None = None
    audit: StudyAudit


class Provenance(_Frozen):
    """What made the run. ``engine`` is what drove its shards, and why where it was not Prefect throughout."""

    camaudit: str
    command: str
    started_at: str
    finished_at: str
    seconds: float
    device: str
    platform: str
    python: str
    libraries: Mapping[str, str]
    seed: int
    replicates: int
    determinism: str
    engine: str = "local"
    flow_run: str | None = None
    previous_run: str | None = None
    ledger_head: str | None = None
    ledger_length: int = 0


class InputSummary(_Frozen):
    """The model's inputs over the analysed studies.

    ``minimum`` and ``maximum`` are the lowest and highest value of all, ``mean`` and ``deviation`` the means of the
    studies' own. ``shapes`` counts the studies by shape, such as ``1 x 48 x 48 x 48``. ``notes`` are facts that a
    reader should weigh. ``picture`` is the file with a plane of the first study's input (None: ``picture_note`` says
    why).
    """

    studies: int
    shapes: Mapping[str, int]
    minimum: float
    mean: float
    maximum: float
    deviation: float
    notes: tuple[str, ...] = ()
    picture: str | None = None
    picture_note: str | None = None


class Results(_Frozen):
    """``results.json``. ``mask_faults`` goes from a study to its masks that could not be used.

    ``lost_at_most`` is the locked share of studies that may be excluded or fail without a warning.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
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
        raise OutputError(f"{path}: is not a result of schema {SCHEMA_VERSION}: {where}: {first['msg']}") from None
