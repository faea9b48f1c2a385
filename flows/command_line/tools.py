"""Commands on the program itself."""

import json
import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

from flows.command_line.options import AsJson, Quiet
from flows.command_line.starting import start_run
from flows.commands.outcome import print_results
from pipeline.errors import ConfigError, OutputError, closest

__all__ = ["demo", "doctor", "qualify", "schema", "selftest"]


def demo(
    folder: Annotated[Path, typer.Option(help="Where to make the demo.")] = Path("demo"),
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make a synthetic archive, train a sound and a shortcut model for each modality, and audit all four."""
    from flows.request import AuditRequest
    from flows.server import prefect_server

    silent = quiet or as_json
    _clear_demo(folder)
    os.environ.setdefault("PREFECT_HOME", str((folder / ".prefect").resolve()))
    os.environ.setdefault("CAMAUDIT_REGISTER", str((folder / ".register").resolve()))  # every demo is the first look
    with prefect_server() as server:  # its own process: a temporary one starts while the models train
        from flows.commands.check import lock_audit
        from flows.demo import make_demo
        from pipeline.checks.config_checks import checked_config

        configs = make_demo(folder, on_step=lambda text: None if silent else typer.echo(text))
        runs = []
        for config in configs:
            loaded = checked_config(config)
            lock_audit(loaded, quiet=True)
            runs.append(start_run(AuditRequest(loaded, f"camaudit run {config.name}"), quiet=silent, server=server))
    for run_folder in runs:
        print_results(run_folder, as_json=as_json, quiet=quiet)


def selftest(
    quick: Annotated[bool, typer.Option("--quick", help="A few minutes: each kind of model, no bounds.")] = False,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Repeat a self-test; without it, phantoms never seen before.")
    ] = None,
    models: Annotated[
        int | None, typer.Option("--models", metavar="N", help="Stop after N models of the plan.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", metavar="N", help="Processes, each of one thread.")] = 2,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Keep each model's record here, to go on after an interruption.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.json", help="Write the rates to a file.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train phantom models whose shortcuts are known, and count how often the shortcut battery names them rightly.

    Exit code 0: every target is met. 1: one is missed.
    """
    from flows.commands.selftest import SelftestOptions, code_of_rates, print_selftest, run_selftest

    options = SelftestOptions(quick, seed, models, workers, folder, output, quiet or as_json)
    rates, audited = run_selftest(options)
    print_selftest(rates, audited, as_json=as_json)
    code = code_of_rates(rates)
    if code:
        raise typer.Exit(code)


def qualify(
    folder: Annotated[
        Path, typer.Option("--folder", help="Where to write qualification.json, its pages and its signed statement.")
    ] = Path("qualification"),
    sign: Annotated[
        str | None, typer.Option("--sign", metavar="FILE|URI", help="Sign the pages as their author with this key.")
    ] = None,
    role: Annotated[str, typer.Option("--role", help="As what you sign.")] = "operator",
    as_json: AsJson = False,
) -> None:
    """Try known cases on this machine: every method's map, marked voxels, the exact rule, a falsified ledger, PDFs.

    Exit code 0: every case came out as it has to. 1: one did not.
    """
    from flows.commands.persons.qualify import QualifyOptions, qualify_installation

    code = qualify_installation(QualifyOptions(folder, as_json, sign, role))
    if code:
        raise typer.Exit(code)


def doctor(as_json: AsJson = False) -> None:
    """Check what an audit needs: device, libraries, decoders, fonts, Prefect server."""
    from flows.commands.doctor import examine

    checks = examine()
    if as_json:
        typer.echo(json.dumps([check.__dict__ for check in checks]))
    else:
        for check in checks:
            typer.echo(f"{'ok     ' if check.sound else 'MISSING'}  {check.name:<16} {check.finding}")
    if not all(check.sound for check in checks if check.needed):
        raise typer.Exit(1)


def schema(
    document: Annotated[
        str, typer.Argument(metavar="[audit|run|results]", help="audit.yaml, or a run's run.json or results.json.")
    ] = "audit",
) -> None:
    """Print the JSON Schema of audit.yaml, for editors, or of what a run leaves behind."""
    from flows.commands.schemas import PUBLISHED, schema_text

    if document not in PUBLISHED:
        raise ConfigError(f"DOCUMENT: there is no schema of {document!r}; {closest(document, PUBLISHED)}")
    typer.echo(schema_text(document), nl=False)


_DEMO_MARK = ".camaudit-demo"


def _clear_demo(folder: Path) -> None:
    """Empty a folder that an earlier demo made; refuse any other that holds something."""
    try:
        if (folder / _DEMO_MARK).exists():
            shutil.rmtree(folder)
        elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError(f"--folder: {folder} is not empty and not an earlier demo; name another folder")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _DEMO_MARK).touch()
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror}") from error
