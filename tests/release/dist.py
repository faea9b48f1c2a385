"""``python -m tests.release.dist FOLDER [VERSION]``: whether what was built is what is to be released.

One wheel and one source distribution of one version, that of the tag where one is named; a changelog that speaks of it.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.release.notes import CHANGELOG, release_notes


def built_versions(folder: Path) -> list[str]:
    """Return the versions of the wheel and of the source distribution in a folder.

    Raises:
        ValueError: there is not exactly one of each.
    """
    names = sorted(path.name for path in folder.iterdir())
    kinds = (r"camaudit-([^-]+)-py3-none-any\.whl", r"camaudit-([^-]+)\.tar\.gz")
    versions = [[match[1] for name in names if (match := re.fullmatch(kind, name))] for kind in kinds]
    if any(len(each) != 1 for each in versions):
        raise ValueError(f"FOLDER must hold one wheel and one source distribution of camaudit, not {names}")
    return [each[0] for each in versions]


def check(folder: Path, version: str, changelog: str) -> str:
    """Return the version that is to be released; any, where none is named.

    Raises:
        ValueError: a file is of another version, or the changelog says nothing of it.
    """
    wheel, source = built_versions(folder)
    if wheel != source or version not in ("", wheel):
        asked = f", and {version} is to be released; is the tag at this commit, and is everything committed?"
        raise ValueError(f"the wheel is of {wheel}, the source distribution of {source}{asked if version else ''}")
    if version:
        release_notes(changelog, version)
    return wheel


def main(arguments: Sequence[str]) -> str | None:
    """Print the version; return what is wrong, for the shell."""
    folder, version = Path(arguments[0]), "".join(arguments[1:]).removeprefix("v")
    try:
        built = check(folder, version, CHANGELOG.read_text(encoding="utf-8"))
        sys.stdout.write(f"camaudit {built} in {folder}\n")
    except ValueError as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
