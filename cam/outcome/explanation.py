"""The maps of one batch, and how to ask for one of them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from cam.inputs.spelling import did_you_mean, method_name
from cam.inputs.target_keys import TargetKey, plain_key
from cam.inputs.targets import Scalar
from cam.outcome.equivalence import equivalent
from cam.outcome.map_tensor import MapTensor, grid_of
from cam.registry import METHODS

__all__ = ["EmptyMap", "Explanation", "MapKey", "NoSuchMapError"]

MapKey = tuple[str, str, TargetKey]
"""(method, layer, target)."""

_NAMED = 6  # maps that a message lists


class NoSuchMapError(KeyError):
    """There is no such map, or more than one; a ``KeyError`` whose message is a sentence."""

    def __str__(self) -> str:
        return str(self.args[0])


class EmptyMap(NamedTuple):
    """A map that holds nothing but 0, of the sample of this number, and why, where that is known."""

    method: str
    layer: str
    target: TargetKey
    sample: int
    reason: str


@dataclass(frozen=True)
class Explanation:
    """The maps of one batch, raw.

    ``explanation["gradcam"]`` is the map of that name, a ``MapTensor`` (B, *S) at the layer's own resolution. Where
    there are several, the layer, the target or both tell which: ``["gradcam", "layer4"]``, ``["gradcam", 1]``,
    ``["gradcam", "layer4", 1]``. ``maps`` holds all by (method, layer, target), plain and detached; the target is what
    was asked for: an index, a name, or a target itself where it is not one label for all. The layer is ``"input"`` for
    a method at the input, and ``"one+other"`` for one across layers.

    ``logits`` is (B, K). ``targets`` are the scalars explained, ``target_keys`` what their maps go by, in the same
    order. ``notes`` tells, by method and layer, how maps were got where there was more than one way; under the method
    ``"auto"`` it tells why this layer was taken, and what goes past it. ``labels`` are the outputs' names, where they
    were told. ``dead`` tells of each layer and sample (B,) that the layer is all 0, and ``saturated`` (T, B) that no
    logit is left of the target's probability.
    """

    logits: Tensor
    targets: tuple[Scalar, ...]
    maps: Mapping[MapKey, Tensor]
    notes: Mapping[tuple[str, str], str] = field(default_factory=dict)
    target_keys: tuple[TargetKey, ...] = ()
    labels: tuple[str, ...] = ()
    dead: Mapping[str, Tensor] = field(default_factory=dict)
    saturated: Tensor | None = None

    def __iter__(self) -> Iterator[tuple[MapKey, Tensor]]:
        return iter(self.maps.items())

    def __len__(self) -> int:
        return len(self.maps)

    def __getitem__(self, key: object) -> MapTensor:
        """Return the one map of a method, or of (method, layer), (method, target) or (method, layer, target).

        Raises:
            NoSuchMapError: when there is none, or more than one.
        """
        return MapTensor.of(self.maps[self.whole_key(key)])

    def whole_key(self, key: object) -> MapKey:
        """Return (method, layer, target) of the one map that a key names, as ``[key]`` takes it.

        Raises:
            NoSuchMapError: when there is none, or more than one.
        """
        chosen = self._chosen(key)
        if len(chosen) != 1:
            what, hint = ("names more than one map", "") if chosen else ("names no map", self._hint(key))
            raise NoSuchMapError(f"{key!r} {what}; there are {_listed(chosen or self.maps)}{hint}")
        return chosen[0]

    def __contains__(self, key: object) -> bool:
        return bool(self._chosen(key))

    def overlay(self, image: Tensor, *, strength: float = 0.6) -> Tensor:
        """Return the one map there is, laid over its images: see ``MapTensor.overlay``.

        Raises:
            NoSuchMapError: when there is more than one map: name it, ``explanation["gradcam"].overlay(image)``.
        """
        if len(self.maps) != 1:
            raise NoSuchMapError(
                f"overlay needs one map: name it, maps['gradcam'].overlay(image); there are {_listed(self.maps)}"
            )
        (maps,) = self.maps.values()
        return MapTensor.of(maps).overlay(image, strength=strength)

    def to_image_grid(self, image: Tensor | None = None) -> Tensor:
        """Return one picture (3, height, width) of all maps: a row for each sample, a column for each map.

        The columns are in the order of ``maps``; see ``MapTensor.to_image_grid`` for what is drawn.

        Raises:
            NoSuchMapError: when there are no maps.
        """
        if not self.maps:
            raise NoSuchMapError("to_image_grid needs a map, and there is none")
        columns = [MapTensor.of(maps).planes(image) for maps in self.maps.values()]
        height, width = (max(column.shape[axis] for column in columns) for axis in (2, 3))
        enlarged = [_enlarged(column, (height, width)) for column in columns]
        return grid_of([torch.stack([column[sample] for column in enlarged]) for sample in range(len(columns[0]))])

    @property
    def equivalent(self) -> Mapping[str, tuple[tuple[str, ...], ...]]:
        """Groups of methods, by layer, whose maps are one and the same up to a positive factor and a final ReLU.

        So they are for every sample and target of this batch: one piece of evidence, not several.
        """
        return equivalent(self.maps)

    @property
    def empty(self) -> tuple[EmptyMap, ...]:
        """The maps that hold nothing but 0: say so, don't draw them.

        A dead layer gives one, a probability that is saturated, and a rectified method where all evidence speaks
        against the target.
        """
        return tuple(
            EmptyMap(*key, sample, self._reason(key, sample, negative=bool((values < 0).any())))
            for key, maps in self.maps.items()
            for sample, values in enumerate(maps)
            if not bool((values > 0).any() if METHODS[key[0]].rectified else values.any())
        )

    def _reason(self, key: MapKey, sample: int, *, negative: bool) -> str:
        number = self.target_keys.index(key[2]) if key[2] in self.target_keys else None
        if self.saturated is not None and number is not None and bool(self.saturated[number, sample]):
            return "saturated: the probability is 0 or 1 to its last digit, so nothing is left of the logit"
        if key[1] in self.dead and bool(self.dead[key[1]][sample]):
            return "the layer is 0 at every cell for this sample"
        rectified = METHODS[key[0]].rectified
        return "no evidence speaks for the target" if negative or rectified else ""

    def _chosen(self, key: object) -> list[MapKey]:
        method, *rest = key if isinstance(key, tuple) else (key,)
        try:
            name = method_name(method)
        except ValueError:
            return []
        candidates = [entry for entry in self.maps if entry[0] == name]
        if len(rest) > 2:
            return []
        if len(rest) == 2:
            return [entry for entry in candidates if entry[1] == rest[0] and self._is(entry[2], rest[1])]
        if rest:
            at_layer = [entry for entry in candidates if isinstance(rest[0], str) and entry[1] == rest[0]]
            of_target = [entry for entry in candidates if self._is(entry[2], rest[0])]
            return list(dict.fromkeys([*at_layer, *of_target]))
        return candidates

    def _is(self, key: TargetKey, asked: object) -> bool:
        """Tell whether the target of this key is the one that is asked for: by its index, its name or itself."""
        try:
            wanted = plain_key(asked)
        except ValueError:
            return False
        if type(wanted) is bool:
            return False
        scalar = self.targets[self.target_keys.index(key)] if key in self.target_keys else None
        return self._number(wanted) == self._number(key) or wanted == scalar

    def _number(self, key: TargetKey) -> TargetKey:
        return self.labels.index(key) if isinstance(key, str) and key in self.labels else key

    def _hint(self, key: object) -> str:
        parts = key if isinstance(key, tuple) else (key,)
        try:
            method_name(parts[0])
        except ValueError as error:
            return f" ({error})"
        known = dict.fromkeys(part for entry in self.maps for part in entry if isinstance(part, str))
        return did_you_mean(parts[-1], known)


def _listed(keys: Collection[MapKey]) -> str:
    written = [f"[{', '.join(map(repr, key))}]" for key in keys]
    more = [f"and {len(written) - _NAMED} more"] if len(written) > _NAMED else []
    return ", ".join([*written[:_NAMED], *more]) or "none, as there were no targets"


def _enlarged(pictures: Tensor, shape: Sequence[int]) -> Tensor:
    """Return pictures (n, 3, height, width) at this shape, each pixel as it is: columns of different layers fit so."""
    return torch.nn.functional.interpolate(pictures, size=tuple(shape), mode="nearest")
