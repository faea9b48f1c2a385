"""The signatures of a report, held against its bytes, its pages and the certificates that somebody trusts.

Nothing is asked of a network: whether a certificate was withdrawn is not known here.
"""

import hashlib
import io
import logging
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pipeline.errors import OutputError
from pipeline.findings.signed.signatures import ReportSignature, SignedReport, Trust, stated_in
from reports.signing.appearance import shows
from reports.signing.block import SignatureBlock
from reports.signing.boxes import BOXES
from reports.signing.credentials import common_name
from reports.signing.revisions import changed_since, end_of_first_revision

__all__ = ["read_signatures"]

Found = TypeVar("Found")
_UNTRUSTED = {
    "OUT_OF_BOUNDS_NO_POE": "was not valid when it was checked: it has ended, or not begun",
    "OUT_OF_BOUNDS_NOT_REVOKED": "was not valid when it was checked: it has ended, or not begun",
    "REVOKED_NO_POE": "was withdrawn",
    "CRYPTO_CONSTRAINTS_FAILURE": "has a key that is too short, or of a kind that is not safe",
}
_SIGNING = frozenset({"non_repudiation", "digital_signature"})
_CONTENTS = re.compile(rb"<[0-9A-F]+>|<[0-9a-f]+>")


@dataclass(frozen=True)
class _File:
    content: bytes
    reader: Any
    trusted: Sequence[x509.Certificate]
    unsigned: int


def read_signatures(path: Path, trusted: Sequence[x509.Certificate] = ()) -> SignedReport:
    """Read and check the signatures of a report; ``trusted`` are certificates of which one must stand above each.

    Raises:
        OutputError: when it is no PDF whose revisions can be read.
        ModuleNotFoundError: without pyHanko.
    """
    from pyhanko.pdf_utils.reader import PdfFileReader

    try:
        content = path.read_bytes()
    except OSError as error:
        raise OutputError(f"{path.name}: cannot be read: {error.strerror}") from error
    with _reading(path):
        reader = PdfFileReader(io.BytesIO(content))
        embedded = list(reader.embedded_signatures)
        end = end_of_first_revision(content, reader)
        file = _File(content, reader, trusted, end)
        with ThreadPoolExecutor(1) as thread:  # pyHanko begins an event loop, which a notebook has already
            signatures = tuple(thread.submit(_signature, file, each).result() for each in embedded)
        covered = max((_end_of(each) for each in embedded), default=end)
        altered = changed_since(reader)
    return SignedReport(signatures, end, len(content) > covered, altered)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what is no such file into a sentence; the library's own words about it go nowhere."""
    from pyhanko.pdf_utils.misc import PdfError
    from pyhanko.sign.general import UnacceptableSignerError

    loggers = [logging.getLogger(name) for name in ("pyhanko", "pyhanko_certvalidator")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    except (PdfError, UnacceptableSignerError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise OutputError(f"{path.name}: is no PDF whose signatures can be read") from error
    except (RecursionError, NotImplementedError, ArithmeticError) as error:
        raise OutputError(f"{path.name}: is no PDF whose signatures can be read") from error
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _end_of(embedded: Any) -> int:  # noqa: ANN401
    *_, start, length = (int(part) for part in embedded.byte_range)
    return start + length


def _signature(file: _File, embedded: Any) -> ReportSignature:  # noqa: ANN401
    made = embedded.sig_object
    statement = stated_in(str(made.get("/Name", "")), str(made.get("/Reason", "")), _time(embedded))
    owner = x509.load_der_x509_certificate(embedded.signer_cert.dump())
    signature = ReportSignature(
        statement, common_name(owner), hashlib.sha256(owner.public_bytes(Encoding.DER)).hexdigest(), Trust(None)
    )
    status = _status(file, embedded)
    if status is None:
        return replace(signature, fault="cannot be checked: it is made in a way that is not known or not safe")
    signature = _stamped(signature, status, file.trusted)
    moment = datetime.fromisoformat(str(signature.stamped_at)) if signature.stamp_trust.trusted else None
    if moment is not None:  # a certificate that has ended since was valid when the stamp was made
        status = _status(file, embedded, moment) or status
    return replace(
        signature,
        certificate_trust=_trust(status, file.trusted),
        fault=_fault(file, embedded, status, signature),
        changed=_changed(status),
    )


def _status(file: _File, embedded: Any, moment: datetime | None = None) -> Any:  # noqa: ANN401
    from asn1crypto import x509 as asn1
    from pyhanko.pdf_utils.misc import PdfError
    from pyhanko.sign.general import SigningError
    from pyhanko.sign.validation import validate_pdf_signature
    from pyhanko.sign.validation.errors import SignatureValidationError
    from pyhanko.sign.validation.settings import KeyUsageConstraints
    from pyhanko_certvalidator import ValidationContext

    roots = [asn1.Certificate.load(each.public_bytes(Encoding.DER)) for each in file.trusted]

    def context() -> Any:  # noqa: ANN401
        # revocation is not asked for: nothing here goes over a network
        return ValidationContext(trust_roots=roots, allow_fetching=False, revocation_mode="soft-fail", moment=moment)

    unlimited = embedded.signer_cert.key_usage_value is None  # what it does not limit, it allows (RFC 5280)
    needed = set() if unlimited else set(_SIGNING)
    usage = KeyUsageConstraints(key_usage=needed, match_all_key_usages=False)
    try:
        return validate_pdf_signature(embedded, context(), context(), key_usage_settings=usage)
    except (PdfError, SigningError, SignatureValidationError, ValueError, LookupError, TypeError):
        return None


def _time(embedded: Any) -> str:  # noqa: ANN401
    time = embedded.self_reported_timestamp
    return "" if time is None else time.astimezone(UTC).isoformat(timespec="seconds")


def _trust(status: Any, trusted: Sequence[x509.Certificate]) -> Trust:  # noqa: ANN401
    if not trusted:
        return Trust(None)
    if status.trusted:
        return Trust(True)
    usage = status.signing_cert.key_usage_value
    if usage is not None and not usage.native & _SIGNING:
        return Trust(False, "is not one for signing (its key usage)")
    indication = getattr(getattr(status, "trust_problem_indic", None), "name", "")
    return Trust(False, _UNTRUSTED.get(indication, "is by none whom --trust names"))


def _stamped(signature: ReportSignature, status: Any, trusted: Sequence[x509.Certificate]) -> ReportSignature:  # noqa: ANN401
    stamp = status.timestamp_validity
    if stamp is None:
        return signature
    authority = common_name(x509.load_der_x509_certificate(stamp.signing_cert.dump()))
    fault = "" if stamp.intact and stamp.valid else "is not one of this signature, or was altered"
    time = stamp.timestamp.astimezone(UTC).isoformat(timespec="seconds")
    trust = Trust(None) if fault else _trust(stamp, trusted)
    return replace(signature, stamped_at=time, stamp_authority=authority, stamp_trust=trust, stamp_fault=fault)


def _fault(file: _File, embedded: Any, status: Any, signature: ReportSignature) -> str:  # noqa: ANN401
    from pyhanko.sign.validation.status import SignatureCoverageLevel

    if not (status.intact and status.valid):
        return "is not that of its bytes: the report was altered after it was signed"
    if status.coverage < SignatureCoverageLevel.ENTIRE_REVISION or not _is_plain(file.content, embedded):
        return "leaves out a part of what it seems to sign"
    statement = signature.statement
    if BOXES.get(statement.meaning) != embedded.field_name:
        return "stands in a box of another meaning than it states, or in none of the report's"
    unsigned = hashlib.sha256(file.content[: file.unsigned]).hexdigest()
    if not shows(file.content, embedded.field_name, SignatureBlock(statement, signature.certificate, unsigned)):
        return "shows something else on the page than it states"
    return ""


def _is_plain(content: bytes, embedded: Any) -> bool:  # noqa: ANN401
    """Tell whether what a signature leaves out is its own value in its one spelling, with nothing behind it."""
    ranges = [int(part) for part in embedded.byte_range]
    if len(ranges) != 4 or ranges[0] != 0:
        return False
    gap = content[ranges[1] : ranges[2]]
    value = bytes(embedded.pkcs7_content)
    return bool(_CONTENTS.fullmatch(gap)) and not any(value[_length(value) :])


def _length(value: bytes) -> int:
    """Return how long the DER value at the beginning of some bytes is, by its own head."""
    if len(value) < 2:
        return 0
    if value[1] < 0x80:
        return 2 + value[1]
    many = value[1] & 0x7F
    return 2 + many + int.from_bytes(value[2 : 2 + many], "big")


def _changed(status: Any) -> str:  # noqa: ANN401
    from pyhanko.sign.diff_analysis import ModificationLevel

    if status.docmdp_ok is False or status.modification_level > ModificationLevel.FORM_FILLING:
        return "something else than a further signature was added or changed after it"
    return ""
