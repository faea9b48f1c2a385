"""A run is sound on another kind of processor than the one that computed it, which rounds in another way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from numpy._core import _multiarray_umath as umath

from pipeline.runs.verify_archive import _is_measured_alike
from pipeline.verify.conclusions import first_difference, is_the_same
from tests.pipeline.planted import plant

ROOT = Path(__file__).parents[3]
USED = [name for name in umath.__cpu_dispatch__ if umath.__cpu_features__.get(name)]
NEWER = [name for name in USED if name.endswith(("V4", "ICL", "SPR"))]

# what NumPy and OpenBLAS take another processor for: a product and a sum are then rounded in another order
OLD = {"NPY_DISABLE_CPU_FEATURES": " ".join(USED), "OPENBLAS_CORETYPE": "Nehalem"}
MIDDLE = {"NPY_DISABLE_CPU_FEATURES": " ".join(NEWER), "OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "2"}


def camaudit(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "flows", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Yield a finished run that has subgroups, curves, lesions' trends and intervals by bootstrap, and its state."""
    folder = tmp_path_factory.mktemp("processors")
    state = {"CAMAUDIT_STATE": str(folder / "state"), "CAMAUDIT_REGISTER": str(folder / "register")}
    config = plant(folder / "hospital", 24, run={"device": "cpu", "replicates": 200, "shard_size": 8})
    done = camaudit("run", config, "--quiet", "--set", "run.engine=local", **state)
    assert done.returncode == 0, done.stderr
    return next((folder / "hospital" / "runs").glob("*/*/results.json")).parent, state


@pytest.mark.parametrize("processor", [OLD, MIDDLE], ids=["old", "middle"])
def test_a_run_is_sound_on_another_processor(finished, processor):
    run, state = finished
    done = camaudit("verify", run, "--deep", "--recompute", 2, **state, **processor)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("then", "now", "alike"),
    [
        (0.3, 0.3 * (1 + 1e-12), True),
        (0.3, 0.3 * (1 + 1e-8), False),
        (1e7, 1e7 + 1e-3, True),
        (1e7, 1e7 + 1.0, False),
        (0.0, -1e-14, True),
        (0.0, 1e-9, False),
        (1.0, 1, False),
        (3, 4, False),
        (True, 1, False),
        ("MET", "NOT MET", False),
        (None, 0.0, False),
    ],
)
def test_what_a_run_concludes_is_the_same_but_for_rounding(then, now, alike):
    assert is_the_same(then, now) is alike
    assert first_difference({"a": [0.5, {"b": then}]}, {"a": [0.5, {"b": now}]}) == (None if alike else "a.1.b")


@pytest.mark.parametrize(
    ("then", "now", "alike"),
    [
        (0.3, 0.30002, True),
        (0.3, 0.30004, False),
        (0.0, 1e-9, True),
        (0.0, 1e-6, False),
        (1, 2, False),
        (9_999, 10_000, False),
        (50_000, 50_005, True),
        (50_000, 50_006, False),
        (True, False, False),
        (0, False, False),
        ("body", "surface", False),
        (0.5, None, False),
    ],
)
def test_what_is_measured_again_may_differ_by_a_voxel_on_the_threshold(then, now, alike):
    assert _is_measured_alike(then, now) is alike
