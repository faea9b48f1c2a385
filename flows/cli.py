"""The command line. Each command imports what it needs when it runs, so that ``--help`` answers at once.

What the configuration alone can tell is checked before anything heavy is imported (``pipeline.checks.config_checks``).
"""

import atexit
import gc
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from flows.command_line.audits import init, measure, run, work
from flows.command_line.beforehand import check, link, lock, plan, scan
from flows.command_line.exports import export
from flows.command_line.nights import history, prune, receive, schedule, status
from flows.command_line.records import compare, report, verify, view
from flows.command_line.signing import approve, sign
from flows.command_line.tools import demo, doctor, qualify, schema, selftest
from pipeline.verify.failure import FailureKind

__all__ = ["app", "main"]

app = typer.Typer(
    name="camaudit",
    help="Audit where a medical-imaging classifier looked: class activation maps against the experts' masks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _exit_codes() -> str:
    kinds = [f"{kind.code}: {kind.meaning}." for kind in FailureKind]
    return "\n\n".join(["Exit code 0: sound. Else that of the first failure in this order:", *kinds])


def _version(wanted: bool) -> None:
    if wanted:
        from pipeline.program import camaudit_version

        typer.echo(f"camaudit {camaudit_version()}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[  # noqa: ARG001 - the callback answers
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Set what holds for every command."""
    # Prefect's server is started with "python -m", which would run the modules of the working folder
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    # how the command line runs Prefect; what a user has set already wins
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "DEBUG" if debug else "CRITICAL")
    os.environ.setdefault("PREFECT_LOGGING_INTERNAL_LEVEL", "DEBUG" if debug else "CRITICAL")
    os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "DEBUG" if debug else "CRITICAL")
    os.environ.setdefault("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "30")  # of a schedule's runs, in processes of their own
    # the page of a run has a log; the console stays ours
    os.environ.setdefault("PREFECT_LOGGING_LOGGERS_PREFECT_FLOW_RUNS_LEVEL", "INFO")
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "DEBUG" if debug else "CRITICAL")


# by what a user is about to do; help lists them in these groups
COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    "Prepare": (init, scan, check, plan, lock),
    "Audit": (run, work, measure, schedule, receive, status, history, prune),
    "Read and prove": (report, view, compare, verify, link),
    "Answer for and hand on": (sign, approve, export),
    "This installation": (doctor, demo, selftest, qualify, schema),
}

for group, commands in COMMANDS.items():
    for command in commands:
        app.command(epilog=_exit_codes() if command is verify else None, rich_help_panel=group)(command)


def main() -> None:
    """Run the command line.

    Exit code 0: done. 1: an outcome of ``--fail-on``, or something missing for ``doctor``. In a line each: 2 for every
    mistake of the input, 3 for our own fault, 130 and 143 for an interruption. From 10 on: what does not hold.
    """
    from flows.commands.ending import one_line_at_the_end

    atexit.register(gc.freeze)  # looking through torch once more before the end takes a second
    with one_line_at_the_end(debug="--debug" in sys.argv):
        app()


if __name__ == "__main__":
    main()
