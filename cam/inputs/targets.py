"""What is explained: one scalar a sample, read off the model's output before softmax or sigmoid.

``Target``, ``Difference`` and ``Region`` say it outright. ``Predicted`` and ``Positive`` are answered by the model's
own logits: they become ``Target``s once those are known, so that a method which runs the model again on changed
inputs keeps asking about the label that was predicted for the image as it was. ``cam.inputs.target_keys`` reads what a
caller wrote.

Labels may be names where ``explain(..., labels=[...])`` tells the outputs' names. Lists, arrays and tensors of labels
are kept as tuples, so that every target can be compared and be the key of its maps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor, as_tensor, long
from torch.nn.functional import cosine_similarity

__all__ = [
    "AnswerToken",
    "Difference",
    "Labels",
    "PerSample",
    "Positive",
    "Predicted",
    "Region",
    "Scalar",
    "Similarity",
    "Target",
    "Value",
    "as_tuples",
]

Labels = int | str | Sequence[int | str]
"""One label, or one for each sample; a name where the outputs' names are known."""


@runtime_checkable
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

    label: Labels

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", as_tuples(self.label))

    def scores(self, logits: Tensor) -> Tensor:
        """Return the explained scalar of each sample, shape (B,), from logits of shape (B, K).

        Raises:
            ValueError: when the logits are not (B, K), or a label is out of range or of another batch size.
        """
        if logits.ndim != 2:
            raise ValueError(f"logits must have shape (batch, labels), not {tuple(logits.shape)}{in_words(logits)}")
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

    index: Labels = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", as_tuples(self.index))

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

    labels: Sequence[int | str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", as_tuples(self.labels))


@dataclass(frozen=True)
class Difference:
    """The logit of one label minus that of another: why this one and not the other?

    Both are one index for the whole batch or one for each sample.
    """

    label: Labels
    other: Labels

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", as_tuples(self.label))
        object.__setattr__(self, "other", as_tuples(self.other))

    def scores(self, logits: Tensor) -> Tensor:
        """Return logit[label] - logit[other] of each sample, shape (B,), from logits of shape (B, K).

        Raises:
            ValueError: as ``Target.scores``.
        """
        return Target(self.label).scores(logits) - Target(self.other).scores(logits)

    def select(self, samples: Tensor) -> "Difference":
        """Return the difference of the rows that show these samples."""
        return Difference(_select(self.label, samples), _select(self.other, samples))


@dataclass(frozen=True, eq=False)
class Region:
    """The sum of a label's logits over a mask, for networks that answer voxel by voxel (Seg-Grad-CAM).

    ``mask`` has shape (B, *S), S the output's own spatial shape; it may hold weights. Source: Vinogradova et al.,
    AAAI 2020 (student abstract), arXiv:2002.11434. Of a network with one output, label 0 is its negation, unless
    ``is_value`` says that the outputs are numbers, not logits.
    """

    label: Labels
    mask: Tensor
    is_value: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", as_tuples(self.label))
        if not isinstance(self.mask, Tensor):
            raise ValueError(f"region.mask must be a tensor (batch, *S), not {type(self.mask).__name__}")  # noqa: TRY004 - callers expect one error type for an unfit target

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Region) or (self.label, self.is_value) != (other.label, other.is_value):
            return NotImplemented if not isinstance(other, Region) else False
        return self.mask is other.mask or (self.mask.device == other.mask.device and torch.equal(self.mask, other.mask))

    def __hash__(self) -> int:
        return hash((self.label, self.is_value, tuple(self.mask.shape)))

    def scores(self, logits: Tensor) -> Tensor:
        """Return the sum over the mask of each sample, shape (B,), from logits of shape (B, K, *S).

        Raises:
            ValueError: when the output has no spatial axes or another shape than the mask, or as ``Target.scores``.
        """
        if logits.ndim < 3 or self.mask.shape != (len(logits), *logits.shape[2:]):
            shapes = f"{tuple(self.mask.shape)} for an output of shape {tuple(logits.shape)}"
            raise ValueError(f"region.mask must have the output's shape without its labels, not {shapes}")
        weighted = logits * self.mask.to(logits)[:, None]
        sums = weighted.flatten(2).sum(dim=2)
        return Value(self.label).scores(sums) if self.is_value else Target(self.label).scores(sums)

    def select(self, samples: Tensor) -> "Region":
        """Return the region of the rows that show these samples."""
        return Region(_select(self.label, samples), self.mask[samples.to(self.mask.device)], self.is_value)


@dataclass(frozen=True, eq=False)
class Similarity:
    """The cosine between the model's image features and those of a text, for encoders trained on pairs (CLIP, SigLIP).

    ``text_features`` (E,) or (1, E) is one text for the whole batch, (B, E) one for each sample; their length does not
    matter. The temperature that a CLIP multiplies with is left out: it scales every map alike. With ``instead`` of the
    same shape it is the cosine with the one text minus that with the other: what speaks for this text and not that one.
    """

    text_features: Tensor
    instead: Tensor | None = None

    def __post_init__(self) -> None:
        texts = [self.text_features] if self.instead is None else [self.text_features, self.instead]
        for text in texts:
            if not isinstance(text, Tensor) or text.ndim not in (1, 2) or not text.is_floating_point():
                shape = tuple(text.shape) if isinstance(text, Tensor) else type(text).__name__
                raise ValueError(f"similarity.text_features must be numbers (E,) or (batch, E), not {shape}")
        if len({text.shape for text in texts}) > 1:
            raise ValueError(f"similarity.instead must have the shape {tuple(self.text_features.shape)} of the text")

    def scores(self, logits: Tensor) -> Tensor:
        """Return the cosine of each sample, shape (B,), from image features (B, E).

        Raises:
            ValueError: when the features are not (B, E), or there is not one text for all or one for each sample.
        """
        texts = self.text_features if self.text_features.ndim == 2 else self.text_features[None]
        if logits.ndim != 2 or texts.shape[1] != logits.shape[1] or len(texts) not in (1, len(logits)):
            raise ValueError(
                f"similarity.text_features of shape {tuple(self.text_features.shape)} do not fit image features of "
                f"shape {tuple(logits.shape)}; they must be (E,) or (batch, E) of the same E"
            )
        cosine = cosine_similarity(logits, texts.detach().to(logits), dim=1)
        return cosine if self.instead is None else cosine - Similarity(self.instead).scores(logits)

    def select(self, samples: Tensor) -> "Similarity":
        """Return the similarity of the rows that show these samples."""
        if self.text_features.ndim == 1 or len(self.text_features) == 1:
            return self
        rows = samples.to(self.text_features.device)
        return Similarity(self.text_features[rows], None if self.instead is None else self.instead[rows])


@dataclass(frozen=True)
class AnswerToken:
    """The logit of one word of an answer, for networks that read an image and a question: (B, T, vocabulary).

    ``token`` is the word's number in the vocabulary, ``position`` its place among the T tokens, from the end where it
    is negative: -1 is the next word after what was asked. Both are one for the whole batch or one for each sample.
    """

    token: Labels
    position: Labels = -1

    def __post_init__(self) -> None:
        for name in ("token", "position"):
            value = as_tuples(getattr(self, name))
            entries = value if isinstance(value, tuple) else (value,)
            if not all(isinstance(entry, int) and not isinstance(entry, bool) for entry in entries):
                cure = ", as tokenizer.convert_tokens_to_ids tells" if name == "token" else ""
                raise ValueError(f"answer_token.{name} must be a whole number{cure}, not {value!r}")
            object.__setattr__(self, name, value)

    def scores(self, logits: Tensor) -> Tensor:
        """Return the logit of each sample's word, shape (B,), from logits of shape (B, T, vocabulary).

        Raises:
            ValueError: when the logits have another shape, or token or position lie outside of it.
        """
        if logits.ndim != 3:
            raise ValueError(f"{self} needs logits of shape (batch, tokens, vocabulary), not {tuple(logits.shape)}")
        batch, length, words = logits.shape
        token, position = (
            _each_sample(value, f"answer_token.{name}", batch).to(logits.device)
            for name, value in (("token", self.token), ("position", self.position))
        )
        if bool(((token < 0) | (token >= words)).any()):
            raise ValueError(
                f"answer_token.token must lie in 0..{words - 1} for a vocabulary of {words}, not {self.token}"
            )
        if bool(((position < -length) | (position >= length)).any()):
            raise ValueError(
                f"answer_token.position must lie in {-length}..{length - 1} for an answer of {length} tokens, not "
                f"{self.position}"
            )
        return logits[torch.arange(batch, device=logits.device), position, token]

    def select(self, samples: Tensor) -> "AnswerToken":
        """Return the words of the rows that show these samples."""
        return AnswerToken(_select(self.token, samples), _select(self.position, samples))


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

    def __post_init__(self) -> None:
        number = isinstance(self.threshold, int | float) and not isinstance(self.threshold, bool)
        if not number or not isfinite(self.threshold):
            raise ValueError(f"positive.threshold must be a finite number, a logit, not {self.threshold!r}")

    def answer(self, logits: Tensor) -> tuple[Target, ...]:
        """Return a target for each such label, possibly none."""
        first = 1 if logits.shape[1] == 1 else 0
        labels = torch.nonzero((logits > self.threshold).any(dim=0))[:, 0] + first
        return tuple(Target(label) for label in labels.tolist())


def _labels(label: Labels, logits: Tensor, known: int | None = None) -> Tensor:
    """Return one index a sample, shape (B,), checked against the logits (B, K), of which ``known`` may be named."""
    batch, outputs = logits.shape
    if not is_numbers(label):
        raise ValueError(f"target.label must be an index or indices, not {label!r}")
    labels = as_tensor(label)
    if labels.dtype is torch.bool or labels.is_floating_point():
        raise ValueError(f"target.label must be an index or indices, not {label}")
    labels = labels.to(long)
    if labels.ndim > 1 or (labels.ndim == 1 and len(labels) != batch):
        raise ValueError(f"target.label must be one index, or one for each of {batch} samples, not {label}")
    known = known or max(outputs, 2)
    if bool(((labels < 0) | (labels >= known)).any()):  # on the host, where plain numbers are: no wait for a device
        raise ValueError(f"target.label must lie in 0..{known - 1} for a model of {outputs} logit(s), not {label}")
    if labels.ndim == 0:
        return torch.full((batch,), int(labels), device=logits.device)
    return labels.to(logits.device).expand(batch)


def _each_sample(value: Labels, name: str, batch: int) -> Tensor:
    """Return one number a sample, shape (B,)."""
    numbers = as_tensor(value, dtype=long)
    if numbers.ndim > 1 or (numbers.ndim == 1 and len(numbers) != batch):
        raise ValueError(f"{name} must be one number, or one for each of {batch} samples, not {value}")
    return numbers.expand(batch)


def _select(label: Labels, samples: Tensor) -> Labels:
    return [label[sample] for sample in samples.tolist()] if isinstance(label, tuple) else label


def as_tuples(label: object) -> object:
    """Return labels as plain values: arrays, tensors and lists as tuples."""
    values = label.tolist() if hasattr(label, "tolist") else label
    return tuple(map(as_tuples, values)) if isinstance(values, list | tuple) else values


def in_words(logits: Tensor) -> str:
    """Return what to say where logits (B, T, vocabulary) may be the words of an answer."""
    return "; of the words of an answer say AnswerToken(token, position)" if logits.ndim == 3 else ""


def is_numbers(label: object) -> bool:
    """Tell whether a label, or labels, are numbers of any kind, all rows of them of one length."""
    if not isinstance(label, tuple):
        return isinstance(label, int | float)
    return all(map(is_numbers, label)) and len({len(row) if isinstance(row, tuple) else -1 for row in label}) < 2
