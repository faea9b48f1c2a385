"""The checks that every CAM method has to pass, camaudit's own and those of other packages."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from cam import METHODS, Explanation, Method, Target, capture, explain

__all__ = ["Trial", "check_method", "small_trial"]

_SIDES = {2: (6, 6), 3: (5, 5, 5)}
_LABELS = 3
_TOLERANCE = 1e-7
"""Relative to a map's largest value: float64 leaves this much to the order of a sum."""


@dataclass(frozen=True)
class Trial:
    """A network in evaluation mode with 3 labels or more, its inputs (B, C, *S) in float64, B at least 2, and layers.

    A method across layers is tried across all of ``layers``, one at a layer at the last; none for one at the input.
    """

    model: nn.Module
    x: Tensor
    layers: tuple[str, ...]


def small_trial(axes: int) -> Trial:
    """Return a small convolutional network of 2 or 3 axes with weights and inputs of both signs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(axes)
        sides = _SIDES[axes]
        conv = {2: nn.Conv2d, 3: nn.Conv3d}[axes]
        behind = 2
        for side in sides:
            behind *= side - 3
        model = nn.Sequential(
            conv(1, 2, 3, padding=1),
            conv(2, 3, 3),
            conv(3, 2, 2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(behind, _LABELS),
        )
        return Trial(model.double().eval(), torch.randn(6, 1, *sides, dtype=torch.float64), ("0", "1"))


def _pointwise(axes: int) -> Trial:
    """Return a network that treats every place and axis alike: a map has to move with the image."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        conv = {2: nn.Conv2d, 3: nn.Conv3d}[axes]
        pool = {2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}[axes](1)
        head = (pool, nn.Flatten(), nn.Linear(3, _LABELS))
        model = nn.Sequential(conv(1, 4, 1), nn.ReLU(), conv(4, 3, 1), *head).double().eval()
        return Trial(model, torch.randn(2, 1, *range(4, 4 + axes), dtype=torch.float64), ("0", "2"))


@dataclass(frozen=True)
class _Subject:
    """A method with the options that it is tried with."""

    method: Method
    options: Mapping[str, object] = field(default_factory=dict)

    def layers(self, trial: Trial) -> tuple[str, ...]:
        """Return the layers of a trial that the method is tried at."""
        return {"layers": trial.layers, "layer": trial.layers[-1:], "input": ()}[self.method.at]

    def explain(self, trial: Trial, x: Tensor | None = None, labels: tuple[int, ...] = (1,)) -> Explanation:
        return explain(
            trial.model,
            trial.x if x is None else x,
            [Target(label) for label in labels],
            methods=[self.method.name],
            layers=self.layers(trial) or ("auto",),
            options={self.method.name: self.options},
        )

    def maps(self, trial: Trial, x: Tensor | None = None, label: int = 1) -> Tensor:
        (maps,) = self.explain(trial, x, (label,)).maps.values()
        return maps


def check_method(
    method: Method | Callable[..., object] | str,
    *,
    options: Mapping[str, object] | None = None,
    trial: Callable[[int], Trial] = small_trial,
    equivariant: bool = True,
) -> None:
    """Check a registered method (or its function, or name) on networks in 2D and 3D.

    It has to say what a reader must know; to give finite maps, not all of them empty, of the layer's (or the input's)
    own shape; none below 0 unless it is declared to be signed, and then some; the same maps when asked again, for each
    sample alone and for each target alone; to leave the model, its input and the random state as it found them; and,
    unless ``equivariant`` is False (random masks, a fixed grid of patches), to turn with a flipped or permuted image.

    ``options`` are the method's own, to make it quick; ``trial`` gives the network for a number of axes where the
    method needs another than a convolutional one.

    Raises:
        AssertionError: one sentence that says what the method does not keep.
    """
    subject = _Subject(_registered(method), options or {})
    for fault in _faults(subject, trial, equivariant):
        raise AssertionError(f"method {subject.method.name!r}: {fault}")


def _registered(method: Method | Callable[..., object] | str) -> Method:
    entries = [entry for entry in METHODS.values() if method in (entry, entry.function, entry.name)]
    if not entries:
        raise AssertionError(f"{method!r:.80} is not registered; decorate its function with @method or @procedure")
    return entries[0]


def _faults(subject: _Subject, trial: Callable[[int], Trial], equivariant: bool) -> Iterator[str]:
    """Yield what is wrong; nothing is computed after the first that is asked for."""
    yield from _undeclared(subject.method)
    for axes in (2, 3):
        trying = trial(axes)
        where = f"in {axes}D, "
        for check in (_altered, _misshapen, _missigned, _unsteady, _dependent):
            yield from (f"{where}{fault}" for fault in check(subject, trying))
        if equivariant:
            yield from (f"{where}{fault}" for fault in _unmoved(subject, _pointwise(axes)))


def _undeclared(method: Method) -> Iterator[str]:
    for name in ("title", "paper", "formula", "limits", "cost"):
        if not str(getattr(method, name)).strip():
            yield f"says nothing of its {name}, which a reader of the report must know"


def _state(trial: Trial) -> dict[str, object]:
    """Return what a method must leave as it is, by name."""
    model = trial.model
    state: dict[str, object] = {"the random state": torch.get_rng_state().clone(), "the input": trial.x.clone()}
    for name, tensor in itertools.chain(model.named_parameters(), model.named_buffers()):
        state |= {
            f"the values of {name!r}": tensor.detach().clone(),
            f"requires_grad of {name!r}": tensor.requires_grad,
            f"the gradient of {name!r}": tensor.grad is None,
        }
    for name, module in model.named_modules():
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)  # noqa: SLF001
        state |= {
            f"the mode of {name or 'the model'!r}": module.training,
            f"the hooks of {name or 'the model'!r}": sum(map(len, hooks)),
            f"the settings of {name or 'the model'!r}": getattr(module, "inplace", None),
        }
    return state


def _altered(subject: _Subject, trial: Trial) -> Iterator[str]:
    before = _state(trial)
    subject.maps(trial)
    after = _state(trial)
    for name, value in before.items():
        left = after.get(name)
        same = torch.equal(value, left) if isinstance(value, Tensor) and isinstance(left, Tensor) else value == left
        if not same:
            yield f"changes {name}; the model has to be left as it was found"


def _misshapen(subject: _Subject, trial: Trial) -> Iterator[str]:
    explanation = subject.explain(trial, labels=tuple(range(_LABELS)))
    layers = subject.layers(trial)
    shapes = [(len(trial.x), *grid) for grid in _grids(trial, layers)]
    whole = (len(trial.x), *trial.x.shape[2:])
    for maps in explanation.maps.values():
        shape = tuple(maps.shape)
        if layers and shape not in shapes:
            yield f"its map has the shape {shape}, none of the layers' and the input's {shapes}"
        if len(shape) != len(whole) or any(side > most for side, most in zip(shape, whole, strict=True)):
            yield f"its map has the shape {shape}, which is no grid over the input {whole}"
        if maps.requires_grad or not maps.is_floating_point():
            yield "its map must be a detached tensor of floating-point numbers"
        if not bool(torch.isfinite(maps).all()):
            yield "its map holds NaN or infinity"
    if not any(bool(maps.any()) for maps in explanation.maps.values()):
        yield "all its maps are empty, on a network whose gradients and activations are not"


def _grids(trial: Trial, layers: tuple[str, ...]) -> list[tuple[int, ...]]:
    """Return the shapes of the layers that are explained, and of the input."""
    activations = capture(trial.model, trial.x, layers).activations.values() if layers else ()
    return [tuple(values.shape[2:]) for values in (*activations, trial.x)]


def _missigned(subject: _Subject, trial: Trial) -> Iterator[str]:
    lowest = min(float(maps.min()) for maps in subject.explain(trial, labels=tuple(range(_LABELS))).maps.values())
    if lowest < 0 and not subject.method.signed:
        yield f"gives {lowest:.3g} and is declared not to be signed"
    if lowest >= 0 and subject.method.signed:
        yield "is declared to be signed, and gives no value below 0 on a network with evidence against every label"


def _unsteady(subject: _Subject, trial: Trial) -> Iterator[str]:
    first = subject.maps(trial)
    torch.rand(1)
    if not torch.equal(first, subject.maps(trial)):
        yield "gives another map when it is asked again; draw random numbers from a generator with a seed of its own"


def _dependent(subject: _Subject, trial: Trial) -> Iterator[str]:
    """A sample's map must not follow from its neighbours in the batch, nor a target's from the other targets."""
    x = trial.x[:2]
    whole = subject.maps(trial, x)
    for number in range(len(x)):
        if not _alike(whole[[number]], subject.maps(trial, x[[number]])):
            yield "gives a sample another map alone than in a batch"
    together = subject.explain(trial, x, labels=(2, 1))
    if not _alike(list(together.maps.values())[1], whole):
        yield "gives a target another map alone than beside another target"


def _unmoved(subject: _Subject, trial: Trial) -> Iterator[str]:
    axes = trial.x.ndim - 2
    upright = subject.maps(trial)
    for axis in range(axes):
        if not _alike(subject.maps(trial, trial.x.flip(2 + axis)), upright.flip(1 + axis)):
            yield f"does not flip its map with the image along axis {axis}; pass equivariant=False if it need not"
    for order in itertools.permutations(range(axes)):
        moved = subject.maps(trial, trial.x.permute(0, 1, *(2 + axis for axis in order)))
        if not _alike(moved, upright.permute(0, *(1 + axis for axis in order))):
            yield f"does not permute its map with the image's axes {order}; pass equivariant=False if it need not"


def _alike(first: Tensor, second: Tensor) -> bool:
    if first.shape != second.shape:
        return False
    largest = float(torch.maximum(first.abs().max(), second.abs().max()))
    return float((first - second).abs().max()) <= _TOLERANCE * largest
