"""The files of a MONAI bundle and of a checkpoint: which there are, which are meant, their hash. Nothing is loaded."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ModelError

__all__ = ["BundleFiles", "bundle_files", "is_shard_index", "shards_of", "weights_digest"]

_CONFIGS = ("inference.json", "inference.yaml", "inference.yml", "train.json", "train.yaml", "train.yml")
_NETWORK = ("network_def", "network", "net")
_INDEX = ".index.json"
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "model.pt", "model.pth")
_ENDINGS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")


@dataclass(frozen=True)
class BundleFiles:
    """What of a bundle is read: ``config`` holds ``content``, in it the network under ``key``.

    ``weights`` is its state dict; ``others`` are the names of further weights that lie beside, and are not read.
    """

    config: Path
    content: Mapping[str, Any]
    key: str
    weights: Path
    others: tuple[str, ...] = ()


def bundle_files(bundle: Path, weights: Path | None = None) -> BundleFiles:
    """Return the files of a bundle: its network's definition, and its weights unless they are named.

    Raises:
        ModelError: when one is not there, cannot be read, or holds no network.
    """
    if not bundle.is_dir():
        raise ModelError(f"model.bundle: {bundle} is not a folder; a MONAI bundle is one with configs/ and models/")
    config, content, key = _definition(bundle)
    path, others = (weights, ()) if weights is not None else _weights(bundle / "models")
    return BundleFiles(config, content, key, path, others)


def _definition(bundle: Path) -> tuple[Path, Mapping[str, Any], str]:
    """Return the first configuration that defines the network: what infers before what trains."""
    folder = bundle / "configs"
    paths = [folder / name for name in _CONFIGS if (folder / name).is_file()]
    if not paths:
        raise ModelError(f"model.bundle: {folder} must hold one of {', '.join(_CONFIGS)}; it holds none")
    for path in paths:
        content = _read(path)
        key = next((key for key in _NETWORK if key in content), None)
        if key is not None:
            return path, content, key
    raise ModelError(f"model.bundle: {paths[0]} must define network_def, the network; it does not")


def _read(path: Path) -> Mapping[str, Any]:
    kind = "JSON" if path.suffix == ".json" else "YAML"
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if kind == "JSON" else yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        fault = " ".join(str(error).split())[:120]
        raise ModelError(f"model.bundle: {path} is not {kind}: {fault}") from error
    return content if isinstance(content, dict) else {}


def _weights(folder: Path) -> tuple[Path, tuple[str, ...]]:
    names = sorted(path.name for path in folder.glob("*") if path.name.endswith((*_ENDINGS, _INDEX)))
    standard = [name for name in _WEIGHTS if name in names]
    if standard or len(names) == 1:
        chosen = (standard or names)[0]
        parts = set(shards_of(folder / chosen).values()) if is_shard_index(folder / chosen) else set()
        return folder / chosen, tuple(name for name in names if name != chosen and name not in parts)
    if names:
        raise ModelError(
            f"model.bundle: {folder} holds {', '.join(names)}; say which, model.weights: models/{names[0]}"
        )
    script = " (model.ts is TorchScript, which takes no hooks)" if any(folder.glob("*.ts")) else ""
    raise ModelError(f"model.bundle: {folder} must hold one of {', '.join(_WEIGHTS)}; it holds none{script}")


def is_shard_index(path: Path) -> bool:
    """Tell whether a file says in which files the weights lie, as ``model.safetensors.index.json`` does."""
    return path.name.endswith(_INDEX)


def shards_of(index: Path) -> dict[str, str]:
    """Return which file of its folder holds which weight, as an index says.

    Raises:
        ModelError: when it cannot be read, or names a file elsewhere.
    """
    try:
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        shards = {str(name): str(file) for name, file in places.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelError(f"{index}: must be an index with a weight_map from weights to files, and is not") from error
    for name in sorted(set(shards.values())):
        if Path(name).name != name or name in ("", ".", ".."):
            raise ModelError(f"{index}: weight_map must name files of its own folder, not {name!r:.80}")
    return shards


def weights_digest(path: Path) -> str:
    """Return the SHA-256 of a weights file; of sharded weights, that of the names and hashes of index and shards.

    Raises:
        ModelError: when a file cannot be read.
    """
    if not is_shard_index(path):
        return _file_digest(path)
    names = [path.name, *sorted(set(shards_of(path).values()))]
    lines = "".join(f"{name} {_file_digest(path.parent / name)}\n" for name in names)
    return hashlib.sha256(lines.encode()).hexdigest()


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"model.weights: {path} cannot be read: {error.strerror}") from error
