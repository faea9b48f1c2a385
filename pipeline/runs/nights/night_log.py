"""The audit's log of nights: what happened beside its runs. A ledger of its own, chained and signed as a run's is."""

from pathlib import Path

from pipeline.findings.custody.ledger import LedgerEntry, read_ledger

__all__ = ["NIGHTS_FILE", "NOTHING_NEW", "REMOVED", "nights_without_news", "read_nights"]

NIGHTS_FILE = "nights.jsonl"
NOTHING_NEW = "night.nothing_new"
REMOVED = "runs.removed"


def read_nights(audits: Path) -> tuple[LedgerEntry, ...]:
    """Return the log of an audit's folder, empty where there is none.

    Raises:
        OutputError: when it is not what was written.
    """
    path = audits / NIGHTS_FILE
    return read_ledger(path) if path.exists() else ()


def nights_without_news(audits: Path) -> dict[str, list[str]]:
    """Return, by run, when nothing was new since it.

    Raises:
        OutputError: when the log is not what was written.
    """
    nights: dict[str, list[str]] = {}
    for entry in read_nights(audits):
        if entry.event == NOTHING_NEW:
            nights.setdefault(str(entry.body["run"]), []).append(entry.time.isoformat(timespec="seconds"))
    return nights
