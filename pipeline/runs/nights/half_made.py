"""A run that never began: its process was killed while it wrote the start, and nothing was computed."""

import re
from pathlib import Path

from pipeline.findings.carried import REUSED
from pipeline.findings.spec import LEDGER_FILE
from pipeline.runs.nights.heartbeat import workers_of

__all__ = ["NOT_BEGUN", "half_made_runs", "never_began"]

NOT_BEGUN = "has not begun: its start is being written, or its process ended in it; nothing was computed"

_RUN_NAME = re.compile(r"\d{8}T\d{6}\d*Z-[0-9a-f]+")
_STARTED = b'"inference.started"'
_LONGEST_START = 2**20  # bytes; a ledger's entries up to that one have some kilobytes


def half_made_runs(audits: Path) -> list[Path]:
    """Return the folders of an audit's runs that never began, oldest first; others' folders are none of them."""
    named = [path for path in sorted(audits.glob("*")) if _RUN_NAME.fullmatch(path.name) and path.is_dir()]
    return [path for path in named if not path.is_symlink() and never_began(path) and not workers_of(path)]


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
