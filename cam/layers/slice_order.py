"""Which layers see an image slice by slice, or a bag instance by instance: measured on the network, never guessed.

One plane of the image is changed at a time. A layer whose rows are slices, or that is called once for each, then
returns the same everywhere but in the slice in which that plane lies (and, of slices that are seen with their
neighbours, next to it).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from cam.layers.calls import Slices
from cam.layers.hooks import hookable

__all__ = ["measured_slices"]

_CHANGED = 0.1  # of the largest change: what a normalisation of the whole image changes elsewhere is less
_NEIGHBOURS, _MOST_NEIGHBOURS = 4, 3  # a slice may be seen with the nearest out of so many, and so many at each side


@dataclass
class _Differences:
    """By how much the rows, or the calls, of a layer differ between two images, in either order of the rows."""

    spatial: set[int] = field(default_factory=set)
    samples_first: list[Tensor] = field(default_factory=list)
    slices_first: list[Tensor] = field(default_factory=list)

    def add(self, output: Tensor) -> None:
        """Note what a call returned for the two."""
        self.spatial.add(output.ndim - 2)
        rows = output.flatten(1).double()
        first, second = rows.chunk(2)
        self.samples_first.append((first - second).abs().amax(dim=1))
        self.slices_first.append((rows[::2] - rows[1::2]).abs().amax(dim=1))


@dataclass(frozen=True)
class _Reading:
    """The slices that a layer may see, and what is still to be explained by them: its rows' differences."""

    slices: Slices
    spatial: int


def measured_slices(model: nn.Module, x: Tensor) -> dict[str, Slices]:
    """Return the layers of ``model`` that see images like ``x`` (B, C, *S) in parts, by name, and along which axis.

    The parts lie along a spatial axis, in its order, and have one axis fewer than the image; or they are the entries of
    the channels' axis, the instances of a bag, in that order. A few forwards of two samples of noise, without a graph.
    """
    generator = torch.Generator().manual_seed(0)
    noise, other = (torch.rand(x.shape[1:], generator=generator).to(x) for _ in range(2))
    known: dict[str, Slices] = {}
    for axis, size in enumerate(noise.shape):
        left: dict[str, _Reading] | None = None
        for plane in sorted({0, 1, size // 2, size - 1}) if size > 1 else []:
            changed = noise.clone()
            changed.select(axis, plane).copy_(other.select(axis, plane))
            differences = _differences(model, torch.stack([noise, changed]))
            fitting = _fitting(differences, axis, plane / size, x.ndim - 2, size)
            left = {name: reading for name, reading in fitting.items() if left is None or left.get(name) == reading}
            if not left:
                break
        known |= {name: reading.slices for name, reading in (left or {}).items()}
    return known


def _fitting(
    differences: Mapping[str, _Differences], axis: int, place: float, axes: int, size: int
) -> dict[str, _Reading]:
    """Return the layers that differ in the part alone in which a plane lies, ``place`` of the way along the axis."""
    fitting = {}
    for name, seen in differences.items():
        if len(seen.spatial) != 1:
            continue
        (spatial,) = seen.spatial
        looped = len(seen.samples_first) > 1
        if spatial != axes - 1 and (axis > 0 or spatial != axes or looped):
            continue
        for samples_first, values in ((True, seen.samples_first), (False, seen.slices_first)):
            rows = torch.cat(values)
            if len(rows) <= size and _lies_at(rows, int(place * len(rows) + 1e-9)):
                fitting[name] = _Reading(Slices(axis - 1 if axis else None, samples_first=samples_first), spatial)
                break
    return fitting


def _lies_at(rows: Tensor, number: int) -> bool:
    """Tell whether the rows that differ are the one of this number, alone or with its neighbours."""
    largest = float(rows.max())
    changed = torch.nonzero(rows > _CHANGED * largest)[:, 0].tolist()
    if not largest > 0 or number not in changed:
        return False
    near = min((len(rows) - 1) // _NEIGHBOURS, _MOST_NEIGHBOURS)
    return bool(number - near <= changed[0] and changed[-1] <= number + near)


def _differences(model: nn.Module, two: Tensor) -> dict[str, _Differences]:
    """Return the differences between two images (2, C, *S) at each layer that has several rows for one, or calls."""
    seen: dict[str, _Differences] = {}
    with _watching(model, lambda name, output: seen.setdefault(name, _Differences()).add(output)), torch.no_grad():
        model(two)
    return {name: each for name, each in seen.items() if sum(map(len, each.samples_first)) > 1}


@contextmanager
def _watching(model: nn.Module, note: Callable[[str, Tensor], None]) -> Iterator[None]:
    def hook_for(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_module: nn.Module, _given: object, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim > 2 and len(output) and len(output) % 2 == 0:
                note(name, output)

        return hook

    hooks = [module.register_forward_hook(hook_for(name)) for name, module in hookable(model) if name]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
