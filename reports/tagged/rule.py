"""What a rule of the preflight looks at: the file as a whole, each of its objects, or each branch of its structure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pikepdf

from reports.pdf_objects.file_reader import FileReader
from reports.tagged.tree import Node, Tree

__all__ = ["BranchRule", "FileRule", "ObjectRule", "Rule"]


@dataclass(frozen=True)
class FileRule:
    """Looks at a file and its whole structure; yields what is wrong, a line each."""

    faults: Callable[[FileReader, Tree], Iterator[str]]


@dataclass(frozen=True)
class ObjectRule:
    """Looks at one object of the file, and keeps nothing of it."""

    faults: Callable[[pikepdf.Object, FileReader], Iterator[str]]


@dataclass(frozen=True)
class BranchRule:
    """Looks at some elements that belong together, and what is known of the structure so far: all pages' marks."""

    faults: Callable[[Sequence[Node], Tree], Iterator[str]]


Rule = FileRule | ObjectRule | BranchRule
"""Any of them."""
