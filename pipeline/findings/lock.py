"""What was fixed before the fact: the lock beside ``audit.yaml``, and what a run makes of it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.config import AuditConfig, digest_of
from pipeline.errors import ConfigError
from pipeline.files import written
from pipeline.findings.facts import Lock
from pipeline.program import camaudit_version

__all__ = ["OPEN", "LockFile", "compare", "lock_path", "read_lock", "write_lock"]

OPEN = "open"
"""The cohort of a lock that lets studies be added (monitoring); configuration, criteria and model stay fixed."""


class LockFile(BaseModel):
    """The lock: digests of the configuration's numbers, the criteria, the weights and the cohort."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    locked_at: str
    camaudit: str
    recipe: str
    criteria: str
    model: str
    cohort: str
    studies: int


def lock_path(config_path: Path) -> Path:
    """Return where the lock of a configuration lies: ``audit.yaml`` has ``audit.lock.yaml``."""
    return config_path.with_name(f"{config_path.stem}.lock.yaml")


def cohort_digest(sources: Sequence[str]) -> str:
    """Return the digest of a cohort from its studies' source hashes; their order does not count."""
    return digest_of(sorted(sources))


def write_lock(
    config_path: Path, config: AuditConfig, model: str, sources: Sequence[str], *, cohort_open: bool
) -> Path:
    """Lock an audit now.

    Raises:
        OutputError: when the file cannot be written.
    """
    lock = LockFile(
        locked_at=datetime.now(UTC).isoformat(timespec="seconds"),
        camaudit=camaudit_version(),
        recipe=config.recipe(),
        criteria=config.criteria_digest(),
        model=model,
        cohort=OPEN if cohort_open else cohort_digest(sources),
        studies=len(sources),
    )
    path = lock_path(config_path)
    with written(path) as file:
        file.write(yaml.safe_dump(lock.model_dump(mode="json"), sort_keys=False).encode())
    return path


def read_lock(config_path: Path) -> LockFile | None:
    """Read the lock beside a configuration, or None when there is none.

    Raises:
        ConfigError: when it is there and cannot be read.
    """
    path = lock_path(config_path)
    if not path.exists():
        return None
    try:
        return LockFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, UnicodeDecodeError, ValidationError) as error:
        raise ConfigError(f"{path}: is not a lock of this version; lock again with camaudit lock") from error


def compare(lock: LockFile | None, config: AuditConfig, model: str, sources: Sequence[str]) -> Lock:
    """Hold a run against its lock; every difference is a reason to call the run exploratory."""
    now = {
        "recipe": config.recipe(),
        "criteria": config.criteria_digest(),
        "model": model,
        "cohort": cohort_digest(sources),
    }
    faults = [] if config.criteria else ["there are no acceptance criteria"]
    if lock is None:
        faults.append("nothing was locked before the run")
        return Lock(locked_at=None, **now, exploratory=tuple(faults))
    words = {
        "recipe": "the configuration was changed after the lock",
        "criteria": "the acceptance criteria were changed after the lock",
        "model": "the model's weights are not those that were locked",
    }
    faults += [sentence for name, sentence in words.items() if getattr(lock, name) != now[name]]
    if lock.cohort not in (OPEN, now["cohort"]):
        faults.append(f"the cohort is not the one that was locked ({lock.studies} studies then, {len(sources)} now)")
    return Lock(locked_at=lock.locked_at, **now, exploratory=tuple(faults))
