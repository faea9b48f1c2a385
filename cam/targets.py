"""What is explained: one scalar a sample, read off the model's logits."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, as_tensor, float32, float64, long
from torch import bool as bool_

__all__ = ["Target"]


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
        batch, outputs = logits.shape
        labels = as_tensor(self.label, device=logits.device)
        if labels.dtype in (bool_, float32, float64):
            raise ValueError(f"target.label must be an index or indices, not {self.label}")
        labels = labels.to(long)
        if labels.ndim > 1 or (labels.ndim == 1 and len(labels) != batch):
            raise ValueError(f"target.label must be one index, or one for each of {batch} samples, not {self.label}")
        labels = labels.expand(batch)
        known = max(outputs, 2)
        if bool(((labels < 0) | (labels >= known)).any()):
            raise ValueError(
                f"target.label must lie in 0..{known - 1} for a model of {outputs} logit(s), not {self.label}"
            )
        if outputs == 1:
            return logits[:, 0] * (2 * labels - 1).to(logits.dtype)
        return logits.gather(1, labels[:, None])[:, 0]
