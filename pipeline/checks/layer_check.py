"""Which layers maps are taken from, why, and how much of what the model rests on goes past each."""

import inspect
import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cam import Capture, LayerChoice, TokenGrid, as_logits, capture, cell_shift, find_layer
from cam.layers.calls import layer_call
from cam.network.graph import GradThroughout
from pipeline.errors import ModelError
from pipeline.findings.facts import LayerFacts
from pipeline.models.prepare import Prepared
from pipeline.studies.geometry import Geometry, cells
from pipeline.walk.auditor import Auditor

__all__ = ["Layers", "chosen_layers", "layer_facts", "layer_names"]

_NAMED = "named in the configuration"

Layers = dict[str, LayerChoice]
"""What the configuration asks for (``auto``, or a name), and the layer, or the calls of one, that it stands for."""


def chosen_layers(auditor: Auditor, noise: Tensor) -> tuple[Layers, Capture]:
    """Return the layers of the configuration, and what one forward of ``noise`` (1, C, *S) leaves at them.

    Raises:
        ModelError: when a layer does not do, or the model does not take this input.
    """
    network, grids, output = auditor.network, auditor.grids, auditor.config.model.output_name
    _check_inputs(network)
    try:
        _check_returned(auditor, noise)
        layers = {
            asked: find_layer(network, noise, grids, output=output, memory=auditor.memory)
            if asked == "auto"
            else LayerChoice((asked,), None, _NAMED)
            for asked in auditor.config.model.layers
        }
        names = layer_names(layers)
        return layers, capture(network, noise, names, grids=grids, output=output, memory=auditor.memory)
    except ValueError as error:
        raise ModelError(f"model.layers: {_as_configured(str(error))}") from error
    except (RuntimeError, TypeError, AttributeError, IndexError) as error:
        fault = next(iter(str(error).splitlines()), type(error).__name__)
        shape = tuple(noise.shape[1:])
        raise ModelError(f"the model does not take an input of shape {shape} (channels, ...): {fault}") from error


def _check_returned(auditor: Auditor, noise: Tensor) -> None:
    """Refuse what holds no logits.

    Raises:
        ModelError: telling what the model returns.
    """
    with torch.no_grad():
        returned = auditor.network(noise)
    try:
        as_logits(returned, 1, auditor.config.model.output_name)
    except ValueError as error:
        fault = str(error).replace("output=", "model.output_name ")
        raise ModelError(
            f"{fault}; of a detector or a generator, which has no logit, no map can be made: take its classifying part"
        ) from error


def _as_configured(fault: str) -> str:
    """Return what cam says of its arguments, with the configuration's word for them."""
    return fault.replace("grids={", "model.grids {").replace("Slices(axis)", "{slices: axis}")


def _check_inputs(network: nn.Module) -> None:
    """Refuse a network that wants more than one image: an audit has one of a study.

    Raises:
        ModelError: naming its inputs.
    """
    try:
        parameters = list(inspect.signature(network.forward).parameters.values())
    except (TypeError, ValueError):
        return
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p.name for p in parameters if p.kind in kinds and p.default is inspect.Parameter.empty]
    if len(needed) > 1:
        raise ModelError(
            f"the model's forward needs {len(needed)} inputs ({', '.join(needed)}), and an audit shows it one image of "
            "a study: write a factory whose network takes one, and makes the others of it or of its channels"
        )


def layer_facts(
    auditor: Auditor, noise: Tensor, prepared: Prepared, layers: Layers, passed: Capture
) -> tuple[LayerFacts, ...]:
    """Describe each layer once, as the first study's input shows it."""
    by_name = {name: (asked, choice) for asked, choice in layers.items() for name in choice.names}
    return tuple(
        LayerFacts(
            name=name,
            requested=asked,
            reason=choice.reason,
            past=choice.past if asked == "auto" else _share_past(auditor, name, noise, passed),
            shape=(shape := tuple(passed.activations[name].shape[2:])),
            cell_mm=cells(prepared.grid, shape).spacing,
            shift_mm=_shift_mm(auditor, name, noise, prepared.grid),
            unit=prepared.grid.unit,
        )
        for name, (asked, choice) in by_name.items()
    )


def _share_past(auditor: Auditor, name: str, noise: Tensor, passed: Capture) -> float | None:
    """Return the share of the input's gradient that does not pass the layer's cells; None where none is known."""
    whole = _gradient_size(auditor, noise)
    if not whole:
        return None
    with _held(auditor.network, name, passed.grids.get(name)):
        return min((_gradient_size(auditor, noise) or 0.0) / whole, 1.0)


def _gradient_size(auditor: Auditor, noise: Tensor) -> float | None:
    with torch.inference_mode(False), torch.enable_grad(), GradThroughout():
        probe = noise.clone().requires_grad_()
        logits = as_logits(auditor.network(probe.clone()), 1, auditor.config.model.output_name).flatten()
        weights = torch.linspace(1, 2, len(logits), device=logits.device, dtype=logits.dtype)
        score = (logits * weights).sum()  # a plain sum may not depend on anything
        if not score.requires_grad:
            return None
        (gradient,) = torch.autograd.grad(score, probe, allow_unused=True)
    return None if gradient is None else float(gradient.double().abs().sum())


@contextmanager
def _held(network: nn.Module, name: str, grid: object) -> Iterator[None]:
    """Let no gradient pass the cells of a layer, in the calls that its name means; other tokens are no cells."""
    modules = dict(network.named_modules())
    wanted, calls = layer_call(name, modules), 0

    def hold(_module: nn.Module, _given: object, output: Tensor) -> Tensor | None:
        nonlocal calls
        calls += 1
        if wanted.number not in (None, calls - 1):
            return None
        with torch._C.DisableTorchFunction():  # noqa: SLF001 - ``GradThroughout`` keeps the model from detaching, not this
            fixed = output.detach()
        if not isinstance(grid, TokenGrid) or not grid.prefix:
            return fixed.clone()
        return grid.put_back(grid.lay_out(fixed), output)

    handle = modules[wanted.module].register_forward_hook(hold)
    try:
        yield
    finally:
        handle.remove()


def _shift_mm(auditor: Auditor, name: str, noise: Tensor, grid: Geometry) -> tuple[float, ...] | None:
    modules = dict(auditor.network.named_modules())
    if name not in modules or auditor.grids:  # of several calls, or of stated tokens, no one place is known
        return None
    shift = cell_shift(auditor.network, name, noise)
    return tuple(map(math.prod, zip(shift, grid.spacing, strict=True))) if shift else None


def layer_names(layers: Layers) -> list[str]:
    """Return the names of the layers, each once."""
    return list(dict.fromkeys(name for choice in layers.values() for name in choice.names))
