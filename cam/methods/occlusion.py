"""Occlusion."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from cam.procedures.perturb import exact, own_scores, rescored
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps

_Sizes = int | Sequence[int] | None


@procedure(
    "occlusion",
    title="Occlusion",
    paper="Zeiler and Fergus, ECCV 2014, arXiv:1311.2901",
    formula="y(x) - y(x with a patch covered), averaged over the patches that cover a voxel",
    limits="Shows what a patch of this size and this filling takes away; evidence that is there twice is not seen.",
    signed=True,
    at="input",
    cost="one for each patch of each sample, the same for all targets",
    forwards=lambda work, given: work.samples * _patches(work.shape, given["patch"], given["stride"]),
)
def occlusion(
    request: ExplanationRequest, *, patch: _Sizes = None, stride: _Sizes = None, baseline: float = 0.0
) -> RawMaps:
    """Return maps (T, B, *S) at the input's resolution, positive where covering takes evidence away.

    ``patch`` and ``stride`` are in voxels, one for all axes or one for each; by default a patch is an eighth of each
    axis, rounded up, and the stride half a patch, rounded up. All channels are set to ``baseline``. Patches start at
    the first voxel; the last of an axis is cut off at the border when the stride does not lead there.

    Raises:
        ValueError: when a size is less than 1 or of another number of axes, or the stride leaves voxels out.
    """
    shape = tuple(request.x.shape[2:])
    sizes, strides = _sizes(shape, patch, stride)
    if any(step > size for step, size in zip(strides, sizes, strict=True)):
        raise ValueError(
            f"occlusion.stride must not exceed the patch, {sizes}, or voxels stay uncovered; not {strides}"
        )
    covers = [
        _covers(side, size, step, request.x.device) for side, size, step in zip(shape, sizes, strides, strict=True)
    ]
    return RawMaps(_spread(_drops(request, covers, baseline), covers))


def _sizes(shape: tuple[int, ...], patch: _Sizes, stride: _Sizes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the patch's size and its stride along each axis."""
    sizes = _per_axis("patch", patch, tuple(-(-side // 8) for side in shape))
    return sizes, _per_axis("stride", stride, tuple(-(-size // 2) for size in sizes))


def _patches(shape: tuple[int, ...], patch: _Sizes, stride: _Sizes) -> int:
    """Return how many patches there are."""
    axes = zip(shape, *_sizes(shape, patch, stride), strict=True)
    return prod(len(range(0, max(side - size, 0) + step, step)) for side, size, step in axes)


def _per_axis(name: str, given: _Sizes, default: tuple[int, ...]) -> tuple[int, ...]:
    sizes = default if given is None else (given,) * len(default) if isinstance(given, int) else tuple(given)
    if len(sizes) != len(default) or any(size < 1 for size in sizes):
        raise ValueError(
            f"occlusion.{name} must be one number for all axes or {len(default)} numbers, each at least 1, not {given}"
        )
    return sizes


def _covers(side: int, size: int, stride: int, device: torch.device) -> Tensor:
    """Return which of an axis' voxels each patch covers, (patches, side), the last patch reaching the end."""
    starts = torch.arange(0, max(side - size, 0) + stride, stride, device=device)[:, None]
    voxels = torch.arange(side, device=device)
    return (voxels >= starts) & (voxels < starts + size)


def _drops(request: ExplanationRequest, covers: list[Tensor], baseline: float) -> Tensor:
    """Return y(x) - y(x with the patch covered), (T, B, patches along each axis)."""
    x, grid = request.x, [len(cover) for cover in covers]
    patches = torch.cartesian_prod(*[torch.arange(count, device=x.device) for count in grid])
    samples = torch.arange(len(x), device=x.device).repeat_interleave(len(patches))
    number = torch.arange(len(patches), device=x.device).repeat(len(x))

    def build(chunk: slice) -> Tensor:
        places = patches[number[chunk]]
        covered = torch.ones((), dtype=torch.bool, device=x.device)
        for axis, cover in enumerate(covers):
            shape = [len(places), *[1] * len(covers)]
            shape[1 + axis] = x.shape[2 + axis]
            covered = covered & cover[places[:, axis]].view(shape)
        return torch.where(covered[:, None], baseline, x[samples[chunk]])

    scores = rescored(request, samples, build).view(-1, len(x), *grid)
    y = own_scores(request)
    return y.view(*y.shape, *[1] * len(grid)) - scores


def _spread(drops: Tensor, covers: list[Tensor]) -> Tensor:
    """Return the mean over the patches that cover each voxel."""
    with exact(drops):
        for cover in covers:  # an axis at a time: its patches give way, as the last axis, to its voxels
            share = cover.double() / cover.sum(dim=0)
            drops = torch.tensordot(drops, share.to(drops), dims=([2], [0]))
    return drops
