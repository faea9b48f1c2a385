"""Clones of the repositories that methods come from: what is in them, and their code to hold maps against.

``CAMAUDIT_PEERS`` names a folder of clones, each under its repository's own name; nothing is fetched here. Code is
taken from the commit that a clone stands at, and what it imports without need is put there empty.
"""

import ast
import importlib.machinery
import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from types import ModuleType

import pytest


def clones() -> Path:
    """Return the folder of clones.

    Raises:
        pytest.skip.Exception: when there is none.
    """
    if "CAMAUDIT_PEERS" not in os.environ:
        pytest.skip("no clones of the authors' repositories: set CAMAUDIT_PEERS")
    return Path(os.environ["CAMAUDIT_PEERS"])


def git(clone: Path, *command: str) -> bytes:
    return subprocess.run(["git", "-C", str(clone), *command], check=True, capture_output=True).stdout


def commit_of(clone: Path) -> str:
    return git(clone, "rev-parse", "HEAD").decode().strip()


def text_of(clone: Path, path: str) -> str:
    return git(clone, "show", f"HEAD:{path}").decode()


def names_in(source: str) -> list[str]:
    """Return what a module offers: ``__all__`` where it says so, else the public names that it imports from others."""
    offered, imported = [], []
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            offered += ast.literal_eval(node.value)
        if isinstance(node, ast.ImportFrom):
            imported += [alias.asname or alias.name for alias in node.names]
    return offered or [name for name in imported if name[:1].isupper()]


def unpacked(name: str, package: str, folder: Path, monkeypatch) -> None:
    """Let ``package`` of a clone be imported while the test runs."""
    with tarfile.open(fileobj=BytesIO(git(clones() / name, "archive", "HEAD", package))) as archive:
        archive.extractall(folder, filter="data")
    monkeypatch.syspath_prepend(str(folder))


def without(monkeypatch, *names: str) -> None:
    """Put modules there whose every name is an empty class."""
    for name in names:
        empty = _Empty(name)
        empty.__path__, empty.__spec__ = [], importlib.machinery.ModuleSpec(name, None, is_package=True)
        monkeypatch.setitem(sys.modules, name, empty)
        if "." in name:
            parent, child = name.rsplit(".", 1)
            monkeypatch.setattr(sys.modules[parent], child, empty, raising=False)


class _Empty(ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        made = type(name, (), {"__init__": lambda _self, *_given, **_named: None})
        setattr(self, name, made)
        return made


def forget(*packages: str) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] in packages]:
        del sys.modules[name]
