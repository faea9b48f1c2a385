"""Each example of the gallery runs, and what it claims in its own assertions holds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

GALLERY = Path(__file__).resolve().parents[2] / "docs" / "gallery"
QUICK = {"plot_one_formula.py", "plot_radiograph.py"}
"""The others train for longer; `make docs` runs them all, and the slow tests."""
EXAMPLES = [
    pytest.param(path.name, marks=() if path.name in QUICK else pytest.mark.slow)
    for path in sorted(GALLERY.glob("plot_*.py"))
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_and_what_it_claims_holds(name, tmp_path):
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(GALLERY.parents[1]), str(GALLERY)]),
        "CAMAUDIT_STATE": str(tmp_path / "state"),
        "TMPDIR": str(tmp_path),
    }
    assert "\nassert " in (GALLERY / name).read_text(encoding="utf-8")
    command = [sys.executable, str(GALLERY / name)]
    ran = subprocess.run(command, cwd=GALLERY, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
