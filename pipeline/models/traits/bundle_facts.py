"""What a bundle says beside its network, for a draft of a configuration: labels, version, how images are prepared."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import monai.transforms

from pipeline.errors import ConfigError
from pipeline.models.bundle_files import bundle_files
from pipeline.models.prepare import build_transforms

__all__ = ["BundleFacts", "facts_of_bundle"]

Step = dict[str, Any]

_DONE_BY_READING = frozenset({"LoadImage", "EnsureChannelFirst", "AddChannel", "EnsureType", "ToTensor", "ToDevice"})
"""What has happened to an image before it is prepared here, or is no preparation of it."""

_OF_DICTIONARIES = ("keys", "allow_missing_keys", "meta_keys", "meta_key_postfix")
_FOR_EACH_KEY = ("mode", "padding_mode", "align_corners", "dtype")
_IMAGE = "image"


@dataclass(frozen=True)
class BundleFacts:
    """What ``metadata.json`` and the configuration say; empty where they say nothing.

    ``steps`` are its transforms in array form, ``skipped`` says of those that cannot be taken over why.
    """

    labels: tuple[str, ...]
    version: str | None
    steps: tuple[Step, ...]
    skipped: tuple[str, ...]


def facts_of_bundle(bundle: Path, weights: Path | None = None) -> BundleFacts:
    """Return what a bundle says of itself; nothing of it is run. ``weights``: which of its files is meant.

    Raises:
        ModelError: when it is no bundle, or its configuration cannot be read.
    """
    content = bundle_files(bundle, weights).content
    metadata = _metadata(bundle)
    version = metadata.get("version")
    steps, skipped = _array_steps(_transforms(content), content)
    return BundleFacts(_labels(metadata), version if isinstance(version, str) else None, steps, skipped)


def _metadata(bundle: Path) -> Mapping[str, Any]:
    try:
        content = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _labels(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the outputs' channels, where each has one, in their order."""
    channels = _within(metadata, "network_data_format", "outputs", "pred", "channel_def")
    if not isinstance(channels, dict):
        return ()
    names = [channels.get(str(number)) for number in range(len(channels))]
    plain = [name for name in names if isinstance(name, str) and name.strip()]
    return tuple(plain) if len(plain) == len(channels) else ()


def _within(content: object, *keys: str) -> object:
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content


def _transforms(content: Mapping[str, Any]) -> Sequence[object]:
    """Return the steps by which the bundle prepares an image before it infers, else before it validates."""
    for section in (_within(content, "preprocessing"), _within(content, "validate", "preprocessing")):
        steps = section.get("transforms") if isinstance(section, dict) else section
        if isinstance(steps, list):
            return steps
    return ()


def _array_steps(transforms: Sequence[object], content: Mapping[str, Any]) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    steps: list[Step] = []
    skipped: list[str] = []
    for transform in transforms:
        target = str(transform.get("_target_", "")) if isinstance(transform, dict) else ""
        name = _array_name(target)
        if name in _DONE_BY_READING or not isinstance(transform, dict) or not _is_of_image(transform, content):
            continue
        step = {"_target_": name} | _arguments(transform, content)
        fault = _fault_of(step)
        if fault is None:
            steps.append(step)
        else:
            skipped.append(f"{name or 'a step without a name'}: {fault}")
    return tuple(steps), tuple(skipped)


def _fault_of(step: Step) -> str | None:
    """Return why a step cannot stand in a configuration, None where it can. Building it must run no bundle's code."""
    if not hasattr(monai.transforms, step["_target_"]):
        return "is no transform of MONAI's"
    if not _is_data({name: value for name, value in step.items() if name != "_target_"}):
        return "has an expression or an object of the bundle's own in its arguments: write the value"
    try:
        build_transforms([step])
    except ConfigError as error:
        return str(error).partition(": ")[2]
    return None


def _is_data(value: object) -> bool:
    """Tell whether a value is plain: MONAI would run expressions ($), references (@, %) and nested targets."""
    if isinstance(value, dict):
        return "_target_" not in value and all(map(_is_data, value)) and all(map(_is_data, value.values()))
    if isinstance(value, list):
        return all(map(_is_data, value))
    return not (isinstance(value, str) and value.lstrip().startswith(("$", "@", "%")))


def _array_name(target: str) -> str:
    """Return the name of a transform's array form: that of ``Spacingd`` is ``Spacing``."""
    name = target.rpartition(".")[2]
    for ending in ("Dict", "d", "D"):
        array = name.removesuffix(ending)
        if array != name and hasattr(monai.transforms, array):
            return array
    return name


def _keys(transform: Mapping[str, Any], content: Mapping[str, Any]) -> list[str]:
    keys = _plain(transform.get("keys", _IMAGE), content)
    return [str(key) for key in keys] if isinstance(keys, list) else [str(keys)]


def _is_of_image(transform: Mapping[str, Any], content: Mapping[str, Any]) -> bool:
    keys = _keys(transform, content)
    return _IMAGE in keys or (len(keys) == 1 and keys[0] not in ("label", "mask", "pred"))


def _arguments(transform: Mapping[str, Any], content: Mapping[str, Any]) -> Step:
    """Return a transform's arguments as they are for the image, references to plain values resolved."""
    keys = _keys(transform, content)
    arguments: Step = {}
    for name, given in transform.items():
        if name == "_target_" or name in _OF_DICTIONARIES:
            continue
        value = _plain(given, content)
        for_each = name in _FOR_EACH_KEY and isinstance(value, list) and len(value) == len(keys)
        arguments[name] = value[keys.index(_IMAGE)] if for_each and _IMAGE in keys else value
    return arguments


def _plain(value: Any, content: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whatever a configuration holds
    """Return what a reference (``@patch_size``) refers to, where that is a plain value; else what was given."""
    if not isinstance(value, str) or not value.startswith("@"):
        return value
    referred = content.get(value[1:])
    return value if referred is None or isinstance(referred, dict) else referred
