"""A classifier from disk: a MONAI bundle, or a factory with weights; hashed, and never unpickled."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from pipeline.config import ModelConfig
from pipeline.errors import ConfigError, ModelError
from pipeline.models.bundle import network_of_bundle
from pipeline.models.bundle_files import weights_digest
from pipeline.models.code_digest import code_digest
from pipeline.models.factory import build_from_factory
from pipeline.models.weights import load_weights

__all__ = ["LoadedModel", "choose_device", "load_model"]


@dataclass(frozen=True)
class LoadedModel:
    """A classifier in evaluation mode and its identity.

    ``sha256`` is the weights file's (or the weights' own), ``code_sha256`` that of the code that builds the network.
    ``notes`` are facts of how it was loaded that a reader of the report should know.
    """

    network: nn.Module
    sha256: str
    source: str
    code_sha256: str
    notes: tuple[str, ...] = ()

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
    weights, notes = model.weights, tuple[str, ...]()
    files: Mapping[str, Path]
    if model.bundle is not None:
        bundled = network_of_bundle(model.bundle, weights, run_code=model.bundle_code)
        network, weights, files, notes = bundled.network, bundled.weights, bundled.files, bundled.notes
        source = "MONAI bundle"
    else:
        network, files = _from_factory(cast(str, model.factory), model.arguments, folder)
        source = f"factory {model.factory}"
    sha256 = weights_digest(weights) if weights is not None else _weights_digest(network)
    if model.sha256 is not None and sha256 != model.sha256:
        raise ModelError(
            f"model.sha256: the weights{f' {weights}' if weights else ''} have the hash {sha256}, "
            f"not the configured {model.sha256}; name the weights that are meant, or correct model.sha256"
        )
    if weights is not None:
        notes += load_weights(network, weights, model.weights_key)
    else:
        source += ", weights as the factory set them"
    return LoadedModel(network.to(device).eval(), sha256, source, code_digest(network, files), notes)


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


def _from_factory(factory: str, arguments: dict[str, Any], folder: Path) -> tuple[nn.Module, dict[str, Path]]:
    network, files = build_from_factory(factory, arguments, folder)
    if not isinstance(network, nn.Module):
        raise ModelError(f"model.factory: {factory} returned a {type(network).__name__}, not a torch module")
    return network, files


def _weights_digest(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
