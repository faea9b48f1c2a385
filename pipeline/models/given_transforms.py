"""The transforms that prepare an image, as a caller hands them over: MONAI's own objects, or their configurations."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

from monai.data import MetaTensor
from monai.transforms import Compose, MapTransform

from pipeline.errors import ConfigError
from pipeline.models.prepare import Preparation, built_transform
from pipeline.models.transform_gate import check_transform, parts_of

__all__ = ["given_transforms"]


def given_transforms(prepare: object) -> Preparation:
    """Return the preparation of one transform or several: objects, a ``Compose``, or ``{"_target_": ...}``.

    Transforms of dictionaries (``Spacingd``) are shown the image under the key that they name; other keys (a label's)
    may be missing.

    Raises:
        ConfigError: when one is no transform, or none that a map can follow (see ``check_transform``).
    """
    given = [prepare] if isinstance(prepare, Mapping | Compose) or not isinstance(prepare, Sequence) else list(prepare)
    if isinstance(prepare, str | bytes):
        raise ConfigError(f"prepare: must be MONAI's transforms or their configurations, not {prepare!r:.60}")
    transforms = [_transform(f"prepare.{number}", entry) for number, entry in enumerate(given)]
    key = _image_key(transforms)
    wrapped = [_OnDictionary(_lenient(entry), key) if _keys(entry) else entry for entry in transforms]
    return Preparation(tuple(wrapped), tuple(f"{type(entry).__name__}()" for entry in transforms))


def _transform(where: str, entry: object) -> Callable[[Any], Any]:
    transform = built_transform(where, entry) if isinstance(entry, Mapping) else entry
    check_transform(where, transform)
    return transform  # type: ignore[return-value]


def _keys(transform: object) -> list[str]:
    """Return the keys of the dictionary that a transform works on; none for one that works on an array."""
    keys = (key for part in parts_of(transform) if isinstance(part, MapTransform) for key in part.keys)
    return list(dict.fromkeys(map(str, keys)))


def _image_key(transforms: Sequence[object]) -> str:
    keys = list(dict.fromkeys(key for transform in transforms for key in _keys(transform)))
    if len(keys) < 2 or "image" in keys:
        return "image" if "image" in keys else "".join(keys)
    raise ConfigError(f"prepare: the transforms name the keys {', '.join(keys)}; call the image's key 'image'")


def _lenient(transform: Any) -> Any:  # noqa: ANN401 - MONAI's transforms have no types
    """Return a copy that passes over the keys that are missing: the caller's own stays as it is."""
    same = copy(transform)
    if isinstance(same, Compose):
        same.transforms = tuple(map(_lenient, same.transforms))
    elif isinstance(same, MapTransform):
        same.allow_missing_keys = True
    return same


@dataclass(frozen=True)
class _OnDictionary:
    """A transform of dictionaries as one of an image."""

    transform: Callable[[dict[str, Any]], dict[str, Any]]
    key: str

    def __call__(self, image: MetaTensor) -> MetaTensor:
        return self.transform({self.key: image})[self.key]
