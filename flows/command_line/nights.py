"""Commands for audits that run by themselves, and for the runs of one audit."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from flows.command_line.options import AsJson, AuditFolder, ConfigPath, Notify, Overrides
from flows.command_line.starting import program_of, warn
from pipeline.errors import ConfigError

__all__ = ["history", "prune", "receive", "schedule", "status"]


def schedule(
    config: ConfigPath,
    cron: Annotated[str | None, typer.Option("--cron", help="When, as a cron expression, e.g. '0 2 * * *'.")] = None,
    every: Annotated[
        str | None, typer.Option("--every", metavar="TIME", help="How often instead: 30m, 6h, 1d.")
    ] = None,
    on_arrival: Annotated[
        str | None,
        typer.Option(
            "--on-arrival", metavar="TIME", help="When new files of the archive have lain still for so long, e.g. 2m."
        ),
    ] = None,
    timezone: Annotated[
        str, typer.Option("--timezone", metavar="ZONE", help="Whose clock --cron goes by, e.g. 'Europe/Berlin'.")
    ] = "UTC",
    catch_up: Annotated[
        bool, typer.Option("--catch-up", help="Run once at the start if a firing was missed since the last run.")
    ] = False,
    notify: Notify = None,
    overrides: Overrides = None,
) -> None:
    """Serve the audit on a schedule; each run audits only the studies that are new.

    A night that brings nothing new notes that and costs nothing. Firings that were missed are skipped. SIGTERM ends it
    after the shard under way. Needs a Prefect server (prefect server start) named by PREFECT_API_URL.
    """
    from flows.scheduling.firing import Firing, duration
    from pipeline.checks.config_checks import checked_config

    quiet = None if on_arrival is None else duration(on_arrival, "--on-arrival")
    if quiet is not None and (cron or every):
        raise ConfigError("a schedule needs one of --cron, --every and --on-arrival, and no two of them")
    clock = None if quiet is not None else Firing.of(cron, every, timezone)
    loaded = checked_config(config, overrides or ())
    try:
        from flows.scheduling.arrival import Arrival
        from flows.scheduling.schedule import serve
        from flows.scheduling.served_audit import AuditSchedule
    except ImportError:
        raise
    except Exception as error:
        why = f"Prefect's settings cannot be read ({type(error).__name__}); see PREFECT_API_URL and Prefect's profiles"
        raise ConfigError(f"schedule: {why}") from error

    firing = clock or Arrival(quiet or timedelta())

    def on_serving(missed: datetime | None) -> None:
        typer.echo(f"serving {config} at {firing} until interrupted")
        if missed is not None:
            then = "one run makes up for it" if catch_up else "skipped: the next run looks at everything that is new"
            typer.echo(f"missed since {missed:%Y-%m-%d %H:%M} UTC; {then}")

    given = overrides or ()
    serve(AuditSchedule(config, loaded.config, given, firing, catch_up, program_of(notify), warn), on_serving)


def receive(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where objects are filed: the archive of an audit.")],
    port: Annotated[int, typer.Option("--port", metavar="PORT", min=1, max=65535, help="Listen on this port.")] = 11112,
    title: Annotated[
        str, typer.Option("--title", metavar="TITLE", help="What the sender calls this receiver.")
    ] = "CAMAUDIT",
    callers: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="TITLE", help="Take objects of this sender only. May be repeated."),
    ] = None,
    listen: Annotated[
        str, typer.Option("--listen", metavar="ADDRESS", help="The network's address; other machines need --from.")
    ] = "127.0.0.1",
) -> None:
    """File what a PACS pushes (C-STORE) into an archive, until interrupted.

    An object is acknowledged when it is on the disk, and none is ever replaced. Nothing is parsed: a schedule with
    --on-arrival audits the studies once they are whole.
    """
    from flows.commands.nights.receive import receive_objects
    from flows.scheduling.receiver import Receiver

    receive_objects(Receiver(folder, title, listen, port, tuple(callers or ())))


def status(
    folder: Annotated[
        Path, typer.Argument(metavar="AUDIT_FOLDER|RUN", help="An audit's folder (runs/NAME), or a run's.")
    ],
    prometheus: Annotated[
        Path | None, typer.Option("--prometheus", metavar="FILE", help="Write it for Prometheus' textfile collector.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say which runs there are, which a living process works on, and what they came to.

    Locks and heartbeats tell what is running, never what a killed process left behind.
    """
    from flows.commands.nights.status import show_status

    show_status(folder, as_json=as_json, prometheus=prometheus)


def history(
    folder: AuditFolder,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE.svg|FILE.pdf", help="Draw the key figures over the runs.")
    ] = None,
    last: Annotated[int, typer.Option("--last", metavar="N", min=1, help="Only the newest N runs.")] = 200,
    as_json: AsJson = False,
) -> None:
    """List an audit's finished runs with the trend of their key figures: criteria, else accuracy, else answers."""
    from flows.commands.nights.history import show_history

    show_history(folder, last=last, as_json=as_json, plot=plot)


def prune(
    folder: AuditFolder,
    keep: Annotated[
        int, typer.Option("--keep", metavar="N", min=1, help="Finished runs that stay for their age.")
    ] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing; say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove older runs: never one that another refers to, that is signed or the first under its lock, or under way."""
    from flows.commands.nights.prune import prune_runs

    prune_runs(folder, keep, dry_run=dry_run, as_json=as_json)
