"""What an audit is asked to do: ``audit.yaml`` as frozen, checked data."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from pipeline.config_experiments import ExperimentsConfig
from pipeline.config_part import ConfigPart, Names, Share, listed
from pipeline.config_statements import ChangeConfig, StatementsConfig
from pipeline.criterion import AnyCriterion, CheckCriterion, Criterion, bound_fault
from pipeline.vocabulary import (
    ALL_BASELINES,
    BASELINES,
    USUAL_BASELINES,
    USUAL_FRAMEWORKS,
    Baseline,
    Framework,
    MemoryFormat,
    Precision,
    Scoring,
)

__all__ = [
    "CONFIG_VERSION",
    "AuditConfig",
    "CheckCriterion",
    "Criterion",
    "OverlapConfig",
    "RunConfig",
    "TunedConfig",
    "bound_fault",
    "digest_of",
    "resolved",
]

CONFIG_VERSION = 6
"""The version of what may stand in ``audit.yaml``; its published schema names it."""


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) != len(names):
        raise ValueError(f"must name each once, not {list(names)}")
    return names


def _rising(window: tuple[float, float]) -> tuple[float, float]:
    if window[0] >= window[1]:
        raise ValueError(f"must be (low, high) with low below high, not {list(window)}")
    return window


def _is_rule(value: object, check: ValidatorFunctionWrapHandler) -> object:
    try:
        return check(value)
    except ValidationError as error:
        named = "otsu, otsu-chexlocalize, percentile-<number below 100> or a share of the maximum between 0 and 1"
        says = _first_fault(value) if isinstance(value, dict) else f"must be {named}, not {value!r:.80}"
        raise ValueError(says) from error


class TunedConfig(ConfigPart):
    """A threshold that is tuned for each label and map, on patients who then count in nothing that it has a part in.

    ``tuned``: of what the mean over the tuning patients is to be highest. They are those whose ``column`` of the
    manifest holds ``value`` (``tuning`` unless given), or are drawn with the probability ``share``. A label needs
    ``fewest`` of them with a mask.
    """

    tuned: Literal["dice", "iou"]
    column: str | None = None
    value: Annotated[str, Field(min_length=1)] | None = None
    share: Annotated[float, Field(gt=0, lt=1)] | None = None
    fewest: Annotated[int, Field(ge=1)] = 10

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.column is None) == (self.share is None):
            raise ValueError("give exactly one of column (of the manifest) and share (of the patients)")
        if self.share is not None and self.value is not None:
            raise ValueError("value goes with column")
        return self


def _first_fault(value: dict[str, object]) -> str:
    """Return what is wrong with a tuned threshold, with its place in it."""
    try:
        TunedConfig.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return f"{place}: {first['msg']}" if place else first["msg"].removeprefix("Value error, ")
    return "is no threshold"


Threshold = Annotated[
    Literal["otsu", "otsu-chexlocalize"]
    | Annotated[str, Field(pattern=r"^percentile-\d{1,2}(\.\d{1,3})?$")]
    | Annotated[float, Field(gt=0, lt=1)]
    | TunedConfig,
    WrapValidator(_is_rule),
]
LayoutName = Literal[
    "bids", "decathlon", "nnunet", "totalsegmentator", "brats", "luna16", "grand-challenge", "tcia", "xnat", "orthanc",
    "dicom",
]  # fmt: skip
Window = Annotated[tuple[float, float], AfterValidator(_rising)]


class VolumeConfig(ConfigPart):
    """Which volume of an image that holds several is read; the keys together have to leave one.

    ``b_value`` in s/mm2, within what rounding does (1 %, or 1). ``time``: the number of the time point, from 0.
    ``echo``: that of the echo, from 1, by echo time. ``index``: counted from 0 among those that the other keys leave.
    """

    b_value: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    time: Annotated[int, Field(ge=0)] | None = None
    echo: Annotated[int, Field(ge=1)] | None = None
    index: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if all(value is None for value in (self.b_value, self.time, self.echo, self.index)):
            raise ValueError("archive.volume must state one or more of b_value, time, echo and index")
        return self


class ArchiveConfig(ConfigPart):
    """Where the studies lie. Without ``manifest`` they are discovered by their file names.

    Discovery goes by the marks of known layouts; ``layout`` names one where several fit, or ``dicom`` to have the
    headers of DICOM files tell the studies. ``modalities``: which of a subject's images are studies, in layouts that
    tell them apart; without it all are. Discovery knows no labels: ``label`` states the label that a discovered mask
    annotates and its study carries. ``voi``: whether projections and captures get the display transform (window or
    table) that they state. ``volume``: which volume of an image with several (4D NIfTI and NRRD, diffusion weights,
    echoes and times of a DICOM series, frames of an angiogram) is read, a number alone counted from 0; without it
    such a study is refused. ``pet``: whether PET series are read as stored, or as SUV by body weight (QIBA).
    ``regrid``: whether a mask on another grid than its image is refused (``none``) or carried over to the nearest
    voxels.
    ``consensus``: what several readers of one label say together (majority vote or STAPLE), as a reader of its own.
    ``contours``: whether voxels where contours of one structure overlap, or a contour is stored twice, are left out
    (``even-odd``) or inside (``union``).

    ``dicomweb``: the URL of a DICOMweb server that holds the studies; ``path`` is then the folder where what is fetched
    is kept, up to ``cache_gib`` besides the studies that are being read.
    """

    path: Path
    manifest: Path | None = None
    dicomweb: str | None = None
    cache_gib: Annotated[float, Field(gt=0)] = 20.0
    label: str | None = None
    layout: LayoutName | None = None
    modalities: Names | None = None
    voi: Literal["none", "apply"] = "none"
    volume: VolumeConfig | Annotated[int, Field(ge=0)] | None = None
    pet: Literal["raw", "suv_bw"] = "raw"
    regrid: Literal["none", "nearest"] = "none"
    consensus: Literal["none", "majority", "staple"] = "none"
    contours: Literal["even-odd", "union"] = "even-odd"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.dicomweb is not None and self.manifest is None:
            raise ValueError("dicomweb needs a manifest: make one with camaudit scan URL --write-manifest FILE")
        return self


class GridConfig(ConfigPart):
    """Where a layer's values lie in the model's input, where the network does not tell: ``slices`` or ``tokens``.

    ``slices`` is the axis of the input, from 0, along which the layer sees it slice by slice; ``samples_first`` tells
    whether its rows hold the slices of a study together. ``tokens`` is the grid of a transformer's patches, ``prefix``
    the number of tokens before them that stand for no place.
    """

    slices: Annotated[int, Field(ge=0, le=2)] | None = None
    samples_first: bool = True
    tokens: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1, max_length=3)] | None = None
    prefix: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.slices is None) == (self.tokens is None):
            raise ValueError("give exactly one of slices (an axis) and tokens (a grid), not both or neither")
        return self


class ModelConfig(ConfigPart):
    """The classifier: a MONAI ``bundle`` directory, or a ``factory`` (package.module:function) with weights.

    ``bundle_code`` lets a bundle's own scripts and expressions run; without it nothing of a bundle does. ``weights`` of
    a bundle says which of its files is meant, ``weights_key`` which part of a checkpoint.

    ``output`` tells what the model returns. Logits: ``softmax`` over the labels, ``sigmoid`` for each label
    (multi-label), ``single_logit`` (two labels, the sigmoid of one logit is the second's probability), or ``logits``,
    which is ``softmax`` or ``single_logit`` by the number of outputs. ``probability``: the model ends in the softmax or
    sigmoid itself. With both, ``multi_label`` tells that labels do not exclude each other. ``regression``: ``labels``
    name numbers, nothing is called. ``output_name`` names the logits in a dict or tuple where they are not obvious.

    ``segmentation``: the outputs are those of every voxel. A study's probability of a label is then its highest.

    ``training_hashes``: a text file with the SHA-256 of each file that the model was trained on, one a line, as
    ``sha256sum`` writes it; studies of which an image file is among them are named.
    """

    name: str
    version: str = "not stated"
    bundle: Path | None = None
    bundle_code: bool = False
    factory: str | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)
    weights: Path | None = None
    weights_key: str | None = None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    output: Literal["softmax", "sigmoid", "single_logit", "logits", "probability", "regression"] = "softmax"
    multi_label: bool = False
    output_name: str | int | None = None
    segmentation: bool = False
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    layers: Names = ("auto",)
    grids: dict[str, GridConfig] = Field(default_factory=dict)
    training_data: str = "not disclosed"
    training_hashes: Path | None = None

    @property
    def kind(self) -> Literal["logits", "probability", "regression"]:
        """What the model returns, whatever its labels are to each other."""
        return self.output if self.output in ("probability", "regression") else "logits"

    @property
    def has_independent_labels(self) -> bool:
        """Whether each label is called by itself."""
        return self.multi_label or self.output == "sigmoid"

    @property
    def negative_label(self) -> str | None:
        """The label that means "nothing found": the first, unless labels are independent or name numbers."""
        return None if self.has_independent_labels or self.output == "regression" else self.labels[0]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.bundle is None) == (self.factory is None):
            raise ValueError("give exactly one of bundle and factory, not both or neither")
        if self.bundle is not None and self.arguments:
            raise ValueError("arguments belong to factory; a bundle has its own: remove them, or use factory")
        if self.bundle is None and self.bundle_code:
            raise ValueError("bundle_code is of a bundle; a factory is code anyway: leave it out")
        self._check_labels()
        self._check_output()
        return self

    def _check_labels(self) -> None:
        if self.output == "single_logit" and len(self.labels) != 2:
            raise ValueError(
                f"a single logit needs two labels, the negative and the positive one, not {len(self.labels)}"
            )
        if len(self.labels) < 2 and self.output != "regression":
            raise ValueError(f"labels must be at least two, the first of them the negative one, not {len(self.labels)}")
        plain = [" ".join(label.split()).casefold() for label in self.labels]
        if len(set(plain)) != len(plain) or "" in plain:
            raise ValueError(f"labels must differ from each other by more than capitals, not {list(self.labels)}")

    def _check_output(self) -> None:
        if self.multi_label and self.output not in ("logits", "probability"):
            raise ValueError(f"multi_label goes with output logits or probability, not {self.output!r}: leave it out")
        if self.output == "regression" and (self.threshold != 0.5 or self.segmentation):
            key = "segmentation" if self.segmentation else "threshold"
            raise ValueError(f"{key} does not go with output regression, which calls no label: leave it out")


class ExplainConfig(ConfigPart):
    """Which maps: methods, and whose logit each explains.

    ``options`` sets a method's own parameters, by its name: ``{rise: {count: 4000}}``. ``targets``: ``reference`` (each
    label that the reference says is present), ``predicted``, or a label's name. Where a classifier's answer is wrong,
    the label that it called and the one that it missed are explained as well.
    """

    methods: Names = ("gradcam",)
    options: dict[str, dict[str, Any]] = Field(default_factory=dict)
    targets: Names = ("reference",)


class OverlapConfig(ConfigPart):
    """How a map becomes a region, and what is measured.

    ``threshold`` is taken of the map's positive part: ``otsu``, a share of its maximum, ``percentile-95`` of the voxels
    that the model saw, for pictures ``otsu-chexlocalize``, or a share that is tuned for each label on other patients.
    ``tolerance_mm``: how far beside the mask or its surface still counts as at it, for the metrics that say so.
    ``smallest_lesion``: from which size in mm3 (of a picture mm2) a part of the mask is a lesion, and one of the map's
    region a mark. ``align``: whether a layer's cells are taken to tile the model's input edge to edge (``grid``), or to
    lie where they were measured to look (``receptive_field``). Besides ``metrics`` and ``baselines``, a run measures
    those that its criteria name, and the metrics of installed packages.
    """

    threshold: Threshold = "otsu"
    tolerance_mm: Annotated[float, Field(gt=0, le=1000)] = 5.0
    smallest_lesion: Annotated[float, Field(ge=0)] = 0.0
    align: Literal["grid", "receptive_field"] = "grid"
    baselines: Annotated[tuple[Baseline, ...], BeforeValidator(listed)] = USUAL_BASELINES
    metrics: Names = ("iou", "dice", "hit_rate", "energy_in_mask", "average_precision")


class CasesConfig(ConfigPart):
    """How many cases the report shows, by rule.

    ``worst``, ``best`` and ``random`` are of the correct and of the wrong predictions each, beside the typical case.
    ``at_most``: how many pages that may make; the typical case, the worst ones and wrong predictions come first.
    """

    worst: Annotated[int, Field(ge=0, le=1000)] = 2
    best: Annotated[int, Field(ge=0, le=1000)] = 2
    random: Annotated[int, Field(ge=0, le=1000)] = 2
    at_most: Annotated[int, Field(ge=1, le=10_000)] | None = None


class ReportConfig(ConfigPart):
    """What the report says besides the findings. ``window`` is the display window (low, high) of pictures.

    ``pictures``: of images whose header says that no annotation is burned into the pixels, or of ``all``. A format
    without such a header says nothing. ``frameworks``: the laws, guidances and checklists whose clauses it lists, with
    where it speaks to them. ``predecessor``: the folder of an earlier run, or of an audit (its newest run), that the
    report holds this one against besides the previous run of this audit. ``volumes``: what the run keeps of the shown
    studies so that a viewer can scroll through them: nothing, the image's exact values around masks and peak with the
    rest small (``crops``), or all of it (``whole``). ``fonts``: TrueType files that are asked, in
    their order, for characters that the report's own font lacks; the run keeps them.
    """

    title: str = "Saliency audit"
    organisation: str = "not stated"
    prepared_by: str = "not stated"
    intended_use: str = "not stated"
    reference_standard: str = "not stated"
    cases: CasesConfig | Literal["all"] = CasesConfig()
    window: Window | None = None
    pictures: Literal["not_burned_in", "all"] = "not_burned_in"
    volumes: Literal["none", "crops", "whole"] = "none"
    frameworks: Annotated[tuple[Framework, ...], BeforeValidator(listed), AfterValidator(_each_once)] = USUAL_FRAMEWORKS
    predecessor: Path | None = None
    fonts: Annotated[tuple[Path, ...], BeforeValidator(listed)] = ()


class RunConfig(ConfigPart):
    """Where and how the run works. Of it ``seed``, ``precision``, ``memory_format`` and ``mode`` change numbers.

    ``scoring`` and ``batch_size`` change none beyond its rounding.

    A run that loses more than ``lost_at_most`` of its studies (excluded or failed) says so; the share is locked.
    ``engine``: ``prefect`` shows the run on a Prefect server and goes on without it where that fails; ``local`` does
    not ask for one; ``pool`` has the shards worked by a Prefect work pool (``pool``), ``dask`` by a Dask cluster
    (``cluster``, its scheduler's address, or processes of this machine). ``processes`` work the shards on this machine:
    one for each GPU, unless a number is given. None of it changes a result.

    ``workers`` processes read studies while others are analysed; 0 reads them in the run's own process, where a
    hostile file can end the run. ``scoring``: where maps are scored, by NumPy on the processor or by torch on the
    model's device; ``auto`` takes torch where that is CUDA's. ``batch_size``: how many studies the model is shown at
    once; ``auto`` begins with 8 and doubles that on a device, up to 128. Where memory runs out it is halved, whatever
    was given. ``precision``: ``autocast`` lets torch take bfloat16 (float16 on a device without it) where it holds that
    for safe; ``memory_format``: how the weights lie in memory. ``mode``: on a CUDA device, ``deterministic`` takes the
    kernels that repeat themselves and no TF32, ``fast`` the quickest. Where one of these three is not the first choice,
    some maps are computed again in float32 at the end, and the report says how alike the two are. ``cache``: a folder
    that keeps prepared studies for the next run, up to ``cache_gib`` after each shard.
    """

    output: Path = Path("runs")
    engine: Literal["prefect", "local", "pool", "dask"] = "prefect"
    processes: Annotated[int, Field(ge=1, le=256)] | None = None
    pool: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9 _.-]{0,62}$")] | None = None
    cluster: Annotated[str, Field(pattern=r"^(tcp|tls)://[A-Za-z0-9_.:\[\]-]{1,200}$")] | None = None
    cache: Path | None = None
    cache_gib: Annotated[float, Field(gt=0)] = 20.0
    device: str = "auto"
    scoring: Scoring = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    batch_size: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = 8
    precision: Precision = "float32"
    memory_format: MemoryFormat = "contiguous"
    mode: Literal["deterministic", "fast"] = "deterministic"
    shard_size: Annotated[int, Field(ge=1, le=100_000)] | None = None
    workers: Annotated[int, Field(ge=0, le=64)] = 1
    replicates: Annotated[int, Field(ge=200, le=100_000)] = 2000
    lost_at_most: Share = 0.05

    @property
    def other_arithmetic(self) -> dict[str, str]:
        """In which of its three choices the run computes otherwise than in plain float32; empty where it does not."""
        plain = {"precision": "float32", "memory_format": "contiguous", "mode": "deterministic"}
        return {name: value for name, usual in plain.items() if (value := str(getattr(self, name))) != usual}

    def in_plain_arithmetic(self) -> "RunConfig":
        """Return the same in float32, contiguous and deterministic."""
        plain = {name: RunConfig.model_fields[name].default for name in self.other_arithmetic}
        return self.model_copy(update=plain)


class KeepConfig(ConfigPart):
    """How many runs a schedule keeps; ``camaudit prune`` is what removes the others, and says what has to stay.

    ``nightly``: the newest finished ones. Without it nothing is removed.
    """

    nightly: Annotated[int, Field(ge=1, le=100_000)] | None = None


class AuditConfig(ConfigPart):
    """The whole of ``audit.yaml``. Relative paths are relative to its folder."""

    name: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]
    archive: ArchiveConfig
    model: ModelConfig
    prepare: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)]
    explain: ExplainConfig = ExplainConfig()
    overlap: OverlapConfig = OverlapConfig()
    experiments: ExperimentsConfig = ExperimentsConfig()
    criteria: tuple[AnyCriterion, ...] = ()
    change: ChangeConfig = ChangeConfig()
    report: ReportConfig = ReportConfig()
    statements: StatementsConfig = StatementsConfig()
    run: RunConfig = RunConfig()
    keep: KeepConfig = KeepConfig()

    @property
    def metric_criteria(self) -> tuple[Criterion, ...]:
        """The criteria on metrics; the others are on checks."""
        return tuple(criterion for criterion in self.criteria if isinstance(criterion, Criterion))

    @property
    def baselines(self) -> tuple[Baseline, ...]:
        """The baselines that a run measures, in their own order: those asked for, and those that criteria name.

        A criterion that wants all of them beaten gets the usual ones at least: asking for fewer weakens no criterion.
        """
        named = {name.partition("@")[0] for criterion in self.metric_criteria for name in criterion.opponents}
        named |= {criterion.method for criterion in self.metric_criteria if criterion.method is not None}
        named |= set(USUAL_BASELINES) if ALL_BASELINES in named else set()
        return tuple(name for name in BASELINES if name in named or name in self.overlap.baselines)

    def recipe(self) -> str:
        """Return the digest of everything that changes a study's row.

        That is what is read of the archive's files, model, preparation, maps, overlap, seed and arithmetic.
        """
        parts = json.loads(self.model_dump_json(include={"model", "prepare", "explain", "overlap"}))
        for free_text in ("name", "version", "training_data"):
            del parts["model"][free_text]
        for path in ("bundle", "weights", "training_hashes"):  # weights count by their own hash, not by where they lie
            del parts["model"][path]
        return digest_of({**parts, **self._read(), "seed": self.run.seed, **self.run.other_arithmetic})

    def preparation(self) -> str:
        """Return the digest of everything that changes a model input or a mask: how files are read and prepared."""
        return digest_of([self.image_preparation(), self.mask_reading()])

    def image_preparation(self) -> str:
        """Return the digest of everything that changes a model input: how images are read and prepared."""
        read = self.archive.model_dump(mode="json", include={"voi", "volume", "pet"})
        return digest_of({**self.model_dump(mode="json", include={"prepare"}), **read})

    def mask_reading(self) -> str:
        """Return the digest of everything that changes a mask or a reference but the files themselves."""
        read = self.archive.model_dump(mode="json", include={"label", "consensus", "contours", "regrid"})
        return digest_of({**read, "labels": self.model.labels, "negative": self.model.negative_label})

    def _read(self) -> dict[str, Any]:
        keys = {"label", "voi", "volume", "pet", "consensus", "contours", "regrid"}
        return self.archive.model_dump(mode="json", include=keys)

    def criteria_digest(self) -> str:
        """Return the digest of criteria, margins, experiments, and the share of studies that may be lost."""
        criteria = [criterion.stated() for criterion in self.criteria]
        locked = {"criteria": criteria, "lost_at_most": self.run.lost_at_most}
        return digest_of({**locked, **self.change.locked_content(), **self.experiments.locked_content()})


def digest_of(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def resolved(config: AuditConfig, folder: Path) -> AuditConfig:
    """Return the configuration with its relative paths made absolute, from ``folder``."""

    def absolute(part: ConfigPart, *names: str) -> dict[str, Path]:
        values = {name: getattr(part, name) for name in names}
        return {name: folder / value.expanduser() for name, value in values.items() if value is not None}

    fonts = {"fonts": tuple(folder / path.expanduser() for path in config.report.fonts)}
    return config.model_copy(
        update={
            "archive": config.archive.model_copy(update=absolute(config.archive, "path", "manifest")),
            "model": config.model.model_copy(update=absolute(config.model, "bundle", "weights", "training_hashes")),
            "report": config.report.model_copy(update=absolute(config.report, "predecessor") | fonts),
            "run": config.run.model_copy(update=absolute(config.run, "output", "cache")),
        }
    )
