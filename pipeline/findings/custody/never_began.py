"""A run that never began: its process was killed while it wrote the start, and nothing was computed."""

from pathlib import Path

from pipeline.findings.carried import REUSED
from pipeline.findings.spec import LEDGER_FILE

__all__ = ["NOT_BEGUN", "never_began"]

NOT_BEGUN = "has not begun: its start is being written, or its process ended in it; nothing was computed"

_STARTED = b'"inference.started"'
_LONGEST_START = 2**20  # bytes; a ledger's entries up to that one have some kilobytes


def never_began(folder: Path) -> bool:
    """Tell whether the folder of a run holds nothing but a start that was not written to its end.

    A run that lost its ledger has shards, or results; one whose ledger cannot be read is not judged.
    """
    try:
        with (folder / LEDGER_FILE).open("rb") as file:
            start = file.read(_LONGEST_START)
    except FileNotFoundError:
        start = b""
    except OSError:
        return False
    worked = {f"shards/{path.name}" for path in (folder / "shards").glob("*.parquet")} - {REUSED}
    has_started = _STARTED in start or len(start) == _LONGEST_START
    return not has_started and not worked and not (folder / "results.json").exists()
