"""The ledger's events against the specification and the clock: what was fixed, when, and that it came first."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pipeline.errors import OutputError
from pipeline.findings.carried import shard_files
from pipeline.findings.custody.ledger import LedgerEntry
from pipeline.findings.custody.recorded_files import files_told_by, recorded_files
from pipeline.findings.facts import Provenance
from pipeline.findings.spec import LEDGER_FILE, SPEC_FILE, RunSpec
from pipeline.verify.failure import Failure, FailureKind
from pipeline.verify.run_folder import RESULTS_FILE, RunFolder
from pipeline.vocabulary import COHORT_BASELINES

__all__ = ["check_events", "check_finished", "check_provenance"]

_FIRST = ("ledger.opened", "criteria.locked", "configuration.locked", "model.hashed", "cohort.locked")
_SURVEYED, _TRIED = "masks.surveyed", "experiment.finished"
_STARTED, _SHARD, _INFERRED, _WRITTEN = (
    "inference.started",
    "shard.finished",
    "inference.finished",
    "results.written",
)
_SECOND = timedelta(seconds=1)  # what is written in whole seconds was cut off


def check_events(run: RunFolder) -> Iterator[Failure]:
    """Yield what the events of a run say otherwise than its specification, and events out of their order."""
    if run.entries is None or run.spec is None:
        return
    names = [entry.event for entry in run.entries]
    if tuple(names[:5]) != _FIRST or names[5:6] != [_STARTED] or len(set(names[:6]) & set(names[6:])):
        yield _out_of_order("does not begin with what was fixed before the first inference")
        return
    yield from _contradictions(run, run.spec, {entry.event: entry.body for entry in run.entries[:6]})
    last = {name: number for number, name in enumerate(names)}
    order = [last[name] for name in (_SHARD, _INFERRED, _WRITTEN) if name in last]
    if order != sorted(order) or max(names.count(_INFERRED), names.count(_WRITTEN)) > 1:
        yield _out_of_order("has shards or results that were written after the end")
    yield from _shards(run.spec, run.entries)
    yield from _surveys(run.spec, run.entries)
    yield from _experiments(run, run.spec, run.entries)


def _out_of_order(why: str) -> Failure:
    return Failure(FailureKind.EVENTS, f"{LEDGER_FILE} {why}", LEDGER_FILE)


def _contradictions(run: RunFolder, spec: RunSpec, bodies: Mapping[str, Mapping[str, Any]]) -> Iterator[Failure]:
    lock, members = spec.lock, run.members
    fixed: dict[str, dict[str, object]] = {
        "criteria.locked": {"criteria": lock.criteria, "locked_at": lock.locked_at},
        "configuration.locked": {"recipe": lock.recipe, "exploratory": list(lock.exploratory)},
        "model.hashed": {"sha256": lock.model, "code": spec.model.code_sha256},
        "cohort.locked": {"cohort": lock.cohort},
        _STARTED: {"shards": spec.shards, "not_carried": list(spec.not_carried)},
    }
    if members is not None:
        reused = members.shards.get(None, 0)
        fixed["cohort.locked"] |= {"studies": len(members), "reused": reused}
    for event, expected in fixed.items():
        body = bodies[event]
        wrong = [name for name, value in expected.items() if body.get(name) != value]
        if wrong:
            sentence = f"{LEDGER_FILE}, {event}: {wrong[0]} is not what {SPEC_FILE} says"
            yield Failure(FailureKind.EVENTS, sentence, LEDGER_FILE)
    if SPEC_FILE not in recorded_files([entry for entry in (run.entries or ()) if entry.event == _STARTED]):
        yield _out_of_order(f"does not hold the hash of {SPEC_FILE} at the start")


def _shards(spec: RunSpec, entries: tuple[LedgerEntry, ...]) -> Iterator[Failure]:
    for entry in entries:
        if entry.event == _SHARD:
            shard = entry.body.get("shard")
            expected = shard_files(shard) if isinstance(shard, int) and 0 <= shard < spec.shards else None
            if expected is None or set(entry.body.get("files") or ()) != set(expected):
                yield _out_of_order("tells of a shard that the specification does not know")


def _surveys(spec: RunSpec, entries: tuple[LedgerEntry, ...]) -> Iterator[Failure]:
    """Yield masks of the cohort that were not all read before the first study was scored, or that nobody asked for."""
    names = [entry.event for entry in entries]
    surveys = {number: entry.body for number, entry in enumerate(entries) if entry.event == _SURVEYED}
    wanted = set(range(spec.shards)) if not COHORT_BASELINES.isdisjoint(spec.config.baselines) else set()
    surveyed = {body.get("shard") for body in surveys.values()}
    files_fit = all(
        body.get("files", {}).keys() == {f"masks/{body.get('shard')!s:0>4}.npz"} for body in surveys.values()
    )
    first = names.index(_SHARD) if _SHARD in names else len(names)
    late = any(number > first for number in surveys) or (first < len(names) and surveyed != wanted)
    if late or not surveyed <= wanted or not files_fit:
        yield _out_of_order("tells of masks of the cohort that were not all read before the first study was scored")


def _experiments(run: RunFolder, spec: RunSpec, entries: tuple[LedgerEntry, ...]) -> Iterator[Failure]:
    """Yield experiments that nobody asked for, that were done twice or at another time, or that are missing.

    Where maps are scored again, their rows came with the run; those of an earlier night, too, where nothing changed.
    """
    names = [entry.event for entry in entries]
    done = [entry.body for entry in entries if entry.event == _TRIED]
    taken = _taken_over(entries)
    asked = (
        [] if spec.measured is not None else [name for name in spec.config.experiments.families if name not in taken]
    )
    families = [body.get("family") for body in done]
    files_fit = all(body.get("files", {}).keys() == {f"experiments/{body.get('family')}.json"} for body in done)
    end = names.index(_INFERRED) if _INFERRED in names else len(names)
    late = _TRIED in names[end:] or (end < len(names) and sorted(map(str, families)) != sorted(asked))
    if late or not files_fit or len(set(families)) < len(families) or not set(families) <= set(asked):
        yield _out_of_order("tells of experiments that are not those of the specification, each once before the end")
    recorded = recorded_files([entry for entry in entries if entry.event == _STARTED])
    for family, earlier in taken.items():
        name = f"experiments/{family}.json"
        if recorded.get(name) is None or recorded[name] != _told_by(run.path.parent / earlier, name, recorded[name]):
            sentence = f"{name}: is said to be that of run {earlier}, and is not"
            yield Failure(FailureKind.EVENTS, sentence, LEDGER_FILE)


def _taken_over(entries: Iterable[LedgerEntry]) -> Mapping[str, str]:
    """Return the families whose rows came with the run, and from which earlier one."""
    started = next((entry.body for entry in entries if entry.event == _STARTED), {})
    taken = started.get("experiments_from", {})
    return {str(family): Path(str(run)).name for family, run in taken.items()} if isinstance(taken, Mapping) else {}


def _told_by(earlier: Path, name: str, otherwise: str) -> str | None:
    """Return what a run's ledger says of a file; ``otherwise`` where that run is not here any more."""
    if not (earlier / LEDGER_FILE).exists():
        return otherwise
    try:
        return files_told_by(earlier / LEDGER_FILE).get(name)
    except OutputError:
        return None


def check_finished(run: RunFolder) -> Iterator[Failure]:
    """Yield whether the run ended: every shard, then its results, and a ledger that goes as far as they say."""
    if run.entries is None:
        return
    events = [entry.event for entry in run.entries]
    made = run.results.provenance if run.results else None
    if _WRITTEN not in events:
        if (run.path / RESULTS_FILE).exists():
            yield Failure(FailureKind.LEDGER_CUT, f"{LEDGER_FILE} ends before {RESULTS_FILE} was written", LEDGER_FILE)
        yield Failure(FailureKind.UNFINISHED, "the run was not finished: its ledger tells of no results")
    elif not (run.path / RESULTS_FILE).exists():
        yield Failure(FailureKind.FILE_MISSING, f"{RESULTS_FILE} was written by the run and is not there", RESULTS_FILE)
    if made is not None and made.ledger_length > len(run.entries):
        sentence = f"{LEDGER_FILE} has {len(run.entries)} entries, and {RESULTS_FILE} knew {made.ledger_length}"
        yield Failure(FailureKind.LEDGER_CUT, sentence, LEDGER_FILE)
    if run.spec is not None:
        done = {entry.body.get("shard") for entry in run.entries if entry.event == _SHARD}
        if missing := set(range(run.spec.shards)) - done:
            yield Failure(FailureKind.UNFINISHED, f"shard {min(missing)} was never finished, by the ledger")


def check_provenance(run: RunFolder) -> Iterator[Failure]:
    """Yield what the results say of how they were made, and ledger and specification say otherwise."""
    if run.results is None or run.spec is None:
        return
    made, spec = run.results.provenance, run.spec
    program, config = spec.program, spec.config
    expected = {
        "camaudit": program.camaudit,
        "command": spec.command,
        "started_at": spec.started_at,
        "device": program.device,
        "platform": program.platform,
        "python": program.python,
        "libraries": program.libraries,
        "seed": config.run.seed,
        "replicates": config.run.replicates,
        "previous_run": spec.previous_run,
    }
    for name, value in expected.items():
        if getattr(made, name) != value:
            yield _provenance(f"provenance.{name} is not what {SPEC_FILE} says")
    if run.entries is not None:
        yield from _head(made, run.entries)
        yield from _times(made, spec, run.entries)


def _provenance(why: str) -> Failure:
    return Failure(FailureKind.PROVENANCE, f"{RESULTS_FILE}: {why}", RESULTS_FILE)


def _head(made: Provenance, entries: tuple[LedgerEntry, ...]) -> Iterator[Failure]:
    length = made.ledger_length
    if 0 < length <= len(entries) and entries[length - 1].hash == made.ledger_head:
        if entries[length - 1].event != _INFERRED:
            yield _provenance("the ledger's head that it names is not that of the inference's end")
    elif length <= len(entries):
        yield _provenance("the ledger's head that it names does not lie on the chain")


def _times(made: Provenance, spec: RunSpec, entries: tuple[LedgerEntry, ...]) -> Iterator[Failure]:
    """Hold the dates that are printed against those that are signed; all are the same clock's."""
    clock = {entry.event: _clock(entry) for entry in entries}
    started, finished = _time(made.started_at), _time(made.finished_at)
    if started is None or finished is None:
        yield _provenance("a date of it is none")
        return
    if started > clock[entries[0].event] or spec.run[:15] != f"{started:%Y%m%dT%H%M%S}":
        yield _provenance("provenance.started_at is not the time of the run's name, or later than its ledger")
    after, before = clock.get(_INFERRED), clock.get(_WRITTEN)
    if (after and finished < after - _SECOND) or (before and finished > before):
        yield _provenance(
            "provenance.finished_at does not lie between the inference's end and the results, by the ledger"
        )
    elif abs(made.seconds - (finished - started).total_seconds()) > 1.1:
        yield _provenance("provenance.seconds is not the time between start and end")


def _clock(entry: LedgerEntry) -> datetime:
    """Return what the clock said: where it was set back, an entry's time comes after the one before all the same."""
    return _time(entry.body.get("clock")) or entry.time


def _time(text: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return time if time.tzinfo else None
