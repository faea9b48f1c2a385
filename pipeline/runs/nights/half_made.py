"""Folders of runs that never began, among those of an audit."""

import re
from pathlib import Path

from pipeline.findings.custody.never_began import never_began
from pipeline.runs.nights.heartbeat import workers_of

__all__ = ["half_made_runs"]

_RUN_NAME = re.compile(r"\d{8}T\d{6}\d*Z-[0-9a-f]+")


def half_made_runs(audits: Path) -> list[Path]:
    """Return the folders of an audit's runs that never began, oldest first; others' folders are none of them."""
    named = [path for path in sorted(audits.glob("*")) if _RUN_NAME.fullmatch(path.name) and path.is_dir()]
    return [path for path in named if not path.is_symlink() and never_began(path) and not workers_of(path)]
