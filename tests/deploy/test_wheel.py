"""The wheel, installed by itself and used far from this repository: an audit from its files to its verification."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.pipeline.planted import plant

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("cam", "camaudit", "flows", "pipeline", "reports")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel from a copy of what git knows, and of what is new."""
    copy = tmp_path_factory.mktemp("source") / "camaudit"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if not name.startswith("tests/") and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    build = "from setuptools import build_meta; print(build_meta.build_wheel('..'))"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, stdout=subprocess.DEVNULL)
    return next(copy.parent.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Return the programs of an environment that has the wheel, and all that it needs from this one's libraries."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    libraries = folder / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(libraries)
    # a folder named in a .pth file is looked at last, and its own .pth files are not: no editable install of this tree
    (libraries / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder / "bin"


def used(programs, folder, *command, **environment):
    """Run a command of the wheel outside the repository."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [programs / "python", "-P", *command],
        cwd=folder,
        env=clean | {"CAMAUDIT_STATE": str(folder / "state")} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_holds_the_packages_and_no_test(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if name.endswith(".py")} == set(PACKAGES)
    for folder in PACKAGES:
        own = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*.py")}
        assert own <= set(names), own - set(names)


def test_an_audit_is_run_reported_and_verified(installed, tmp_path):
    config = plant(tmp_path / "hospital", 6, run={"device": "cpu", "replicates": 200, "shard_size": 3})
    lines = "".join(f"import {name}; print({name}.__file__); " for name in PACKAGES)
    places = used(installed, tmp_path, "-c", lines)
    assert places.returncode == 0, places.stderr
    assert all(line.startswith(str(installed.parent)) for line in places.stdout.split())
    run = used(installed, tmp_path, "-m", "flows", "run", str(config), "--set", "run.engine=local", "--quiet")
    assert run.returncode == 0, run.stderr
    (folder,) = (tmp_path / "hospital" / "runs" / "planted").glob("2*")
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")
    verified = used(installed, tmp_path, "-m", "flows", "verify", str(folder))
    assert verified.returncode == 0, verified.stdout + verified.stderr
