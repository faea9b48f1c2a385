"""Weights as tools write them, into their network: found in a checkpoint, a common prefix of their names left out."""

import pickle
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from pipeline.errors import ModelError, closest
from pipeline.models.bundle_files import is_shard_index, shards_of

__all__ = ["load_weights"]

_USUAL = ("state_dict", "model_state_dict", "network_weights", "model", "net", "network", "ema", "model_ema")
_DEEPEST = 3
_SHOWN = 60  # characters of a name that another tool chose

State = Mapping[str, Tensor]


def load_weights(network: nn.Module, path: Path, key: str | None = None) -> tuple[str, ...]:
    """Load a state dict into a network, whatever device it was saved on; return what is to be known of it.

    ``key`` names the part of the checkpoint that is meant, ``ema`` or ``ema.module``; without it that part is taken
    that alone fits the network.

    Raises:
        ModelError: when the file is missing, would run code, holds no weights or several sets that fit, or they do not
            fit the network.
    """
    wanted = network.state_dict()
    name, state = _chosen(path, dict(_parts(_content(path))), wanted, key)
    prefix = _common_prefix(state, wanted)
    state = {weight.removeprefix(prefix): value for weight, value in state.items()}
    try:
        missing, unexpected = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        first = next((line.strip() for line in str(error).splitlines()[1:]), str(error))
        raise ModelError(f"{path}: the weights do not fit {type(network).__name__}: {first}") from error
    if missing or unexpected:
        raise ModelError(
            f"{path}: the weights do not fit {type(network).__name__}: "
            f"{len(missing)} missing (first: {next(iter(missing), '-')}), "
            f"{len(unexpected)} unexpected (first: {next(iter(unexpected), '-')})"
        )
    part = f"the weights are the part {name:.{_SHOWN}} of the checkpoint"
    without = f"the prefix {prefix:.{_SHOWN}} was left out of the weights' names"
    return tuple(note for note, holds in ((part, name), (without, prefix)) if holds)


def _chosen(path: Path, parts: Mapping[str, State], wanted: State, key: str | None) -> tuple[str, State]:
    """Return the part of a checkpoint that is meant, and its name."""
    if not parts:
        raise ModelError(f"{path}: must hold a state dict of tensors, and does not; save the network's state_dict()")
    names = [name for name in parts if name]
    if key is not None:
        if key not in names:
            advice = closest(key, names) if names else "the file is one state dict: leave model.weights_key out"
            raise ModelError(f"model.weights_key: {key!r} is no set of weights in {path.name}; {advice}")
        return key, parts[key]
    fitting = [name for name, state in parts.items() if _fits(state, wanted)]
    if len(fitting) > 1 and not _are_equal([parts[name] for name in fitting]):
        listed = ", ".join(map(repr, fitting))
        raise ModelError(f"{path}: holds several sets of weights that fit, {listed}: say which, model.weights_key")
    usual = next((name for name in _USUAL if name in parts), next(iter(parts)))
    name = fitting[0] if fitting else usual
    return name, parts[name]


def _parts(content: object, name: str = "", depth: int = 0) -> Iterator[tuple[str, State]]:
    """Yield what of a checkpoint is a set of weights, by its dotted name; the whole file's is empty."""
    if not isinstance(content, dict) or not content or not all(isinstance(key, str) for key in content):
        return
    if all(isinstance(value, Tensor) for value in content.values()):
        yield name, content
    elif depth < _DEEPEST:
        for key, value in content.items():
            yield from _parts(value, f"{name}.{key}" if name else key, depth + 1)


def _fits(state: State, wanted: State) -> bool:
    prefix = _common_prefix(state, wanted)
    shapes = {name.removeprefix(prefix): value.shape for name, value in state.items()}
    return shapes == {name: value.shape for name, value in wanted.items()}


def _are_equal(states: Collection[State]) -> bool:
    first, *others = states
    return all(
        list(state) == list(first) and all(torch.equal(value, first[name]) for name, value in state.items())
        for state in others
    )


def _common_prefix(state: Collection[str], wanted: Collection[str]) -> str:
    """Return the prefix that all names share and the network's own lack: of DataParallel, Lightning, torch.compile.

    ``module._orig_mod.`` is one too. It is the one without which the names are the network's own, or else, for the sake
    of what is said then, the first without which one is.
    """
    known, first = set(wanted), next(iter(state), "")
    ends = [0, *(place + 1 for place, letter in enumerate(first) if letter == ".")]
    prefixes = [first[:end] for end in ends if all(name.startswith(first[:end]) for name in state)]
    without = {prefix: {name.removeprefix(prefix) for name in state} for prefix in prefixes}
    whole = next((prefix for prefix, names in without.items() if names == known), None)
    return whole if whole is not None else next((prefix for prefix, names in without.items() if names & known), "")


def _content(path: Path) -> object:
    if is_shard_index(path):
        return _sharded(path)
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: loading this checkpoint would run code that is stored in it; "
            "save only the network's state_dict(), best as .safetensors"
        ) from error
    except (OSError, SafetensorError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ModelError(f"{path}: cannot be read as weights: {' '.join(str(error).split())[:160]}") from error


def _sharded(index: Path) -> dict[str, Tensor]:
    places = shards_of(index)
    files = {name: _content(index.parent / name) for name in sorted(set(places.values()))}
    state: dict[str, Tensor] = {}
    for weight, name in places.items():
        content = files[name]
        value = content.get(weight) if isinstance(content, dict) else None
        if not isinstance(value, Tensor):
            raise ModelError(f"{index}: says that {name} holds {weight:.{_SHOWN}}, and it does not")
        state[weight] = value
    return state
