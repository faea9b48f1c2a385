"""Who has locked what and who has looked: one signed, chained log for all audits of a user or a site.

Beside it lie the cohorts, each a file named by its own digest with the hashes of its studies, because the question is
whether weights were ever tried on any study of a cohort, whatever the run was called and wherever it was kept.
"""

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, OutputError
from pipeline.file_lock import locked
from pipeline.files import written
from pipeline.findings.custody.ledger import Ledger, LedgerEntry, LedgerError, LedgerFault, public_key, read_ledger
from pipeline.findings.custody.site_key import SiteKey, verify_signature
from pipeline.findings.custody.state_folder import named_folder, private_folder, state_folder

__all__ = [
    "PLACE_FILE",
    "Dropped",
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
    "studies_digest",
    "write_place",
]

REGISTER_VARIABLE = "CAMAUDIT_REGISTER"
_FILE, _HEAD, _COHORTS, _GUARD = "register.jsonl", "register.head.json", "cohorts", "register.lock"
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
class Dropped:
    """How many images runs under a lock had that are gone, and the runs whose images are not known any more."""

    images: int
    lost: tuple[str, ...]


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
        try:
            content = _cohort_path(self.folder, look.body["cohort"]).read_bytes()
        except OSError:
            return ()
        known = hashlib.sha256(content).hexdigest() == look.body["cohort"]
        return self._looks(look.body["weights"], set(content.splitlines()), before) if known else ()

    def dropped(self, lock: str, studies: Collection[str]) -> Dropped:
        """Return what starts of runs under a lock had that is not among ``studies``, the content hashes of images."""
        return self._dropped(lock, {study.encode("ascii") for study in studies}, self.entries)

    def dropped_by(self, look: LedgerEntry) -> Dropped:
        """Return what starts of runs under the lock of an entered look had before it that it did not have itself.

        Where the list of its own studies is lost or altered, which they were is not known, and nothing is told.
        """
        own = _listed(self.folder, look.body["cohort"])
        if isinstance(own, str):
            return Dropped(0, ())
        return self._dropped(look.body["lock"], own, self.entries[: look.sequence])

    def first_under(self, lock: str, studies: Collection[str]) -> Mapping[str, str]:
        """Return which start of a run under a lock had each of the studies first, of those that one had before.

        A start whose list of studies is lost or altered says nothing.
        """
        first, wanted = dict[str, str](), {study.encode("ascii") for study in studies}
        for cohort, run in self._under(lock, self.entries).items():
            listed = _listed(self.folder, cohort)
            if not isinstance(listed, str):
                first |= {study.decode("ascii"): run for study in listed & wanted}
                wanted -= listed
        return first

    def _under(self, lock: str, entries: Iterable[LedgerEntry]) -> dict[str, str]:
        """Return the first start under a lock of each cohort, by the cohort's digest, oldest first."""
        under = dict[str, str]()
        for entry in entries:
            if (entry.event, entry.body.get("lock")) == ("look", lock):
                under.setdefault(entry.body["cohort"], entry.body["run"])
        return under

    def _dropped(self, lock: str, kept: set[bytes], entries: Iterable[LedgerEntry]) -> Dropped:
        gone, lost = set[bytes](), list[str]()
        for cohort, run in self._under(lock, entries).items():
            listed = _listed(self.folder, cohort)
            if isinstance(listed, str):
                lost.append(run)
            else:
                gone |= listed - kept
        return Dropped(len(gone), tuple(lost))

    def _looks(self, weights: str, wanted: set[bytes], before: datetime) -> tuple[Look, ...]:
        entries = [
            entry
            for entry in self.entries
            if entry.event == "look" and entry.body["weights"] == weights and entry.time < before
        ]
        overlaps: dict[str, tuple[bool, str | None]] = {}
        for cohort in {entry.body["cohort"] for entry in entries}:
            overlaps[cohort] = _overlap(self.folder, cohort, wanted)
        return tuple(
            Look(**entry.body, time=entry.time, doubt=overlaps[entry.body["cohort"]][1])
            for entry in entries
            if overlaps[entry.body["cohort"]][0]
        )


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
    return any((folder / name).exists() for name in (_FILE, _HEAD, _COHORTS))


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
    body = {**asdict(facts), "studies": len(set(studies))}
    with _entering(key, "lock", body, studies, folder or _folder()) as entered:
        yield entered


def enter_look(key: SiteKey, facts: LookFacts, studies: Collection[str], folder: Path | None = None) -> LedgerEntry:
    """Enter the start of a run, before its first inference, and return the entry.

    Raises:
        LedgerError: when the register cannot be trusted; it is never begun again.
        OutputError: when it cannot be written.
    """
    with _entering(key, "look", asdict(facts), studies, folder or _folder()) as (_, entry):
        return entry


def studies_digest(studies: Collection[str]) -> str:
    """Return the digest of a cohort from its studies' content hashes; neither order nor repetition counts."""
    return hashlib.sha256(_cohort_content(studies)).hexdigest()


def _folder() -> Path:
    return named_folder(REGISTER_VARIABLE) or state_folder() / "register"


@contextmanager
def _entering(
    key: SiteKey, event: str, body: dict[str, Any], studies: Collection[str], folder: Path
) -> Iterator[tuple[Register, LedgerEntry]]:
    content = _cohort_content(studies)
    cohort = hashlib.sha256(content).hexdigest()
    with _opened(folder, key) as (ledger, register):
        path = _cohort_path(folder, cohort)
        if not path.exists():
            with written(path, private=True) as file:
                file.write(content)
        with ledger.appending(event, **body, cohort=cohort) as entry:
            yield register, entry
        _write_head(folder, key, entry)


@contextmanager
def _opened(folder: Path, key: SiteKey) -> Iterator[tuple[Ledger, Register]]:
    """Yield the register, to add to and as it is, to one process at a time; begin it where nothing of one is there."""
    private_folder(folder, REGISTER_VARIABLE)
    with locked(folder / _GUARD, create=True):
        path = folder / _FILE
        if _is_half_begun(folder):
            path.unlink()
        if (path.exists() and path.stat().st_size) or (folder / _HEAD).exists() or (folder / _COHORTS).exists():
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
    if (folder / _HEAD).exists() or (folder / _COHORTS).exists():
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


def _cohort_path(folder: Path, digest: str) -> Path:
    return folder / _COHORTS / f"{digest}.txt"


def _cohort_content(studies: Collection[str]) -> bytes:
    wrong = sum(len(study) != 64 or not set(study) <= set("0123456789abcdef") for study in studies)
    if wrong:
        raise OutputError(f"the register: a study stands in it by its SHA-256, 64 hex digits; {wrong} do not")
    return "".join(f"{study}\n" for study in sorted(set(studies))).encode("ascii")


def _overlap(folder: Path, digest: str, wanted: set[bytes]) -> tuple[bool, str | None]:
    """Tell whether a cohort may hold one of the ``wanted`` studies, and what keeps that from being known."""
    listed = _listed(folder, digest)
    return (True, listed) if isinstance(listed, str) else (not wanted.isdisjoint(listed), None)


def _listed(folder: Path, digest: str) -> set[bytes] | str:
    """Return the studies of a cohort, or what keeps them from being known."""
    try:
        content = _cohort_path(folder, digest).read_bytes()
    except OSError as error:
        return f"the list of its studies cannot be read: {error.strerror or os.strerror(error.errno or 0)}"
    if hashlib.sha256(content).hexdigest() != digest:
        return "the list of its studies was altered"
    return set(content.splitlines())
