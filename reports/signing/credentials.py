"""A person's key and certificate: from PKCS#12, from PEM, or on a token (PKCS#11)."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from pyhanko.sign.signers import Signer

__all__ = ["PASSWORD_VARIABLE", "Credentials", "opened_credentials"]

PASSWORD_VARIABLE = "CAMAUDIT_SIGN_PASSWORD"
_TOKEN = "pkcs11:"
_SHORTEST_RSA = 2048
_LONGEST = 2**20  # bytes; a key with its chain has some thousand
_TOGETHER = "a key and its certificate lie in one file: cat key.pem certificate.pem > both.pem; chmod 600 both.pem"
_FORM = "pkcs11:token=LABEL;object=LABEL?module-path=/path/to/module.so"

Password = Callable[[], bytes]
"""Asks for the password of a key, when there is one."""


@dataclass(frozen=True)
class Credentials:
    """What signs, and the certificate that it answers for."""

    signer: "Signer"
    certificate: x509.Certificate

    @property
    def name(self) -> str:
        """The name in the certificate: the common name, else all of it."""
        return common_name(self.certificate)

    @property
    def digest(self) -> str:
        """The hash that is signed: the one that Ed25519 prescribes, else SHA-256."""
        return "sha512" if isinstance(self.certificate.public_key(), ed25519.Ed25519PublicKey) else "sha256"

    def check(self, now: datetime | None = None) -> None:
        """Refuse a certificate by which nobody could trust what it signs now.

        Raises:
            ConfigError: when it has ended or not begun, is none for signing, or its key is weak or of a rare kind.
        """
        now, owner = now or datetime.now(UTC), self.certificate
        key, other = owner.public_key(), f"the one of {self.name!r:.80} is none, so sign with another"
        if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
            raise ConfigError(f"--key: a key that signs is RSA, elliptic (P-256, ...) or Ed25519; {other}")
        if isinstance(key, rsa.RSAPublicKey) and key.key_size < _SHORTEST_RSA:
            raise ConfigError(
                f"--key: an RSA key has {_SHORTEST_RSA} bits or more, and this one {key.key_size}; {other}"
            )
        if not _may_sign(owner):
            raise ConfigError(
                "--key: a certificate that limits what its key is for (key usage) has to name digitalSignature or "
                f"nonRepudiation; {other}"
            )
        if not owner.not_valid_before_utc <= now <= owner.not_valid_after_utc:
            raise ConfigError(
                f"--key: the certificate of {self.name!r:.80} is valid from {owner.not_valid_before_utc:%Y-%m-%d} to "
                f"{owner.not_valid_after_utc:%Y-%m-%d}, and today is {now:%Y-%m-%d}; sign with a valid one"
            )


def _may_sign(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate lets its key sign documents: one that says nothing of what it is for does."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.digital_signature or usage.content_commitment


def common_name(certificate: x509.Certificate) -> str:
    """Return how a certificate calls its owner, printable and short."""
    common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    name = str(common[0].value) if common else certificate.subject.rfc4514_string()
    return "".join(letter if letter.isprintable() else "?" for letter in name)[:120] or "an unnamed owner"


@contextmanager
def opened_credentials(key: str, password: Password) -> Iterator[Credentials]:
    """Yield the credentials in a file, PKCS#12 or PEM, or on the token that a PKCS#11 URI names.

    ``password`` is asked only where the key needs one.

    Raises:
        ConfigError: when there is no such key, the password is wrong, or no certificate belongs to the key.
    """
    if key.startswith(_TOKEN):
        with _on_token(key, password) as credentials:
            yield credentials
    else:
        yield _in_file(Path(key), password)


def _in_file(path: Path, password: Password) -> Credentials:
    try:
        with path.open("rb") as file:
            mode, content = stat.S_IMODE(os.fstat(file.fileno()).st_mode), file.read(_LONGEST)
    except OSError as error:
        raise ConfigError(f"--key: {path} cannot be read: {error.strerror}") from error
    if content.lstrip().startswith(b"-----BEGIN"):
        private, certificates, is_open = _from_pem(path, content, password)
    else:
        private, certificates, is_open = _from_pkcs12(path, content, password)
    if is_open and os.name == "posix" and mode & 0o077:
        raise ConfigError(f"--key: {path} has no password and others may read it (mode {mode:o}): chmod 600")
    own = [each for each in certificates if _public(each.public_key()) == _public(private.public_key())]
    if not own:
        raise ConfigError(f"--key: {path} holds another certificate than that of its key; {_TOGETHER}")
    return Credentials(_signer(private, own[0], certificates), own[0])


Parts = tuple[PrivateKeyTypes, list[x509.Certificate], bool]


def _from_pem(path: Path, content: bytes, password: Password) -> Parts:
    for part in ("PRIVATE KEY", "CERTIFICATE"):
        if f"{part}-----".encode() not in content:
            raise ConfigError(f"--key: {path} holds no {part.lower()}; {_TOGETHER}")
    is_open = b"ENCRYPTED" not in content
    try:
        private = load_pem_private_key(content, None if is_open else password())
        return private, x509.load_pem_x509_certificates(content), is_open
    except (ValueError, TypeError, UnsupportedAlgorithm):  # its words can quote the file
        raise _unreadable(path, "PEM", is_open) from None


def _from_pkcs12(path: Path, content: bytes, password: Password) -> Parts:
    is_open = True
    try:
        try:
            private, own, more = load_key_and_certificates(content, None)
        except ValueError:
            is_open = False
            private, own, more = load_key_and_certificates(content, password())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _unreadable(path, "PKCS#12 (.p12)", is_open) from None
    if private is None:
        raise ConfigError(f"--key: {path} holds no private key; export it with its certificate as PKCS#12 (.p12)")
    return private, [each for each in (own, *more) if each is not None], is_open


def _unreadable(path: Path, form: str, is_open: bool) -> ConfigError:
    what = f"--key: {path} must hold a private key and its certificate in {form}, and cannot be read so"
    return ConfigError(what if is_open else f"{what} with this password (asked for, or in {PASSWORD_VARIABLE})")


def _public(key: object) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined,no-any-return]


def _signer(private: PrivateKeyTypes, own: x509.Certificate, certificates: list[x509.Certificate]) -> "Signer":
    from asn1crypto import keys
    from asn1crypto import x509 as asn1
    from pyhanko.sign.signers import SimpleSigner
    from pyhanko_certvalidator.registry import SimpleCertificateStore

    store = SimpleCertificateStore()
    store.register_multiple([asn1.Certificate.load(each.public_bytes(Encoding.DER)) for each in certificates])
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return SimpleSigner(
        signing_cert=asn1.Certificate.load(own.public_bytes(Encoding.DER)),
        signing_key=keys.PrivateKeyInfo.load(der),
        cert_registry=store,
    )


@contextmanager
def _on_token(uri: str, password: Password) -> Iterator[Credentials]:
    module, token, label = _parts_of(uri)
    import pkcs11
    from pyhanko.config.pkcs11 import TokenCriteria
    from pyhanko.sign.pkcs11 import PKCS11Signer, open_pkcs11_session

    def refused(error: Exception) -> ConfigError:
        what = f"token {token!r}, object {label!r}, module {module!r}"
        return ConfigError(
            f"--key: {what} cannot be used ({type(error).__name__}); is the token there, does it hold a key and a "
            f"certificate of that label, and is {PASSWORD_VARIABLE} its PIN?"
        )

    with ExitStack() as stack:
        try:
            criteria, pin = TokenCriteria(label=token), password().decode()
            session = stack.enter_context(open_pkcs11_session(module, token_criteria=criteria, user_pin=pin))
            # what is signed is hashed here: many tokens sign hashes alone
            signer = PKCS11Signer(session, cert_label=label, key_label=label, use_raw_mechanism=True)
            own = x509.load_der_x509_certificate(signer.signing_cert.dump())
        except (pkcs11.PKCS11Error, RuntimeError, ValueError, LookupError, AttributeError, OSError) as error:
            raise refused(error) from error
        try:
            yield Credentials(signer, own)
        except pkcs11.PKCS11Error as error:
            raise refused(error) from error


def _parts_of(uri: str) -> tuple[str, str, str]:
    path, _, query = uri.removeprefix(_TOKEN).partition("?")
    parts = dict(part.partition("=")[::2] for part in path.split(";"))
    modules = parse_qs(query).get("module-path", [])
    if not parts.get("token") or not parts.get("object") or len(modules) != 1:
        raise ConfigError(f"--key: a key on a token is named {_FORM}; this one lacks a part")
    return modules[0], unquote(parts["token"]), unquote(parts["object"])
