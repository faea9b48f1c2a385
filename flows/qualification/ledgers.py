"""A ledger that is falsified in known ways: each has to be named."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flows.qualification.known import tried
from pipeline.findings.custody.ledger import Ledger, LedgerError, read_ledger
from pipeline.findings.custody.site_key import SiteKey
from pipeline.findings.signed.qualification import KnownCase

__all__ = ["ledger_cases"]

_AREA = "Ledger"
Lines = list[bytes]


def _edited(lines: Lines) -> Lines:
    return [lines[0], lines[1].replace(b'"number":0', b'"number":7'), *lines[2:]]


def _signed_by_another(lines: Lines) -> Lines:
    entry = json.loads(lines[2])
    entry["signature"] = Ed25519PrivateKey.generate().sign(b"another").hex()
    return [*lines[:2], json.dumps(entry, sort_keys=True, separators=(",", ":")).encode(), *lines[3:]]


_FALSIFIED: tuple[tuple[str, str, Callable[[Lines], Lines]], ...] = (
    ("a line edited", "edited", _edited),
    ("a line taken out", "missing", lambda lines: [*lines[:2], *lines[3:]]),
    ("two lines exchanged", "reordered", lambda lines: [lines[0], lines[2], lines[1], lines[3]]),
    ("a signature by another key", "signature", _signed_by_another),
    ("the first line taken out", "missing", lambda lines: lines[1:]),
    ("nothing", "sound", lambda lines: lines),
)


def ledger_cases() -> Iterator[KnownCase]:
    """Yield a case for each falsification."""
    for what, expected, falsify in _FALSIFIED:
        key = expected if expected == "sound" else what.replace(" ", "_")
        yield tried(_AREA, f"ledger.{key}", f"a ledger with {what} changed" if expected == "sound" else what, expected,
                    partial(_fault, falsify))  # fmt: skip


def _fault(falsify: Callable[[Lines], Lines]) -> str:
    with TemporaryDirectory(prefix="camaudit-qualify-") as folder:
        path = Path(folder, "ledger.jsonl")
        ledger = Ledger(path, SiteKey(Ed25519PrivateKey.generate()))
        for number in range(3):
            ledger.append("known", number=number)
        path.write_bytes(b"".join(line + b"\n" for line in falsify(path.read_bytes().splitlines())))
        try:
            read_ledger(path)
        except LedgerError as error:
            return error.fault.value
    return "sound"
