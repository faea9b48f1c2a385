"""The benchmark for a CUDA device runs, as far as a pretended one can tell, before anyone has a device."""

import os
import subprocess
import sys
from pathlib import Path

from tests.benchmarks import gpu
from tests.benchmarks.gpu import NO_DEVICE, Size, document, maps
from tests.device.pretended import pretended_cuda
from tests.device.test_methods import network

ROOT = Path(__file__).resolve().parents[2]


def test_the_tables_have_a_row_for_each_method(monkeypatch):
    monkeypatch.setattr(gpu, "LAYER", "3")
    monkeypatch.setattr(gpu, "network", lambda axes: network(axes).to("cuda"))
    monkeypatch.setitem(gpu.METHODS, "scorecam", {"max_channels": 2})
    with pretended_cuda() as meter:
        page = document(Size(image_2d=(1, 12), image_3d=(1, 12), repeats=1), [maps])
        assert not meter.faults
    assert "pretended CUDA device" in page
    for axes in ("2D", "3D"):
        assert page.count(f"| {axes} | ") == 9
    assert "Error" not in page


def test_without_a_device_nothing_is_measured():
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    command = [sys.executable, "-m", "tests.benchmarks.gpu"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert NO_DEVICE in ended.stderr
