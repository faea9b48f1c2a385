"""The site's Ed25519 key: it signs ledgers, locks and the register, and its fingerprint stands on every report."""

import contextlib
import hashlib
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from pipeline.errors import ConfigError, OutputError
from pipeline.findings.custody.state_folder import STATE_VARIABLE, private_folder, state_folder
from pipeline.findings.custody.token_key import TOKEN_SCHEME, TokenKey, token_key

__all__ = [
    "SITE_KEY_FILE",
    "SITE_KEY_VARIABLE",
    "SiteKey",
    "fingerprint_given",
    "fingerprint_of",
    "load_site_key",
    "site_fingerprint",
    "verify_signature",
]

SITE_KEY_VARIABLE = "CAMAUDIT_SITE_KEY"
SITE_KEY_FILE = "site-key.pem"
_LONGEST_PEM = 64 * 1024  # bytes; an Ed25519 key has 119


@dataclass(frozen=True)
class SiteKey:
    """A private key that signs; neither it nor its file's path is ever shown."""

    private: Ed25519PrivateKey | TokenKey = field(repr=False)

    def sign(self, data: bytes) -> str:
        """Return the signature: 128 lower-case hex digits, always the same for the same bytes."""
        return self.private.sign(data).hex()

    @property
    def public(self) -> str:
        """The public key, 64 hex digits."""
        return self.private.public_key().public_bytes_raw().hex()

    @property
    def fingerprint(self) -> str:
        """The public key's fingerprint, as ``fingerprint_of``."""
        return fingerprint_of(self.public)


def fingerprint_of(public: str) -> str:
    """Return what people compare: the first 128 bits of the public key's SHA-256, ``1A2B 3C4D ...``, eight groups."""
    digits = hashlib.sha256(bytes.fromhex(public)).hexdigest()[:32].upper()
    return _in_fours(digits)


def fingerprint_given(text: str) -> str:
    """Return a fingerprint as it is printed, from one that somebody typed: letters' case and blanks do not count.

    Raises:
        ConfigError: when it is none.
    """
    digits = "".join(text.split()).upper()
    if len(digits) != 32 or not set(digits) <= set("0123456789ABCDEF"):
        raise ConfigError(f"--key: a fingerprint has 32 hex digits, such as 21FE 31DF ..., not {text[:60]!r}")
    return _in_fours(digits)


def _in_fours(digits: str) -> str:
    return " ".join(digits[start : start + 4] for start in range(0, 32, 4))


def verify_signature(public: str, data: bytes, signature: str) -> bool:
    """Tell whether a signature of these bytes is by this public key.

    Only one spelling of a key and of a signature is taken, lower-case hex: nothing can be altered and still pass.
    """
    try:
        key, mark = bytes.fromhex(public), bytes.fromhex(signature)
        if (key.hex(), mark.hex()) != (public, signature):
            return False
        Ed25519PublicKey.from_public_bytes(key).verify(mark, data)
    except (ValueError, InvalidSignature):
        return False
    return True


def load_site_key() -> SiteKey:
    """Return the site's key: the PEM file's or the token's that ``CAMAUDIT_SITE_KEY`` names, else the state folder's.

    The latter is made at the first use, with mode 0600; of several processes that make it at once, the first wins.

    Raises:
        OutputError: when others may read the file (POSIX), it holds no Ed25519 key, or it cannot be read or made.
    """
    given = os.environ.get(SITE_KEY_VARIABLE, "")
    if given.startswith(TOKEN_SCHEME):
        return SiteKey(token_key(given))
    if given:
        return _read(Path(given), f"; {SITE_KEY_VARIABLE} must name a PEM file with the site's key")
    folder = private_folder(state_folder(), STATE_VARIABLE)
    path = folder / SITE_KEY_FILE
    remedy = f"; set {SITE_KEY_VARIABLE} to a key file, or {STATE_VARIABLE} to a folder that you can write"
    try:
        if not path.exists():
            _create(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be made: {error.strerror}{remedy}") from error
    return _read(path, remedy)


def _create(path: Path) -> None:
    """Write a new key under another name, then link it: it is whole or absent, and the first writer wins."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another process was first: its key holds
            path.hardlink_to(draft)
    finally:
        draft.unlink()


def _read(path: Path, remedy: str) -> SiteKey:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            pem = file.read(_LONGEST_PEM)
    except OSError as error:
        raise OutputError(f"{path}: the site's key cannot be read: {error.strerror}{remedy}") from error
    if os.name == "posix" and mode & 0o077:
        raise OutputError(f"{path}: others may read it (mode {mode:o}); the site's key must be yours alone: chmod 600")
    return SiteKey(_private_key(path, pem))


def _private_key(path: Path, pem: bytes) -> Ed25519PrivateKey:
    rule = "must hold an Ed25519 private key in PEM without a password (openssl genpkey -algorithm ed25519)"
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # cryptography's words can quote the file
        raise OutputError(f"{path}: {rule}; this file holds none that can be read") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise OutputError(f"{path}: {rule}, not one of another kind ({type(key).__name__.strip('_')})")
    return key


def site_fingerprint() -> str | None:
    """Return the fingerprint of this site's key; None where there is none yet, and none is made.

    Raises:
        OutputError: as ``load_site_key``.
    """
    if not os.environ.get(SITE_KEY_VARIABLE) and not (state_folder() / SITE_KEY_FILE).exists():
        return None
    return load_site_key().fingerprint
