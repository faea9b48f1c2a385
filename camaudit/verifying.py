"""Runs and reports held against themselves, without model and archive."""

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import OutputError
from pipeline.extras import advised

if TYPE_CHECKING:
    from pipeline.verify.failure import Verification

__all__ = ["verify"]


def verify(path: str | Path, *, key: str | None = None, trust: str | Path | None = None) -> "Verification":
    """Verify the folder of a run, or a report that lies alone; nothing failed where ``failures`` is empty.

    ``key`` is the fingerprint of the key that must have signed; without it, any key that signed all of the ledger.
    ``trust`` is a file with certificates (PEM), of which one must stand above each signature of the report.

    Raises:
        AuditError: when the path is neither, or ``key`` no fingerprint.
    """
    with advised("camaudit.verify"):
        from flows.commands.verify import verified

    where = Path(path)
    if not where.exists():
        raise OutputError(f"path: {where} does not exist; give the folder of a run, or a report")
    return verified(where, key, trust=None if trust is None else Path(trust))
