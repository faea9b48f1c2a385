"""What every test stands on: one thread, and the shared folder of real studies where there is one."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


# the site's key and the register of looks are the user's: tests have their own, each process of pytest-xdist too
os.environ["CAMAUDIT_STATE"] = tempfile.mkdtemp(prefix="camaudit-state-")
atexit.register(shutil.rmtree, os.environ["CAMAUDIT_STATE"], ignore_errors=True)


@pytest.fixture(autouse=True, scope="module")
def _register_of_the_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let no fixture that several tests share see what other modules have looked at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAMAUDIT_REGISTER", str(tmp_path_factory.mktemp("register", numbered=True)))
        yield


@pytest.fixture(autouse=True)
def _own_register(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test see what another has looked at."""
    monkeypatch.setenv("CAMAUDIT_REGISTER", str(tmp_path_factory.mktemp("register", numbered=True)))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Let weights that a test leaves to chance be the same in every order of the tests."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real studies: CAMAUDIT_DATA, or shared/data beside the repository."""
    folder = Path(os.environ.get("CAMAUDIT_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("no folder of real studies: set CAMAUDIT_DATA")
    return folder
