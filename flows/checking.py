"""``camaudit check`` and ``camaudit lock``: everything is looked at before anything is frozen."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.lock import write_lock
from pipeline.run import find_sources, open_auditor

__all__ = ["lock_audit"]


def lock_audit(
    config_path: Path,
    overrides: Sequence[str] = (),
    *,
    open_cohort: bool = False,
    allow_missing: bool = False,
    deep: bool = False,
    quiet: bool,
) -> Path:
    auditor = open_auditor(config_path, overrides)
    hashes = [source.sha256 for source in find_sources(auditor.config, auditor.pseudonyms, deep=deep)]
    return write_lock(config_path, auditor.config, auditor.model.sha256, hashes, cohort_open=open_cohort)
