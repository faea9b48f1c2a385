"""Files of an archive that are called as modules: the commands are run inside their folder, and run none of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.planted import plant

ROOT = Path(__file__).resolve().parents[2]
NAMES = (
    "gzip",
    "pickle",
    "signal",
    "struct",
    "numpy",
    "pydicom",
    "pipeline",
    "flows",
    "cam",
    "uvicorn",
    "sitecustomize",
)


@pytest.fixture
def archive(tmp_path):
    """Return a small archive with its audit beside modules that leave a mark when they are run."""
    config = plant(tmp_path / "archive", 3)
    for name in NAMES:
        text = f"from pathlib import Path\nPath({str(tmp_path / 'marks')!r}, {name!r}).touch()\n"
        config.with_name(f"{name}.py").write_text(text)
    (tmp_path / "marks").mkdir()
    return config.parent


PROGRAM = "import sys; from flows.cli import main; sys.argv[0] = 'camaudit'; main()"


def run_inside(archive, *options, **environment):
    """Run Python with options in the folder; return its result and which modules of the folder ran."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    settings = kept | {"PYTHONPATH": str(ROOT)} | environment
    command = [sys.executable, *options]
    done = subprocess.run(command, cwd=archive, env=settings, capture_output=True, text=True, check=False)
    return done, sorted(path.name for path in (archive.parent / "marks").iterdir())


def test_the_marks_are_real(archive):
    """Without protection one of them runs."""
    assert run_inside(archive, "-c", PROGRAM, "--help")[1]


def test_a_scan_runs_nothing_of_the_folder(archive):
    done, marks = run_inside(archive, "-P", "-c", PROGRAM, "scan", ".", "--workers", "2")
    assert (done.returncode, marks) == (0, []), done.stderr


def test_a_run_runs_nothing_of_the_folder_but_its_factory(archive, prefect):
    from prefect.settings import PREFECT_API_URL

    address = PREFECT_API_URL.value()
    done, marks = run_inside(archive, "-P", "-c", PROGRAM, "run", "audit.yaml", PREFECT_API_URL=address)
    assert (done.returncode, marks) == (0, []), done.stderr


def test_a_server_that_a_command_starts_runs_nothing_of_the_folder(archive, camaudit, monkeypatch):
    """Prefect starts it as ``python -m uvicorn``."""
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    assert run_inside(archive, "-m", "uvicorn", "--version")[1]
    for mark in (archive.parent / "marks").iterdir():
        mark.unlink()
    camaudit("schema")
    done, marks = run_inside(archive, "-m", "uvicorn", "--version", PYTHONSAFEPATH=os.environ["PYTHONSAFEPATH"])
    assert (done.returncode, marks) == (0, []), done.stderr
