"""What was fixed before the fact, against the configuration, the model and the cohort that the run states."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from cryptography import x509

from pipeline.errors import ConfigError
from pipeline.findings.custody.site_key import fingerprint_of
from pipeline.findings.custody.time_stamp import INSTALL, TimeStampError, can_check, check_answer
from pipeline.findings.facts import Lock
from pipeline.findings.lock import LockFile, cohort_digest, fixed_by, read_lock
from pipeline.findings.members.member import Member
from pipeline.findings.spec import LOCK_FILE, SPEC_FILE, RunSpec
from pipeline.packed.texts import TextMap
from pipeline.verify.failure import Failure, FailureKind
from pipeline.verify.run_folder import RunFolder

__all__ = ["check_lock", "check_time_stamp", "time_stamp_unchecked"]

_CONFIGURATION = "audit.yaml"  # a lock is named after the configuration that it lies beside


def check_lock(run: RunFolder) -> Iterator[Failure]:
    """Yield what the run's lock says otherwise than the run, and what the run should have admitted."""
    if run.spec is None:
        return
    lock = run.spec.lock
    yield from _digests(run, run.spec)
    if run.public is not None and lock.site_key != fingerprint_of(run.public):
        yield _failure("lock.site_key is not the key that signed the ledger")
    if lock.locked_at is None and not lock.exploratory:
        yield _failure("nothing was locked, and the run does not say EXPLORATORY")
    if (lock.digest is not None) != (run.path / LOCK_FILE).is_file():
        yield _failure(f"{LOCK_FILE} is not here as the specification says")
    elif lock.digest is not None:
        yield from _lock_file(run, run.spec)


def check_time_stamp(run: RunFolder, trusted: Sequence[x509.Certificate] = ()) -> Iterator[Failure]:
    """Yield whether the lock's time stamp is of another lock, was altered, or is by none of ``trusted``.

    Where certificates are given, a lock without a time stamp is a failure: it could have been taken away.
    """
    if run.spec is None:
        return
    stamp, locked = run.spec.lock.time_stamp, _locked(run)
    if locked is None or (locked.time_stamp is None and not locked.time_stamp_answer):
        if stamp is not None:
            yield _stamp_failure(f"has no time stamp, and {SPEC_FILE} tells of one")
        elif trusted:
            yield _stamp_failure("has no time stamp, and --trust-authority asks for one")
    elif not can_check():
        if trusted:
            yield _stamp_failure(f"has a time stamp that cannot be checked without other packages: {INSTALL}")
    else:
        try:
            answered = check_answer(locked.time_stamp_answer, locked.statement, trusted)
        except TimeStampError as error:
            yield _stamp_failure(f"what it holds as its time stamp {error}")
            return
        if not answered == locked.time_stamp == stamp:
            yield _stamp_failure(f"its time stamp says otherwise than it, or than {SPEC_FILE}")
        elif not locked.is_stamped_in_time:
            yield _stamp_failure("its time stamp is more than a day from the time that it says it was locked at")


def time_stamp_unchecked(run: RunFolder, trusted: Sequence[x509.Certificate] = ()) -> str | None:
    """Return what of the lock's time stamp is not checked; None where nothing is left, or there is none."""
    if run.spec is None or run.spec.lock.time_stamp is None or trusted:
        return None
    if not can_check():
        return f"the lock's time stamp was not checked, which needs other packages: {INSTALL}"
    return "who made the lock's time stamp was not checked, and anybody can make one: see --trust-authority"


def _stamp_failure(why: str) -> Failure:
    return Failure(FailureKind.TIME_STAMP, f"{LOCK_FILE}: {why}", LOCK_FILE)


def _failure(why: str, file: str = SPEC_FILE) -> Failure:
    return Failure(FailureKind.LOCK, f"{file}: {why}", file)


def _digests(run: RunFolder, spec: RunSpec) -> Iterator[Failure]:
    fixed = fixed_by(spec.config, spec.model.sha256, spec.model.code_sha256, spec.program.digest)
    stated = fixed.model_dump()
    if run.members is not None:
        stated["cohort"] = cohort_digest(_hashes(run.members))
    for name, digest in stated.items():
        if getattr(spec.lock, name) != digest:
            yield _failure(f"lock.{name} is not the digest of what the run states")


def _lock_file(run: RunFolder, spec: RunSpec) -> Iterator[Failure]:
    locked = _locked(run)
    if locked is None:
        yield _failure("is no lock of this version, or not as it was signed", LOCK_FILE)
        return
    lock = spec.lock
    said = (lock.digest, lock.locked_at, lock.amendments, lock.open_cohort)
    if said != (locked.digest, locked.locked_at, locked.amendments, locked.open_cohort):
        yield _failure(f"digest, time, amendments or openness of the lock are not those of {LOCK_FILE}")
    elif not lock.exploratory:
        yield from _unadmitted(run, spec, locked)


def _locked(run: RunFolder) -> LockFile | None:
    try:
        return read_lock(run.path / _CONFIGURATION)
    except ConfigError:
        return None


def _unadmitted(run: RunFolder, spec: RunSpec, locked: LockFile) -> Iterator[Failure]:
    """Hold a run that claims to be locked against its lock: every difference should have made it EXPLORATORY."""
    says_not = "and the run does not say EXPLORATORY"
    for name, digest in locked.fixed.model_dump().items():
        if getattr(spec.lock, name) != digest:
            yield _failure(f"{name} is not what was locked, {says_not}")
    studies = _hashes(run.members or ())
    kept = all(studies.get(study) == sha256 for study, sha256 in locked.studies.items())
    if run.members is not None and not (kept and (locked.open_cohort or len(studies) == len(locked.studies))):
        yield _failure(f"the cohort is not what was locked, {says_not}")
    if run.public is not None and locked.public != run.public:
        yield _failure(f"the lock was signed with another key than the ledger, {says_not}")
    if _is_late(spec.lock, spec.started_at):
        yield _failure("the lock is later than the run's start")


def _hashes(members: Iterable[Member]) -> TextMap:
    return TextMap((member.study, member.source_sha256) for member in members)


def _is_late(lock: Lock, started_at: str) -> bool:
    try:
        locked, started = datetime.fromisoformat(str(lock.locked_at)), datetime.fromisoformat(started_at)
    except ValueError:
        return True
    return locked.replace(microsecond=0) > started  # the start was cut off to a second
