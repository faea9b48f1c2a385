"""What a model's outputs say of each study: a probability or a number for each label, and which labels it calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.config import ModelConfig

__all__ = ["StudyAnswer", "answers_of", "label_probabilities", "region_of"]


@dataclass(frozen=True)
class StudyAnswer:
    """What the model says of one study.

    ``probabilities`` are those of the labels, ``values`` the numbers of a regression; the other of the two is empty.
    ``predicted`` holds the labels that the model calls; the negative label is no finding, and a regression calls none.
    """

    probabilities: Mapping[str, float]
    values: Mapping[str, float]
    predicted: tuple[str, ...]


def answers_of(outputs: Tensor, model: ModelConfig, *, as_returned: bool) -> list[StudyAnswer]:
    """Return the answer for each study from outputs (B, K), or (B, K, *S) of a segmentation.

    ``as_returned`` tells that they are what the model returns, which may be probabilities; else they are logits.
    """
    if model.kind == "regression":
        numbers = outputs.detach().float().cpu().tolist()
        return [StudyAnswer({}, dict(zip(model.labels, row, strict=True)), ()) for row in numbers]
    shares = label_probabilities(outputs, model, as_returned=as_returned)
    highest = shares.flatten(2).amax(dim=2) if shares.ndim > 2 else shares
    return [
        StudyAnswer(dict(zip(model.labels, map(float, most), strict=True)), {}, _called(share, model))
        for most, share in zip(highest, shares, strict=True)
    ]


def label_probabilities(outputs: Tensor, model: ModelConfig, *, as_returned: bool) -> Tensor:
    """Return the probabilities (B, labels, ...) in outputs (B, K, ...), float32 on the CPU; see ``answers_of``."""
    values = outputs.detach().float().cpu()
    is_done = as_returned and model.kind == "probability"
    if values.shape[1] == 1:
        positive = values if is_done else values.sigmoid()
        return torch.cat([1 - positive, positive], dim=1)
    if is_done:
        return values
    return values.sigmoid() if model.has_independent_labels else values.softmax(dim=1)


def _called(share: Tensor, model: ModelConfig) -> tuple[str, ...]:
    """Return the labels that are called, of probabilities (labels, ...): in a segmentation, anywhere."""
    called = [bool(_where(share, number, model).any()) for number in range(len(model.labels))]
    named = zip(model.labels, called, strict=True)
    return tuple(label for label, is_called in named if is_called and label != model.negative_label)


def _where(share: Tensor, number: int, model: ModelConfig) -> Tensor:
    """Return where (...) a label is called, from probabilities (labels, ...)."""
    if model.has_independent_labels:
        return share[number].double() > model.threshold
    if len(model.labels) == 2:
        positive = share[1].double() > model.threshold
        return positive if number == 1 else ~positive
    return share.argmax(dim=0) == number


def region_of(shares: Tensor, numbers: Sequence[int], model: ModelConfig) -> Tensor:
    """Return the voxels (B, *S) in which a segmentation calls a label of each study, from (B, labels, *S).

    Where it calls the label in none, it is the one voxel with the label's highest probability.
    """
    regions = []
    for share, number in zip(shares, numbers, strict=True):
        region = _where(share, number, model)
        if not bool(region.any()):
            region = torch.zeros_like(region)
            region.view(-1)[share[number].flatten().argmax()] = True
        regions.append(region)
    return torch.stack(regions)
