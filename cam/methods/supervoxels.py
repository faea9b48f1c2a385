"""What LIME and KernelSHAP share: supervoxels switched on and off, and a linear model of the score."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cam.extra import methods_extra
from cam.procedures.attribution import Score, attributed
from cam.request import ExplanationRequest

__all__ = ["Surrogate", "supervoxel_maps", "supervoxels"]

_COMPACTNESS = 0.1  # of the image's range; scikit-image's own default, 10, is for Lab colours


@dataclass(frozen=True)
class Surrogate:
    """A linear model of the score in the supervoxels that are on.

    ``draw`` takes the number of supervoxels M and returns coalitions (N, M) of 0 and 1. ``fit`` takes these and the
    scores (N,), in float64 on the CPU, and returns a coefficient for each supervoxel (M,).
    """

    draw: Callable[[int], Tensor]
    fit: Callable[[Tensor, Tensor], Tensor]


def supervoxels(image: Tensor, segments: int, spacing: Sequence[float] | None) -> Tensor:
    """Return the supervoxel of each voxel (*S), numbered from 0, for an image (C, *S): about ``segments`` of them.

    SLIC (Achanta et al., IEEE TPAMI 34, 2012) by scikit-image, on the values as they are, scaled to 0..1. ``spacing``
    is the voxel's size along each axis of S, in any unit; only its proportions count. The clusters start from a grid
    in voxels, so in a flat image they keep that grid's shape.

    Raises:
        ValueError: when segments or spacing are not positive, or there is not one spacing for each axis.
    """
    with methods_extra("lime", "kernel_shap"):
        from skimage.segmentation import slic  # slow to load, for these two methods alone

    axes = image.ndim - 1
    spacing = tuple(float(length) for length in spacing or (1.0,) * axes)
    if segments < 1 or len(spacing) != axes or not all(0 < length < math.inf for length in spacing):
        raise ValueError(
            f"segments must be at least 1 and spacing {axes} positive lengths, not {segments} and {spacing}"
        )
    scale = math.prod(spacing) ** (1 / axes)
    labels = slic(
        image.detach().double().movedim(0, -1).cpu().numpy(),
        n_segments=segments,
        compactness=_COMPACTNESS,
        spacing=[length / scale for length in spacing],
        channel_axis=-1,
        convert2lab=False,  # three channels are taken for red, green and blue otherwise
        start_label=0,
    )
    return torch.from_numpy(labels).to(image.device)


def supervoxel_maps(
    request: ExplanationRequest,
    surrogate: Surrogate,
    *,
    segments: int,
    spacing: Sequence[float] | None,
    baseline: float,
) -> tuple[Tensor, tuple[int, int]]:
    """Return maps (T, B, *S) of the surrogate's coefficients, and the least and largest number of supervoxels.

    Each sample has its own supervoxels, the same for every target. One that is off shows ``baseline`` in all channels.
    """
    on_host = [supervoxels(image, segments, spacing) for image in request.x.detach().cpu()]
    numbers = [int(labels.max()) + 1 for labels in on_host]
    coalitions = [surrogate.draw(number) for number in numbers]
    labels = torch.stack(on_host).to(request.x.device)

    def attribute(score: Score, x: Tensor, batch: Tensor, rows: int) -> Tensor:
        maps = []
        for place, sample in enumerate(batch.tolist()):
            drawn, here = coalitions[sample], labels[sample]
            switched = (x[place], here, float(baseline))
            scores = _scores(score, batch[place], switched, drawn, rows)
            coefficients = surrogate.fit(drawn.double(), scores.double().cpu())
            maps.append(coefficients.to(x)[here])
        return torch.stack(maps)

    return attributed(request, attribute), (min(numbers), max(numbers))


def _scores(
    score: Score, sample: Tensor, switched: tuple[Tensor, Tensor, float], coalitions: Tensor, rows: int
) -> Tensor:
    """Return the scores (N,) of an image (C, *S) with the supervoxels (*S) of each coalition on, the others off."""
    image, labels, off = switched
    on = coalitions.bool().to(image.device)
    with torch.no_grad():
        parts = [
            score(torch.where(chosen[:, labels][:, None], image, off), sample.expand(len(chosen)))
            for chosen in torch.split(on, rows)
        ]
    return torch.cat(parts)
