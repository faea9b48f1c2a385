"""One pass through the model: activations, logits, and gradients of the tail alone.

The part of the network before the earliest requested layer (the trunk) runs without a graph, so it keeps
nothing for backward; the layer's output becomes a new leaf, and only what comes after it (the tail) is
differentiated.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from cam.finite import all_finite
from cam.inputs.targets import Scalar
from cam.layers.axis_layout import Reader
from cam.layers.calls import LayerCall, SlicedGrid, Slices, joined, layer_call, remedy, taken_apart
from cam.layers.spatial import refuse_training, resolve
from cam.layers.tokens import TokenGrid
from cam.memory import Memory
from cam.network.graph import GradThroughout, depends_on
from cam.network.outputs import Output, as_logits, eagerly, plain

__all__ = ["Capture", "capture"]

_NO_PATH = "do not influence the model's output through operations with gradients; name layers that do"
_INFERENCE = (
    "runs in the model's own torch.inference_mode() block, whose tensors never have gradients: write torch.no_grad() "
    "there instead"
)


@dataclass(frozen=True)
class _Call:
    """What a layer returned in one call: laid out as (B, C, *S), as it was, and how often it had been written to."""

    activation: Tensor
    output: Tensor
    grid: TokenGrid
    version: int


@dataclass(frozen=True)
class JoinedCalls:
    """The activations (B, C, *S) of a layer's calls, and how they are joined: as slices, or by their channels.

    ``outputs`` are what the calls returned, as it was, and ``grids`` how that is laid out.
    """

    parts: tuple[Tensor, ...]
    slices: Slices | None
    outputs: tuple[Tensor, ...] = ()
    grids: tuple[TokenGrid, ...] = ()

    @property
    def activation(self) -> Tensor:
        """The calls' activations as one, detached."""
        return joined([part.detach() for part in self.parts], self.slices)

    def as_outputs(self, values: Tensor, samples: Tensor) -> tuple[Tensor, ...]:
        """Return what each call would have returned had the cells of all together held ``values`` (n, C, *S)."""
        calls = zip(self.grids, taken_apart(values, len(self.parts), self.slices), self.outputs, strict=True)
        return tuple(grid.put_back(part, output[samples]) for grid, part, output in calls)


@dataclass(frozen=True)
class Reading:
    """How a forward is read: the grids that are stated, where measured ones are kept, which output holds the logits."""

    grids: "Mapping[str, TokenGrid | Slices] | None"
    memory: Memory | None
    output: Output


class _Recorder:
    """What the modules returned, call by call; None for a call that nobody asked for."""

    def __init__(self, wanted: Sequence[LayerCall]) -> None:
        self._wanted = wanted
        self.seen: dict[str, list[_Call | None]] = {call.module: [] for call in wanted}

    def is_wanted(self, module: str) -> bool:
        """Tell whether the module's next call is asked for."""
        number = len(self.seen[module])
        return any(call.number in (None, number) for call in self._wanted if call.module == module)


@dataclass(frozen=True)
class Capture:
    """What one forward left behind.

    ``activations`` maps a layer's name to its output, laid out as (B, C, *S); ``logits`` is (B, K). Both hang on the
    tail's graph, if one was kept, which lives as long as this object; for a segmentation network they are (B, K, *S).
    ``outputs`` are the layers' outputs as they were, detached; ``grids`` tells how those are laid out, and holds what
    the caller stated of other layers. ``calls`` holds what the activations of several calls were joined from.
    """

    activations: Mapping[str, Tensor]
    logits: Tensor
    outputs: Mapping[str, Tensor] = field(default_factory=dict)
    grids: Mapping[str, TokenGrid | Slices] = field(default_factory=dict)
    calls: Mapping[str, "JoinedCalls"] = field(default_factory=dict)

    def gradients(self, targets: Sequence[Scalar]) -> dict[str, Tensor]:
        """Return d score / d activation for every target, by a backward each through the tail alone.

        Samples do not mix in evaluation mode, so the sum over the batch gives each sample its own gradient.

        Returns:
            The layer's name to gradients of shape (T, B, C, *S).

        Raises:
            ValueError: for a target out of range, a layer that the output does not depend on, or gradients
                that hold NaN or infinity.
        """
        by_target = [self._gradients(target) for target in targets]
        gradients = {name: torch.stack([by_layer[name] for by_layer in by_target]) for name in self.activations}
        for name, gradient in gradients.items():
            if not all_finite(gradient):
                raise ValueError(f"the gradients at layer {name!r} hold NaN or infinity for this input")
        return gradients

    def as_outputs(self, layer: str, values: Tensor, samples: Tensor) -> tuple[Tensor, ...]:
        """Return what ``layer`` would have returned, call by call, had its cells held ``values`` (n, C, *S).

        ``samples`` (n,) says whose prefix tokens (class, registers) go with each row. A result has the layer's own
        form and precision, (n, N, C) for tokens, and shares no memory with ``values``.
        """
        if layer in self.calls:
            return self.calls[layer].as_outputs(values, samples)
        grid = self.grids[layer]
        assert isinstance(grid, TokenGrid)
        return (grid.put_back(values, self.outputs[layer][samples]),)

    def sees_instances(self, layer: str, axes: int) -> bool:
        """Tell whether the layer's axes are not those of the image, ``axes`` of them: instances, or one slice."""
        if self.activations[layer].ndim != 2 + axes:
            return True
        grid = self.grids.get(layer)
        slices = grid.slices if isinstance(grid, SlicedGrid) else grid
        return isinstance(slices, Slices) and slices.axis is None

    def _gradients(self, target: Scalar) -> dict[str, Tensor]:
        with torch.inference_mode(False), torch.enable_grad():
            score = target.scores(self.logits).sum()
        if not score.requires_grad:
            raise ValueError(f"layers {list(self.activations)} {_NO_PATH}")
        parts = {name: self.parts(name) for name in self.activations}
        leaves = [part for several in parts.values() for part in several]
        gradients = iter(torch.autograd.grad(score, leaves, retain_graph=True, allow_unused=True))
        by_part = {name: [next(gradients) for _ in several] for name, several in parts.items()}
        unused = [name for name, given in by_part.items() if all(gradient is None for gradient in given)]
        if unused:
            raise ValueError(f"layers {unused} {_NO_PATH}")
        return {
            name: joined(
                [
                    torch.zeros_like(part) if gradient is None else gradient
                    for part, gradient in zip(parts[name], given, strict=True)
                ],
                self.calls[name].slices if name in self.calls else None,
            )
            for name, given in by_part.items()
        }

    def groups(self, layer: str) -> tuple[tuple[slice, tuple[Tensor, ...]], ...]:
        """Return what a method that changes the layer changes at a time: its channels, and the activations there.

        Each call of a sum by itself, whatever the others do, so that its map is the sum of theirs; all slices together.
        """
        parts = self.parts(layer)
        if layer not in self.calls or self.calls[layer].slices is not None:
            return ((slice(None), parts),)
        ends = [sum(part.shape[1] for part in parts[: number + 1]) for number in range(len(parts))]
        return tuple((slice(end - part.shape[1], end), (part,)) for end, part in zip(ends, parts, strict=True))

    def parts(self, layer: str) -> tuple[Tensor, ...]:
        """Return the activations of a layer, call by call, as they lie on the tail's graph."""
        return self.calls[layer].parts if layer in self.calls else (self.activations[layer],)


def capture(
    model: nn.Module,
    x: Tensor,
    layers: Sequence[str],
    *,
    grids: "Mapping[str, TokenGrid | Slices] | None" = None,
    graph: bool = True,
    output: Output = None,
    memory: Memory | None = None,
) -> Capture:
    """Run ``model`` once on ``x`` (B, C, *S) and capture the named layers.

    Without ``graph`` the tail keeps nothing for backward either: there are no gradients to ask for. ``output`` names
    the logits in what the model returns, where they are not obvious (``cam.network.outputs``).

    A model that switches gradients off behind the layer (its own ``torch.no_grad()``, ``detach()``: linear probes) is
    run a second time with that switched off: from the layer on there is a gradient.

    The model is left as it was found: hooks are removed, no mode, parameter, ``.grad`` or flag is touched,
    also when the forward raises. Frozen parameters and in-place operations after the layer are fine.

    A layer that returns tokens, or has its channels last, is laid out as (B, C, *S) where the network itself tells how
    (see ``cam.layers.tokens``); ``grids`` states it, by layer, where it does not. So it is with the slices of a volume
    and the instances of a bag (``cam.layers.slice_order``). ``memory`` keeps what was measured.

    Raises:
        ValueError: when the model is in training mode, a layer does not exist, is not reached, is called more
            than once and no call is named (``cam.layers.calls``), has no spatial extent or none that is known, holds
            NaN or infinity, is overwritten by another name, runs in inference mode or takes no hooks, or no logits
            (B, K) are found in what the model returns.
    """
    refuse_training(model)
    x = plain(x)
    passing = partial(_captured, model, x, layers, Reading(grids, memory, output), graph=graph)
    with eagerly(model):
        made = passing()
    parts = [part for name in made.activations for part in made.parts(name)]
    if graph and not all(depends_on(made.logits, part) for part in parts):
        with eagerly(model):
            made = passing(throughout=True)
    return made


def _captured(
    model: nn.Module,
    x: Tensor,
    layers: Sequence[str],
    given: Reading,
    *,
    graph: bool,
    throughout: bool = False,
) -> Capture:
    reader = Reader(model, x, given.grids, given.memory)
    wanted = {name: layer_call(name, reader.modules) for name in layers}
    modules = {wanted[name].module: resolve(model, name, x, reader.modules) for name in layers}
    recorder = _Recorder(list(wanted.values()))
    passing = GradThroughout(from_start=False) if throughout else nullcontext()
    with _recording(modules, recorder, reader, graph), torch.inference_mode(False), torch.no_grad(), passing:
        logits = as_logits(model(x), len(x), given.output)
    calls = {name: _checked_calls(name, call, recorder, reader) for name, call in wanted.items()}
    several = {name: _joined(made, reader.slices(name)) for name, made in calls.items() if len(made) > 1}
    return Capture(
        {name: several[name].activation if name in several else made[0].activation for name, made in calls.items()},
        logits,
        {name: made[0].output for name, made in calls.items()},
        {
            **(given.grids or {}),
            **{name: made[0].grid for name, made in calls.items() if name not in several},
            **{name: together.slices for name, together in several.items() if together.slices},
        },
        several,
    )


def _joined(calls: Sequence[_Call], slices: Slices | None) -> JoinedCalls:
    parts, outputs = (tuple(call.activation for call in calls), tuple(call.output for call in calls))
    return JoinedCalls(parts, slices, outputs, tuple(call.grid for call in calls))


@contextmanager
def _recording(modules: Mapping[str, nn.Module], recorder: _Recorder, reader: Reader, graph: bool) -> Iterator[None]:
    def hook_for(name: str) -> object:
        def hook(_module: nn.Module, _inputs: object, output: object) -> Tensor | None:
            if reader.busy:
                return None
            if not recorder.is_wanted(name):
                recorder.seen[name].append(None)
                return None
            if not isinstance(output, Tensor):
                raise ValueError(f"layer {name!r} must return one tensor, not {type(output).__name__}")  # noqa: TRY004 - callers expect one error type for an unfit layer
            if output.is_inference():
                raise ValueError(f"layer {name!r} {_INFERENCE}")
            grid = reader.grid(name, output.shape)
            torch.set_grad_enabled(graph)  # the tail begins; the caller's no_grad block restores the mode
            laid_out = grid.lay_out(output)
            leaf = laid_out if output.requires_grad else _detached(laid_out).requires_grad_(graph)
            recorder.seen[name].append(_Call(leaf, _detached(output), grid, leaf._version))  # noqa: SLF001 - the only count of in-place writes there is
            return grid.put_back(leaf, output)  # a copy: an in-place operation behind must not overwrite the activation

        return hook

    hooks: list[torch.utils.hooks.RemovableHandle] = []
    try:
        with reader.watching():
            for name, module in modules.items():
                hooks.append(module.register_forward_hook(hook_for(name), prepend=True))  # type: ignore[arg-type]
            yield
    finally:
        for hook in hooks:
            hook.remove()


def _detached(value: Tensor) -> Tensor:
    with torch._C.DisableTorchFunction():  # noqa: SLF001 - ``GradThroughout`` keeps the model from detaching, not this
        return value.detach()


def _checked_calls(name: str, wanted: LayerCall, recorder: _Recorder, reader: Reader) -> list[_Call]:
    """Return the calls that a layer's name stands for."""
    calls = recorder.seen[wanted.module]
    if not calls:
        raise ValueError(f"layer {name!r} is never reached in one forward; a map needs a layer that is called")
    if wanted.number is not None and wanted.number >= len(calls):
        raise ValueError(f"layer {name!r}: {wanted.module!r} is called {len(calls)} times, numbered from 0")
    if wanted.number is None and not wanted.is_sum and len(calls) > 1 and reader.slices(name) is None:
        raise ValueError(f"layer {name!r} is called {len(calls)} times in one forward: {remedy(name, len(calls))}")
    chosen = [call for call in (calls if wanted.number is None else [calls[wanted.number]]) if call]
    shapes = [tuple(call.activation.shape) for call in chosen]
    if len(set(shapes)) > 1:
        raise ValueError(f"layer {name!r} returns other shapes in each call, {shapes}: name one, '{wanted.module}#0'")
    return [_check_layer(wanted.module, call, reader) for call in chosen]


def _check_layer(name: str, call: _Call, reader: Reader) -> _Call:
    if call.activation._version != call.version:  # noqa: SLF001
        raise ValueError(
            f"layer {name!r} returns a tensor that the model later changes in place; name the layer before it"
        )
    if reader.grid(name, call.output.shape) != call.grid:  # what the rest of the forward showed may speak against it
        raise ValueError(
            f"layer {name!r} fits two layouts of axes; state which one: grids={{{name!r}: TokenGrid(...)}}"
        )
    if not all_finite(call.activation):
        raise ValueError(f"layer {name!r} outputs NaN or infinity for this input; check the input and the weights")
    return call
