"""``camaudit prune``: older runs go, each by its name; what another run needs stays, and says why."""

import json
from dataclasses import asdict
from pathlib import Path

import typer

from pipeline.runs.nights.retention import Retention, plan_retention, remove_runs

__all__ = ["prune_runs"]

_MIB = 2**20


def prune_runs(audits: Path, keep: int, *, dry_run: bool, as_json: bool) -> None:
    """Remove the runs of an audit that may go, or say only which those are.

    Raises:
        OutputError: when the folder holds no run, a run is under way, or a folder cannot be removed.
    """
    plan = (
        plan_retention(audits, keep) if dry_run else remove_runs(audits, keep, lambda text: typer.echo(text, err=True))
    )
    if as_json:
        typer.echo(json.dumps({"removed": not dry_run, **asdict(plan)}))
        return
    for kept in plan.kept:
        typer.echo(f"kept     {kept.run}  {kept.reason}")
    verb = "would go" if dry_run else "removed "
    for run in plan.removable:
        typer.echo(f"{verb} {run.run}  {run.bytes / _MIB:.1f} MiB")
    typer.echo(_summary(plan, dry_run=dry_run))


def _summary(plan: Retention, *, dry_run: bool) -> str:
    size = sum(run.bytes for run in plan.removable) / _MIB
    runs = len(plan.removable)
    done = "would be removed" if dry_run else "removed"
    return f"{runs} {'run' if runs == 1 else 'runs'} {done} ({size:.1f} MiB), {len(plan.kept)} kept"
