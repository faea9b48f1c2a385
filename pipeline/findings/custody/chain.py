"""Entries of a log: each chained to the one before by its hash, and signed with the site's key."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipeline.errors import OutputError
from pipeline.findings.custody.site_key import SiteKey, fingerprint_of, verify_signature

__all__ = [
    "ChainEnd",
    "LedgerEntry",
    "LedgerError",
    "LedgerFault",
    "entry_line",
    "public_key",
    "signed_entry",
    "split_lines",
    "verified_entries",
]

_START = "0" * 64
_TICK = timedelta(microseconds=1)
_CLOCK_SLACK = timedelta(seconds=1)
_FIELDS: Mapping[str, type] = {
    "sequence": int,
    "time": str,
    "event": str,
    "body": dict,
    "previous": str,
    "key": str,
    "hash": str,
    "signature": str,
}


class LedgerFault(StrEnum):
    """What is wrong with a log."""

    UNREADABLE = "unreadable"
    UNFINISHED = "unfinished"
    EDITED = "edited"
    REORDERED = "reordered"
    MISSING = "missing"
    SIGNATURE = "signature"
    KEY = "key"
    TIME = "time"
    CUT = "cut"


class LedgerError(OutputError):
    """A log cannot be trusted, and why."""

    def __init__(self, fault: LedgerFault, message: str) -> None:
        super().__init__(message)
        self.fault = fault

    def __reduce__(self) -> tuple[type["LedgerError"], tuple[LedgerFault, str]]:
        """Travel between processes: an exception's default way would lose the fault."""
        return LedgerError, (self.fault, str(self))


@dataclass(frozen=True)
class LedgerEntry:
    """One event. ``time`` is UTC and later than that of the entry before; ``key`` is its key's fingerprint."""

    sequence: int
    time: datetime
    event: str
    body: Mapping[str, Any]
    previous: str
    key: str
    hash: str
    signature: str


def public_key(entries: Sequence[LedgerEntry]) -> str:
    """Return the public key that signed a verified log."""
    return str(entries[0].body["public"])


@dataclass(frozen=True)
class ChainEnd:
    """Where the verified part of a chain ends, and the key that signs it: None until the first entry tells."""

    length: int = 0
    hash: str = _START
    time: datetime | None = None
    public: str | None = None


def signed_entry(tail: ChainEnd, event: str, body: Mapping[str, object], key: SiteKey) -> LedgerEntry:
    """Return the entry of an event that happens now, behind ``tail``.

    Times rise strictly. Where the clock is more than a second behind, what it says goes into the body as ``clock``.
    """
    now = datetime.now(UTC)
    time = now if tail.time is None else max(now, tail.time + _TICK)
    facts = dict(body) if time - now <= _CLOCK_SLACK else {**body, "clock": _time_text(now)}
    content = {
        "sequence": tail.length,
        "time": _time_text(time),
        "event": event,
        "body": json.loads(_canonical(facts)),  # as a reader will have it: a tuple is a list, a number's key its text
        "previous": tail.hash,
        "key": key.fingerprint,
    }
    digest = _digest(content)
    return _entry({**content, "hash": digest, "signature": key.sign(_statement(digest))})


def verified_entries(path: Path, lines: Sequence[bytes], tail: ChainEnd) -> list[LedgerEntry]:
    """Verify lines that follow ``tail``: hash, link, time and signature of each.

    Raises:
        LedgerError: naming the first line that cannot be trusted, and why.
    """
    entries = []
    for number, line in enumerate(lines, start=tail.length):
        entry = _parsed(path, number, line)
        if entry.sequence != number:
            raise _out_of_sequence(path, number, entry, lines)
        public = tail.public or _first_key(path, entry)
        _check(path, entry, tail, public)
        tail = ChainEnd(number + 1, entry.hash, entry.time, public)
        entries.append(entry)
    return entries


def _check(path: Path, entry: LedgerEntry, tail: ChainEnd, public: str) -> None:
    """Hold an entry against the chain before it and the key of the chain."""
    if entry.previous != tail.hash:
        raise _fault(path, entry.sequence, LedgerFault.MISSING, "does not follow the line before it")
    if tail.time is not None and entry.time <= tail.time:
        raise _fault(path, entry.sequence, LedgerFault.TIME, "is not later than the line before it")
    if entry.key != fingerprint_of(public) or (entry.sequence == 0 and entry.body.get("public") != public):
        why = f"was signed with the key {entry.key}, not with {fingerprint_of(public)}"
        raise _fault(path, entry.sequence, LedgerFault.KEY, why)
    if not verify_signature(public, _statement(entry.hash), entry.signature):
        raise _fault(path, entry.sequence, LedgerFault.SIGNATURE, "has a signature that its key did not make")


def _first_key(path: Path, entry: LedgerEntry) -> str:
    public = entry.body.get("public")
    if not isinstance(public, str) or not _is_digest(public):
        raise _fault(path, entry.sequence, LedgerFault.KEY, "does not hold the public key that signs the log")
    return public


def _parsed(path: Path, number: int, line: bytes) -> LedgerEntry:
    """Read a line, which must be what ``entry_line`` writes, to the byte, and fit its own hash."""
    try:
        content = json.loads(line)
        fits = {name: type(value) for name, value in content.items()} == _FIELDS
    except (ValueError, AttributeError, RecursionError):
        fits = False
    if not fits:
        raise _fault(path, number, LedgerFault.UNREADABLE, "is not an entry of a log of this version")
    facts = {name: content[name] for name in _FIELDS if name not in ("hash", "signature")}
    try:
        entry = _entry(content)
        if entry_line(entry) == line and _digest(facts) == entry.hash:
            return entry
    except (ValueError, OverflowError):  # a time or a number that is none
        pass
    raise _fault(path, number, LedgerFault.EDITED, "was edited: its hash is not that of its content")


def _out_of_sequence(path: Path, number: int, entry: LedgerEntry, lines: Sequence[bytes]) -> LedgerError:
    """Tell lines that were moved or repeated from those that were removed."""
    if entry.sequence > number and number not in {_sequence(line) for line in lines}:
        why = f"is entry {entry.sequence + 1}: {entry.sequence - number} before it are missing"
        return _fault(path, number, LedgerFault.MISSING, why)
    return _fault(path, number, LedgerFault.REORDERED, f"is entry {entry.sequence + 1}: lines were moved or repeated")


def _sequence(line: bytes) -> object:
    try:
        return json.loads(line)["sequence"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _fault(path: Path, number: int, fault: LedgerFault, why: str) -> LedgerError:
    return LedgerError(fault, f"{path}: line {number + 1} {why}; nothing from there on can be trusted")


def split_lines(path: Path, content: bytes, offset: int = 0) -> list[bytes]:
    """Split what lies in the file from ``offset`` on into its lines.

    Raises:
        LedgerError: when the last has no end.
    """
    *lines, rest = content.split(b"\n")
    if rest:
        end = offset + len(content) - len(rest)
        raise LedgerError(
            LedgerFault.UNFINISHED,
            f"{path}: the last line is unfinished, as a power cut leaves it; no entry was confirmed there: "
            f"keep a copy, then cut it off with truncate -s {end}",
        )
    return lines


def _entry(content: Mapping[str, Any]) -> LedgerEntry:
    return LedgerEntry(**{**content, "time": datetime.fromisoformat(content["time"])})


def entry_line(entry: LedgerEntry) -> bytes:
    """Return an entry as its line, without the line's end: no other spelling is taken."""
    return _canonical({**vars(entry), "time": _time_text(entry.time)}).encode("ascii")


def _canonical(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(content).encode("ascii")).hexdigest()


def _statement(digest: str) -> bytes:
    """Return what is signed: the key also signs other things, which must never pass for an entry."""
    return f"camaudit ledger entry 1\n{digest}".encode("ascii")


def _time_text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def _is_digest(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")
