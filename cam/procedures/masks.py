"""What Score-CAM and its relatives share: masks made of activations, and weights made of the masked inputs' scores."""

from collections.abc import Callable
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from cam.procedures.perturb import exact, rescored
from cam.request import ExplanationRequest, RawMaps
from cam.resize import resize

__all__ = ["Masks", "channel_sum", "distinct_masks", "most_varied", "scored_masks", "unit_range", "weighted"]


@dataclass(frozen=True)
class Masks:
    """The distinct masks of a batch.

    ``cells`` (N, *S) are the masks at the layer's resolution, ``samples`` (N,) says whose each is, and ``index``
    (B, C) which one a sample's channel has. Repeated masks of a sample, constant ones among them, are there once.
    """

    cells: Tensor
    samples: Tensor
    index: Tensor


def most_varied(A: Tensor, count: int | None, method: str) -> tuple[Tensor, Callable[[RawMaps], RawMaps]]:
    """Return the ``count`` channels (B, count, *S) of largest variance of each sample, the first of equals.

    And what adds to the note how many were left out; without a count, or with more than there are, none is.

    Raises:
        ValueError: when ``count`` is less than 1.
    """
    channels = A.shape[1]
    if count is None or count >= channels:
        return A, lambda raw: raw
    if count < 1:
        raise ValueError(f"{method}.max_channels must be at least 1, not {count}")
    order = A.flatten(2).var(dim=2, correction=0).sort(dim=1, descending=True, stable=True).indices[:, :count]
    chosen = A.gather(1, order.view(*order.shape, *[1] * (A.ndim - 2)).expand(-1, -1, *A.shape[2:]))
    said = f"approximate: {count} of {channels} channels, those that vary most; "
    return chosen, lambda raw: RawMaps(raw.maps, said + raw.note)


def distinct_masks(A: Tensor) -> Masks:
    """Return the distinct masks of activations (B, C, *S): each channel brought to [0, 1], 0 where it is constant."""
    batch, channels = A.shape[:2]
    scaled = unit_range(A.flatten(0, 1)).flatten(1)
    owner = torch.arange(batch, device=A.device).repeat_interleave(channels)
    rows, index = torch.unique(torch.cat([owner[:, None].to(scaled), scaled], dim=1), dim=0, return_inverse=True)
    return Masks(rows[:, 1:].reshape(-1, *A.shape[2:]), rows[:, 0].long(), index.view(batch, channels))


def scored_masks(
    request: ExplanationRequest,
    masks: Masks,
    change: Callable[[Tensor, Tensor], Tensor] | None = None,
    repeats: int = 1,
) -> Tensor:
    """Return the scores (T, B, C) of the inputs seen through each channel's mask, means over ``repeats`` changes of it.

    A mask is resized to the input, linear, and only then brought to [0, 1]. ``change`` turns masks (rows, *S) into
    those that are used, told the number of the repeat of each (rows,).
    """
    if request.capture.sees_instances(request.layer, request.x.ndim - 2):
        raise ValueError(
            f"layer {request.layer!r} sees instances that are no axis of the image, so no mask of it fits the image; "
            "take a method of activations and gradients, as gradcam or hirescam"
        )
    x, count = request.x, len(masks.samples)
    cells, samples = masks.cells.to(x.device), masks.samples.to(x.device).repeat(repeats)
    number = torch.arange(len(samples), device=x.device)

    def build(chunk: slice) -> Tensor:
        drawn = number[chunk]
        used = unit_range(resize(cells[drawn % count], tuple(x.shape[2:])))
        if change is not None:
            used = change(used, drawn // count)
        return x[samples[chunk]] * used[:, None].to(x)

    scores = rescored(request, samples, build).to(masks.index.device).view(-1, repeats, count)
    return torch.mean(scores, dim=1)[:, masks.index]


def weighted(A: Tensor, scores: Tensor) -> RawMaps:
    """Return sum_k softmax_k(scores) A_k, whose ReLU is the map, from activations (B, C, *S) and scores (T, B, C).

    The note tells how even the weights are, as their entropy divided by that of equal weights: near 0 one channel
    makes the map, near 1 the map is the mean of the channels whatever the target.
    """
    weights = scores.softmax(dim=2)
    entropy = torch.special.entr(weights).sum(dim=2) / log(max(A.shape[1], 2))
    low, high = torch.stack(entropy.aminmax()).tolist()
    note = f"entropy of the weights over that of equal ones: {low:.3f} to {high:.3f}"
    return RawMaps(channel_sum(weights, A), note)


def channel_sum(weights: Tensor, A: Tensor) -> Tensor:
    """Return sum_k w_k A_k (T, B, *S) of weights (T, B, C) and activations (B, C, *S)."""
    with exact(A):
        return torch.einsum("tbk,bk...->tb...", weights.to(A), A)


def unit_range(values: Tensor) -> Tensor:
    """Bring each of the values (N, *S) to [0, 1] linearly; what is constant becomes 0."""
    flat = values.flatten(1)
    low, high = (edge.view(-1, *[1] * (values.ndim - 1)) for edge in (flat.amin(dim=1), flat.amax(dim=1)))
    return (values - low) / torch.where(high > low, high - low, 1)
