"""``audit.yaml`` as a file: read with the line of every key, overridden, checked; all its mistakes told together."""

import copy
import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from pipeline.config import (
    ArchiveConfig,
    AuditConfig,
    CasesConfig,
    Criterion,
    ExplainConfig,
    KeepConfig,
    ModelConfig,
    OverlapConfig,
    ReportConfig,
    RunConfig,
    VolumeConfig,
    resolved,
)
from pipeline.config_experiments import (
    ExperimentsConfig,
    FaithfulnessConfig,
    SanityConfig,
    ShortcutsConfig,
    StabilityConfig,
)
from pipeline.config_statements import ChangeConfig, StatementsConfig
from pipeline.errors import ConfigError
from pipeline.vocabulary import LOCK_ENDING

__all__ = [
    "ConfigFaultsError",
    "Document",
    "Fault",
    "LoadedConfig",
    "ParsedConfig",
    "load_config",
    "overridden",
    "parse_config",
    "read_document",
]

Key = tuple[str | int, ...]
"""A place in the configuration: names and list positions."""

_ROUNDS = 12  # a repaired value can only uncover the faults of the level above it


@dataclass(frozen=True)
class Fault:
    """One mistake: the key it stands at, and a sentence that names the key, the rule and the value."""

    key: Key
    message: str


class ConfigFaultsError(ConfigError):
    """Every mistake of a configuration; each line of the text is one, ``file:line: sentence``."""

    def __init__(self, faults: Sequence[tuple[str, Fault]]) -> None:
        super().__init__("\n".join(f"{place}: {fault.message}" for place, fault in faults))
        self.faults = tuple(faults)


@dataclass(frozen=True)
class Document:
    """What the file holds, with the overrides of the command line, and where each key stands."""

    path: Path
    content: Mapping[str, Any]
    lines: Mapping[Key, int]
    overrides: Mapping[Key, str] = field(default_factory=dict)

    def place(self, key: Key) -> str:
        """Return where a key stands: ``--set key=value``, or the file and the line of the key or of what holds it."""
        for length in range(len(key), 0, -1):
            if key[:length] in self.overrides:
                return f"--set {self.overrides[key[:length]]}"
            if key[:length] in self.lines:
                return f"{self.path}:{self.lines[key[:length]]}"
        return f"{self.path}"

    def refusal(self, faults: Sequence[Fault]) -> ConfigFaultsError:
        """Return the error that tells all faults, in the order of their lines."""
        ordered = sorted(faults, key=lambda fault: self._order(fault.key))
        return ConfigFaultsError([(self.place(fault.key), fault) for fault in ordered])

    def _order(self, key: Key) -> int:
        lines = (self.lines.get(key[:length]) for length in range(len(key), 0, -1))
        return next((line for line in lines if line is not None), 0)


@dataclass(frozen=True)
class ParsedConfig:
    """A configuration as far as it can be read.

    Where ``faults`` is not empty, faulty values were left out, or replaced where they are needed; ``unknown`` are
    the keys whose values must therefore not be relied on.
    """

    config: AuditConfig
    faults: tuple[Fault, ...] = ()
    unknown: tuple[Key, ...] = ()


@dataclass(frozen=True)
class LoadedConfig:
    """A configuration that holds no mistake, with the file that gave it; its relative paths are absolute."""

    config: AuditConfig
    document: Document

    @property
    def path(self) -> Path:
        """The file."""
        return self.document.path

    @property
    def folder(self) -> Path:
        """What relative paths are relative to."""
        return self.document.path.resolve().parent

    @property
    def overrides(self) -> tuple[str, ...]:
        """What the command line set: ``key=value``."""
        return tuple(self.document.overrides.values())

    @property
    def values(self) -> dict[str, Any]:
        """Every value, given or by default, as JSON has it; paths as they were given."""
        return AuditConfig.model_validate(self.document.content).model_dump(mode="json")

    @property
    def given(self) -> dict[str, Any]:
        """What the file and the command line gave, as JSON has it; all else has its default."""
        content: dict[str, Any] = json.loads(json.dumps(self.document.content, default=str))
        return content


def load_config(path: Path, overrides: Sequence[str] = ()) -> AuditConfig:
    """Read ``audit.yaml``; relative paths become absolute, from its folder.

    ``overrides`` are ``key=value`` with dotted keys (``run.seed=3``, ``criteria.0.at_least=0.8``); values are YAML.

    Raises:
        ConfigError: one line for each mistake, with the line of the file, the key, the rule and the value, and the
            nearest right key for a wrong one.
    """
    document = read_document(path, overrides)
    parsed = parse_config(document)
    if parsed.faults:
        raise document.refusal(parsed.faults)
    return parsed.config


def read_document(path: Path, overrides: Sequence[str] = ()) -> Document:
    """Read the file's content and the line of each key.

    Raises:
        ConfigError: when it cannot be read, is no YAML, or an override is not ``key=value`` of a key that can be set.
    """
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, _UniqueKeys)
        content = yaml.load(text, _UniqueKeys)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        where = f"{path}:{error.problem_mark.line + 1}" if error.problem_mark else f"{path}"
        raise ConfigError(f"{where}: is not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: must hold keys such as name, archive, model, prepare; it holds {content!r:.60}")
    if "locked_at" in content and path.name.endswith(LOCK_ENDING):
        audit = path.name.removesuffix(LOCK_ENDING)
        raise ConfigError(f"{path}: is the lock of an audit; give the audit itself, {audit}.yaml, which finds its lock")
    document = Document(path, content, dict(_lines(node, ())))
    for override in overrides:
        document = overridden(document, override)
    return document


def _lines(node: yaml.Node | None, key: Key) -> Iterator[tuple[Key, int]]:
    """Yield each key of a node with its line, counted from 1."""
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if isinstance(name, yaml.ScalarNode):
                yield (*key, name.value), name.start_mark.line + 1
                yield from _lines(value, (*key, name.value))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield (*key, number), value.start_mark.line + 1
            yield from _lines(value, (*key, number))


def overridden(document: Document, override: str) -> Document:
    """Return the document with one ``key=value`` of the command line set.

    Raises:
        ConfigError: when that is not such, or there is nothing to set it in.
    """
    name, equals, text = override.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"--set: must be key=value, such as run.seed=3, not {override!r}")
    key: Key = tuple(int(part) if part.isdigit() else part for part in name.strip().split("."))
    try:
        value = yaml.load(text, _UniqueKeys)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}: the value is not YAML") from error
    content: dict[str, Any] = copy.deepcopy(dict(document.content))
    place: Any = content
    for part, following in zip(key, (*key[1:], None), strict=True):
        if following is None:
            _put(place, part, value, override)
        elif isinstance(place, dict) and isinstance(part, str):
            place = place.setdefault(part, {})
        elif isinstance(place, list) and isinstance(part, int) and part < len(place):
            place = place[part]
        else:
            raise ConfigError(f"--set {override}: there is no {part!r} in the configuration that could be set")
    return Document(document.path, content, document.lines, {**document.overrides, key: override})


def _put(place: object, part: str | int, value: object, override: str) -> None:
    if isinstance(place, dict) and isinstance(part, str):
        place[part] = value
        return
    if isinstance(place, list) and isinstance(part, int) and part < len(place):
        place[part] = value
        return
    raise ConfigError(f"--set {override}: there is no {part!r} in the configuration that could be set")


class _UniqueKeys(yaml.SafeLoader):
    """A safe loader that refuses a key given twice; YAML's own rule would drop the first without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping from its node, each key once."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in seen:
                problem = f"key {key.value!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def parse_config(document: Document) -> ParsedConfig:
    """Check keys, types and bounds, and go on without what is faulty, so that all faults are found at once."""
    content: dict[str, Any] = copy.deepcopy(dict(document.content))
    faults: list[Fault] = []
    unknown: list[Key] = []
    for _ in range(_ROUNDS):
        try:
            config = resolved(AuditConfig.model_validate(content), document.path.resolve().parent)
        except ValidationError as error:
            for fault in _faults(error):
                # what a value that was taken out leaves behind is no mistake of its own
                follows = any(place[: len(fault.key)] == fault.key for place in unknown)
                if not follows:
                    faults.append(fault)
                _take_out(content, fault.key, again=follows)
                unknown.append(fault.key)
        except RuntimeError as error:  # a path begins with ~ and there is no home folder
            raise ConfigError(
                f"{document.path}: a path begins with '~', but this account has no home folder; write the whole path"
            ) from error
        else:
            return ParsedConfig(config, tuple(faults), tuple(unknown))
    raise document.refusal(faults)


_STAND_INS: Mapping[Key, Any] = {
    ("name",): "audit",
    ("archive",): {"path": "."},
    ("archive", "path"): ".",
    ("model",): {"name": "model", "factory": "module:function", "labels": ["negative", "positive"]},
    ("model", "name"): "model",
    ("model", "labels"): ["negative", "positive"],
    ("prepare",): [{"_target_": "Identity"}],
    ("prepare", "*"): {"_target_": "Identity"},
    ("criteria", "*"): {"metric": "iou", "at_least": 0.0},
    ("criteria", "*", "metric"): "iou",
}
"""What takes the place of a faulty value that has no default."""


def _take_out(content: dict[str, Any], key: Key, *, again: bool) -> None:
    """Take a faulty value out; where it is missed, as the next round tells, put a stand-in."""
    *parents, last = key or ("",)
    place: Any = content
    for parent in parents:
        inside = isinstance(place, dict) or (isinstance(place, list) and isinstance(parent, int))
        place = place[parent] if inside else None
    stand_in = copy.deepcopy(_STAND_INS.get(tuple("*" if isinstance(part, int) else part for part in key)))
    if isinstance(place, list) and isinstance(last, int):
        place[last] = stand_in
    elif isinstance(place, dict) and last in place and (not again or stand_in is None):
        del place[last]
    elif isinstance(place, dict) and stand_in is not None:
        place[last] = stand_in


def _faults(error: ValidationError) -> list[Fault]:
    """Return the faults of one validation, one for each place."""
    by_place: dict[Key, list[Any]] = {}
    for fault in error.errors():
        by_place.setdefault(_place(fault["loc"]), []).append(fault)
    # a fault above another one is another branch of the same union, not another mistake
    lowest = [
        place
        for place in by_place
        if not any(len(other) > len(place) and other[: len(place)] == place for other in by_place)
    ]
    return [Fault(place, _message(place, by_place[place])) for place in lowest]


def _message(place: Key, faults: Sequence[Mapping[str, Any]]) -> str:
    where = ".".join(map(str, place))
    first = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
    if first["type"] == "extra_forbidden":
        *parents, wrong = place
        known = _keys_at(parents)
        near = difflib.get_close_matches(str(wrong), known, n=1, cutoff=0.5)
        return f"unknown key {where!r}; " + (f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}")
    message = " or ".join(dict.fromkeys(_words(fault["msg"]) for fault in faults))
    shown = "" if first["type"] in ("missing", "value_error") else f", not {first['input']!r:.80}"
    return f"{where or 'the configuration'}: {message}{shown}"


def _place(location: tuple[str | int, ...]) -> Key:
    """Return a fault's place as a user knows it: keys and list positions, no names of types."""
    branches = ("function-", "literal[", "constrained-", "Cases", "float", "criterion-")
    return tuple(part for part in location if not str(part).startswith(branches))


def _words(message: str) -> str:
    """Say what pydantic says in the words of a YAML file."""
    message = message.removeprefix("Value error, ").split(" after validation")[0]
    message = re.sub("a valid dictionary or (instance|object) .*", "a mapping of keys", message)
    message = message.replace("Tuple should", "The list should").replace("tuple", "list")
    return message[0].lower() + message[1:]


def _keys_at(parents: Sequence[str | int]) -> list[str]:
    """Return the keys that are allowed below ``parents`` (names and list positions)."""
    parts: dict[str, type[BaseModel]] = {
        "archive": ArchiveConfig, "model": ModelConfig, "explain": ExplainConfig, "overlap": OverlapConfig,
        "volume": VolumeConfig, "criteria": Criterion, "cases": CasesConfig, "report": ReportConfig, "run": RunConfig,
        "change": ChangeConfig, "statements": StatementsConfig, "experiments": ExperimentsConfig, "keep": KeepConfig,
        "sanity": SanityConfig, "shortcuts": ShortcutsConfig, "stability": StabilityConfig,
        "faithfulness": FaithfulnessConfig,
    }  # fmt: skip
    names = [str(part) for part in parents if str(part) in parts]
    return sorted((parts[names[-1]] if names else AuditConfig).model_fields)
