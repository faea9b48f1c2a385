"""What an audit is asked to do: ``audit.yaml`` as frozen, checked data."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from pipeline.vocabulary import BASELINES, Baseline, Better, Stratum

__all__ = ["CONFIG_VERSION", "AuditConfig", "Criterion", "OverlapConfig", "bound_fault", "digest_of", "resolved"]

CONFIG_VERSION = 1
"""The version of what may stand in ``audit.yaml``; its published schema names it."""

Share = Annotated[float, Field(ge=0, le=1)]


def _listed(value: object) -> object:
    """Take a single name for a list of one: ``layers: auto``."""
    return (value,) if isinstance(value, str) else value


def _rising(window: tuple[float, float]) -> tuple[float, float]:
    if window[0] >= window[1]:
        raise ValueError(f"must be (low, high) with low below high, not {list(window)}")
    return window


def _is_rule(value: object, check: ValidatorFunctionWrapHandler) -> object:
    try:
        return check(value)
    except ValidationError as error:
        named = "otsu, otsu-chexlocalize, percentile-<number below 100> or a share of the maximum between 0 and 1"
        raise ValueError(f"must be {named}, not {value!r:.80}") from error


Threshold = Annotated[
    Literal["otsu", "otsu-chexlocalize"]
    | Annotated[str, Field(pattern=r"^percentile-\d{1,2}(\.\d{1,3})?$")]
    | Annotated[float, Field(gt=0, lt=1)],
    WrapValidator(_is_rule),
]
Names = Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_listed)]
Window = Annotated[tuple[float, float], AfterValidator(_rising)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="strings")


class ArchiveConfig(_Part):
    """Where the studies lie. Without ``manifest`` they are discovered by their file names.

    Discovery knows no labels: ``label`` states the label that a discovered mask annotates and its study
    carries. ``voi``: whether projections and captures get the display transform (window or table) that they
    state. ``volume``: which volume of a file with several (4D NIfTI and NRRD, frames of an angiogram) is read,
    counted from 0; without it such a study is refused. ``consensus``: what several readers of one label say
    together (majority vote or STAPLE), as a reader of its own. ``contours``: whether voxels where contours of one
    structure overlap, or a contour is stored twice, are left out (``even-odd``) or inside (``union``).

    ``dicomweb``: the URL of a DICOMweb server that holds the studies; ``path`` is then the folder where what is fetched
    is kept, up to ``cache_gib`` besides the studies that are being read.
    """

    path: Path
    manifest: Path | None = None
    dicomweb: str | None = None
    cache_gib: Annotated[float, Field(gt=0)] = 20.0
    label: str | None = None
    voi: Literal["none", "apply"] = "none"
    volume: Annotated[int, Field(ge=0)] | None = None
    consensus: Literal["none", "majority", "staple"] = "none"
    contours: Literal["even-odd", "union"] = "even-odd"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.dicomweb is not None and self.manifest is None:
            raise ValueError("dicomweb needs a manifest: make one with camaudit scan URL --write-manifest FILE")
        return self


class ModelConfig(_Part):
    """The classifier: a MONAI ``bundle`` directory, or a ``factory`` (package.module:function) with weights.

    ``output`` tells how logits become probabilities: ``softmax`` over the labels, ``sigmoid`` for each label
    (multi-label), or ``single_logit`` (two labels, the sigmoid of one logit is the second's probability).
    """

    name: str
    version: str = "not stated"
    bundle: Path | None = None
    factory: str | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)
    weights: Path | None = None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    labels: Annotated[tuple[str, ...], Field(min_length=2)]
    output: Literal["softmax", "sigmoid", "single_logit"] = "softmax"
    threshold: Share = 0.5
    layers: Names = ("auto",)
    training_data: str = "not disclosed"

    @property
    def negative_label(self) -> str | None:
        """The label that means "nothing found": the first, unless labels are independent (multi-label)."""
        return None if self.output == "sigmoid" else self.labels[0]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.bundle is None) == (self.factory is None):
            raise ValueError("give exactly one of bundle and factory, not both or neither")
        if self.bundle is not None and (self.weights is not None or self.arguments):
            raise ValueError(
                "weights and arguments belong to factory; a bundle has its own: remove them, or use factory"
            )
        if self.output == "single_logit" and len(self.labels) != 2:
            raise ValueError(
                f"a single logit needs two labels, the negative and the positive one, not {len(self.labels)}"
            )
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels must differ from each other, not {list(self.labels)}")
        return self


class ExplainConfig(_Part):
    """Which maps: methods, and whose logit each explains.

    ``options`` sets a method's own parameters, by its name: ``{rise: {count: 4000}}``. ``targets``: ``reference`` (each
    label that the reference says is present), ``predicted``, or a label's name.
    """

    methods: Names = ("gradcam",)
    options: dict[str, dict[str, Any]] = Field(default_factory=dict)
    targets: Names = ("reference",)


class OverlapConfig(_Part):
    """How a map becomes a region, and what is measured.

    ``threshold`` is taken of the map's positive part: ``otsu``, a share of its maximum, ``percentile-95`` of the voxels
    that the model saw, or for pictures ``otsu-chexlocalize``. ``tolerance_mm``: how far beside the mask or its surface
    still counts as at it, for the metrics that say so. ``smallest_lesion``: from which size in mm3 (of a picture mm2) a
    part of the mask is a lesion, and one of the map's region a mark. ``align``: whether a layer's cells are taken to
    tile the model's input edge to edge (``grid``), or to lie where they were measured to look (``receptive_field``).
    Besides ``metrics`` and ``baselines``, a run measures those that its criteria name, and the metrics of installed
    packages.
    """

    threshold: Threshold = "otsu"
    tolerance_mm: Annotated[float, Field(gt=0, le=1000)] = 5.0
    smallest_lesion: Annotated[float, Field(ge=0)] = 0.0
    align: Literal["grid", "receptive_field"] = "grid"
    baselines: Annotated[tuple[Baseline, ...], BeforeValidator(_listed)] = ("random_map", "centre_prior")
    metrics: Names = ("iou", "dice", "hit_rate", "energy_in_mask", "average_precision")


class Criterion(_Part):
    """One acceptance criterion, decided on the bound of an interval.

    A metric of a method (``hit_rate`` of ``gradcam``) or of the classifier (``accuracy``, no method), among a
    stratum, at least or at most a number, or better than a baseline (paired by study). A bound on the wrong side of a
    metric, such as ``at_least`` where lower is better, is refused unless ``reversed`` says that it is meant.
    """

    metric: str
    method: str | None = None
    among: Stratum = "reference_positive"
    at_least: float | None = None
    at_most: float | None = None
    better_than: Baseline | None = None
    reversed: bool = False
    confidence: Annotated[float, Field(ge=0.9, lt=1)] = 0.95

    @model_validator(mode="after")
    def _check(self) -> Self:
        if sum(bound is not None for bound in (self.at_least, self.at_most, self.better_than)) != 1:
            raise ValueError("give exactly one of at_least, at_most, better_than")
        return self


def bound_fault(
    criterion: Criterion, span: tuple[float | None, float | None], better: Better
) -> tuple[str, str] | None:
    """Return the key of a criterion whose bound does not go with its metric's range and direction, and why; or None."""
    low, high = span
    for name in ("at_least", "at_most"):
        bound = getattr(criterion, name)
        if bound is not None and not (low is None or bound >= low) & (high is None or bound <= high):
            percent = f"; is {bound / 100:g} meant?" if span == (0.0, 1.0) and 1 < bound <= 100 else ""
            return name, f"{criterion.metric} {_within(span)}, not {bound:g}{percent}"
    given = "at_least" if criterion.at_least is not None else "at_most" if criterion.at_most is not None else None
    right = "at_least" if better == "higher" else "at_most"
    if given is None or given == right:
        return ("reversed", "goes with a bound on the wrong side only; leave it out") if criterion.reversed else None
    if criterion.reversed:
        return None
    asks = f"of {criterion.metric} {better} is better, so it would ask for a bad value"
    return given, f"{asks}; write {right}, or add reversed: true where that is meant"


def _within(span: tuple[float | None, float | None]) -> str:
    low, high = span
    if low is not None and high is not None:
        return f"lies within {low:g} and {high:g}"
    return f"is at least {low:g}" if low is not None else f"is at most {high:g}"


class CasesConfig(_Part):
    """How many cases the report shows, by rule."""

    worst: Annotated[int, Field(ge=0, le=1000)] = 2
    best: Annotated[int, Field(ge=0, le=1000)] = 2
    random: Annotated[int, Field(ge=0, le=1000)] = 2


class ReportConfig(_Part):
    """What the report says besides the findings. ``window`` is the display window (low, high) of pictures.

    ``pictures``: of images whose header says that no annotation is burned into the pixels, or of ``all``. A format
    without such a header says nothing.
    """

    title: str = "Saliency audit"
    organisation: str = "not stated"
    prepared_by: str = "not stated"
    intended_use: str = "not stated"
    reference_standard: str = "not stated"
    cases: CasesConfig | Literal["all"] = CasesConfig()
    window: Window | None = None
    pictures: Literal["not_burned_in", "all"] = "not_burned_in"


class RunConfig(_Part):
    """Where and how the run works. None of it but ``seed`` changes a number.

    A run that loses more than ``lost_at_most`` of its studies (excluded or failed) says so; the share is locked.
    ``engine``: ``prefect`` shows the run on a Prefect server and goes on without it where that fails; ``local`` does
    not ask for one.

    ``workers`` processes read studies while others are analysed; 0 reads them in the run's own process, where a
    hostile file can end the run. ``cache``: a folder that keeps prepared studies for the next run, up to
    ``cache_gib`` after each shard.
    """

    output: Path = Path("runs")
    engine: Literal["prefect", "local"] = "prefect"
    cache: Path | None = None
    cache_gib: Annotated[float, Field(gt=0)] = 20.0
    device: str = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 8
    shard_size: Annotated[int, Field(ge=1, le=100_000)] | None = None
    workers: Annotated[int, Field(ge=0, le=64)] = 1
    replicates: Annotated[int, Field(ge=200, le=100_000)] = 2000
    lost_at_most: Share = 0.05


class AuditConfig(_Part):
    """The whole of ``audit.yaml``. Relative paths are relative to its folder."""

    name: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]
    archive: ArchiveConfig
    model: ModelConfig
    prepare: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)]
    explain: ExplainConfig = ExplainConfig()
    overlap: OverlapConfig = OverlapConfig()
    criteria: tuple[Criterion, ...] = ()
    report: ReportConfig = ReportConfig()
    run: RunConfig = RunConfig()

    @property
    def baselines(self) -> tuple[Baseline, ...]:
        """The baselines that a run measures, in their own order: those asked for, and those that criteria name."""
        named = {criterion.better_than for criterion in self.criteria} | {
            criterion.method for criterion in self.criteria
        }
        return tuple(name for name in BASELINES if name in self.overlap.baselines or name in named)

    def recipe(self) -> str:
        """Return the digest of everything that changes a study's row.

        That is what is read of the archive's files, model, preparation, maps, overlap and seed.
        """
        parts = json.loads(self.model_dump_json(include={"model", "prepare", "explain", "overlap"}))
        for free_text in ("name", "version", "training_data"):
            del parts["model"][free_text]
        for path in ("bundle", "weights"):  # the weights count by their own hash, not by where they lie
            del parts["model"][path]
        return digest_of({**parts, **self._read(), "seed": self.run.seed})

    def preparation(self) -> str:
        """Return the digest of everything that changes a model input or a mask: how files are read and prepared."""
        return digest_of([self.image_preparation(), self.mask_reading()])

    def image_preparation(self) -> str:
        """Return the digest of everything that changes a model input: how images are read and prepared."""
        read = self.archive.model_dump(mode="json", include={"voi", "volume"})
        return digest_of({**self.model_dump(mode="json", include={"prepare"}), **read})

    def mask_reading(self) -> str:
        """Return the digest of everything that changes a mask or a reference but the files themselves."""
        read = self.archive.model_dump(mode="json", include={"label", "consensus", "contours"})
        return digest_of({**read, "labels": self.model.labels, "negative": self.model.negative_label})

    def _read(self) -> dict[str, Any]:
        return self.archive.model_dump(mode="json", include={"label", "voi", "volume", "consensus", "contours"})

    def criteria_digest(self) -> str:
        """Return the digest of the acceptance criteria, the share of studies that may be lost among them."""
        criteria = [criterion.model_dump(mode="json") for criterion in self.criteria]
        return digest_of({"criteria": criteria, "lost_at_most": self.run.lost_at_most})


def digest_of(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def resolved(config: AuditConfig, folder: Path) -> AuditConfig:
    """Return the configuration with its relative paths made absolute, from ``folder``."""

    def absolute(part: _Part, *names: str) -> dict[str, Path]:
        values = {name: getattr(part, name) for name in names}
        return {name: folder / value.expanduser() for name, value in values.items() if value is not None}

    return config.model_copy(
        update={
            "archive": config.archive.model_copy(update=absolute(config.archive, "path", "manifest")),
            "model": config.model.model_copy(update=absolute(config.model, "bundle", "weights")),
            "run": config.run.model_copy(update=absolute(config.run, "output", "cache")),
        }
    )
