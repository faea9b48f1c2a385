"""What an audit is asked to do: ``audit.yaml`` as frozen, checked data."""

import difflib
import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.errors import ConfigError

__all__ = ["AuditConfig", "Criterion", "digest_of", "load_config"]

Share = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="strings")


class Archive(_Part):
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


class Model(_Part):
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
    layers: tuple[str, ...] = ("auto",)
    training_data: str = "not disclosed"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.bundle is None) == (self.factory is None):
            raise ValueError("give either bundle or factory")
        if self.bundle is not None and (self.weights is not None or self.arguments):
            raise ValueError("weights and arguments go with factory; a bundle brings its own")
        if self.output == "single_logit" and len(self.labels) != 2:
            raise ValueError(f"a single logit has two labels (negative, positive), not {len(self.labels)}")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels must differ from each other: {list(self.labels)}")
        return self


class Explain(_Part):
    """Which maps: methods, and whose logit each explains.

    ``options`` sets a method's own parameters, by its name: ``{rise: {masks: 4000}}``. ``targets``: ``reference`` (each
    label that the reference says is present), ``predicted``, or a label's name.
    """

    methods: Annotated[tuple[str, ...], Field(min_length=1)] = ("gradcam",)
    options: dict[str, dict[str, Any]] = Field(default_factory=dict)
    targets: Annotated[tuple[str, ...], Field(min_length=1)] = ("reference",)


class Overlap(_Part):
    """How a map becomes a region: Otsu on its positive part, or a share of its maximum."""

    threshold: Literal["otsu"] | Annotated[float, Field(gt=0, lt=1)] = "otsu"


class Criterion(_Part):
    """One acceptance criterion, decided on the bound of an interval.

    A metric of a method (``hit_rate`` of ``gradcam``) or of the classifier (``accuracy``, no method), among a
    stratum, at least or at most a number, or better than a baseline (paired by study).
    """

    metric: str
    method: str | None = None
    among: Literal["all", "reference_positive", "true_positive", "false_negative"] = "reference_positive"
    at_least: float | None = None
    at_most: float | None = None
    better_than: Literal["random_map", "centre_prior"] | None = None
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95

    @model_validator(mode="after")
    def _check(self) -> Self:
        if sum(bound is not None for bound in (self.at_least, self.at_most, self.better_than)) != 1:
            raise ValueError("give exactly one of at_least, at_most, better_than")
        return self


class Cases(_Part):
    """How many cases the report shows, by rule."""

    worst: Annotated[int, Field(ge=0)] = 2
    best: Annotated[int, Field(ge=0)] = 2
    random: Annotated[int, Field(ge=0)] = 2


class Report(_Part):
    """What the report says besides the findings. ``window`` is the display window (low, high) of pictures.

    ``pictures``: of images whose header says that no annotation is burned into the pixels, or of ``all``. A format
    without such a header says nothing.
    """

    title: str = "Saliency audit"
    organisation: str = "not stated"
    prepared_by: str = "not stated"
    intended_use: str = "not stated"
    reference_standard: str = "not stated"
    cases: Cases | Literal["all"] = Cases()
    window: tuple[float, float] | None = None
    pictures: Literal["not_burned_in", "all"] = "not_burned_in"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.window is not None and self.window[0] >= self.window[1]:
            raise ValueError(f"window must be (low, high) with low below high, not {list(self.window)}")
        return self


class Run(_Part):
    """Where and how the run works. None of it but ``seed`` changes a number.

    ``workers`` processes read studies while others are analysed; 0 reads them in the run's own process, where a
    hostile file can end the run. ``cache``: a folder that keeps prepared studies for the next run, up to
    ``cache_gib`` after each shard.
    """

    output: Path = Path("runs")
    cache: Path | None = None
    cache_gib: Annotated[float, Field(gt=0)] = 20.0
    device: str = "auto"
    seed: Annotated[int, Field(ge=0)] = 0
    batch_size: Annotated[int, Field(ge=1)] = 8
    shard_size: Annotated[int, Field(ge=1)] | None = None
    workers: Annotated[int, Field(ge=0, le=64)] = 1
    replicates: Annotated[int, Field(ge=200)] = 2000


class AuditConfig(_Part):
    """The whole of ``audit.yaml``. Relative paths are relative to its folder."""

    name: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]
    archive: Archive
    model: Model
    prepare: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)]
    explain: Explain = Explain()
    overlap: Overlap = Overlap()
    criteria: tuple[Criterion, ...] = ()
    report: Report = Report()
    run: Run = Run()

    @model_validator(mode="after")
    def _check(self) -> Self:
        reserved = {"reference", "predicted"} & set(self.model.labels)
        if reserved:
            raise ValueError(f"model.labels: {min(reserved)!r} has a meaning of its own in explain.targets; rename it")
        for key, names in (("explain.methods", self.explain.methods), ("model.layers", self.model.layers)):
            if len(set(names)) < len(names):
                raise ValueError(f"{key} must differ from each other: {list(names)}")
        known = ("reference", "predicted", *self.model.labels)
        unknown = [target for target in self.explain.targets if target not in known]
        if unknown:
            raise ValueError(f"explain.targets must be among {', '.join(known)}, not {unknown[0]!r}")
        if self.archive.label is not None and self.archive.label not in self.model.labels:
            raise ValueError(f"archive.label must be among model.labels, not {self.archive.label!r}")
        return self

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
        return digest_of({**self.model_dump(mode="json", include={"prepare"}), **self._read()})

    def _read(self) -> dict[str, Any]:
        return self.archive.model_dump(mode="json", include={"label", "voi", "volume", "consensus", "contours"})

    def criteria_digest(self) -> str:
        """Return the digest of the acceptance criteria."""
        return digest_of([criterion.model_dump(mode="json") for criterion in self.criteria])


def digest_of(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def load_config(path: Path) -> AuditConfig:
    """Read ``audit.yaml``; relative paths become absolute, from its folder.

    Raises:
        ConfigError: one line that names the key, the rule and the value, and the nearest right key for a
            wrong one.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: must hold keys such as name, archive, model, prepare; it holds {content!r:.60}")
    try:
        config = AuditConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_first_fault(error)}") from None
    return _resolved(config, path.resolve().parent)


class _UniqueKeys(yaml.SafeLoader):
    """A safe loader that refuses a key given twice; YAML's own rule would drop the first without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping from its node, each key once."""
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        twice = [key for number, key in enumerate(keys) if key in keys[:number]]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"key {twice[0]!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _first_fault(error: ValidationError) -> str:
    faults = [(_where(fault["loc"]), fault) for fault in error.errors()]
    where, fault = next((one for one in faults if one[1]["type"] == "extra_forbidden"), faults[0])
    if fault["type"] == "extra_forbidden":
        *parents, wrong = fault["loc"]
        near = difflib.get_close_matches(str(wrong), _keys_at(parents), n=1, cutoff=0.5)
        advice = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_keys_at(parents))}"
        return f"unknown key {where!r}; {advice}"
    message = " or ".join(_words(other["msg"]) for place, other in faults if place == where)
    shown = "" if fault["type"] in ("missing", "value_error") else f", not {fault['input']!r:.80}"
    # a fault above or below this one is another branch of the same union, not another mistake
    others = {place for place, _ in faults if not place.startswith(where) and not where.startswith(place)}
    more = f" (and {len(others)} more)" if others else ""
    return f"{where or 'the configuration'}: {message}{shown}{more}"


def _where(location: tuple[str | int, ...]) -> str:
    """Write a fault's place as a user knows it: keys and list positions, no names of types."""
    *parents, last = location or ("",)
    branches = ("function-", "literal[", "constrained-", "Cases", "float")
    return ".".join(str(part) for part in (*parents, last) if not str(part).startswith(branches))


def _words(message: str) -> str:
    """Say what pydantic says in the words of a YAML file."""
    message = message.removeprefix("Value error, ").split(" after validation")[0]
    message = re.sub("a valid dictionary or (instance|object) .*", "a mapping of keys", message)
    message = message.replace("Tuple should", "The list should").replace("tuple", "list")
    return message[0].lower() + message[1:]


def _keys_at(parents: list[str | int]) -> list[str]:
    """Return the keys that are allowed below ``parents`` (names and list positions)."""
    parts: dict[str, type[_Part]] = {
        "archive": Archive, "model": Model, "explain": Explain, "overlap": Overlap,
        "criteria": Criterion, "cases": Cases, "report": Report, "run": Run,
    }  # fmt: skip
    names = [str(part) for part in parents if str(part) in parts]
    return sorted((parts[names[-1]] if names else AuditConfig).model_fields)


def _resolved(config: AuditConfig, folder: Path) -> AuditConfig:
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
