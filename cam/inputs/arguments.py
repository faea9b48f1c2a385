"""The arguments of ``explain``, read as they are meant or refused in one sentence."""

# ruff: noqa: TRY004 - callers expect one error type for an unfit argument, whatever its fault

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from numbers import Integral, Real
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch
from torch import Tensor, nn

from cam.finite import all_finite
from cam.inputs.spelling import did_you_mean, method_name
from cam.layers.calls import Slices
from cam.layers.tokens import TokenGrid
from cam.memory import Memory
from cam.network.outputs import Output, OutputKind, plain
from cam.out_of_memory import is_out_of_memory
from cam.registry import METHODS, Method

__all__ = [
    "Options",
    "checked_input",
    "checked_settings",
    "checkpoints_in_words",
    "in_words",
    "layer_names",
    "method_options",
    "output_and_kind",
    "output_names",
]

Options = Mapping[str, Mapping[str, object]]


def checked_input(model: object, x: object) -> Tensor:
    """Return ``x`` (B, C, *S) as a plain tensor.

    Raises:
        ValueError: when the model is no module or lies elsewhere, or ``x`` is no batch of images of finite numbers.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model must be a torch.nn.Module, not {type(model).__name__}")
    if any(value.is_meta for value in (*model.parameters(), *model.buffers())):
        raise ValueError("the model lies on the device 'meta', so it has no weights: load them first")
    values = plain(x)  # type: ignore[arg-type]
    if values.is_meta:
        raise ValueError("x lies on the device 'meta', so it has no values")
    if not all_finite(values):
        whole = torch.isfinite(values).flatten(1).all(dim=1)
        raise ValueError(f"x holds NaN or infinity in the sample(s) {torch.nonzero(~whole)[:, 0].tolist()[:8]}")
    return values


@contextmanager
def in_words(model: nn.Module, x: Tensor) -> Iterator[None]:
    """Turn what a model raises at its first forward into a sentence where ``x`` does not fit it.

    Raises:
        ValueError: naming the misfit. What a model raises of its own accord, and memory running out, is left.
    """
    try:
        yield
    except (RuntimeError, TypeError) as error:
        fault = "" if is_out_of_memory(error) else _misfit(model, x, error)
        if not fault:
            raise
        raise ValueError(fault) from error


@contextmanager
def checkpoints_in_words() -> Iterator[None]:
    """Turn what torch raises at a gradient through a reentrant checkpoint into a sentence.

    Raises:
        ValueError: naming it.
    """
    try:
        yield
    except RuntimeError as error:
        if "use_reentrant" not in str(error):
            raise
        raise ValueError(
            "the model uses torch.utils.checkpoint with use_reentrant=True, through which no gradient at a layer or at "
            "the image can be asked for: give it use_reentrant=False"
        ) from error


def _misfit(model: nn.Module, x: Tensor, error: Exception) -> str:
    """Return the sentence, or ``""`` for an error of the model's own that tells nothing of ``x``."""
    values = [*model.parameters(), *model.buffers()]
    devices = {value.device for value in values}
    types = {value.dtype for value in values if value.is_floating_point()}
    if len(devices) == 1 and x.device not in devices:
        (device,) = devices
        return f"x is on {x.device} and the model on {device}: bring them together, x.to({str(device)!r})"
    if len(types) == 1 and x.dtype not in types:
        (kind,) = types
        return f"x is {x.dtype} and the model's weights are {kind}: bring them together, x.to({kind})"
    if any(value.is_inference() for value in values):
        return "the model's weights were made in torch.inference_mode() and have no gradients: make or load it outside"
    first = next(iter(str(error).splitlines()), "")
    telling = r"size|shape|channel|dimension|expected" if isinstance(error, RuntimeError) else r"forward\(\)"
    if not re.search(telling, first):
        return ""
    return f"the model fails on x of shape {tuple(x.shape)}: {type(error).__name__}: {first}"


def output_and_kind(output: Output, kind: OutputKind | None) -> tuple[Output, OutputKind]:
    """Return which part of what the model returns is meant, and what it is; ``output`` may name either.

    Raises:
        ValueError: when they are no names that are known.
    """
    kinds = get_args(OutputKind)
    if kind is not None and kind not in kinds:
        raise ValueError(f"output_kind must be one of {', '.join(kinds)}, not {kind!r}{did_you_mean(kind, kinds)}")
    if isinstance(output, bool) or not isinstance(output, str | int | None):
        raise ValueError(f"output must be one of {', '.join(kinds)}, or a key or position, not {output!r}")
    return output, kind or (output if output in kinds else "logits")  # type: ignore[return-value]


def output_names(labels: object) -> tuple[str, ...] | None:
    """Return the names of the model's outputs, in their order; None where they are not told.

    Raises:
        ValueError: when they are not names, each there once.
    """
    if labels is None:
        return None
    plain_names: Any = labels.tolist() if hasattr(labels, "tolist") else labels
    several = isinstance(plain_names, list | tuple) and all(isinstance(name, str) for name in plain_names)
    if not several or len(set(plain_names)) != len(plain_names):
        raise ValueError(f"labels must be the names of the model's outputs, each once, not {labels!r}")
    return tuple(plain_names)


def layer_names(model: nn.Module, layers: object) -> tuple[str, ...]:
    """Return the layers' names: of one or several, each its name or the module itself.

    Raises:
        ValueError: when one is neither, or a module is no part of the model.
    """
    parts = isinstance(layers, Iterable) and not isinstance(layers, str | nn.Module)  # nn.Sequential is iterable too
    several: tuple[object, ...] = tuple(layers) if parts else (layers,)  # type: ignore[arg-type]
    return tuple(dict.fromkeys(_layer_name(model, layer) for layer in several))


def _layer_name(model: nn.Module, layer: object) -> str:
    if isinstance(layer, str) and layer:
        return layer
    if not isinstance(layer, nn.Module):
        raise ValueError(f"layers must be names or modules of the model, not {layer!r}")
    names = [name for name, module in model.named_modules(remove_duplicate=False) if module is layer]
    if not names:
        raise ValueError(f"layers: the {type(layer).__name__} given is no part of {type(model).__name__}")
    if names[0] == "":
        raise ValueError(f"layers: the {type(layer).__name__} given is the whole model; take a part of it")
    return str(names[0])


def method_options(methods: object, options: object) -> dict[str, dict[str, object]]:
    """Return the methods that are asked for, by their names in the registry, each with its options.

    Raises:
        ValueError: for an unknown method or option, or a value of the wrong kind.
    """
    several = (methods,) if isinstance(methods, str) else methods
    if not isinstance(several, Iterable):
        several = (several,)
    names = list(dict.fromkeys(map(method_name, several)))
    given: dict[str, dict[str, object]] = {}
    if not isinstance(options, Mapping | None):
        raise ValueError(f"options must be {{method: {{option: value}}}}, not {options!r}")
    for method, values in (options or {}).items():
        name = method_name(method)
        if not isinstance(values, Mapping):
            raise ValueError(f"options of {name!r} must be {{option: value}}, not {values!r}")
        given[name] = {option: _option(METHODS[name], option, value) for option, value in values.items()}
    return {name: given.get(name, {}) for name in names}


def _option(method: Method, option: object, value: object) -> object:
    known = method.options
    if option not in known:
        hint = did_you_mean(option, known)
        raise ValueError(f"options of {method.name!r} must be among {sorted(known)}, not {option!r}{hint}")
    kind = get_type_hints(method.function)[str(option)]
    plain_value = value.tolist() if hasattr(value, "tolist") and not _fits(kind, value) else value
    if not _fits(kind, plain_value) or (option == "seed" and not 0 <= plain_value < 2**63):  # type: ignore[operator]
        shown = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) and value.ndim else repr(value)
        wanted = "a whole number from 0 to 2^63 - 1" if option == "seed" else _in_words(kind)
        raise ValueError(f"{method.name}.{option} must be {wanted}, not {shown}")
    return plain_value


def _fits(kind: object, value: object) -> bool:
    """Tell whether a value is of a kind, as an option is annotated: numbers are finite, and True is none."""
    if kind in (int, float):
        number = isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
        return number and (kind is int or isfinite(value))  # type: ignore[arg-type]
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in get_args(kind)
    if get_origin(kind) is Sequence:
        several = isinstance(value, list | tuple) and bool(value)
        return several and all(_fits(get_args(kind)[0], entry) for entry in value)  # type: ignore[attr-defined]
    if kind is Tensor:
        return isinstance(value, Tensor) and value.is_floating_point() and all_finite(value)
    parts = get_args(kind)
    return any(_fits(part, value) for part in parts) if parts else value is None


def _in_words(kind: object) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    words = {int: "a whole number", float: "a finite number", Tensor: "a tensor of finite numbers", type(None): "None"}
    if get_origin(kind) is Sequence:
        return f"a list of {'whole' if int in get_args(kind) else 'finite'} numbers"
    return words.get(kind) or " or ".join(map(_in_words, get_args(kind)))  # type: ignore[call-overload]


def checked_settings(
    rows: object, rectify: object, grids: object, on_maps: object, memory: object
) -> tuple[int | None, Mapping[str, TokenGrid | Slices] | None]:
    """Return ``rows`` and ``grids``.

    Raises:
        ValueError: for one that is not what it has to be.
    """
    whole = isinstance(rows, Integral) and not isinstance(rows, bool)
    if rows is not None and (not whole or rows < 1):  # type: ignore[operator]
        raise ValueError(f"rows must be a whole number of at least 1, or None, not {rows!r}")
    if not isinstance(rectify, bool):
        raise ValueError(f"rectify must be True or False, not {rectify!r}")
    if grids is not None and not (
        isinstance(grids, Mapping) and all(isinstance(grid, TokenGrid | Slices) for grid in grids.values())
    ):
        raise ValueError(f"grids must be {{layer: TokenGrid(...)}}, not {grids!r}")
    if not callable(on_maps):
        raise ValueError(f"on_maps must take a number of maps, not be {on_maps!r}")
    if not isinstance(memory, Memory | None):
        raise ValueError(f"memory must be a Memory, not {memory!r}")
    return (None if rows is None else int(rows)), grids  # type: ignore[call-overload]
