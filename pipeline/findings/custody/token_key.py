"""The site's key on a token (PKCS#11): it signs there, and nothing but its public part ever leaves it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pipeline.errors import OutputError

__all__ = ["PIN_VARIABLE", "TOKEN_SCHEME", "TokenKey", "token_key"]

TOKEN_SCHEME = "pkcs11:"
PIN_VARIABLE = "CAMAUDIT_SITE_KEY_PIN"
_RAW = 32  # bytes of an Ed25519 public key, at the end of the point that a token states
_FORM = "pkcs11:token=LABEL;object=LABEL?module-path=/path/to/module.so"


@dataclass(frozen=True)
class TokenKey:
    """An Ed25519 key of a token; each signature opens a session and closes it."""

    module: str
    token: str
    label: str

    def sign(self, data: bytes) -> bytes:
        """Return the token's signature, 64 bytes.

        Raises:
            OutputError: when the token is not there, its PIN is wrong or it cannot sign.
        """
        with self._key("PRIVATE_KEY") as (key, pkcs11):
            return bytes(key.sign(data, mechanism=pkcs11.Mechanism.EDDSA))

    def public_key(self) -> Ed25519PublicKey:
        """Return the public key that the token states.

        Raises:
            OutputError: as ``sign``.
        """
        with self._key("PUBLIC_KEY") as (key, pkcs11):
            return Ed25519PublicKey.from_public_bytes(bytes(key[pkcs11.Attribute.EC_POINT])[-_RAW:])

    @contextmanager
    def _key(self, kind: str) -> Iterator[tuple[Any, Any]]:
        try:
            import pkcs11
        except ImportError as error:
            raise OutputError("CAMAUDIT_SITE_KEY: a key on a token needs: pip install 'camaudit[token]'") from error
        try:
            token = pkcs11.lib(self.module).get_token(token_label=self.token)
            with token.open(user_pin=os.environ.get(PIN_VARIABLE)) as session:
                yield session.get_key(object_class=pkcs11.ObjectClass[kind], label=self.label), pkcs11
        except (pkcs11.PKCS11Error, RuntimeError, ValueError) as error:
            what = f"token {self.token!r}, object {self.label!r}"
            raise OutputError(
                f"CAMAUDIT_SITE_KEY: {what} cannot be used ({type(error).__name__}); is the token there, and does "
                f"{PIN_VARIABLE} hold its PIN?"
            ) from error


def token_key(uri: str) -> TokenKey:
    """Return the key that a PKCS#11 URI (RFC 7512) names.

    Raises:
        OutputError: when it does not name token, object and module.
    """
    path, _, query = uri.removeprefix(TOKEN_SCHEME).partition("?")
    parts = dict(part.partition("=")[::2] for part in path.split(";"))
    modules = parse_qs(query).get("module-path", [])
    if not parts.get("token") or not parts.get("object") or len(modules) != 1:
        raise OutputError(f"CAMAUDIT_SITE_KEY: a key on a token is named {_FORM}; this URI lacks a part")
    return TokenKey(modules[0], unquote(parts["token"]), unquote(parts["object"]))
