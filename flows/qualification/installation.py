"""What is installed here: versions, and the hash of every file of our packages."""

import hashlib
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from pipeline.findings.custody.recorded_files import digest_of_file
from pipeline.findings.signed.qualification import Installation
from pipeline.program import LIBRARIES, camaudit_version, program_digest

__all__ = ["installation"]

_PACKAGES = ("cam", "pipeline", "reports", "flows", "camaudit")
_BESIDE = ("reportlab", "pikepdf", "matplotlib", "prefect", "pyarrow", "cryptography", "pyHanko")


def installation() -> Installation:
    """Return what is installed; a library that is not there is left out."""
    root = Path(__file__).resolve().parents[2]
    files = {path.relative_to(root).as_posix(): digest_of_file(path) for path in _files(root)}
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no CUDA device"
    return Installation(
        camaudit=camaudit_version(),
        program=program_digest(),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        device=device,
        libraries=dict(_versions()),
        packages={name: _listed(files, name) for name in _PACKAGES},
        files=files,
    )


def _files(root: Path) -> Iterator[Path]:
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def _listed(files: dict[str, str], package: str) -> str:
    lines = (f"{sha256}  {name}\n" for name, sha256 in sorted(files.items()) if name.startswith(f"{package}/"))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _versions() -> Iterator[tuple[str, str]]:
    for name in (*LIBRARIES, *_BESIDE):
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
