"""The digest of the code that makes a network what it is: another forward under the same weights is another model."""

import hashlib
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import nn

__all__ = ["PRIVATE_PACKAGE", "code_digest", "module_files"]

PRIVATE_PACKAGE = "camaudit_factory"
"""Begins the name under which a user's modules are loaded; a number follows, another for each load."""

_BY_VERSION = ("torch", "monai", "builtins")  # their versions are recorded


def code_digest(network: nn.Module, files: Mapping[str, Path]) -> str:
    """Return the SHA-256 of the files that define a network, by names that do not depend on where they lie.

    ``files`` are those of the factory or the bundle; the modules that the network's own classes come from are added.
    """
    classes = {type(module).__module__ for module in network.modules()}
    own = [name for name in classes if name.partition(".")[0] not in _BY_VERSION]
    by_plain_name = {re.sub(rf"^{PRIVATE_PACKAGE}_\d+\.", "", name): path for name, path in module_files(own).items()}
    everything = {**by_plain_name, **files}
    digest = hashlib.sha256()
    for name, path in sorted(everything.items()):
        digest.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def module_files(names: Iterable[str], prefix: str = "") -> dict[str, Path]:
    """Return the files of loaded modules by name, without ``prefix``; what has none (built in) is left out."""
    files = {}
    for name in names:
        path = getattr(sys.modules.get(name), "__file__", None)
        if path is not None and Path(path).is_file():
            files[name.removeprefix(prefix)] = Path(path)
    return files
