"""Which runs of an audit may go: never one that another refers to, a signed or first locked one, or one under way.

A run refers to another by the maps that were carried over from it, by being its maps scored again, or by naming it as
the predecessor that it is held against. That the newest run was also compared with the one before it is no reference:
what was found stands in its own results.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import OutputError
from pipeline.findings.custody.ledger import Ledger
from pipeline.findings.custody.site_key import load_site_key
from pipeline.findings.shards import runs_named
from pipeline.findings.spec import LEDGER_FILE, SPEC_FILE
from pipeline.runs.exclusive import exclusive
from pipeline.runs.nights.half_made import half_made_runs
from pipeline.runs.nights.heartbeat import workers_of
from pipeline.runs.nights.night_log import NIGHTS_FILE, REMOVED

__all__ = ["KeptRun", "RemovableRun", "Retention", "plan_retention", "remove_runs"]

_RESULTS = "results.json"
_LEAVING = ".removed-"
"""How a run's folder is called while it is deleted: no run any more, whatever ends the deletion."""


@dataclass(frozen=True)
class KeptRun:
    """A run that stays, and why: the first reason that holds."""

    run: str
    reason: str


@dataclass(frozen=True)
class RemovableRun:
    """A run that may go, and the bytes that its folder takes."""

    run: str
    bytes: int


@dataclass(frozen=True)
class Retention:
    """What is kept and what may go, each oldest first."""

    kept: tuple[KeptRun, ...]
    removable: tuple[RemovableRun, ...]


@dataclass(frozen=True)
class _Run:
    """What of a run's files decides. ``lock`` is that of a finished run which was not exploratory."""

    folder: Path
    finished: bool
    lock: str | None
    signed: bool
    under_way: bool
    measured: str | None
    predecessors: frozenset[str]

    @property
    def name(self) -> str:
        return self.folder.name


def plan_retention(audits: Path, keep: int) -> Retention:
    """Return which runs of an audit's folder stay when its newest ``keep`` finished ones are to, and which may go.

    What a process left that was killed in a run's start may go at any age: nothing of it is carried over.

    Raises:
        OutputError: when the folder holds no run, or it cannot be told what a run that stays refers to.
    """
    half_made = half_made_runs(audits)
    folders = [path.parent for path in sorted(audits.glob(f"*/{SPEC_FILE}"))]
    runs = [_read(folder) for folder in folders if not folder.is_symlink() and folder not in half_made]
    if not runs and not half_made:
        raise OutputError(f"{audits}: holds no run; give the folder of an audit (runs/NAME)")
    reasons = _reasons_by_itself(runs, keep)
    for name, other in _named_elsewhere(audits):
        if any(run.name == name for run in runs):
            reasons.setdefault(name, f"{other} is held against it")
    _add_referred(runs, reasons)
    kept = tuple(KeptRun(run.name, reasons[run.name]) for run in runs if run.name in reasons)
    leaving = [*half_made, *(run.folder for run in runs if run.name not in reasons)]
    removable = tuple(RemovableRun(folder.name, _size(folder)) for folder in sorted(leaving))
    return Retention(kept, removable)


def remove_runs(audits: Path, keep: int, say: Callable[[str], None]) -> Retention:
    """Remove what may go, and enter its names in the audit's log of nights first; return what was planned.

    No run of the audit is under way meanwhile.

    Raises:
        OutputError: when a run of the audit is under way, or a folder cannot be removed.
    """
    with exclusive(audits, say):
        for leftover in audits.glob(f"{_LEAVING}*"):
            shutil.rmtree(leftover)
        plan = plan_retention(audits, keep)
        if not plan.removable:
            return plan
        names = [run.run for run in plan.removable]
        Ledger(audits / NIGHTS_FILE, load_site_key()).append(REMOVED, runs=names, keep=keep)
        for name in names:
            _remove(audits, name)
        return plan


def _remove(audits: Path, name: str) -> None:
    leaving = audits / f"{_LEAVING}{name}"
    try:
        (audits / name).rename(leaving)  # a folder that is half deleted is no run
        shutil.rmtree(leaving)
    except OSError as error:
        raise OutputError(f"{audits / name}: cannot be removed: {error.strerror or error}") from error


def _reasons_by_itself(runs: list[_Run], keep: int) -> dict[str, str]:
    """Return the runs that stay for what they are, with the reason."""
    reasons: dict[str, str] = {}
    finished = [run for run in runs if run.finished]
    newest = finished[-1].name if finished else ""
    first_under: dict[str, str] = {}
    for run in finished:
        if run.lock is not None:
            first_under.setdefault(run.lock, run.name)
    kept_for_age = {run.name for run in finished[-keep:]}
    for run in runs:
        if run.under_way:
            reasons[run.name] = "a process works on it"
        elif run.signed:
            reasons[run.name] = "signed"
        elif run.name in first_under.values():
            reasons[run.name] = "the first run under its lock"
        elif run.name in kept_for_age:
            reasons[run.name] = f"among the newest {keep}"
        elif not run.finished and run.name > newest:
            reasons[run.name] = "interrupted: what it has done is carried over by the next run"
    return reasons


def _add_referred(runs: list[_Run], reasons: dict[str, str]) -> None:
    """Add the runs that those which stay refer to, and so on."""
    by_name = {run.name: run for run in runs}
    waiting = list(reasons)
    while waiting:
        referring = by_name[waiting.pop()]
        for name in _referred(referring):
            if name in by_name and name not in reasons:
                reasons[name] = f"{referring.name} refers to it"
                waiting.append(name)


def _referred(run: _Run) -> Iterable[str]:
    names = set(run.predecessors)
    names |= {run.measured} if run.measured is not None else set()
    for path in sorted((run.folder / "shards").glob("*.parquet")):
        names |= runs_named(path)
    return sorted(names)


def _read(folder: Path) -> _Run:
    """Read what decides; what cannot be read decides nothing but keeps what it might."""
    spec, results = _json(folder / SPEC_FILE), _json(folder / _RESULTS)
    events = _events(folder / LEDGER_FILE)
    stated = spec.get("lock")
    lock = stated if isinstance(stated, dict) else {}
    digest = lock.get("digest") if results and not lock.get("exploratory") else None
    return _Run(
        folder,
        finished=bool(results),
        lock=None if digest is None else str(digest),
        signed=any("signed" in event or "approved" in event for event in events),
        under_way=any(worker.alive for worker in workers_of(folder)),
        measured=spec.get("measured") if isinstance(spec.get("measured"), str) else None,
        predecessors=frozenset(_predecessors(results, folder.parent.name)),
    )


def _json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _events(ledger: Path) -> list[str]:
    """Return the names of a ledger's events, whether it holds or not: a signature keeps a run, no more."""
    events = []
    with suppress(OSError):
        for line in ledger.read_bytes().splitlines():
            with suppress(ValueError):
                entry = json.loads(line)
                events.append(str(entry.get("event", "")) if isinstance(entry, dict) else "")
    return events


def _predecessors(results: Mapping[str, Any], audit: str) -> Iterable[str]:
    """Yield the runs of this audit that a run's results name as its predecessor."""
    changes = results.get("changes")
    for change in changes if isinstance(changes, list) else []:
        if isinstance(change, dict) and change.get("kind") == "predecessor":
            named, _, run = str(change.get("run_a", "")).rpartition("/")
            if named == audit:
                yield run


def _named_elsewhere(audits: Path) -> Iterable[tuple[str, str]]:
    """Yield runs of this audit that runs of others beside it are held against, each with that run."""
    own = audits.resolve()
    for path in sorted(own.parent.glob(f"*/*/{_RESULTS}")):
        other = path.parent.parent
        if other.name != own.name:
            for name in _predecessors(_json(path), own.name):
                yield name, f"{other.name}/{path.parent.name}"


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
