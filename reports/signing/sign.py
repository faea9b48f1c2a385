"""A signature into the box of its meaning: an incremental update, so that all bytes before it stay as they are."""

import hashlib
import io
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigError, OutputError
from pipeline.files import written
from pipeline.findings.custody.time_stamp import Authority, TimeStampError, check_stamp
from pipeline.findings.signed.signatures import Statement, reason_of
from reports.signing.block import SignatureBlock, drawn_block
from reports.signing.boxes import BOXES
from reports.signing.credentials import Credentials
from reports.signing.revisions import end_of_first_revision

if TYPE_CHECKING:
    from pyhanko.sign.timestamps import TimeStamper

__all__ = ["require_signing", "sign_report", "stamper"]


@dataclass(frozen=True)
class _Box:
    width: float
    height: float
    is_first: bool


def require_signing() -> None:
    """Import what signs, so that it is said before anything else is asked where it is not installed.

    Raises:
        ModuleNotFoundError: without pyHanko.
    """
    import pyhanko.sign.signers  # noqa: F401


def sign_report(
    source: Path,
    target: Path,
    credentials: Credentials,
    statement: Statement,
    time_stamper: "TimeStamper | None" = None,
) -> None:
    """Write ``source`` with one signature more to ``target``; the first lets nothing but signatures follow.

    The bytes of ``source`` are the beginning of ``target``, which is complete or absent.

    Raises:
        ConfigError: when the box of the statement's meaning is not there, or is signed already.
        OutputError: when the report cannot be read or the signed one not be written.
    """
    from pyhanko.pdf_utils.misc import PdfError
    from pyhanko.sign.general import SigningError

    try:
        content = source.read_bytes()
        signed = _signed(content, credentials, statement, time_stamper)
    except OSError as error:
        raise OutputError(f"{source}: cannot be read: {error.strerror}") from error
    except (PdfError, SigningError, ValueError) as error:
        raise OutputError(f"{source}: cannot be signed: {str(error).splitlines()[0][:160]}") from error
    if not signed.startswith(content):
        raise OutputError(f"{source}: signing changed what was there before; nothing was written")
    with written(target) as file:
        file.write(signed)


def _signed(content: bytes, credentials: Credentials, statement: Statement, stamps: "TimeStamper | None") -> bytes:
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
    from pyhanko.sign.signers import PdfSignatureMetadata

    writer = IncrementalPdfFileWriter(io.BytesIO(content))
    # the metadata (XMP) stay the only ones: an information dictionary that says otherwise would break PDF/A
    writer._update_meta = lambda: None  # noqa: SLF001
    box = _box(writer.prev, statement.meaning)
    unsigned = hashlib.sha256(content[: end_of_first_revision(content, writer.prev)]).hexdigest()
    block = drawn_block(SignatureBlock(statement, credentials.name, unsigned), box.width, box.height)
    metadata = PdfSignatureMetadata(
        field_name=BOXES[statement.meaning],
        md_algorithm=credentials.digest,
        name=statement.name,
        reason=reason_of(statement),
        subfilter=SigSeedSubFilter.PADES,
        certify=box.is_first,
        docmdp_permissions=MDPPerm.FILL_FORMS,
    )
    with TemporaryDirectory(prefix="camaudit-sign-") as folder:
        page = Path(folder, "block.pdf")
        page.write_bytes(block)
        signer = _pdf_signer(metadata, credentials, stamps, page, datetime.fromisoformat(statement.time))
        return bytes(signer.sign_pdf(writer, existing_fields_only=True).getvalue())


def _box(reader: Any, meaning: str) -> _Box:  # noqa: ANN401
    from pyhanko.sign.fields import enumerate_sig_fields

    fields = {name: (value, reference.get_object()) for name, value, reference in enumerate_sig_fields(reader)}
    if BOXES[meaning] not in fields:
        raise ConfigError(
            f"--meaning: the report has no box for {meaning}: an earlier version rendered it; render it again with "
            "camaudit report RUN"
        )
    value, field = fields[BOXES[meaning]]
    if value is not None:
        name = str(value.get_object().get("/Name", "somebody"))
        raise ConfigError(
            f"--meaning: the box for {meaning} is signed already, by {name!r:.80}; each has one signature"
        )
    left, bottom, right, top = (float(edge) for edge in field["/Rect"])
    return _Box(right - left, top - bottom, all(value is None for value, _ in fields.values()))


def _pdf_signer(
    metadata: Any,  # noqa: ANN401
    credentials: Credentials,
    stamps: "TimeStamper | None",
    page: Path,
    time: datetime,
) -> Any:  # noqa: ANN401
    from pyhanko.pdf_utils.layout import AxisAlignment, InnerScaling, Margins, SimpleBoxLayoutRule
    from pyhanko.sign.signers import PdfSigner
    from pyhanko.stamp import StaticStampStyle

    class AtOneTime(PdfSigner):  # type: ignore[misc]  # skipped by mypy
        """Signs at the time that the page prints."""

        def init_signing_session(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
            session = super().init_signing_session(*arguments, **options)
            session.system_time = time
            return session

    whole = SimpleBoxLayoutRule(
        AxisAlignment.ALIGN_MIN, AxisAlignment.ALIGN_MIN, Margins(0, 0, 0, 0), InnerScaling.STRETCH_FILL
    )
    style = StaticStampStyle.from_pdf_file(str(page), border_width=0, background_layout=whole)
    return AtOneTime(metadata, signer=credentials.signer, timestamper=stamps, stamp_style=style)


def stamper(authority: Authority) -> "TimeStamper":
    """Return what asks an authority for the time stamp of a signature, and takes one of that signature only."""
    from asn1crypto import tsp
    from pyhanko.sign.timestamps import TimeStamper

    class Asking(TimeStamper):  # type: ignore[misc]
        """Sends each request the way that camaudit sends its own."""

        async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
            content = authority.answer(req.dump())
            try:
                check_stamp(content, req["message_imprint"]["hashed_message"].native, nonce=req["nonce"].native)
            except TimeStampError as error:
                raise authority.failure(f"answered with what {error}") from None
            return tsp.TimeStampResp.load(content)

    return Asking()
