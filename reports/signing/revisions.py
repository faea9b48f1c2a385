"""A file's revisions: where the unsigned report ends, and what has been changed since besides signatures."""

from typing import Any

__all__ = ["changed_since", "end_of_first_revision"]

_END = b"%%EOF"


def end_of_first_revision(content: bytes, reader: Any) -> int:  # noqa: ANN401
    """Return how many bytes of a file are its first revision, as it was written before anybody added to it.

    Raises:
        ValueError: when no end can be found.
    """
    start = reader.xrefs.get_startxref_for_revision(0)
    table = content.index(b"startxref", start)
    end = content.index(_END, table) + len(_END)
    for line_end in (b"\r\n", b"\n", b"\r"):
        if content.startswith(line_end, end):
            return end + len(line_end)
    return end


def changed_since(reader: Any, revision: int = 0) -> str:  # noqa: ANN401
    """Return in half a sentence what was changed after a revision that is more than a signature; empty where nothing.

    The first signature also adds ``/Perms`` to the catalog: that only signatures may follow.
    """
    from pyhanko.sign.diff_analysis import ModificationLevel, SuspiciousModification

    if reader.xrefs.total_revisions <= revision + 1:
        return ""
    try:
        result = _policy().review_file(reader, revision)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "it was changed in a way that cannot be followed"
    if isinstance(result, SuspiciousModification):
        return "pages, attachments or the catalog were changed in an update"
    if result.modification_level > ModificationLevel.FORM_FILLING:
        return "it was annotated or changed in an update"
    return ""


def _policy() -> Any:  # noqa: ANN401
    """Return what may follow the unsigned report: signatures in its own boxes, and what makes them last longer.

    No new field: its appearance could stand anywhere on a page.
    """
    from pyhanko.sign import diff_analysis as diff
    from pyhanko.sign.diff_analysis.constants import ACROFORM_EXEMPT_STRICT_COMPARISON, ROOT_EXEMPT_STRICT_COMPARISON

    beside = (
        diff.DocInfoRule(),
        diff.XrefStreamRule(),
        diff.ObjectStreamRule(),
        diff.DSSCompareRule(),
        diff.MetadataUpdateRule(),
    )
    return diff.StandardDiffPolicy(
        global_rules=[
            diff.CatalogModificationRule(ROOT_EXEMPT_STRICT_COMPARISON | {"/Perms"}),
            *(rule.as_qualified(diff.ModificationLevel.LTA_UPDATES) for rule in beside),
        ],
        form_rule=diff.FormUpdatingRule(
            field_rules=[diff.SigFieldModificationRule(), diff.GenericFieldModificationRule()],
            ignored_acroform_keys=ACROFORM_EXEMPT_STRICT_COMPARISON | {"/SigFlags"},
        ),
    )
