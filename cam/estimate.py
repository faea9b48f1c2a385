"""What a call will cost, told before it is made: Score-CAM takes a forward for each channel of each sample."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

import cam.methods  # noqa: F401 - fills the registry
from cam.capture import Capture, capture
from cam.inputs.arguments import Options, checked_input, in_words, layer_names, method_options
from cam.layers.auto import LayerChoice, find_layer
from cam.layers.calls import Slices
from cam.layers.hooks import hookable
from cam.layers.spatial import refuse_training
from cam.layers.tokens import TokenGrid
from cam.memory import Memory
from cam.network.outputs import Output, adapted
from cam.procedures.perturb import default_rows
from cam.registry import METHODS, Method, Workload

__all__ = ["Cost", "estimate"]


@dataclass(frozen=True)
class Cost:
    """What one method at one place costs at most, beyond the forward that all share.

    ``images`` counts those that the model is shown, a backward through all of it as two more; ``seconds`` is the time
    that they take, as one forward took; ``bytes`` is about what they need together beside the weights.
    """

    images: int
    seconds: float
    bytes: int

    def __str__(self) -> str:
        return f"{self.images} images through the model, about {self.seconds:.3g} s and {self.bytes / 2**20:.3g} MiB"


def estimate(
    model: nn.Module,
    x: Tensor,
    *,
    targets: int = 1,
    methods: Sequence[str] | str = ("gradcam",),
    layers: Sequence[str | nn.Module] | str | nn.Module = ("auto",),
    options: Options | None = None,
    rows: int | None = None,
    grids: Mapping[str, TokenGrid | Slices] | None = None,
    output: Output = None,
    memory: Memory | None = None,
) -> dict[tuple[str, str], Cost]:
    """Return what ``explain`` would cost with these arguments and so many targets, by method and layer.

    One forward of one sample is run and timed (after another that is not), and the layer that ``auto`` stands for is
    looked up. The numbers are bounds: a channel that is constant or repeated, and a tail that is affine, cost less.

    Raises:
        ValueError: as ``explain`` for its arguments, or when there is less than one target.
    """
    if isinstance(targets, bool) or not isinstance(targets, int) or targets < 1:
        raise ValueError(f"estimate.targets is the number of targets, at least 1, not {targets!r}")
    chosen, x, memory = method_options(methods, options), checked_input(model, x), memory or Memory()
    refuse_training(model)
    with memory.alone_with(model), adapted(model, output), in_words(model, x):
        names: tuple[str, ...] = ()
        if any(METHODS[name].at != "input" for name in chosen):
            names = layer_names(model, layers)
            names = _resolved(names, partial(find_layer, model, x, grids, memory=memory))
        seconds, largest = _measured(model, x[:1])
        passed = capture(model, x[:1], names, grids=grids, graph=False, memory=memory) if names else Capture({}, x)
    together = rows or default_rows(x[0].numel(), x.device)
    return {
        (name, place): _cost(METHODS[name], given, _workload(x, targets, passed, at), (seconds, largest, together))
        for name, given in chosen.items()
        for place, at in METHODS[name].places(names).items()
    }


def _resolved(names: Sequence[str], find: Callable[[], LayerChoice]) -> tuple[str, ...]:
    """Return the layers' names, those that ``auto`` stands for among them."""
    return tuple(name for asked in names for name in (find().names if asked == "auto" else (asked,)))


def _cost(method: Method, given: Mapping[str, object], work: Workload, measured: tuple[float, int, int]) -> Cost:
    seconds, largest, together = measured
    images = method.forwards(work, {**method.options, **given})
    return Cost(images, images * seconds, min(images, together) * largest)


def _workload(x: Tensor, targets: int, passed: Capture, layers: Sequence[str]) -> Workload:
    shapes = [tuple(passed.activations[name].shape) for name in layers]
    channels = max((shape[1] for shape in shapes), default=0)
    cells = max((torch.Size(shape[2:]).numel() for shape in shapes), default=0)
    return Workload(len(x), targets, channels, cells, tuple(x.shape[2:]))


def _measured(model: nn.Module, x: Tensor) -> tuple[float, int]:
    """Return the seconds of a forward of one sample, and the bytes of its image and the largest two values in it."""
    sizes = [x.nbytes]
    with ExitStack() as stack, torch.no_grad():
        for _, module in hookable(model):
            handle = module.register_forward_hook(lambda _module, _given, value: sizes.append(_bytes(value)))
            stack.callback(handle.remove)
        model(x)
    _wait(x.device)
    started = time.perf_counter()
    with torch.no_grad():
        model(x)
    _wait(x.device)
    return time.perf_counter() - started, x.nbytes + 2 * max(sizes)


def _bytes(value: object) -> int:
    return value.nbytes if isinstance(value, Tensor) else 0


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
