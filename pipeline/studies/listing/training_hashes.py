"""A list of the hashes of the files that a model was trained on: read, and refused where it is none."""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import ConfigError

__all__ = ["TrainingHashes", "read_training_hashes"]

_HASH = re.compile(r"\\?([0-9a-fA-F]{64})(?:\s.*)?")
"""A line as ``sha256sum`` writes it; what follows the hash may be anybody's name, and is not kept."""


@dataclass(frozen=True)
class TrainingHashes:
    """The hashes (SHA-256, hex, lower case) and that of the list itself."""

    hashes: frozenset[str] = field(repr=False)
    list_sha256: str


def read_training_hashes(path: Path) -> TrainingHashes:
    """Read a list, one hash a line; empty lines and lines that begin with # count for nothing.

    Raises:
        ConfigError: when the file cannot be read, holds no hash, or a line is none; the line is not quoted.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    hashes = set()
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _HASH.fullmatch(line.strip())
        if match is None:
            raise ConfigError(f"{path}: line {number} does not begin with a SHA-256 of 64 hex digits")
        hashes.add(match[1].lower())
    if not hashes:
        raise ConfigError(f"{path}: holds no hash; write the SHA-256 of each training file, one a line")
    return TrainingHashes(frozenset(hashes), hashlib.sha256(content).hexdigest())
