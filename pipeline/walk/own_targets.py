"""Each study's own targets, as targets of its batch: one label for each study, as often as the longest list asks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from cam import Positive, Region, Target
from pipeline.config import ModelConfig
from pipeline.models.outputs import label_probabilities, region_of

__all__ = ["TargetsOnceAnswered", "batch_targets", "label_for"]

OwnLabels = Sequence[Sequence[str]]
"""For each study of a batch, the labels that are explained of it."""


def batch_targets(own: OwnLabels, model: ModelConfig, returned: Tensor | None = None) -> tuple[Target | Region, ...]:
    """Return targets that hold a label for each study, so that every label of every study is in one of them.

    A study with fewer labels than another repeats its last; one with none, where it cannot be left out, takes the
    model's first. A segmentation needs the outputs (B, K, *S) that it ``returned``: they tell which voxels are meant.
    """
    indices = [[model.labels.index(label) for label in labels] for labels in own]
    most = max(map(len, indices), default=0)
    by_round = [tuple(_at(labels, number) for labels in indices) for number in range(most)]
    if not model.segmentation:
        return tuple(Target(labels) for labels in by_round)
    assert returned is not None
    shares = label_probabilities(returned, model, as_returned=True)
    return tuple(Region(labels, region_of(shares, labels, model).to(returned.device)) for labels in by_round)


def _at(labels: Sequence[int], number: int) -> int:
    return labels[min(number, len(labels) - 1)] if labels else 0


def label_for(target: object, sample: int, model: ModelConfig) -> str:
    """Return which label a target of ``batch_targets`` holds for a study."""
    assert isinstance(target, Target | Region)
    labels = target.label
    assert isinstance(labels, tuple)
    return model.labels[int(labels[sample])]


@dataclass(frozen=True, eq=False)
class TargetsOnceAnswered(Positive):
    """Targets that follow from what the model says, found in the forward that explains them: none runs for them alone.

    ``labels_of`` returns the labels to explain from the logits (B, K).
    """

    model: ModelConfig = field(kw_only=True)
    labels_of: Callable[[Tensor], OwnLabels] = field(kw_only=True)

    def answer(self, logits: Tensor) -> tuple[Target, ...]:
        """Return the batch's targets, possibly none."""
        return tuple(
            target for target in batch_targets(self.labels_of(logits), self.model) if isinstance(target, Target)
        )
