"""The version is the tag's: what `git` knows of a commit, and what is said where there is no git."""

import os
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import camaudit
from pipeline.program import camaudit_version

ROOT = Path(__file__).resolve().parents[2]
AS_SOMEBODY = {f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@pytest.fixture
def sources(tmp_path):
    """Return a repository of one commit that says of its version what this one says, and no tag."""
    pytest.importorskip("setuptools_scm", reason="setuptools-scm is not installed: extra dev")
    folder = tmp_path / "sources"
    folder.mkdir()
    for name in ("pyproject.toml", ".git_archival.txt", ".gitattributes"):
        shutil.copy(ROOT / name, folder)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "first")
    return folder


def git(folder, *arguments):
    environment = os.environ | AS_SOMEBODY | {"GIT_CONFIG_GLOBAL": os.devnull}
    return subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True)


def built_version(folder, **environment):
    """Return the version that a wheel built in a folder would have."""
    command = [sys.executable, "-m", "setuptools_scm"]
    environment = os.environ | environment
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_commit_has_one_version(sources):
    assert built_version(sources) == "0.1.dev1"  # before any tag: no date, no hash
    git(sources, "tag", "--annotate", "v0.1.0", "--message", "v0.1.0")
    assert built_version(sources) == "0.1.0"
    git(sources, "commit", "--quiet", "--allow-empty", "--message", "second")
    git(sources, "tag", "data-of-2026")  # names no version
    assert built_version(sources) == "0.1.1.dev1"


def test_sources_without_git_know_it_from_their_archive_or_are_told(sources, tmp_path):
    git(sources, "tag", "v0.1.0")
    git(sources, "archive", "--output", str(tmp_path / "archive.tar"), "HEAD")
    shutil.unpack_archive(tmp_path / "archive.tar", tmp_path / "archive")
    assert built_version(tmp_path / "archive") == "0.1.0"
    shutil.rmtree(sources / ".git")
    assert built_version(sources) == "0.0"
    assert (
        built_version(sources, SETUPTOOLS_SCM_PRETEND_VERSION_FOR_CAMAUDIT="") == "0.0"
    )  # as the image's build leaves it
    assert built_version(sources, SETUPTOOLS_SCM_PRETEND_VERSION_FOR_CAMAUDIT="0.3.0") == "0.3.0"


def test_a_machine_without_git_installs(sources):
    assert built_version(sources, PATH=os.devnull) == "0.0"


def test_what_is_installed_is_what_is_said():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" not in project
    assert camaudit.__version__ == camaudit_version() == version("camaudit")
