"""A map's mean over variants of a question, and its spread, to be shown beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cam.explain import explain
from cam.inputs.target_keys import TargetLike
from cam.outcome.explanation import Explanation, MapKey
from cam.uncertainty.variants import Variant

__all__ = ["MapSpread", "explain_variants"]


@dataclass(frozen=True)
class MapSpread:
    """What several variants of one question gave.

    ``mean`` and ``deviation`` (the standard deviation, by n - 1) have a map (B, *S) for each (method, layer, target);
    ``scores`` (variants, T, B) are the explained scalars. ``first`` is the first variant's explanation: its keys, notes
    and targets. Raw and signed, in the method's own unit: what is large beside the mean is unsettled.
    """

    mean: Mapping[MapKey, Tensor]
    deviation: Mapping[MapKey, Tensor]
    scores: Tensor
    first: Explanation

    def __getitem__(self, key: object) -> tuple[Tensor, Tensor]:
        """Return mean and deviation of the one map that a key names, as an ``Explanation`` takes it."""
        whole = self.first.whole_key(key)
        return self.mean[whole], self.deviation[whole]


def explain_variants(
    variants: Sequence[Variant],
    targets: Sequence[TargetLike] | TargetLike,
    **settings: Any,  # noqa: ANN401 - those of explain
) -> MapSpread:
    """Explain every variant with the same targets and ``settings`` of ``explain``; return mean and spread of its maps.

    The targets are stated: a predicted label could be another in each variant, and a mean over maps of several labels
    is none. Maps are added up one variant at a time, so that two maps are held, however many variants there are.

    Raises:
        ValueError: for fewer than two variants, no target, or variants whose maps have other layers or shapes (an
            ensemble of different networks: name a layer that all have); or as ``explain``.
    """
    if len(variants) < 2:
        raise ValueError(f"variants must be at least two, not {len(variants)}")
    if targets is None:
        raise ValueError("targets must be stated: each variant may predict another label")
    first, mean, squares, scores = None, {}, {}, []
    for number, variant in enumerate(variants, start=1):
        with variant.during():
            explanation = explain(variant.model, variant.x, targets, **settings)
        maps = {key: variant.undo(values) for key, values in explanation}
        scores.append(torch.stack([target.scores(explanation.logits) for target in explanation.targets]))
        if first is None:
            first = explanation
            mean = {key: torch.zeros_like(values) for key, values in maps.items()}
            squares = {key: torch.zeros_like(values) for key, values in maps.items()}
        _check_alike(mean, maps)
        for key, values in maps.items():  # Welford: no difference of two large sums
            change = values - mean[key]
            mean[key] = mean[key] + change / number
            squares[key] = squares[key] + change * (values - mean[key])
    assert first is not None
    deviation = {key: (values / (len(variants) - 1)).sqrt() for key, values in squares.items()}
    return MapSpread(mean, deviation, torch.stack(scores), first)


def _check_alike(mean: Mapping[MapKey, Tensor], maps: Mapping[MapKey, Tensor]) -> None:
    shapes, others = ({key: tuple(values.shape) for key, values in some.items()} for some in (mean, maps))
    if shapes != others:
        raise ValueError(
            f"the variants' maps differ: {_listed(shapes)} and {_listed(others)}; name a layer that all of them have, "
            "with the same grid"
        )


def _listed(shapes: Mapping[MapKey, tuple[int, ...]]) -> str:
    return ", ".join(f"{method} at {layer!r} {shape}" for (method, layer, _), shape in list(shapes.items())[:3])
