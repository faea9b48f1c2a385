"""The oracle: what a model really leans on, since the generator can draw every study with and without a shortcut."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flows.selftest.cohorts import PhantomStudy, labels_of, pictures_of
from flows.selftest.phantom import ShortcutKind

__all__ = ["area_under_the_curve", "class_gap", "lean", "logits_of"]


def logits_of(network: nn.Module, pictures: Tensor) -> Tensor:
    """Return the lesion's logits of pictures (n, 1, *S), shape (n,)."""
    with torch.no_grad():
        logits: Tensor = network(pictures)
    return logits[:, 0]


def class_gap(logits: Tensor, ill: Tensor) -> float:
    """Return the mean logit of the ill minus that of the healthy."""
    return float(logits[ill > 0].mean() - logits[ill == 0].mean())


def area_under_the_curve(logits: Tensor, ill: Tensor) -> float:
    """Return how often a positive's logit lies above a negative's; a tie counts one half."""
    above = logits[ill > 0][:, None] - logits[ill == 0][None]
    return float((0.5 + 0.5 * torch.sign(above)).mean())


def lean(network: nn.Module, studies: Sequence[PhantomStudy], kind: ShortcutKind) -> float:
    """Return the mean change of the logit by a shortcut, as a share of the class gap: 0 not at all, 1 wholly.

    Each study is drawn with and without it, all else equal.
    """
    with_it, without = (
        logits_of(network, pictures_of([study.changed(**change) for study in studies]))
        for change in ({"add": (kind,)}, {"remove": (kind,)})
    )
    gap = class_gap(logits_of(network, pictures_of(studies)), labels_of(studies))
    return float((with_it - without).mean()) / gap
