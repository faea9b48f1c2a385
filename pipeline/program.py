"""What this program is: its version, and the digest of the sources that make a number."""

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["camaudit_version", "program_digest"]

_MAKE_NUMBERS = ("cam", "pipeline")


def camaudit_version() -> str:
    """Return the installed version, or ``source`` when run from a tree that is not installed."""
    try:
        return version("camaudit")
    except PackageNotFoundError:
        return "source"


def program_digest() -> str:
    """Return the SHA-256 of the sources that can change a number; after an edit, no earlier answer is this program's.

    Names of files count relative to their package, so that the same program at two places is the same.
    """
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for package in _MAKE_NUMBERS:
        for path in sorted((root / package).rglob("*.py")):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return digest.hexdigest()
