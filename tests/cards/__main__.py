"""``python -m tests.cards [--write]``: print the cards and the table of heads, or write them to ``docs``."""

import sys
from pathlib import Path

import torch

from tests.cards.costs import table
from tests.cards.document import cards_document, heads_document, seen_behind

DOCS = Path(__file__).resolve().parents[2] / "docs"


def main() -> None:
    """Print the documents, or write them."""
    torch.set_num_threads(1)
    behind = seen_behind()
    documents = {"cards.md": cards_document(behind, table()), "one-formula.md": heads_document(behind)}
    for name, text in documents.items():
        if "--write" in sys.argv[1:]:
            (DOCS / name).write_text(text, encoding="utf-8")
        else:
            sys.stdout.write(text)


if __name__ == "__main__":
    main()
