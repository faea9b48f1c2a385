"""Where camaudit keeps what outlives a run and belongs to the user: the site's key, the register."""

import os
from pathlib import Path

from pipeline.errors import OutputError

__all__ = ["STATE_VARIABLE", "named_folder", "private_folder", "state_folder"]

STATE_VARIABLE = "CAMAUDIT_STATE"


def state_folder() -> Path:
    """Return the user's state folder, whether it is there or not.

    It is what ``CAMAUDIT_STATE`` names, else ``$XDG_STATE_HOME/camaudit``, else ``~/.local/state/camaudit``.

    Raises:
        OutputError: when there is no home folder, or ``CAMAUDIT_STATE`` is not an absolute path.
    """
    given = named_folder(STATE_VARIABLE)
    if given is not None:
        return given
    shared = os.environ.get("XDG_STATE_HOME", "")
    if Path(shared).is_absolute():  # the XDG specification: a relative path is to be ignored
        return Path(shared) / "camaudit"
    home = _home()
    if home is None:
        raise OutputError(f"the user has no home folder to keep the site's key in; set {STATE_VARIABLE} to a folder")
    return home / ".local" / "state" / "camaudit"


def named_folder(variable: str) -> Path | None:
    """Return the folder that an environment variable names, or None where it is unset or empty.

    Raises:
        OutputError: for a relative path, which would be another folder wherever a command is started.
    """
    given = os.environ.get(variable, "")
    if given and not Path(given).is_absolute():
        raise OutputError(f"{variable}: must be an absolute path, not {given!r}")
    return Path(given) if given else None


def private_folder(folder: Path, variable: str) -> Path:
    """Make a folder that is the user's alone (mode 0700) where it is absent, and return it.

    Raises:
        OutputError: when it cannot be made; names the variable that chooses another.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be made: {error.strerror}; set {variable} to a folder that you can write"
        ) from error
    return folder


def _home() -> Path | None:
    if os.environ.get("HOME") == "":
        return None  # ``Path.home()`` would be the root of the file system
    try:
        return Path.home()
    except RuntimeError:
        return None
