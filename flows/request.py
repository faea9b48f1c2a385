"""What a user asks for with ``camaudit run``, or a schedule every night."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["AuditRequest"]


@dataclass(frozen=True)
class AuditRequest:
    """A configuration to audit.

    ``command`` stands in the report; ``overrides`` are ``key=value``; ``deep`` hashes every file again.
    """

    config: Path
    command: str
    overrides: tuple[str, ...] = ()
    deep: bool = False
