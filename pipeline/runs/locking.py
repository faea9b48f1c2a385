"""Locking an audit, amending a lock in the open, and holding a run against lock and register."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pipeline.config import AuditConfig
from pipeline.errors import ConfigError, OutputError
from pipeline.findings.custody.ledger import LedgerEntry, LedgerError, LedgerFault
from pipeline.findings.custody.register import LockFacts, LookFacts, Register, enter_look, entering_lock, read_register
from pipeline.findings.custody.site_key import SiteKey
from pipeline.findings.custody.time_stamp import Authority
from pipeline.findings.facts import Amendment, Lock, RegisterMark
from pipeline.findings.lock import Fixed, LockFile, cohort_digest, fixed_by, read_lock, save_lock
from pipeline.packed.texts import TextMap, Texts
from pipeline.program import camaudit_version, program_digest
from pipeline.walk.sources import StudySource

__all__ = ["Subject", "compare", "counted", "enter_run", "first_in_register", "image_of", "lock_audit", "subject_of"]

_CHANGED = {
    "recipe": "the configuration",
    "criteria": "the acceptance criteria",
    "statistics": "the number of replicates or the seed",
    "shown": "the choice of the cases that are shown",
    "model": "the model's weights",
    "code": "the code that builds the model",
    "program": "camaudit itself",
}


class ModelHashes(Protocol):
    """What names a model: the hash of its weights, and of the code that builds it."""

    @property
    def sha256(self) -> str:
        """The weights' hash."""

    @property
    def code_sha256(self) -> str:
        """The code's hash."""


@dataclass(frozen=True)
class Subject:
    """What an audit is about: what a lock fixes, and the studies.

    ``studies`` goes from a pseudonym to the hash of the study's files; ``images`` are the hashes of their images alone,
    by which the register knows a study, whatever masks it has.
    """

    audit: str
    fixed: Fixed
    studies: Mapping[str, str]
    images: Sequence[str]
    has_criteria: bool


def subject_of(config: AuditConfig, model: ModelHashes, sources: Sequence[StudySource]) -> Subject:
    """Return what an audit is about; the model is known by its hashes, whether it is loaded or not."""
    return Subject(
        config.name,
        fixed_by(config, model.sha256, model.code_sha256, program_digest()),
        TextMap((source.study, source.sha256) for source in sources),
        Texts(sorted({image_of(source) for source in sources})),
        bool(config.criteria),
    )


def image_of(source: StudySource) -> str:
    """Return the hash that the register knows a study by: its image's, of a server's that of all it is read from."""
    return source.image_sha256 or source.sha256


def lock_audit(
    config_path: Path,
    subject: Subject,
    key: SiteKey,
    *,
    open_cohort: bool = False,
    amend: str | None = None,
    authority: Authority | None = None,
) -> Path:
    """Lock an audit now, in the register first; ``amend`` is the reason for changing a lock that is there.

    ``authority`` is asked for a time stamp of what the lock signs, before anything is entered or written.

    Raises:
        ConfigError: when there is nothing to amend, or the lock that is there cannot be read.
        OutputError: when lock or register cannot be written, or the authority gives no time stamp.
    """
    previous = read_lock(config_path) if amend is not None else None
    if amend is not None and previous is None:
        raise ConfigError(f"--amend: {config_path} has no lock to amend; lock it first with camaudit lock")
    draft = _draft(subject, key, previous.amendments if previous else (), open_cohort=open_cohort)
    before = previous.digest if previous else None
    facts = LockFacts(subject.audit, draft.digest, subject.fixed.model, before, amend)
    with entering_lock(key, facts, subject.images) as (register, entry):
        lock = draft if previous is None else _amended(draft, previous, subject, register, entry)
        now, since = entry.time.isoformat(), register.since.isoformat(timespec="seconds")
        mark = RegisterMark(since=since, head=entry.hash, length=entry.sequence + 1)
        first = previous.first_locked_at if previous else now
        lock = lock.model_copy(update={"locked_at": now, "first_locked_at": first, "register_mark": mark}).signed(key)
        if authority is not None:
            lock = lock.stamped(*authority.stamp(lock.statement))
        if not lock.is_stamped_in_time:
            raise OutputError(
                f"--timestamp: the register dates the lock {now}, the authority more than a day from that, so nothing "
                "was locked; set the clock, or name another authority"
            )
    return save_lock(config_path, lock)


def _draft(subject: Subject, key: SiteKey, amendments: tuple[Amendment, ...], *, open_cohort: bool) -> LockFile:
    """Return a lock without what its entry in the register adds."""
    return LockFile(
        audit=subject.audit,
        locked_at="",
        first_locked_at="",
        camaudit=camaudit_version(),
        fixed=subject.fixed,
        open_cohort=open_cohort,
        studies=dict(subject.studies),
        amendments=amendments,
        register_mark=RegisterMark(since="", head="", length=0),
        public=key.public,
    )


def _amended(draft: LockFile, previous: LockFile, subject: Subject, register: Register, entry: LedgerEntry) -> LockFile:
    """Return a lock that tells what it changes of the one before, and which runs had been looked at by then."""
    seen = register.looks(subject.fixed.model, subject.images, entry.time)
    since = datetime.fromisoformat(previous.first_locked_at)
    amendment = Amendment(
        amended_at=entry.time.isoformat(),
        reason=entry.body["reason"],
        previous=previous.digest,
        previous_locked_at=previous.locked_at,
        changed=tuple(_differences(previous, subject) + _dropped(register, previous.digest, subject)),
        seen=tuple(look.run for look in seen if look.time >= since),
    )
    return draft.model_copy(update={"amendments": (*draft.amendments, amendment)})


def compare(lock: LockFile | None, subject: Subject, key: SiteKey, since: Sequence[str] = ()) -> Lock:
    """Hold a run against its lock and the register; every difference is a reason to call the run exploratory.

    ``since`` are differences to earlier runs under the lock, in words (``changed_since``).

    Raises:
        LedgerError: when the register was altered.
    """
    reasons = [] if subject.has_criteria else ["there are no acceptance criteria"]
    if lock is None:
        reasons.append("nothing was locked before the run")
    else:
        reasons += [f"{what} after the lock" for what in _differences(lock, subject)]
        reasons += since
        reasons += _by_the_register(lock, subject, key)
    return Lock(
        locked_at=lock.locked_at if lock else None,
        open_cohort=lock is not None and lock.open_cohort,
        digest=lock.digest if lock else None,
        **subject.fixed.model_dump(),
        cohort=cohort_digest(subject.studies),
        exploratory=tuple(reasons),
        amendments=lock.amendments if lock else (),
        site_key=key.fingerprint,
        time_stamp=lock.time_stamp if lock else None,
    )


def first_in_register(lock: Lock, subject: Subject) -> Mapping[str, str]:
    """Return which run under the lock of a growing cohort had each image first, by the image's hash.

    Neither what studies are called now, nor where that run was kept, nor a night without them makes them newer.

    Raises:
        LedgerError: when the register was altered.
    """
    if lock.digest is None or not lock.open_cohort:
        return {}
    try:
        return read_register().first_under(lock.digest, subject.images)
    except LedgerError as error:
        if error.fault is LedgerFault.UNREADABLE:
            return {}  # compare says that there is none
        raise


def enter_run(run: str, lock: Lock, subject: Subject, key: SiteKey) -> RegisterMark:
    """Enter the start of a run in the register, before its first inference; return what the register holds then.

    Raises:
        LedgerError: when the register was altered.
        OutputError: when it cannot be written.
    """
    enter_look(key, LookFacts(run, subject.fixed.model, lock.digest), subject.images)
    return _mark(read_register())


def _differences(lock: LockFile, subject: Subject) -> list[str]:
    """Return what is not as it was locked, in words."""
    then, now = lock.fixed.model_dump(), subject.fixed.model_dump()
    changed = [f"{words} changed" for name, words in _CHANGED.items() if then[name] != now[name]]
    added = [study for study in subject.studies if study not in lock.studies]
    removed = [study for study in lock.studies if study not in subject.studies]
    altered = [study for study, sha256 in subject.studies.items() if lock.studies.get(study, sha256) != sha256]
    parts = [([] if lock.open_cohort else added, "added to"), (removed, "removed from"), (altered, "altered in")]
    return changed + [f"{counted(studies)} {what} the cohort" for studies, what in parts if studies]


def counted(studies: Sequence[str]) -> str:
    """Return how many studies there are, of one or more, and the first, as the subject of a sentence in the past."""
    return f"{len(studies)} {'study was' if len(studies) == 1 else 'studies were'} (first {studies[0]})"


def _by_the_register(lock: LockFile, subject: Subject, key: SiteKey) -> list[str]:
    if lock.public != key.public:
        return ["the lock was signed with another key than this site's"]
    try:
        register = read_register()
    except LedgerError as error:
        if error.fault is LedgerFault.UNREADABLE:
            return ["there is no register of looks here that knows this lock"]
        raise
    times = [entry.time.isoformat() for entry in register.locks if entry.body["lock"] == _entered(lock)]
    if not times:
        return ["the register of looks does not know this lock"]
    if lock.locked_at not in times:
        return ["the lock's time is not the one of its entry in the register"]
    if not register.holds(lock.register_mark.length, lock.register_mark.head):
        return ["the register of looks is not the one that the lock was entered in"]
    looks = register.looks(subject.fixed.model, subject.images, datetime.fromisoformat(lock.first_locked_at))
    dropped = _dropped(register, lock.digest, subject) if lock.open_cohort else []
    return dropped + [
        f"run {look.run} looked at these weights on studies of this cohort before the lock was set"
        + (f" (cannot be ruled out: {look.doubt})" if look.doubt else "")
        for look in looks
    ]


def _dropped(register: Register, lock: str, subject: Subject) -> list[str]:
    """Return what runs under a lock had and the cohort has no more, by its images: wherever those runs are now.

    Who may take out those who missed, or show them anew, can have any claim MET.
    """
    gone = register.dropped(lock, subject.images)
    are = "image is" if gone.images == 1 else "images are"
    lost = [
        f"which studies run {run} under the lock had is not known: its list in the register is lost"
        for run in gone.lost
    ]
    return [f"{gone.images} {are} gone that a run under the lock had", *lost] if gone.images else lost


def _entered(lock: LockFile) -> str:
    """Return a lock's digest in the register: without its last amendment, which names the time of that entry."""
    return lock.digest if not lock.amendments else lock.model_copy(update={"amendments": lock.amendments[:-1]}).digest


def _mark(register: Register) -> RegisterMark:
    return RegisterMark(since=register.since.isoformat(timespec="seconds"), head=register.head, length=register.length)
