"""What it takes to write a section of the report: its declaration, what it may read, and what it is made of.

A package offers its section, a ``Section``, by the entry point group ``camaudit.sections``.
"""

from reports.page.layout import Flowable, bullets, columns, facts, note, paragraph, subheading, table
from reports.registry import Context, Section

__all__ = [
    "Context",
    "Flowable",
    "Section",
    "bullets",
    "columns",
    "facts",
    "note",
    "paragraph",
    "subheading",
    "table",
]
