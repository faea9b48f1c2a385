"""Tokens (PKCS#11) that last as long as a test, by SoftHSM where that is installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "1234"


def made_token(label, folder, monkeypatch, key=None):
    """Return PKCS#11's library with a new token; ``key`` (a file, a name) lies on it. Skip where nothing makes one."""
    pkcs11 = pytest.importorskip("pkcs11")
    if shutil.which("softhsm2-util") is None or not MODULE.exists():
        pytest.skip("SoftHSM is not installed")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
    _softhsm("--init-token", "--free", "--label", label, "--so-pin", PIN)
    if key is not None:
        file, name = key
        _softhsm("--import", str(file), "--token", label, "--label", name, "--id", "A1")
    library = pkcs11.lib(str(MODULE))
    library.reinitialize()
    return library


def _softhsm(*arguments):
    subprocess.run(["softhsm2-util", *arguments, "--pin", PIN], check=True, capture_output=True)
