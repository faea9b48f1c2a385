"""Locking an audit, amending a lock in the open, and holding a run against lock and register."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pipeline.config import AuditConfig
from pipeline.errors import ConfigError, OutputError
from pipeline.findings.custody.ledger import LedgerEntry, LedgerError, LedgerFault
from pipeline.findings.custody.register import LockFacts, LookFacts, Register, enter_look, entering_lock, read_register
from pipeline.findings.custody.seen_studies import SeenStudies, had_as, study_content
from pipeline.findings.custody.site_key import SiteKey
from pipeline.findings.custody.time_stamp import Authority
from pipeline.findings.facts import Amendment, Lock, RegisterMark
from pipeline.findings.lock import Fixed, LockFile, cohort_digest, fixed_by, read_lock, save_lock
from pipeline.packed.texts import TextMap, Texts
from pipeline.program import camaudit_version, program_digest
from pipeline.walk.sources import StudySource

__all__ = [
    "NOTHING_CHANGED",
    "ChangedStudies",
    "KnownLooks",
    "Subject",
    "compare",
    "enter_run",
    "had_in",
    "image_of",
    "known_looks",
    "lock_audit",
    "subject_of",
]

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
    by which the register knows a study, whatever masks it has. ``had`` says, in the order of ``studies``, as what each
    is had (``had_as``). ``copies`` are the studies whose image one of another patient has as well, and before them.
    """

    audit: str
    fixed: Fixed
    studies: Mapping[str, str]
    images: Sequence[str]
    had: Sequence[str]
    has_criteria: bool
    copies: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChangedStudies:
    """Studies that the newest run under a lock had and that are no more, or are otherwise; by pseudonym.

    ``run`` is that run, and ``mark`` what the register held when it started.
    """

    removed: frozenset[str] = frozenset()
    altered: frozenset[str] = frozenset()
    run: str = ""
    mark: RegisterMark | None = None


NOTHING_CHANGED = ChangedStudies()


@dataclass(frozen=True)
class KnownLooks:
    """What the register held when a run was begun, read once. ``register``: None where there is none.

    ``seen`` is what runs under the lock had; None unless it is that of a growing cohort.
    """

    register: Register | None = None
    seen: SeenStudies | None = None


def subject_of(config: AuditConfig, model: ModelHashes, sources: Sequence[StudySource]) -> Subject:
    """Return what an audit is about; the model is known by its hashes, whether it is loaded or not."""
    return Subject(
        config.name,
        fixed_by(config, model.sha256, model.code_sha256, program_digest()),
        TextMap((source.study, source.sha256) for source in sources),
        Texts(sorted({image_of(source) for source in sources})),
        had_in(sources),
        bool(config.criteria),
        tuple(_copies(sources)),
    )


def _copies(sources: Iterable[StudySource]) -> Iterator[str]:
    """Yield the studies whose image one of another patient, listed before, has as well: byte by byte."""
    patients: dict[str, str] = {}
    for source in sources:
        if patients.setdefault(image_of(source), source.patient) != source.patient:
            yield source.study


def had_in(sources: Iterable[StudySource]) -> Texts:
    """Return as what each study is had (``had_as``), by which the register knows a growing cohort."""
    return Texts(had_as(image_of(source), study_content(source.sha256, source.study)) for source in sources)


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
        now, mark = entry.time.isoformat(), _mark(register.since, entry)
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
    under_it = register.seen(previous.digest)
    changed = [*_differences(previous, subject), *_since_a_run(NOTHING_CHANGED, subject, under_it)]
    amendment = Amendment(
        amended_at=entry.time.isoformat(),
        reason=entry.body["reason"],
        previous=previous.digest,
        previous_locked_at=previous.locked_at,
        changed=(*changed, *_dropped(under_it, subject)),
        seen=tuple(look.run for look in seen if look.time >= since),
    )
    return draft.model_copy(update={"amendments": (*draft.amendments, amendment)})


def known_looks(lock: LockFile | None) -> KnownLooks:
    """Read the register, and what runs under the lock of a growing cohort had.

    Raises:
        LedgerError: when the register was altered.
    """
    if lock is None:
        return KnownLooks()
    try:
        register = read_register()
    except LedgerError as error:
        if error.fault is LedgerFault.UNREADABLE:
            return KnownLooks()
        raise
    return KnownLooks(register, register.seen(lock.digest) if lock.open_cohort else None)


def compare(
    lock: LockFile | None, subject: Subject, key: SiteKey, known: KnownLooks, since: ChangedStudies = NOTHING_CHANGED
) -> Lock:
    """Hold a run against its lock and the register; every difference is a reason to call the run exploratory.

    ``since`` are differences to the newest run under the lock (``changed_since``).
    """
    reasons = [] if subject.has_criteria else ["there are no acceptance criteria"]
    if lock is None:
        reasons.append("nothing was locked before the run")
    else:
        reasons += [f"{what} after the lock" for what in _differences(lock, subject)]
        reasons += _since_a_run(since, subject, known.seen)
        reasons += _by_the_register(lock, subject, key, known, since)
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


def enter_run(run: str, lock: Lock, subject: Subject, key: SiteKey, seen: SeenStudies | None = None) -> RegisterMark:
    """Enter the start of a run in the register, before its first inference; return what the register holds then.

    ``seen`` is what was read of earlier runs under the lock (``known_looks``).

    Raises:
        LedgerError: when the register was altered.
        OutputError: when it cannot be written.
    """
    facts, had = LookFacts(run, subject.fixed.model, lock.digest), subject.had if lock.open_cohort else None
    since, entry = enter_look(key, facts, subject.images, had=had, known=seen)
    return _mark(since, entry)


def _differences(lock: LockFile, subject: Subject) -> list[str]:
    """Return what is not as it was locked, in words."""
    then, now = lock.fixed.model_dump(), subject.fixed.model_dump()
    changed = [f"{words} changed" for name, words in _CHANGED.items() if then[name] != now[name]]
    added = [study for study in subject.studies if study not in lock.studies]
    removed = [study for study in lock.studies if study not in subject.studies]
    altered = [study for study, sha256 in subject.studies.items() if lock.studies.get(study, sha256) != sha256]
    parts = [([] if lock.open_cohort else added, "added to"), (removed, "removed from"), (altered, "altered in")]
    changed += [f"{_counted(studies)} {what} the cohort" for studies, what in parts if studies]
    copies = [study for study in subject.copies if study not in lock.studies] if lock.open_cohort else []
    return changed + ([f"{_counted(copies)} added with the image of another patient"] if copies else [])


def _since_a_run(since: ChangedStudies, subject: Subject, seen: SeenStudies | None) -> list[str]:
    """Return in words what runs under the lock of a growing cohort had otherwise: the newest here, and any anywhere.

    Where a run was kept and what its files were called is no matter to the register: it knows images, and as what they
    were had.
    """
    altered = since.altered | (_had_otherwise(seen, subject) if seen is not None else frozenset())
    parts = ((since.removed, "removed from"), (altered, "altered in"))
    return [f"{_counted(sorted(names))} {what} the cohort after a run under the lock" for names, what in parts if names]


def _had_otherwise(seen: SeenStudies, subject: Subject) -> frozenset[str]:
    """Return the studies whose image a run under the lock had with other masks, reference, groups, name or patient."""
    images, contents = _images(subject), {line.partition(" ")[2].encode("ascii") for line in subject.had}
    altered = seen.altered(images, contents)
    lines = zip(subject.studies, subject.had, strict=True) if altered else ()
    return frozenset(study for study, line in lines if line.partition(" ")[0].encode("ascii") in altered)


def _images(subject: Subject) -> frozenset[bytes]:
    return frozenset(image.encode("ascii") for image in subject.images)


def _counted(studies: Sequence[str]) -> str:
    """Return how many studies there are, of one or more, and the first, as the subject of a sentence in the past."""
    return f"{len(studies)} {'study was' if len(studies) == 1 else 'studies were'} (first {studies[0]})"


def _by_the_register(
    lock: LockFile, subject: Subject, key: SiteKey, known: KnownLooks, since: ChangedStudies
) -> list[str]:
    register = known.register
    if lock.public != key.public:
        return ["the lock was signed with another key than this site's"]
    if register is None:
        return ["there is no register of looks here that knows this lock"]
    times = [entry.time.isoformat() for entry in register.locks if entry.body["lock"] == _entered(lock)]
    if not times:
        return ["the register of looks does not know this lock"]
    if lock.locked_at not in times:
        return ["the lock's time is not the one of its entry in the register"]
    if not register.holds(lock.register_mark.length, lock.register_mark.head):
        return ["the register of looks is not the one that the lock was entered in"]
    if since.mark is not None and not register.holds(since.mark.length, since.mark.head):
        return [f"the register of looks is not the one that run {since.run} under the lock was entered in"]
    looks = register.looks(subject.fixed.model, subject.images, datetime.fromisoformat(lock.first_locked_at))
    dropped = _dropped(known.seen, subject) if known.seen is not None else []
    return dropped + [
        f"run {look.run} looked at these weights on studies of this cohort before the lock was set"
        + (f" (cannot be ruled out: {look.doubt})" if look.doubt else "")
        for look in looks
    ]


def _dropped(seen: SeenStudies, subject: Subject) -> list[str]:
    """Return what runs under a lock had and the cohort has no more, by its images: wherever those runs are now.

    Who may take out those who missed, or show them anew, can have any claim MET.
    """
    gone = seen.gone(_images(subject))
    are = "image is" if gone == 1 else "images are"
    lost = [
        f"which studies run {run} under the lock had is not known: its list in the register is lost"
        for run in seen.lost
    ]
    return [f"{gone} {are} gone that a run under the lock had", *lost] if gone else lost


def _entered(lock: LockFile) -> str:
    """Return a lock's digest in the register: without its last amendment, which names the time of that entry."""
    return lock.digest if not lock.amendments else lock.model_copy(update={"amendments": lock.amendments[:-1]}).digest


def _mark(since: datetime, entry: LedgerEntry) -> RegisterMark:
    return RegisterMark(since=since.isoformat(timespec="seconds"), head=entry.hash, length=entry.sequence + 1)
