"""What the signatures of a report say of themselves, and what was found when they were held against its bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = [
    "MEANINGS",
    "SIGNED_REPORT",
    "ReportSignature",
    "SignedReport",
    "Statement",
    "Trust",
    "reason_of",
    "stated_in",
]

SIGNED_REPORT = "report-signed.pdf"
"""The signed copy of a run's report, beside it: the report's own bytes, and the signatures behind them."""

MEANINGS: Mapping[str, str] = MappingProxyType({
    "authorship": "wrote the report", "review": "has read and checked it", "approval": "approves it",
})  # fmt: skip
"""What a signature can mean, and that in words."""

_ROLE = "; role: "


@dataclass(frozen=True)
class Statement:
    """What a person states by a signature; ``time`` is UTC in whole seconds, as ISO 8601 writes it."""

    name: str
    role: str
    meaning: str
    time: str


@dataclass(frozen=True)
class Trust:
    """Whether a chain of certificates ends at one that is trusted. ``trusted`` is None where none was given to trust.

    ``reason`` says why it does not, in the end of a sentence that begins with the certificate.
    """

    trusted: bool | None
    reason: str = ""


@dataclass(frozen=True)
class ReportSignature:
    """One signature, as it was found.

    ``certificate`` is the name in the certificate, ``certificate_sha256`` its hash. ``fault`` says in half a sentence
    why the signature is not that of its bytes, ``changed`` what was changed after it and is more than a further
    signature; both are empty where there is nothing to say. ``stamped_at`` is the time stamp's time, None without one;
    ``stamp_fault`` why that does not hold.
    """

    statement: Statement
    certificate: str
    certificate_sha256: str
    certificate_trust: Trust
    fault: str = ""
    changed: str = ""
    stamped_at: str | None = None
    stamp_authority: str = ""
    stamp_trust: Trust = Trust(None)
    stamp_fault: str = ""


@dataclass(frozen=True)
class SignedReport:
    """A file's signatures in their order, the oldest first.

    ``unsigned`` is how many bytes of it are the report before anybody signed. ``appended`` tells whether bytes follow
    that no signature covers. ``altered`` says what else than signatures differs from the unsigned report, in half a
    sentence; empty where nothing does.
    """

    signatures: tuple[ReportSignature, ...]
    unsigned: int
    appended: bool = False
    altered: str = ""


def reason_of(statement: Statement) -> str:
    """Return the reason that a signature states, from which meaning and role can be read again."""
    return f"{statement.meaning}{_ROLE}{statement.role}"


def stated_in(name: str, reason: str, time: str) -> Statement:
    """Return what a signature states; what another program wrote as its reason is the meaning as a whole."""
    meaning, _, role = reason.partition(_ROLE)
    return Statement(name, role, meaning, time)
