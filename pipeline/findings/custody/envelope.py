"""A signed envelope (DSSE 1.0): a payload, what it is, and the site's signature over both, in JSON."""

import base64
import binascii
import json
from collections.abc import Mapping

from pipeline.findings.custody.site_key import SiteKey, fingerprint_of, verify_signature

__all__ = ["EnvelopeError", "sealed", "unsealed"]

_FIELDS = ("payloadType", "payload", "signatures")


class EnvelopeError(ValueError):
    """An envelope cannot be trusted; the message says why, in the end of a sentence that begins with its file."""


def sealed(payload: bytes, payload_type: str, key: SiteKey) -> bytes:
    """Return the envelope of a payload: the same payload and key give the same bytes."""
    signature = bytes.fromhex(key.sign(_statement(payload, payload_type)))
    content = {
        "payloadType": payload_type,
        "payload": _text(payload),
        "signatures": [{"keyid": key.fingerprint, "sig": _text(signature)}],
    }
    return (json.dumps(content, indent=1) + "\n").encode()


def unsealed(envelope: bytes, payload_type: str, public: str) -> bytes:
    """Return the payload of an envelope that ``public`` signed (64 hex digits).

    Raises:
        EnvelopeError: when it is no envelope of such a payload, or another key's, or was altered.
    """
    try:
        content = json.loads(envelope)
        if not isinstance(content, Mapping) or tuple(content) != _FIELDS or content["payloadType"] != payload_type:
            raise EnvelopeError("is no envelope (DSSE) of such a statement")
        payload = base64.b64decode(content["payload"], validate=True)
        (signature,) = content["signatures"]
        key, mark = str(signature["keyid"]), base64.b64decode(signature["sig"], validate=True).hex()
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error) as error:
        if isinstance(error, EnvelopeError):
            raise
        raise EnvelopeError("is no envelope (DSSE) that can be read") from None
    if key != fingerprint_of(public) or not verify_signature(public, _statement(payload, payload_type), mark):
        raise EnvelopeError("was not signed with the ledger's key, or was altered")
    return payload


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _statement(payload: bytes, payload_type: str) -> bytes:
    """Return what is signed: lengths and contents (DSSE's pre-authentication encoding), no other thing's statement."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
