"""Our methods beside those of other packages.

``python -m tests.cam.methods.compared_page`` renews docs/methods-compared.md. Where ``CAMAUDIT_PEERS`` names a folder
of clones of the repositories, it first prints what each offers at its commit, and which of it has no row.
"""

import os
import tomllib
from pathlib import Path

from cam import METHODS
from tests.cam.methods.authors import clones, commit_of, names_in, text_of

DOCS = Path(__file__).parents[3] / "docs"
SOURCE, PAGE = DOCS / "methods-compared.toml", DOCS / "methods-compared.md"

HEAD = """# Methods of other packages

Every method of four packages that applies to images: what does the same here, or why nothing does. Made from
[methods-compared.toml](methods-compared.toml) by `python -m tests.cam.methods.compared_page`; a test holds it against
the registry, and against captum and zennit where they are installed. Names of pytorch-grad-cam and torchcam, which the
tests do not install, are read from clones: `CAMAUDIT_PEERS=folder python -m tests.cam.methods.compared_page` prints
what each offers at its commit, and which of it has no row here.
"""
AUTHORS = """## Beside the authors' own code

Run as it is, from clones at these commits, beside ours: `CAMAUDIT_PEERS=folder pytest
tests/cam/methods/test_authors_code.py`. LRP is held against zennit, DeepLIFT against captum, by the tests of every day.
Where the two differ, the method's [card](cards.md) says how.

| ours | code | commit | equal |
|---|---|---|---|
"""


def packages() -> list[dict]:
    return tomllib.loads(SOURCE.read_text(encoding="utf-8"))["package"]


def authors() -> list[dict]:
    return tomllib.loads(SOURCE.read_text(encoding="utf-8"))["authors"]


def offered(package) -> list[str]:
    """Return the maps that a clone of the package's repository offers, parts of them left out."""
    clone = clones() / package["repository"].rsplit("/", 1)[1]
    names = [name for file in package["files"] for name in names_in(text_of(clone, file))]
    return sorted(set(names) - set(package["parts"]))


def page() -> str:
    """Return the document: a table for each package, what is equal to the authors' code, and what is here alone."""
    parts = [HEAD]
    for package in packages():
        parts.append(f"## {package['name']} {package['version']}\n")
        if "commit" in package:
            files = ", ".join(f"`{file}`" for file in package["files"])
            parts.append(f"Read from {files} of {package['repository']} at {package['commit'][:12]}.\n")
        parts.append("| method | here | |\n|---|---|---|")
        parts += [_row(row) for row in package["rows"]]
        parts.append("")
    named = {name for package in packages() for row in package["rows"] for name in row.get("ours", ())}
    alone = [f"[`{name}`](methods.md#{name})" for name in METHODS if name not in named]
    parts.append(AUTHORS + "\n".join(map(_beside, authors())) + "\n")
    return "\n".join([*parts, f"## Here alone\n\n{', '.join(alone)}.\n"])


def _beside(row) -> str:
    code = f"{row['repository'].split('/', 3)[3]}: {row['code']}"
    return f"| [`{row['ours']}`](methods.md#{row['ours']}) | {code} | {row['commit'][:12]} | {row['equal']} |"


def _row(row) -> str:
    here = ", ".join(f"[`{name}`](methods.md#{name})" for name in row.get("ours", ())) or "no"
    return f"| {row['name']} | {here} | {row.get('note') or row.get('why') or ''} |"


def compare_with_clones() -> None:
    """Print what each clone offers at its commit, and which of it has no row."""
    for package in packages():
        if "repository" not in package:
            continue
        clone, rows = clones() / package["repository"].rsplit("/", 1)[1], {row["name"] for row in package["rows"]}
        names = offered(package)
        print(f"{package['name']} at {commit_of(clone)}: {', '.join(names)}")  # noqa: T201 - the program's output
        print(f"  without a row: {sorted(set(names) - rows)}; no longer offered: {sorted(rows - set(names))}")  # noqa: T201


if __name__ == "__main__":
    if "CAMAUDIT_PEERS" in os.environ:
        compare_with_clones()
    PAGE.write_text(page(), encoding="utf-8")
