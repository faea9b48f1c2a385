"""A time stamp of a lock by an authority (RFC 3161): asking for one, and holding it against what was stamped.

Only a hash is sent. What an authority answers is input that nobody vouches for: it has a cap on its bytes and on its
time, and nothing of it is kept that does not verify. What reads it (``rfc3161-client``, ``asn1crypto``) is optional.
"""

import base64
import hashlib
import importlib.util
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID

from pipeline.errors import ConfigError, OutputError
from pipeline.findings.facts import TimeStamp

if TYPE_CHECKING:
    from asn1crypto.cms import SignerInfo
    from rfc3161_client import TimeStampResponse

__all__ = [
    "INSTALL",
    "Authority",
    "TimeStampError",
    "can_check",
    "check_answer",
    "open_authority",
    "read_authorities",
]

INSTALL = "pip install 'camaudit[timestamp]'"
"""How to install what reads a time stamp."""

_URL = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(/[!-~]*)?")
_ANSWER_CAP = 256 * 1024  # bytes; an answer with its certificates has about 6000
_PEM_CAP = 4 * 1024 * 1024
_LONGEST_NAME = 120
_SHA256 = "2.16.840.1.101.3.4.2.1"
_GRANTED = 0  # as asked, without modifications
_DIGESTS: Mapping[str, HashAlgorithm] = MappingProxyType({"sha256": SHA256(), "sha384": SHA384(), "sha512": SHA512()})
_PACKAGES = ("rfc3161_client", "asn1crypto")


class TimeStampError(Exception):
    """A time stamp does not hold; the message says why, in the end of a sentence that begins with the stamp."""


@dataclass(frozen=True)
class Authority:
    """Where an authority is asked, and for how many seconds its whole answer is waited for.

    ``option`` is what named it, ``undone`` says what does not happen without an answer, and what to do.
    """

    url: str = field(repr=False)
    patience: float = 30.0
    option: str = "--timestamp"
    undone: str = "nothing was locked; try again, name another, or lock without --timestamp"

    @property
    def host(self) -> str:
        """The part of the URL that a message may name: a path can hold an account's token."""
        return urlsplit(self.url).netloc

    def stamp(self, statement: bytes) -> tuple[TimeStamp, str]:
        """Ask for a stamp of these bytes; return what it says, and the authority's whole answer in base64.

        Raises:
            OutputError: one line, when there is no answer, or one that is no time stamp of these bytes.
        """
        import rfc3161_client as rfc3161

        request = rfc3161.TimestampRequestBuilder(statement, rfc3161.HashAlgorithm.SHA256).build()
        answer = base64.b64encode(self.answer(request.as_bytes())).decode("ascii")
        try:
            return check_answer(answer, statement, nonce=request.nonce), answer
        except TimeStampError as error:
            raise self.failure(f"answered with what {error}") from None

    def answer(self, request: bytes) -> bytes:
        """Send a request (DER) and return the authority's whole answer, whatever it is.

        Raises:
            OutputError: one line, when there is no answer, or one too long.
        """
        import httpx

        headers = {"Content-Type": "application/timestamp-query", "Accept-Encoding": "identity"}
        end, content = monotonic() + self.patience, bytearray()
        try:
            with httpx.stream("POST", self.url, content=request, headers=headers, timeout=self.patience) as response:
                if response.status_code != httpx.codes.OK:
                    raise self.failure(f"answered with status {response.status_code}")
                for part in response.iter_raw():
                    content += part
                    if len(content) > _ANSWER_CAP:
                        raise self.failure(f"answered with more than {_ANSWER_CAP} bytes")
                    if monotonic() > end:
                        raise self.failure(f"did not finish its answer in {self.patience:g} s")
        except httpx.TimeoutException:
            raise self.failure(f"did not answer in {self.patience:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:  # its words can quote the URL
            raise self.failure(f"cannot be reached ({type(error).__name__})") from None
        return bytes(content)

    def failure(self, what: str) -> OutputError:
        """Return the sentence for an authority that did ``what``."""
        return OutputError(f"{self.option}: the authority {self.host} {what}, so {self.undone}")


def open_authority(url: str, option: str = "--timestamp") -> Authority:
    """Return the authority at a URL, which ``option`` names; nothing is sent yet.

    Raises:
        ConfigError: when it is no URL of HTTP, holds credentials, or the optional package is not installed.
    """
    if not _URL.fullmatch(url):
        raise ConfigError(
            f"{option}: must be the URL of a time stamping authority, http:// or https://, a host and a path, "
            f"without user and password, not {url.rpartition('@')[2][:80]!r}"
        )
    if not can_check():
        raise ConfigError(f"{option}: needs packages that are not installed: {INSTALL}")
    return Authority(url, option=option)


def can_check() -> bool:
    """Tell whether the packages that read time stamps are installed."""
    return all(importlib.util.find_spec(package) is not None for package in _PACKAGES)


def read_authorities(path: Path, option: str = "--trust-authority") -> tuple[x509.Certificate, ...]:
    """Return the certificates that a verification is to trust, from a PEM file; ``option`` is what named it.

    Raises:
        ConfigError: when it cannot be read or holds none.
    """
    try:
        with path.open("rb") as file:
            return tuple(x509.load_pem_x509_certificates(file.read(_PEM_CAP)))
    except OSError as error:
        raise ConfigError(f"{option}: {path} cannot be read: {error.strerror}") from error
    except ValueError:
        raise ConfigError(f"{option}: {path} must hold certificates in PEM, and holds none") from None


def check_answer(
    answer: str, statement: bytes, trusted: Sequence[x509.Certificate] = (), *, nonce: int | None = None
) -> TimeStamp:
    """Hold an authority's answer against the bytes that it is to stamp; return what it says.

    ``trusted`` are certificates of which one must be the authority's or stand above it; without them the signature is
    held against the certificates in the answer alone, so that anybody can have made it.

    Raises:
        TimeStampError: when it is no time stamp, of something else, not as it was signed, or by no trusted authority.
    """
    try:
        content = base64.b64decode(answer.encode("ascii"), validate=True)
    except ValueError:
        raise TimeStampError("is no time stamp that can be read") from None
    return check_stamp(content, hashlib.sha256(statement).digest(), trusted, nonce=nonce)


def check_stamp(
    content: bytes, digest: bytes, trusted: Sequence[x509.Certificate] = (), *, nonce: int | None = None
) -> TimeStamp:
    """Hold an authority's answer (DER) against the SHA-256 that it is to stamp, as ``check_answer`` does.

    Raises:
        TimeStampError: as ``check_answer``.
    """
    from rfc3161_client import decode_timestamp_response

    try:
        response = decode_timestamp_response(content)
        stated = response.tst_info
        imprint = (stated.message_imprint.hash_algorithm.dotted_string, stated.message_imprint.message)
        signer = _signer(response)
    except (ValueError, TypeError, StopIteration):
        raise TimeStampError("is no time stamp that can be read") from None
    if imprint != (_SHA256, digest) or (nonce is not None and stated.nonce != nonce):
        raise TimeStampError("is a time stamp of something else")
    _check_signature(response, signer)
    if trusted and signer not in trusted:
        _check_chain(response, digest, trusted)
    sha256 = hashlib.sha256(content).hexdigest()
    return TimeStamp(time=stated.gen_time.isoformat(), authority=_name(signer), sha256=sha256)


def _signer(response: "TimeStampResponse") -> x509.Certificate:
    """Return the certificate in the answer that its one signer names."""
    (signer,) = response.signed_data.signer_infos
    certificates = map(x509.load_der_x509_certificate, response.signed_data.certificates)
    named = (signer.issuer, signer.serial_number)
    return next(certificate for certificate in certificates if (certificate.issuer, certificate.serial_number) == named)


def _name(certificate: x509.Certificate) -> str:
    """Return how a certificate calls its owner: the common name, else all of the name; printable and short."""
    common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    name = str(common[0].value) if common else certificate.subject.rfc4514_string()
    return "".join(letter if letter.isprintable() else "?" for letter in name)[:_LONGEST_NAME] or "an unnamed authority"


def _check_signature(response: "TimeStampResponse", signer: x509.Certificate) -> None:
    """Hold a token against the key of the certificate in it: the signature is over attributes that hold its hash."""
    from asn1crypto import cms, tsp  # noqa: F401 - tsp adds the attributes of time stamps to cms

    try:
        signed = cms.ContentInfo.load(response.time_stamp_token(), strict=True)["content"]
        (info,) = signed["signer_infos"]
        attributes = {item["type"].native: item["values"].native for item in info["signed_attrs"]}
        algorithm, content = info["digest_algorithm"]["algorithm"].native, signed["encap_content_info"]["content"]
        sound = (
            response.status == _GRANTED
            and algorithm in _DIGESTS
            and attributes["message_digest"] == [hashlib.new(algorithm, bytes(content)).digest()]
            and attributes["content_type"] == ["tst_info"]
            and signer.not_valid_before_utc <= response.tst_info.gen_time <= signer.not_valid_after_utc
            and _may_stamp(signer)
        )
        _verify(signer, info, _DIGESTS[algorithm])
    except (ValueError, TypeError, KeyError, InvalidSignature, UnsupportedAlgorithm):
        sound = False
    if not sound:
        raise TimeStampError("is not a time stamp as an authority signs it")


def _verify(signer: x509.Certificate, info: "SignerInfo", algorithm: HashAlgorithm) -> None:
    key, data, signature = signer.public_key(), info["signed_attrs"].untag().dump(), info["signature"].native
    scheme = info["signature_algorithm"].signature_algo
    if isinstance(key, RSAPublicKey) and scheme == "rsassa_pkcs1v15":
        key.verify(signature, data, PKCS1v15(), algorithm)
    elif isinstance(key, RSAPublicKey) and scheme == "rsassa_pss":
        key.verify(signature, data, PSS(MGF1(algorithm), PSS.AUTO), algorithm)
    elif isinstance(key, EllipticCurvePublicKey) and scheme == "ecdsa":
        key.verify(signature, data, ECDSA(algorithm))
    else:
        raise UnsupportedAlgorithm(f"a signature of {scheme}")


def _may_stamp(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return False
    return usage.critical and list(usage.value) == [ExtendedKeyUsageOID.TIME_STAMPING]


def _check_chain(response: "TimeStampResponse", digest: bytes, trusted: Sequence[x509.Certificate]) -> None:
    from rfc3161_client import VerificationError, VerifierBuilder

    try:
        VerifierBuilder(roots=list(trusted)).build().verify(response, digest)
    except (ValueError, VerificationError):
        raise TimeStampError("is by no authority that --trust-authority names") from None
