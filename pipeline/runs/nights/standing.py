"""How far each run of an audit has come, as files and locks tell: what a killed process left is believed in nothing."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import OutputError
from pipeline.findings.custody.ledger import LedgerEntry, read_ledger
from pipeline.findings.custody.never_began import NOT_BEGUN, never_began
from pipeline.findings.spec import LEDGER_FILE, SPEC_FILE, RunSpec, read_members, read_spec
from pipeline.runs.nights.heartbeat import Worker, workers_of

__all__ = ["RunStanding", "RunState", "audit_folder_of", "standing_of", "standings_of"]

RunState = Literal["running", "finished", "interrupted", "unreadable"]
_RESULTS = "results.json"


@dataclass(frozen=True)
class RunStanding:
    """What a run has come to.

    ``running``: a living process works on it. ``interrupted``: none does, and it has no results; ``reason`` says where
    it never began. ``unreadable``: of another version, or damaged; ``reason`` says how. ``done`` of ``shards`` are
    written. ``studies`` are those of its cohort, ``flow`` how they ended, ``answers`` how often each verdict was
    given, both of a finished run.
    """

    run: str
    state: RunState
    studies: int = 0
    shards: int = 0
    done: int = 0
    started_at: str | None = None
    finished_at: str | None = None
    flow: Mapping[str, int] | None = None
    answers: Mapping[str, int] | None = None
    exploratory: bool = False
    has_report: bool = False
    workers: tuple[Worker, ...] = ()
    reason: str | None = None


def audit_folder_of(folder: Path) -> tuple[Path, tuple[Path, ...]]:
    """Return an audit's folder and its runs, oldest first; of a run's folder, that run alone.

    Raises:
        OutputError: when it is the folder of neither.
    """
    if (folder / SPEC_FILE).exists():
        return folder.resolve().parent, (folder.resolve(),)
    runs = sorted(path.parent for path in folder.glob(f"*/{SPEC_FILE}"))
    if not runs:
        raise OutputError(f"{folder}: holds no run; give the folder of a run, or that of an audit (runs/NAME)")
    return folder, tuple(runs)


def standings_of(folder: Path) -> tuple[RunStanding, ...]:
    """Return how far each run of an audit has come, oldest first; of a run's folder, that of the run.

    Raises:
        OutputError: when it is the folder of neither.
    """
    return tuple(standing_of(run) for run in audit_folder_of(folder)[1])


def standing_of(run: Path) -> RunStanding:
    """Return how far a run has come."""
    workers = workers_of(run)
    alive = any(worker.alive for worker in workers)
    if never_began(run):
        return RunStanding(run.name, "interrupted", workers=workers, reason=NOT_BEGUN)
    try:
        spec, members, entries = read_spec(run), read_members(run), read_ledger(run / LEDGER_FILE)
    except OutputError as error:
        said = str(error).replace(f"{run}/", "").replace(f"{run}: ", "")
        return RunStanding(run.name, "unreadable", workers=workers, reason=said)
    done = {entry.body.get("shard") for entry in entries if entry.event == "shard.finished"}
    written = any(entry.event == "results.written" for entry in entries)
    results = _results(run) if written else None
    state: RunState = "running" if alive else "finished" if results is not None else "interrupted"
    begun = RunStanding(
        run.name, state, len(members), spec.shards, len(done), started_at=spec.started_at, workers=workers
    )
    return begun if results is None else _with_results(begun, spec, entries, results)


def _results(run: Path) -> Mapping[str, Any] | None:
    """Return what the results hold; None where they are gone or no JSON. Their proof is ``camaudit verify``'s."""
    try:
        content = json.loads((run / _RESULTS).read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _with_results(
    begun: RunStanding, spec: RunSpec, entries: tuple[LedgerEntry, ...], results: Mapping[str, Any]
) -> RunStanding:
    flow, verdicts = results.get("flow", {}), results.get("verdicts", [])
    return RunStanding(
        begun.run,
        begun.state,
        begun.studies,
        begun.shards,
        begun.done,
        begun.started_at,
        str(results.get("provenance", {}).get("finished_at")),
        {
            "analysed": int(flow.get("analysed", 0)),
            "excluded": sum(flow.get("excluded", {}).values()),
            "failed": sum(flow.get("failed", {}).values()),
            "computed": int(flow.get("computed", 0)),
            "reused": int(flow.get("reused", 0)),
        },
        dict(Counter(str(verdict.get("answer")) for verdict in verdicts)),
        bool(spec.lock.exploratory),
        any(entry.event == "report.rendered" for entry in entries),
        begun.workers,
    )
