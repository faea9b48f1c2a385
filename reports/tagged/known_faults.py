"""Faults that are put into a page on purpose, so that an installation shows that its preflight names them."""

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType

import pikepdf

from reports.tagged.preflight import preflight

__all__ = ["KNOWN_FAULTS", "named_fault"]


def _without_metadata(pdf: pikepdf.Pdf) -> None:
    del pdf.Root.Metadata


def _with_script(pdf: pikepdf.Pdf) -> None:
    pdf.Root.OpenAction = pdf.make_indirect(pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS="1"))


def _without_structure(pdf: pikepdf.Pdf) -> None:
    del pdf.Root.StructTreeRoot


KNOWN_FAULTS: Mapping[str, Callable[[pikepdf.Pdf], None]] = MappingProxyType({
    "metadata": _without_metadata, "actions": _with_script, "tree": _without_structure,
})  # fmt: skip
"""What puts a fault into a file, by the rule that it breaks."""


def named_fault(content: bytes, rule: str | None) -> str:
    """Return the rule that the preflight names after a fault was put in; None: none is put in.

    Of several it is the wanted one, else the first; 'no fault' where none is named.
    """
    with pikepdf.open(io.BytesIO(content)) as pdf:
        if rule is not None:
            KNOWN_FAULTS[rule](pdf)
        named = [fault.rule for fault in preflight(pdf)]
    return rule if rule in named and rule is not None else next(iter(named), "no fault")
