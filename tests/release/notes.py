"""``python -m tests.release.notes VERSION``: what CHANGELOG.md says of one version, as the text of its release.

``Unreleased`` is a version here too. Needs nothing but Python.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

CHANGELOG = Path(__file__).resolve().parents[2] / "CHANGELOG.md"
_HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<day>\d{4}-\d\d-\d\d))?$", re.MULTILINE)


def versions(text: str) -> list[str]:
    """Return the versions that a changelog has, as it lists them."""
    return [heading["version"] for heading in _HEADING.finditer(text)]


def release_notes(text: str, version: str) -> str:
    """Return what a changelog says of a version, without its heading.

    Raises:
        ValueError: the changelog has no such version, or says nothing of it.
    """
    headings = list(_HEADING.finditer(text))
    place = next((number for number, heading in enumerate(headings) if heading["version"] == version), None)
    if place is None:
        known = ", ".join(heading["version"] for heading in headings)
        raise ValueError(
            f"VERSION: CHANGELOG.md has {known}, not {version!r}; give it a heading '## [{version}] - DAY'"
        )
    end = headings[place + 1].start() if place + 1 < len(headings) else len(text)
    notes = re.sub(r"^\[[^\]]+\]: \S+$", "", text[headings[place].end() : end], flags=re.MULTILINE).strip()
    if not notes:
        raise ValueError(f"VERSION: CHANGELOG.md says nothing of {version!r}; write what changed below its heading")
    return notes + "\n"


def main(arguments: Sequence[str]) -> str | None:
    """Print the notes; return what is wrong, for the shell."""
    if len(arguments) != 1:
        return "make release-notes: name one version, as in make release-notes VERSION=0.1.0"
    try:
        sys.stdout.write(release_notes(CHANGELOG.read_text(encoding="utf-8"), arguments[0].removeprefix("v")))
    except ValueError as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
