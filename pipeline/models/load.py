"""A classifier from disk: a MONAI bundle, or a factory with weights; hashed, and never unpickled."""

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import safetensors.torch
import torch
from monai.bundle import ConfigParser
from safetensors import SafetensorError
from torch import Tensor, nn

from pipeline.config import ModelConfig
from pipeline.errors import ConfigError, ModelError
from pipeline.models.code_digest import code_digest
from pipeline.models.factory import build_from_factory

__all__ = ["LoadedModel", "build_network", "choose_device", "load_model", "probabilities"]


_CONTAINERS = ("state_dict", "model_state_dict", "network_weights", "model", "net", "network", "ema", "model_ema")
_PREFIXES = ("module.", "model.", "_orig_mod.", "network.", "net.")


@dataclass(frozen=True)
class LoadedModel:
    """A classifier in evaluation mode and its identity.

    ``sha256`` is the weights file's (or the weights' own), ``code_sha256`` that of the code that builds the network.
    """

    network: nn.Module
    sha256: str
    source: str
    code_sha256: str

    @property
    def architecture(self) -> str:
        """The network's class."""
        return type(self.network).__name__

    @property
    def parameters(self) -> int:
        """How many parameters the network has."""
        return sum(parameter.numel() for parameter in self.network.parameters())


def load_model(model: ModelConfig, folder: Path, device: torch.device) -> LoadedModel:
    """Load the classifier that the configuration names; ``folder`` is where a factory's module is looked for first.

    Raises:
        ModelError: when a file is missing, the hash is another, the checkpoint needs unpickling of code, or the
            weights do not fit the network.
        ConfigError: when the factory cannot be imported.
    """
    weights: Path | None
    if model.bundle is not None:
        network, weights, files = _from_bundle(model.bundle)
        source = "MONAI bundle"
    else:
        network, files = _from_factory(cast(str, model.factory), model.arguments, folder)
        weights = model.weights
        source = f"factory {model.factory}"
    sha256 = _file_digest(weights) if weights is not None else _weights_digest(network)
    if model.sha256 is not None and sha256 != model.sha256:
        raise ModelError(
            f"model.sha256: the weights{f' {weights}' if weights else ''} have the hash {sha256}, "
            f"not the configured {model.sha256}; name the weights that are meant, or correct model.sha256"
        )
    if weights is not None:
        _load_weights(network, weights)
    else:
        source += ", weights as the factory set them"
    return LoadedModel(network.to(device).eval(), sha256, source, code_digest(network, files))


def build_network(definition: Mapping[str, Any]) -> nn.Module:
    """Build a network from its definition in MONAI's ``_target_`` syntax.

    Raises:
        ModelError: when it cannot be built or is not a network.
    """
    return _instantiate(ConfigParser({"network_def": dict(definition)}), "network_def", "the network definition")


def choose_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` is the first CUDA device, or the CPU.

    Raises:
        ConfigError: when torch does not know the device or has none such.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(f"run.device: {name!r} is not available here; use auto or cpu") from error
    return device


def probabilities(logits: Tensor, output: str) -> Tensor:
    """Turn logits (B, K) into a probability for each label, shape (B, labels), float32 on the CPU."""
    logits = logits.detach().float().cpu()
    if output == "softmax":
        return logits.softmax(dim=1)
    positive = logits.sigmoid()
    return torch.cat([1 - positive, positive], dim=1) if output == "single_logit" else positive


def _from_bundle(bundle: Path) -> tuple[nn.Module, Path, dict[str, Path]]:
    if not bundle.is_dir():
        raise ModelError(f"model.bundle: {bundle} is not a folder; a MONAI bundle is one with configs/ and models/")
    config = _first(bundle, "configs", ("inference.json", "inference.yaml", "inference.yml"))
    weights = _first(bundle, "models", ("model.safetensors", "model.pt", "model.pth"))
    parser = ConfigParser()
    try:
        parser.read_config(str(config))
    except (OSError, ValueError) as error:
        raise ModelError(f"model.bundle: {config} cannot be read: {error}") from error
    key = next((key for key in ("network_def", "network", "net") if key in parser), None)
    if key is None:
        raise ModelError(f"model.bundle: {config} must define network_def, the network; it does not")
    return _instantiate(parser, key, str(config)), weights, {f"configs/{config.name}": config}


def _first(bundle: Path, folder: str, names: tuple[str, ...]) -> Path:
    for name in names:
        if (bundle / folder / name).is_file():
            return bundle / folder / name
    raise ModelError(f"model.bundle: {bundle / folder} must hold one of {', '.join(names)}; it holds none")


def _instantiate(parser: ConfigParser, key: str, where: str) -> nn.Module:
    try:
        network = parser.get_parsed_content(key)
    except Exception as error:  # whatever the network's constructor raises
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise ModelError(f"{where}: {key} cannot be built: {' '.join(str(cause).split())[:200]}") from error
    if not isinstance(network, nn.Module):
        raise ModelError(f"{where}: {key} is a {type(network).__name__}, not a network")
    return network


def _from_factory(factory: str, arguments: dict[str, Any], folder: Path) -> tuple[nn.Module, dict[str, Path]]:
    network, files = build_from_factory(factory, arguments, folder)
    if not isinstance(network, nn.Module):
        raise ModelError(f"model.factory: {factory} returned a {type(network).__name__}, not a torch module")
    return network, files


def _load_weights(network: nn.Module, path: Path) -> None:
    state = _without_prefix(_read_state(path), network.state_dict())
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


def _without_prefix(state: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights without one prefix that all of their names share, where the network's own names lack it.

    ``module.`` is of DataParallel, ``model.`` and ``net.`` of Lightning, ``_orig_mod.`` of torch.compile.
    """
    for prefix in _PREFIXES:
        stripped = {name.removeprefix(prefix): value for name, value in state.items()}
        if all(name.startswith(prefix) for name in state) and not state.keys() & wanted.keys():
            if stripped.keys() & wanted.keys():
                return stripped
            if any(name.startswith(_PREFIXES) for name in stripped):  # compiled, then trained: model._orig_mod.
                return _without_prefix(stripped, wanted)
    return state


def _read_state(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: loading this checkpoint would run code that is stored in it; "
            "save only the network's state_dict(), best as .safetensors"
        ) from error
    except (OSError, SafetensorError, RuntimeError, EOFError) as error:
        raise ModelError(f"{path}: cannot be read as weights: {' '.join(str(error).split())[:160]}") from error
    for key in _CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ModelError(f"{path}: must hold a state dict of tensors, and does not; save the network's state_dict()")
    return content


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"model.weights: {path} cannot be read: {error.strerror}") from error


def _weights_digest(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
