"""What the audit's earlier runs said of its criteria, carried on from run to run: a chart needs no other folder."""

from pathlib import Path
from typing import Final

from pipeline.errors import OutputError
from pipeline.findings.custody.recorded_files import check_file, files_told_by
from pipeline.findings.plotted.history import RunPoint
from pipeline.findings.results import load_results
from pipeline.findings.spec import LEDGER_FILE

__all__ = ["MOST_RUNS", "earlier_points"]

MOST_RUNS: Final = 200
"""Runs that are carried on; older ones are in those runs' own results."""

_RESULTS: Final = "results.json"


def earlier_points(folder: Path, previous_run: str | None) -> tuple[RunPoint, ...]:
    """Return the points of the runs before the one in ``folder``, oldest first.

    A previous run that is gone, of another version, or not as its ledger has it, ends the chain: nothing is shown of it
    or from before it.
    """
    if previous_run is None:
        return ()
    before = folder.parent / previous_run
    try:
        check_file(before, _RESULTS, files_told_by(before / LEDGER_FILE))
        results = load_results(before)
    except OutputError:
        return ()
    points = (*results.history, *results.points())
    kept = set(list(dict.fromkeys(point.run for point in points))[-MOST_RUNS:])
    return tuple(point for point in points if point.run in kept)
