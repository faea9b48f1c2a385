"""An audit step by step, each step by whoever knows the folder alone: what a test calls between other things."""

from pathlib import Path

from pipeline.checks.config_checks import check_names, checked_config
from pipeline.findings.custody.site_key import load_site_key
from pipeline.progress import silent
from pipeline.runs.locking import lock_audit, subject_of
from pipeline.runs.run import Run
from pipeline.runs.start_watch import StartWatch
from pipeline.walk import auditor as auditors
from pipeline.walk.sources import find_sources
from tests.pipeline.shared_pool import POOL


def begin(config: Path, command: str = "camaudit run audit.yaml", overrides=(), *, pool=POOL, **options) -> Path:
    """Create a run and leave it."""
    with Run.create(checked_config(config, overrides), command, watch=StartWatch(pool), **options) as run:
        return run.folder


def work(folder: Path, shard: int, on_maps=silent, *, pool=POOL) -> int:
    """Open a run and work one shard."""
    with Run.open(folder, pool=pool) as run:
        return run.work(shard, on_maps)


def finish(folder: Path, *, pool=POOL, **options):
    """Open a run and finish it."""
    with Run.open(folder, pool=pool) as run:
        return run.finish(**options)


def read_run(folder: Path):
    """Return what was fixed, and the studies."""
    run = Run.open(folder)
    return run.spec, list(run.members)


def open_auditor(config: Path, overrides=(), *, layers=None, pool=POOL):
    """Open the model of a configuration."""
    return auditors.open_auditor(check_names(config, overrides), config.resolve().parent, layers=layers, pool=pool)


def lock(config: Path, *, cohort_open: bool = False, amend: str | None = None, authority=None) -> Path:
    """Lock an audit."""
    auditor = open_auditor(config)
    subject = subject_of(auditor.config, auditor.loaded, find_sources(auditor.config, auditor.pseudonyms))
    return lock_audit(config, subject, load_site_key(), open_cohort=cohort_open, amend=amend, authority=authority)
