"""A network from a MONAI bundle: its definition is built, and its own code runs only where the configuration asks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from torch import nn

from pipeline.errors import ModelError
from pipeline.models.bundle_code import code_in, network_parts, without_downloads
from pipeline.models.bundle_files import bundle_files
from pipeline.models.factory import neighbours_importable, user_files

__all__ = ["BundledNetwork", "build_network", "network_of_bundle"]


@dataclass(frozen=True)
class BundledNetwork:
    """A bundle's network without its weights.

    ``weights`` is where those lie, ``files`` what defines the network, by name; ``notes`` are facts for the report.
    """

    network: nn.Module
    weights: Path
    files: Mapping[str, Path]
    notes: tuple[str, ...]


def network_of_bundle(bundle: Path, weights: Path | None = None, *, run_code: bool = False) -> BundledNetwork:
    """Build a bundle's network. ``weights`` is the file that is meant where it is not the usual one.

    ``run_code`` lets the bundle's expressions and scripts run; its folder is where they are looked for.

    Raises:
        ModelError: when something is missing, cannot be built, or is code that was not asked for.
    """
    files = bundle_files(bundle, weights)
    where = f"model.bundle: {files.config}"
    try:
        definition = network_parts(files.content, files.key)
        code = code_in(definition)
    except RecursionError as error:  # a YAML file can hold itself
        raise ModelError(f"{where}: the network's definition is nested too deeply to be read") from error
    if code is not None and not run_code:
        raise ModelError(
            f"{where}: the network's definition runs code of the bundle, {code}: read it, then say "
            "model.bundle_code: true, or build the network by a factory"
        )
    notes = [f"{', '.join(files.others)} of the bundle not loaded"] if files.others else []
    whole = dict(files.content) if code is not None else definition
    offline, would_download = without_downloads(whole)
    if would_download:
        notes.append("pretrained weights that the definition asks for not fetched: the bundle brings its own")
    named = {f"configs/{files.config.name}": files.config}
    if code is None:
        return BundledNetwork(_built(offline, files.key, where), files.weights, named, tuple(notes))
    with neighbours_importable(bundle.resolve()) as package:
        network = _built(offline, files.key, where)
        notes.append("built by code of the bundle, as model.bundle_code allows")
        return BundledNetwork(network, files.weights, {**named, **user_files(package)}, tuple(notes))


def build_network(definition: Mapping[str, Any]) -> nn.Module:
    """Build a network from its definition in MONAI's ``_target_`` syntax.

    Raises:
        ModelError: when it cannot be built or is not a network.
    """
    return _built({"network_def": dict(definition)}, "network_def", "the network definition")


def _built(definition: dict[str, Any], key: str, where: str) -> nn.Module:
    try:
        network = ConfigParser(definition).get_parsed_content(key)
    except (Exception, SystemExit) as error:  # whatever the network's constructor raises
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        lacking = re.search(r"No module named '(\w+)", str(cause))
        fault = f"it needs {lacking[1]}: install that" if lacking else " ".join(str(cause).split())[:200]
        raise ModelError(f"{where}: {key} cannot be built: {fault}") from error
    if not isinstance(network, nn.Module):
        raise ModelError(f"{where}: {key} is a {type(network).__name__}, not a network")
    return network
