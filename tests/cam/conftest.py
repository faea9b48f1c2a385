"""What the tests of ``cam`` share."""

import importlib
import sys
from types import ModuleType

import pytest
from torch import nn


@pytest.fixture
def zennit(monkeypatch):
    """Give a module of zennit by its name: an oracle of the tests alone, skipped where it is not installed.

    It loads a few classes of torchvision that nothing here needs, and that are put there for as long as the test runs.
    """
    for name in ("torchvision", "torchvision.models", "torchvision.models.resnet", "torchvision.models.vgg"):
        stub = ModuleType(name)
        stub.BasicBlock = stub.Bottleneck = stub.ResNet = stub.VGG = type("Absent", (nn.Module,), {})
        monkeypatch.setitem(sys.modules, name, stub)
    pytest.importorskip("zennit", reason="zennit is an oracle of the tests alone")
    yield lambda name: importlib.import_module(f"zennit.{name}")
    for name in [name for name in sys.modules if name.split(".")[0] == "zennit"]:
        monkeypatch.delitem(sys.modules, name)
