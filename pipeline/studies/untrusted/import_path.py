"""Where Python may import from while it works on files that nobody vouches for: never from the folder that holds them.

A ``gzip.py`` among the files of an archive would otherwise be run in place of Python's own.
"""

from collections.abc import Sequence
from pathlib import Path

__all__ = ["import_path"]

_OWN_FOLDER = Path(__file__).resolve().parents[3]


def import_path(entries: Sequence[str], own_folder: Path = _OWN_FOLDER) -> list[str]:
    """Return the entries of an import path that do not depend on the working folder.

    Relative ones are left out, and so is the working folder itself, unless it is ``own_folder``, which this package
    lies in: whoever works on the source runs it from there.
    """
    if _is_working_folder(own_folder):
        return [entry or str(own_folder) for entry in entries]
    return [entry for entry in entries if Path(entry).is_absolute() and not _is_working_folder(Path(entry))]


def _is_working_folder(folder: Path) -> bool:
    try:
        return folder.samefile(".")
    except OSError:  # it is not there, as some entries are not
        return False
