"""Who has locked what and who has looked: one signed, chained log for all audits of a user or a site.

Beside it lie the cohorts, each a file named by its own digest with the hashes of its studies, because the question is
whether weights were ever tried on any study of a cohort, whatever the run was called and wherever it was kept.
"""

import json
from collections.abc import Collection, Iterator, Set
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.file_lock import locked
from pipeline.files import written
from pipeline.findings.custody.ledger import Ledger, LedgerEntry, LedgerError, LedgerFault, public_key, read_ledger
from pipeline.findings.custody.seen_studies import SeenStudies
from pipeline.findings.custody.site_key import SiteKey, verify_signature
from pipeline.findings.custody.state_folder import named_folder, private_folder, state_folder
from pipeline.findings.custody.study_lists import LISTS, list_content, read_study_list, write_study_list

__all__ = [
    "PLACE_FILE",
    "LockFacts",
    "Look",
    "LookFacts",
    "Register",
    "enter_lock",
    "enter_look",
    "entering_lock",
    "read_register",
    "register_folder",
    "register_is_here",
    "write_place",
]

REGISTER_VARIABLE = "CAMAUDIT_REGISTER"
_FILE, _HEAD, _GUARD = "register.jsonl", "register.head.json", "register.lock"
_OPENED = "register.opened"

PLACE_FILE = "private/register.json"
"""Where the register lies that a run was entered in; a folder that is handed on goes without it."""


@dataclass(frozen=True)
class LockFacts:
    """What a lock fixes: digests, and for an amendment the digest of the lock before it and the reason."""

    audit: str
    lock: str
    weights: str
    amended_from: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class LookFacts:
    """What a start of a run is: its id, the weights' SHA-256 and the digest of its lock, if it has one."""

    run: str
    weights: str
    lock: str | None = None


@dataclass(frozen=True)
class Look:
    """An earlier start of a run. ``doubt`` says why its studies are not known: then a look cannot be ruled out."""

    run: str
    weights: str
    cohort: str
    lock: str | None
    time: datetime
    doubt: str | None = None


@dataclass(frozen=True)
class Register:
    """What the register held when it was read, every entry verified."""

    folder: Path
    entries: tuple[LedgerEntry, ...]

    @property
    def since(self) -> datetime:
        """When the register was begun: nothing earlier is known."""
        return self.entries[0].time

    @property
    def head(self) -> str:
        """The hash of the newest entry."""
        return self.entries[-1].hash

    @property
    def length(self) -> int:
        """How many entries there are, the one that began it included."""
        return len(self.entries)

    @property
    def public(self) -> str:
        """The public key that signed it."""
        return public_key(self.entries)

    @property
    def locks(self) -> tuple[LedgerEntry, ...]:
        """The entries of locks, oldest first; the body holds ``LockFacts``, ``cohort`` and ``studies``."""
        return tuple(entry for entry in self.entries if entry.event == "lock")

    def holds(self, length: int, head: str) -> bool:
        """Tell whether the register was once this long with this head: else it was cut or begun anew since."""
        return 0 < length <= self.length and self.entries[length - 1].hash == head

    def looks(self, weights: str, studies: Collection[str], before: datetime) -> tuple[Look, ...]:
        """Return every start of a run with these weights on any of these studies before a time, oldest first.

        ``studies`` are the studies' content hashes. A look whose cohort is lost or altered is among them, in doubt.
        """
        return self._looks(weights, {study.encode("ascii") for study in studies}, before)

    def looks_at(self, look: LedgerEntry, before: datetime) -> tuple[Look, ...]:
        """Return every start of a run before a time with the weights and on any study of an entered look.

        Where the list of its own studies is lost or altered, which they were is not known, and there is none.
        """
        own = read_study_list(self.folder, look.body["cohort"])
        return () if isinstance(own, str) else self._looks(look.body["weights"], own, before)

    def seen(self, lock: str, before: int | None = None) -> SeenStudies:
        """Return what starts of runs under the lock of a growing cohort had, of the first ``before`` entries."""
        seen = SeenStudies(self.folder, lock)
        seen.follow(self.entries[:before])
        return seen

    def _looks(self, weights: str, wanted: Set[bytes], before: datetime) -> tuple[Look, ...]:
        entries = [
            entry
            for entry in self.entries
            if entry.event == "look" and entry.body["weights"] == weights and entry.time < before
        ]
        overlaps: dict[str, tuple[bool, str | None]] = {}
        for cohort in {entry.body["cohort"] for entry in entries}:
            overlaps[cohort] = _overlap(self.folder, cohort, wanted)
        return tuple(
            _look(entry, overlaps[entry.body["cohort"]][1]) for entry in entries if overlaps[entry.body["cohort"]][0]
        )


def _look(entry: LedgerEntry, doubt: str | None) -> Look:
    """Return the look of an entry, whose body may hold more: what a clock said, as what studies were had."""
    body = entry.body
    return Look(body["run"], body["weights"], body["cohort"], body["lock"], entry.time, doubt)


def read_register(folder: Path | None = None) -> Register:
    """Read and verify the register in a folder, or in the one that ``CAMAUDIT_REGISTER`` or the state folder says.

    Raises:
        LedgerError: when there is none, or it was altered, cut or removed.
    """
    folder = folder or _folder()
    entries = read_ledger(folder / _FILE)
    _check_opening(folder, entries)
    _check_head(folder, entries)
    return Register(folder, entries)


def write_place(run: Path) -> None:
    """Write into a run's folder where its register lies.

    Raises:
        OutputError: when it cannot be written.
    """
    with written(run / PLACE_FILE, private=True) as file:
        file.write(json.dumps({"folder": str(_folder())}).encode())


def register_folder(run: Path) -> Path:
    """Return where the register of a run is to be looked for.

    That is where ``CAMAUDIT_REGISTER`` says, else where the run says, else in the state folder.

    Raises:
        OutputError: when none of them names a folder.
    """
    named = named_folder(REGISTER_VARIABLE)
    if named is not None:
        return named
    try:
        return Path(json.loads((run / PLACE_FILE).read_bytes())["folder"])
    except (OSError, ValueError, LookupError, TypeError):
        return _folder()


def register_is_here(folder: Path) -> bool:
    """Tell whether anything of a register lies in a folder."""
    return any((folder / name).exists() for name in (_FILE, _HEAD, LISTS))


def enter_lock(key: SiteKey, facts: LockFacts, studies: Collection[str], folder: Path | None = None) -> LedgerEntry:
    """Enter a lock, with the content hashes of its studies, and return the entry: its time is the lock's.

    Raises:
        ConfigError: when an amendment has no reason of one line, or a reason stands without an amendment.
        LedgerError: when the register cannot be trusted; it is never begun again.
        OutputError: when it cannot be written.
    """
    with entering_lock(key, facts, studies, folder) as (_, entry):
        return entry


@contextmanager
def entering_lock(
    key: SiteKey, facts: LockFacts, studies: Collection[str], folder: Path | None = None
) -> Iterator[tuple[Register, LedgerEntry]]:
    """Yield the register and the entry that ``enter_lock`` is to make, which is made at the end of the block.

    Until then the register takes no other entry and cannot be read; after an exception no lock is entered.

    Raises:
        ConfigError, LedgerError, OutputError: as ``enter_lock``.
    """
    reason = facts.reason or ""
    if bool(facts.amended_from) != bool(reason.strip()) or len(reason.splitlines()) > 1 or len(reason) > 500:
        raise ConfigError(f"--amend: needs a reason of one line, 1 to 500 characters, not {facts.reason!r}")
    content, folder = list_content(studies), folder or _folder()
    with _opened(folder, key) as (ledger, register):
        body = {**asdict(facts), "studies": len(set(studies)), "cohort": write_study_list(folder, content)}
        with ledger.appending("lock", **body) as entry:
            yield register, entry
        _write_head(folder, key, entry)


def enter_look(
    key: SiteKey,
    facts: LookFacts,
    studies: Collection[str],
    folder: Path | None = None,
    *,
    had: Collection[str] | None = None,
    known: SeenStudies | None = None,
) -> tuple[datetime, LedgerEntry]:
    """Enter the start of a run, before its first inference; return since when the register is, and the entry.

    Of a growing cohort ``had`` says as what the studies are had (``had_as``): what no look under the lock had as that
    is entered with it. ``known`` is what the caller has read of that already.

    Raises:
        LedgerError: when the register cannot be trusted; it is never begun again.
        OutputError: when it cannot be written.
    """
    content, folder = list_content(studies), folder or _folder()
    with _opened(folder, key) as (ledger, register):
        body = {**asdict(facts), "cohort": write_study_list(folder, content)}
        if had is not None:
            new = _seen_by(register, str(facts.lock), known).new_among(had)
            body["contents"] = write_study_list(folder, list_content(new))
        entry = ledger.append("look", **body)
        _write_head(folder, key, entry)
        return register.since, entry


def _seen_by(register: Register, lock: str, known: SeenStudies | None) -> SeenStudies:
    """Return what looks under a lock had by now: what is new is read, and nothing that is known already."""
    if known is None or known.lock != lock or not register.holds(known.length, known.head):
        return register.seen(lock)
    known.follow(register.entries)
    return known


def _folder() -> Path:
    return named_folder(REGISTER_VARIABLE) or state_folder() / "register"


@contextmanager
def _opened(folder: Path, key: SiteKey) -> Iterator[tuple[Ledger, Register]]:
    """Yield the register, to add to and as it is, to one process at a time; begin it where nothing of one is there."""
    private_folder(folder, REGISTER_VARIABLE)
    with locked(folder / _GUARD, create=True):
        path = folder / _FILE
        if _is_half_begun(folder):
            path.unlink()
        if (path.exists() and path.stat().st_size) or (folder / _HEAD).exists() or (folder / LISTS).exists():
            entries = read_ledger(path, public=key.public)
            _check_opening(folder, entries)
            _check_head(folder, entries)
            yield Ledger(path, key), Register(folder, entries)
        else:
            ledger = Ledger(path, key, opening=_OPENED)
            entries = read_ledger(path)
            _write_head(folder, key, entries[0])
            yield ledger, Register(folder, entries)


def _is_half_begun(folder: Path) -> bool:
    """Tell whether a process died between the first entry of a register and its head, before anything was entered.

    Such a register is begun anew, at this time: as it would be where all of it had been removed.
    """
    if (folder / _HEAD).exists() or (folder / LISTS).exists():
        return False
    try:
        (line,) = (folder / _FILE).read_bytes().splitlines()
        return bool(json.loads(line)["event"] == _OPENED)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _check_opening(folder: Path, entries: tuple[LedgerEntry, ...]) -> None:
    if entries[0].event != _OPENED:
        raise LedgerError(LedgerFault.EDITED, f"{folder / _FILE}: is another log, put in the register's place")


def _write_head(folder: Path, key: SiteKey, entry: LedgerEntry) -> None:
    head = {"length": entry.sequence + 1, "head": entry.hash}
    with written(folder / _HEAD, private=True) as file:
        file.write(json.dumps({**head, "signature": key.sign(_head_statement(head))}).encode())


def _check_head(folder: Path, entries: tuple[LedgerEntry, ...]) -> None:
    """Find an end that was cut off: the head is kept beside the log, signed, and must lie on the chain."""
    path = folder / _HEAD
    try:
        head = json.loads(path.read_bytes())
        signature = head.pop("signature")
        length, digest = int(head["length"]), str(head["head"])
        sound = verify_signature(public_key(entries), _head_statement(head), signature)
    except OSError as error:
        why = f"cannot be read ({error.strerror}), so the register may have been cut; restore both from a backup"
        raise LedgerError(LedgerFault.CUT, f"{path}: {why}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LedgerError(LedgerFault.EDITED, f"{path}: is not the head of a register") from error
    if not sound:
        raise LedgerError(LedgerFault.SIGNATURE, f"{path}: was not signed with the register's key")
    if length > len(entries) or entries[length - 1].hash != digest:
        why = f"had {length} entries and has {len(entries)} now: its end was cut off; restore it from a backup"
        raise LedgerError(LedgerFault.CUT, f"{folder / _FILE}: {why}")


def _head_statement(head: dict[str, Any]) -> bytes:
    return f"camaudit register head 1\n{json.dumps(head, sort_keys=True)}".encode()


def _overlap(folder: Path, digest: str, wanted: Set[bytes]) -> tuple[bool, str | None]:
    """Tell whether a cohort may hold one of the ``wanted`` studies, and what keeps that from being known."""
    listed = read_study_list(folder, digest)
    return (True, listed) if isinstance(listed, str) else (not wanted.isdisjoint(listed), None)
