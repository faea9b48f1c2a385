"""What was fixed before the fact, against the configuration, the model and the cohort that the run states."""

from collections.abc import Iterator

from pipeline.findings.lock import cohort_digest
from pipeline.findings.spec import SPEC_FILE
from pipeline.verify.failure import Failure, FailureKind
from pipeline.verify.run_folder import RunFolder

__all__ = ["check_lock"]


def check_lock(run: RunFolder) -> Iterator[Failure]:
    """Yield digests of the lock that are not those of what the run states."""
    if run.spec is None:
        return
    lock, config = run.spec.lock, run.spec.config
    stated = {"recipe": config.recipe(), "criteria": config.criteria_digest(), "model": run.spec.model.sha256}
    if run.members is not None:
        stated["cohort"] = cohort_digest([member.source_sha256 for member in run.members])
    for name, digest in stated.items():
        if getattr(lock, name) != digest:
            sentence = f"{SPEC_FILE}: lock.{name} is not the digest of what the run states"
            yield Failure(FailureKind.LOCK, sentence, SPEC_FILE)
    if lock.locked_at is None and not lock.exploratory:
        sentence = f"{SPEC_FILE}: nothing was locked, and the run does not say EXPLORATORY"
        yield Failure(FailureKind.LOCK, sentence, SPEC_FILE)
    if lock.locked_at is not None and lock.locked_at > run.spec.started_at and not lock.exploratory:
        yield Failure(FailureKind.LOCK, f"{SPEC_FILE}: the lock is later than the run's start", SPEC_FILE)
