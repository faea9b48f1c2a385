"""The ways to ask for one map again, each a variant: the network, the image, and the way back for the map."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

__all__ = ["Variant", "by_augmentation", "by_dropout", "by_models"]

_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


def _as_it_is(maps: Tensor) -> Tensor:
    return maps


@dataclass(frozen=True)
class Variant:
    """A network and an image (B, C, *S) to be explained, and how its maps (B, *S') are brought back to the first image.

    ``during`` is entered while the network runs: what is changed in it, and undone.
    """

    model: nn.Module
    x: Tensor
    undo: Callable[[Tensor], Tensor] = _as_it_is
    during: Callable[[], AbstractContextManager[object]] = nullcontext


def by_models(models: Sequence[nn.Module], x: Tensor) -> list[Variant]:
    """Return one variant for each member of an ensemble, on the same image.

    Raises:
        ValueError: for fewer than two members.
    """
    if len(models) < 2:
        raise ValueError(f"models must be at least two members of an ensemble, not {len(models)}")
    return [Variant(model, x) for model in models]


def by_dropout(model: nn.Module, x: Tensor, *, runs: int = 20, seed: int = 0) -> list[Variant]:
    """Return ``runs`` variants of one network, each with other units left out: Gal and Ghahramani, ICML 2016.

    The network stays in evaluation mode. Each of its dropout modules leaves out what its own probability says and
    scales what is left, by a mask drawn from ``seed``, the variant's number and the module's place. Within a variant
    the mask is the same in every forward and for every sample, so that a method which runs the network often explains
    one function, and a sample's map does not depend on its neighbours.

    Raises:
        ValueError: for fewer than two runs, or a network that has no dropout module with a probability above 0
            (a functional dropout cannot be reached).
    """
    if runs < 2:
        raise ValueError(f"runs must be at least 2, not {runs}")
    if not _dropouts(model):
        raise ValueError(f"{type(model).__name__} has no dropout module with a probability above 0: take augmentation")
    return [Variant(model, x, during=partial(_dropping, model, seed + run)) for run in range(runs)]


def by_augmentation(
    model: nn.Module, x: Tensor, *, flips: Sequence[int] = (), noise: float = 0.0, runs: int = 4, seed: int = 0
) -> list[Variant]:
    """Return variants of one image: as it is, flipped along each of ``flips``, and ``runs`` noisy copies.

    ``flips`` are spatial axes, 0 the first of S; name those alone along which the image may lie either way (a left
    lung is not a right one). The maps are flipped back. ``noise`` is the Gaussian's standard deviation as a share of
    each sample's range; without it there are no noisy copies. The noise is drawn from ``seed``, the same for every
    sample.

    Raises:
        ValueError: when an axis is none of the image's, noise or runs are negative, or the image alone would be left.
    """
    axes = x.ndim - 2
    if any(not 0 <= axis < axes for axis in flips):
        raise ValueError(f"flips must be axes within 0 and {axes - 1}, not {list(flips)}")
    if noise < 0 or runs < 0:
        raise ValueError(f"noise and runs must be at least 0, not {noise} and {runs}")
    mirrored = [Variant(model, x.flip(2 + axis), partial(_flipped, axis)) for axis in flips]
    noisy = [Variant(model, x + noise * _noise(x, seed + run)) for run in range(runs)] if noise else []
    if not mirrored and not noisy:
        raise ValueError("an augmentation needs flips=(axis, ...) or noise above 0 with runs")
    return [Variant(model, x), *mirrored, *noisy]


def _flipped(axis: int, maps: Tensor) -> Tensor:
    return maps.flip(1 + axis)


def _noise(x: Tensor, seed: int) -> Tensor:
    field = torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(seed), dtype=torch.float32).to(x)
    low, high = x.flatten(1).aminmax(dim=1)
    return (high - low).view(-1, *[1] * (x.ndim - 1)) * field


def _dropouts(model: nn.Module) -> list[tuple[nn.Module, int, float]]:
    """Return the modules that leave out units, each with its place among all and its probability."""
    numbered = enumerate(model.modules())
    return [(each, number, each.p) for number, each in numbered if isinstance(each, _DROPOUTS) and each.p > 0]


@contextmanager
def _dropping(model: nn.Module, seed: int) -> Iterator[None]:
    """Let the dropout modules leave out units, always the same."""

    def hook(number: int, chance: float, module: nn.Module, _given: object, output: Tensor) -> Tensor:
        whole = type(module) is nn.Dropout
        shape = (1, *output.shape[1:]) if whole else (1, output.shape[1], *[1] * (output.ndim - 2))
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        kept = torch.rand(shape, generator=generator, dtype=torch.float32) >= chance
        return output * kept.to(output) / (1 - chance) if chance < 1 else output * 0

    with ExitStack() as hooks:
        for module, number, chance in _dropouts(model):
            hooks.callback(module.register_forward_hook(partial(hook, number, chance)).remove)
        yield
