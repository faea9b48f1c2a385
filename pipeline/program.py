"""What this program is: its version and revision, the libraries below it, and the digest of what makes a number."""

import hashlib
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipeline.extensions import extensions_digest

__all__ = ["LIBRARIES", "camaudit_version", "library_versions", "program_digest", "program_revision"]

LIBRARIES = ("torch", "monai", "numpy", "scipy", "scikit-image", "pydicom", "highdicom", "nibabel", "pynrrd")
"""The libraries whose versions can change a number."""

_MAKE_NUMBERS = ("cam", "pipeline")


def camaudit_version() -> str:
    """Return the installed version, or ``source`` when run from a tree that is not installed."""
    try:
        return version("camaudit")
    except PackageNotFoundError:
        return "source"


def program_revision() -> str | None:
    """Return the source's revision as ``git describe`` tells it, ``-dirty`` behind it after an edit; None without git.

    Only a repository whose top is this program's own folder counts: an installed copy may lie below somebody else's.
    """
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--tags", "--abbrev=40"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None


def library_versions(names: Sequence[str] = LIBRARIES) -> dict[str, str]:
    """Return the installed version of each library."""
    return {name: version(name) for name in names}


def program_digest() -> str:
    """Return the SHA-256 of the sources that can change a number; after an edit, no earlier answer is this program's.

    Names of files count relative to their package, so that the same program at two places is the same. Installed
    packages that extend what makes a number are part of it.
    """
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for package in _MAKE_NUMBERS:
        for path in sorted((root / package).rglob("*.py")):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    extensions = extensions_digest()
    if extensions is not None:
        digest.update(f"{extensions}\n".encode())
    return digest.hexdigest()
