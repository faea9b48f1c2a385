"""An append-only log of a run, each line chained to the one before by its hash.

An edit, a deletion or a reordering breaks the chain. Cutting off the end does not: that is found by comparing
with the head hash that the report prints. Whoever can write the folder can rebuild the whole chain; the
evidence starts when the head has left the machine.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import OutputError

__all__ = ["Ledger", "verify_chain"]

_START = "0" * 64


class Ledger:
    """The event log ``ledger.jsonl`` of one run; a single writer."""

    def __init__(self, path: Path) -> None:
        """Open the log at ``path``, new or to be continued."""
        self.path = path
        self.head, self.length = verify_chain(path) if path.exists() else (_START, 0)

    def append(self, event: str, **body: object) -> None:
        """Add an event and flush it to the disk.

        ``body`` holds hashes, counts and names, never a patient's data.

        Raises:
            OutputError: when it cannot be written.
        """
        entry = {
            "sequence": self.length,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event,
            "body": body,
            "previous": self.head,
        }
        digest = _digest(entry)
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_canonical({**entry, "hash": digest}) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from error
        self.head, self.length = digest, self.length + 1


def verify_chain(path: Path) -> tuple[str, int]:
    """Check every link; return the head's hash and the number of events.

    Raises:
        OutputError: naming the first line that does not fit.
    """
    previous = _START
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        try:
            entry = json.loads(line)
            claimed = entry.pop("hash")
            sound = entry["previous"] == previous and entry["sequence"] == number and _digest(entry) == claimed
        except (ValueError, KeyError, TypeError, AttributeError):
            sound = False
        if not sound:
            raise OutputError(f"{path}: line {number + 1} does not fit the chain; the log was altered")
        previous = claimed
    return previous, len(lines)


def _canonical(entry: Mapping[str, object]) -> str:
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _digest(entry: Mapping[str, object]) -> str:
    return hashlib.sha256(_canonical(entry).encode()).hexdigest()
