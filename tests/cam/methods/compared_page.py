"""Our methods beside those of other packages.

``python -m tests.cam.methods.compared_page`` renews docs/methods-compared.md.
"""

import tomllib
from pathlib import Path

from cam import METHODS

DOCS = Path(__file__).parents[3] / "docs"
SOURCE, PAGE = DOCS / "methods-compared.toml", DOCS / "methods-compared.md"

HEAD = """# Methods of other packages

Every method of four packages that applies to images: what does the same here, or why nothing does. Made from
[methods-compared.toml](methods-compared.toml) by `python -m tests.cam.methods.compared_page`; a test holds it against
the registry, and against captum and zennit where they are installed. Read by hand from the packages' sources:
pytorch-grad-cam and torchcam, which the tests do not install.
"""


def packages() -> list[dict]:
    return tomllib.loads(SOURCE.read_text(encoding="utf-8"))["package"]


def page() -> str:
    """Return the document: a table for each package, and what is here alone."""
    parts = [HEAD]
    for package in packages():
        parts.append(f"## {package['name']} {package['version']}\n\n| method | here | |\n|---|---|---|")
        parts += [_row(row) for row in package["rows"]]
        parts.append("")
    named = {name for package in packages() for row in package["rows"] for name in row.get("ours", ())}
    alone = [f"[`{name}`](methods.md#{name})" for name in METHODS if name not in named]
    return "\n".join([*parts, f"## Here alone\n\n{', '.join(alone)}.\n"])


def _row(row) -> str:
    here = ", ".join(f"[`{name}`](methods.md#{name})" for name in row.get("ours", ())) or "no"
    return f"| {row['name']} | {here} | {row.get('note') or row.get('why') or ''} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
