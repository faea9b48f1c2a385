"""What is explained: one scalar a sample, read off the model's output before softmax or sigmoid.

``Target``, ``Difference`` and ``Region`` say it outright. ``Predicted`` and ``Positive`` are answered by the model's
own logits: they become ``Target``s once those are known, so that a method which runs the model again on changed
inputs keeps asking about the label that was predicted for the image as it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Protocol, Self

import torch
from torch import Tensor, as_tensor, long

__all__ = [
    "Difference",
    "PerSample",
    "Positive",
    "Predicted",
    "Region",
    "Scalar",
    "Target",
    "TargetLike",
    "Value",
    "resolve_targets",
]


class Scalar(Protocol):
    """One scalar a sample."""

    def scores(self, logits: Tensor) -> Tensor:
        """Return the explained scalar of each sample, shape (B,)."""

    def select(self, samples: Tensor) -> Self:
        """Return what is asked of the rows that show these samples: indices (rows,), a sample any number of times."""


@dataclass(frozen=True)
class Target:
    """The logit of one label, before softmax or sigmoid.

    ``label`` is one index for the whole batch or one for each sample. A model with a single logit has two
    labels: 1 is that logit, 0 (the negative class) is its negation, whose sigmoid is the negative class's
    probability.
    """

    label: int | Sequence[int]

    def scores(self, logits: Tensor) -> Tensor:
        """Return the explained scalar of each sample, shape (B,), from logits of shape (B, K).

        Raises:
            ValueError: when the logits are not (B, K), or a label is out of range or of another batch size.
        """
        if logits.ndim != 2:
            raise ValueError(f"logits must have shape (batch, labels), not {tuple(logits.shape)}")
        labels = _labels(self.label, logits)
        if logits.shape[1] == 1:
            return logits[:, 0] * (2 * labels - 1).to(logits.dtype)
        return logits.gather(1, labels[:, None])[:, 0]

    def select(self, samples: Tensor) -> "Target":
        """Return the target of the rows that show these samples."""
        return Target(_select(self.label, samples))


@dataclass(frozen=True)
class Value:
    """One of the model's outputs as it is, for regression and survival: a higher number is what is explained.

    ``index`` is its place among the outputs, one for the whole batch or one for each sample.
    """

    index: int | Sequence[int] = 0

    def scores(self, logits: Tensor) -> Tensor:
        """Return the output of each sample, shape (B,), from outputs of shape (B, K).

        Raises:
            ValueError: when the outputs are not (B, K), or the index is out of range or of another batch size.
        """
        if logits.ndim != 2:
            raise ValueError(f"outputs must have shape (batch, outputs), not {tuple(logits.shape)}")
        return logits.gather(1, _labels(self.index, logits, logits.shape[1])[:, None])[:, 0]

    def select(self, samples: Tensor) -> "Value":
        """Return the output of the rows that show these samples."""
        return Value(_select(self.index, samples))


@dataclass(frozen=True)
class PerSample:
    """One label for each sample of the batch, in its order.

    ``PerSample([2, 0])`` is label 2 of the first sample and label 0 of the second: one map for each, as of one target.
    """

    labels: Sequence[int]


@dataclass(frozen=True)
class Difference:
    """The logit of one label minus that of another: why this one and not the other?

    Both are one index for the whole batch or one for each sample.
    """

    label: int | Sequence[int]
    other: int | Sequence[int]

    def scores(self, logits: Tensor) -> Tensor:
        """Return logit[label] - logit[other] of each sample, shape (B,), from logits of shape (B, K).

        Raises:
            ValueError: as ``Target.scores``.
        """
        return Target(self.label).scores(logits) - Target(self.other).scores(logits)

    def select(self, samples: Tensor) -> "Difference":
        """Return the difference of the rows that show these samples."""
        return Difference(_select(self.label, samples), _select(self.other, samples))


@dataclass(frozen=True)
class Region:
    """The sum of a label's logits over a mask, for networks that answer voxel by voxel (Seg-Grad-CAM).

    ``mask`` has shape (B, *S), S the output's own spatial shape; it may hold weights. Source: Vinogradova et al.,
    AAAI 2020 (student abstract), arXiv:2002.11434.
    """

    label: int | Sequence[int]
    mask: Tensor

    def scores(self, logits: Tensor) -> Tensor:
        """Return the sum over the mask of each sample, shape (B,), from logits of shape (B, K, *S).

        Raises:
            ValueError: when the output has no spatial axes or another shape than the mask, or as ``Target.scores``.
        """
        if logits.ndim < 3 or self.mask.shape != (len(logits), *logits.shape[2:]):
            shapes = f"{tuple(self.mask.shape)} for an output of shape {tuple(logits.shape)}"
            raise ValueError(f"region.mask must have the output's shape without its labels, not {shapes}")
        weighted = logits * self.mask.to(logits)[:, None]
        return Target(self.label).scores(weighted.flatten(2).sum(dim=2))

    def select(self, samples: Tensor) -> "Region":
        """Return the region of the rows that show these samples."""
        return Region(_select(self.label, samples), self.mask[samples.to(self.mask.device)])


@dataclass(frozen=True)
class Predicted:
    """The label with the largest logit of each sample; for a single logit, the one that its sign says."""

    def answer(self, logits: Tensor) -> tuple[Target, ...]:
        """Return the target, one label for each sample."""
        best = (logits[:, 0] > 0).to(long) if logits.shape[1] == 1 else logits.argmax(dim=1)
        return (Target(best.tolist()),)


@dataclass(frozen=True)
class Positive:
    """Every label of a multi-label model whose logit lies above ``threshold`` in some sample of the batch.

    The targets come by label. A map of a sample in which that label is not positive explains its logit all the same:
    ``Explanation.logits`` tells which.
    """

    threshold: float = 0.0

    def answer(self, logits: Tensor) -> tuple[Target, ...]:
        """Return a target for each such label, possibly none."""
        first = 1 if logits.shape[1] == 1 else 0
        labels = torch.nonzero((logits > self.threshold).any(dim=0))[:, 0] + first
        return tuple(Target(label) for label in labels.tolist())


TargetLike = Scalar | PerSample | Predicted | Positive | int
"""What a caller may ask for; a bare index is a ``Target``, or a ``Value`` of a regression."""


def resolve_targets(
    targets: "Sequence[TargetLike] | PerSample", logits: Tensor, *, regression: bool = False
) -> tuple[Scalar, ...]:
    """Return the scalars that are asked of this batch, from its logits (B, K) or (B, K, *S).

    Raises:
        ValueError: when ``Predicted`` or ``Positive`` is asked of an output that is not (B, K) or no logit, or when as
            many bare indices are asked as there are samples: other packages take them for one of each sample.
    """
    if isinstance(targets, PerSample):
        targets = [targets]
    targets = list(targets)
    if len(logits) > 1 and len(targets) == len(logits) and all(isinstance(target, Integral) for target in targets):
        named = [int(target) for target in targets]  # type: ignore[arg-type]
        raise ValueError(
            f"targets={named} of a batch of {len(logits)} may mean one target for each sample, PerSample({named}), or "
            f"that many for all of them, [{', '.join(f'Target({label})' for label in named)}]: say which"
        )
    resolved: list[Scalar] = []
    for target in targets:
        if isinstance(target, Predicted | Positive):
            if logits.ndim != 2 or regression:
                what = "a regression has none" if regression else f"not {tuple(logits.shape)}"
                raise ValueError(f"{target} needs logits of shape (batch, labels), {what}")
            resolved += target.answer(logits.detach())
        elif isinstance(target, PerSample | Integral):
            label = _each(target, logits) if isinstance(target, PerSample) else int(target)
            resolved.append(Value(label) if regression else Target(label))
        else:
            resolved.append(target)  # type: ignore[arg-type]  # mypy does not know that an int is Integral
    return tuple(resolved)


def _each(per_sample: PerSample, logits: Tensor) -> list[int]:
    labels = as_tensor(per_sample.labels).tolist()
    if not isinstance(labels, list) or len(labels) != len(logits):
        raise ValueError(f"PerSample needs one index for each of {len(logits)} samples, not {per_sample.labels}")
    return labels


def _labels(label: int | Sequence[int], logits: Tensor, known: int | None = None) -> Tensor:
    """Return one index a sample, shape (B,), checked against the logits (B, K), of which ``known`` may be named."""
    batch, outputs = logits.shape
    labels = as_tensor(label, device=logits.device)
    if labels.dtype is torch.bool or labels.is_floating_point():
        raise ValueError(f"target.label must be an index or indices, not {label}")
    labels = labels.to(long)
    if labels.ndim > 1 or (labels.ndim == 1 and len(labels) != batch):
        raise ValueError(f"target.label must be one index, or one for each of {batch} samples, not {label}")
    known = known or max(outputs, 2)
    if bool(((labels < 0) | (labels >= known)).any()):
        raise ValueError(f"target.label must lie in 0..{known - 1} for a model of {outputs} logit(s), not {label}")
    return labels.expand(batch)


def _select(label: int | Sequence[int], samples: Tensor) -> int | Sequence[int]:
    labels = as_tensor(label)
    selected: int | list[int] = label if labels.ndim == 0 else labels[samples.to(labels.device)].tolist()  # type: ignore[assignment]
    return selected
