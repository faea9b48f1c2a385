"""Commands that start, join or score a run."""

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.command_line.options import AsJson, ConfigPath, Deep, FailOn, Notify, Overrides, Quiet
from flows.command_line.starting import program_of, start_run, warn
from flows.commands.outcome import outcomes_of, parse_outcomes, print_results

__all__ = ["init", "measure", "run", "work"]


def init(
    archive: Annotated[Path, typer.Argument(metavar="ARCHIVE", help="The folder with the studies.")],
    model: Annotated[
        str,
        typer.Option("--model", metavar="BUNDLE|MODULE:FUNCTION", help="The classifier: a MONAI bundle, or a factory."),
    ],
    weights: Annotated[
        Path | None, typer.Option("--weights", metavar="FILE", help="The weights that are meant.")
    ] = None,
    profile: Annotated[
        str,
        typer.Option(
            "--profile", metavar="NAME", help="acceptance, retrospective, shadow (no reference), monitoring or change."
        ),
    ] = "acceptance",
    labels: Annotated[
        str | None, typer.Option("--labels", metavar="A,B", help="The model's labels in the order of its outputs.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write.")] = Path(
        "audit.yaml"
    ),
) -> None:
    """Write a commented audit.yaml, and a manifest where there is none, from what archive and model tell.

    What had to be guessed says so. Nothing is written over; the file is tried on the first study.
    """
    from flows.commands.init import InitOptions, init_audit, stated_labels

    init_audit(archive, InitOptions(model, weights, profile, stated_labels(labels), output))


def run(
    config: ConfigPath,
    overrides: Overrides = None,
    fail_on: FailOn = "",
    deep: Deep = False,
    if_new: Annotated[
        bool, typer.Option("--if-new", help="Where nothing is new since the newest run, note that and do nothing.")
    ] = False,
    notify: Notify = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Audit an archive and render the report.

    Studies that an earlier run of the same audit has answered are carried over.
    """
    from flows.request import AuditRequest
    from pipeline.checks.config_checks import checked_config

    unwanted = parse_outcomes(fail_on)
    request = AuditRequest(
        checked_config(config, overrides or ()), f"camaudit run {config.name}", deep, if_new, program_of(notify)
    )
    folder = start_run(request, quiet=quiet or as_json)
    results = print_results(folder, as_json=as_json, quiet=quiet)
    if unwanted & outcomes_of(results):
        raise typer.Exit(1)


def work(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run that is under way.")],
    device: Annotated[
        str | None, typer.Option("--device", metavar="DEVICE", help="In place of run.device, e.g. cuda:1.")
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
    end_with_input: Annotated[bool, typer.Option("--end-with-input", hidden=True)] = False,
) -> None:
    """Join a run that another process began: work shards that nobody has, until none is left.

    The run's folder, its archive and the site's keys have to be there under the same paths, and the same program.
    """
    from flows.commands.work import join

    count = join(run, device, quiet=quiet or as_json, end_with_input=end_with_input)
    if as_json:
        typer.echo(json.dumps({"run": str(run), "shards": count}))
    elif not quiet:
        typer.echo(f"{run}: {count} shards worked here")


def measure(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    overrides: Overrides = None,
    fail_on: FailOn = "",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Score the maps of a run again, without the model: another threshold, other criteria, a consensus of readers."""
    unwanted = parse_outcomes(fail_on)
    from flows.commands.measure import measure_again

    folder = measure_again(run, overrides or (), warn, quiet=quiet or as_json)
    results = print_results(folder, as_json=as_json, quiet=quiet)
    if unwanted & outcomes_of(results):
        raise typer.Exit(1)
