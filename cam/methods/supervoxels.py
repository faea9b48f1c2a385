"""What LIME and KernelSHAP share: supervoxels switched on and off, and a linear model of the score."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cam.procedures.attribution import Score, attributed
from cam.request import ExplanationRequest

__all__ = ["Surrogate", "supervoxel_maps", "supervoxels"]

_COMPACTNESS = 0.1  # of the image's range; scikit-image's own default, 10, is for Lab colours
_Samples = Iterator[tuple[Tensor, Tensor, Tensor]]


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
    labels = [supervoxels(image, segments, spacing) for image in request.x]

    def attribute(score: Score, x: Tensor, batch: Tensor, rows: int) -> Tensor:
        maps = []
        for image, sample in zip(torch.split(x, 1), torch.split(batch, 1), strict=True):
            here = labels[int(sample)]
            coefficients = _fitted(score, (image, sample, here), surrogate, baseline=baseline, rows=rows)
            maps.append(coefficients.to(image)[here])
        return torch.stack(maps)

    numbers = [int(label_map.max()) + 1 for label_map in labels]
    return attributed(request, attribute), (min(numbers), max(numbers))


def _fitted(
    score: Score, shown: tuple[Tensor, Tensor, Tensor], surrogate: Surrogate, *, baseline: float, rows: int
) -> Tensor:
    """Return the coefficients (M,) for one image (1, C, *S), its sample (1,) and its supervoxels (*S)."""
    from captum.attr import Lime  # loads matplotlib, which nothing else here needs

    image, sample, labels = shown
    coalitions = surrogate.draw(int(labels.max()) + 1)

    def one_by_one(_image: Tensor, **_: object) -> Iterator[Tensor]:
        yield from torch.split(coalitions.to(image.device), 1)

    lime = Lime(
        score,
        interpretable_model=_Fit(surrogate.fit),
        similarity_func=lambda *_, **__: 1.0,  # the fit weighs the coalitions itself
        perturb_func=one_by_one,
    )
    with torch.no_grad(), torch.random.fork_rng(devices=[]):  # captum's data loader draws a seed it does not use
        coefficients = lime.attribute(
            image,
            baselines=float(baseline),
            additional_forward_args=(sample,),
            feature_mask=labels[None, None],
            n_samples=len(coalitions),
            perturbations_per_eval=rows,
            return_input_shape=False,
        )
    assert isinstance(coefficients, Tensor)
    return coefficients


class _Fit:
    """A surrogate's fit as captum wants it; its own linear models need scikit-learn."""

    def __init__(self, fit: Callable[[Tensor, Tensor], Tensor]) -> None:
        self._fit = fit

    def fit(self, train_data: _Samples) -> None:
        ((coalitions, scores, _),) = train_data
        self._coefficients = self._fit(coalitions.double().cpu(), scores.double().cpu())

    def representation(self) -> Tensor:
        return self._coefficients
