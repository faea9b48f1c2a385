"""What was fixed before the fact: the signed lock beside ``audit.yaml``."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from pipeline.config import AuditConfig, digest_of
from pipeline.errors import ConfigError
from pipeline.files import written
from pipeline.findings.custody.site_key import SiteKey, verify_signature
from pipeline.findings.facts import Amendment, RegisterMark, TimeStamp
from pipeline.findings.frozen_model import FrozenModel
from pipeline.vocabulary import LOCK_ENDING

__all__ = ["Fixed", "LockFile", "cohort_digest", "fixed_by", "lock_path", "read_lock", "save_lock"]

LOCK_VERSION: Literal[2] = 2
_CLOCKS_APART = timedelta(days=1)  # that of a machine without a network may be hours off
_ADDED = frozenset({"signature", "time_stamp", "time_stamp_answer"})


class Fixed(FrozenModel):
    """Digests of all that changes a number, a verdict or what is shown, but the studies."""

    recipe: str
    criteria: str
    statistics: str
    shown: str
    model: str
    code: str
    program: str


class LockFile(FrozenModel):
    """The lock. ``studies`` goes from a study's pseudonym to the hash of its files.

    ``locked_at`` is the time of its entry in the register, ``first_locked_at`` that of the lock which it amends.
    ``time_stamp`` is what an authority says of ``statement``, ``time_stamp_answer`` its whole answer in base64; neither
    is part of what is signed, which was there before.
    """

    schema_version: Literal[2] = LOCK_VERSION
    audit: str
    locked_at: str
    first_locked_at: str
    camaudit: str
    fixed: Fixed
    open_cohort: bool
    studies: Mapping[str, str]
    amendments: tuple[Amendment, ...] = ()
    register_mark: RegisterMark
    public: str
    signature: str = ""
    time_stamp: TimeStamp | None = None
    time_stamp_answer: str = ""

    @property
    def digest(self) -> str:
        """The SHA-256 of what is locked; the register knows the lock by it. Neither time nor signature counts."""
        entered = {"locked_at", "first_locked_at", "register_mark"}
        return digest_of(self.model_dump(mode="json", exclude={*_ADDED, *entered}))

    @property
    def statement(self) -> bytes:
        """What is signed, and stamped: everything but the signature and the time stamp."""
        content = self.model_dump(mode="json", exclude=set(_ADDED))
        return b"camaudit lock 2\n" + json.dumps(content, sort_keys=True, separators=(",", ":")).encode()

    def signed(self, key: SiteKey) -> "LockFile":
        """Return the lock signed by the site's key."""
        return self.model_copy(update={"signature": key.sign(self.statement)})

    def stamped(self, stamp: TimeStamp, answer: str) -> "LockFile":
        """Return the lock with what an authority says of its statement, and the authority's whole answer."""
        return self.model_copy(update={"time_stamp": stamp, "time_stamp_answer": answer})

    @property
    def is_stamped_in_time(self) -> bool:
        """Whether the authority's clock was within a day of the one that dated the lock; true without a stamp."""
        if self.time_stamp is None:
            return True
        try:
            apart = datetime.fromisoformat(self.time_stamp.time) - datetime.fromisoformat(self.locked_at)
        except (ValueError, TypeError):
            return False
        return abs(apart) <= _CLOCKS_APART


def fixed_by(config: AuditConfig, model: str, code: str, program: str) -> Fixed:
    """Return what a lock fixes of a configuration, weights, the code of the model and of this program."""
    return Fixed(
        recipe=config.recipe(),
        criteria=config.criteria_digest(),
        statistics=digest_of({"replicates": config.run.replicates, "seed": config.run.seed}),
        shown=digest_of(config.report.model_dump(mode="json", include={"cases", "window", "pictures"})),
        model=model,
        code=code,
        program=program,
    )


def cohort_digest(studies: Mapping[str, str]) -> str:
    """Return the digest of a cohort from the hashes of its studies' files; neither order nor pseudonyms count."""
    return digest_of(sorted(studies.values()))


def lock_path(config_path: Path) -> Path:
    """Return where the lock of a configuration lies: ``audit.yaml`` has ``audit.lock.yaml``."""
    return config_path.with_name(f"{config_path.stem}{LOCK_ENDING}")


def save_lock(config_path: Path, lock: LockFile) -> Path:
    """Write the lock beside a configuration; JSON, which is YAML too and read a thousand times faster.

    Raises:
        OutputError: when the file cannot be written.
    """
    path = lock_path(config_path)
    with written(path) as file:
        file.write(lock.model_dump_json(indent=1).encode())
    return path


def read_lock(config_path: Path) -> LockFile | None:
    """Read the lock beside a configuration, or None when there is none.

    Raises:
        ConfigError: when it cannot be read, is of another version, or is not as it was signed.
    """
    path = lock_path(config_path)
    if not path.exists():
        return None
    try:
        content: Any = json.loads(path.read_bytes())
        stated = content.get("schema_version") if isinstance(content, dict) else None
        lock = LockFile.model_validate(content) if stated == LOCK_VERSION else None
    except (OSError, ValueError, ValidationError) as error:
        raise ConfigError(f"{path}: is not a lock of this version; lock again with camaudit lock") from error
    if lock is None:
        says = f"is a lock of schema {stated}, and this version of camaudit reads schema {LOCK_VERSION}"
        raise ConfigError(f"{path}: {says}; lock again with camaudit lock")
    if not verify_signature(lock.public, lock.statement, lock.signature):
        raise ConfigError(f"{path}: is not as it was signed: it was edited or damaged; restore it, or lock again")
    return lock
