"""The command line. Each command imports what it needs when it runs, so that ``--help`` answers at once."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from flows.server import Server, UnreachableError
    from pipeline.record import Results

__all__ = ["app", "main"]

app = typer.Typer(
    name="camaudit",
    help="Audit where a medical-imaging classifier looked: class activation maps against the experts' masks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ConfigPath = Annotated[Path, typer.Argument(metavar="AUDIT.YAML", help="The audit's configuration.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, for machines.")]


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Set what holds for every command."""
    # how the command line runs Prefect; what a user has set already wins
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "DEBUG" if debug else "CRITICAL")
    os.environ.setdefault("PREFECT_LOGGING_INTERNAL_LEVEL", "DEBUG" if debug else "CRITICAL")
    os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "DEBUG" if debug else "CRITICAL")


@app.command()
def run(config: ConfigPath, as_json: AsJson = False) -> None:
    """Audit an archive and render the report.

    Studies that an earlier run of the same audit has answered are carried over.
    """
    _tell(_run(config, quiet=as_json), as_json=as_json)


@app.command()
def lock(
    config: ConfigPath,
    open_cohort: Annotated[
        bool,
        typer.Option("--open-cohort", help="Let studies be added later (monitoring); all else stays fixed."),
    ] = False,
) -> None:
    """Fix configuration, criteria, weights and cohort before the first inference."""
    typer.echo(_lock(config, open_cohort=open_cohort))


@app.command()
def link(config: ConfigPath) -> None:
    """Write which of the archive's own names each pseudonym stands for; keep the file from others, or delete it."""
    from pipeline.links import write_links

    typer.echo(write_links(config))


@app.command()
def scan(
    archive: Annotated[str, typer.Argument(metavar="ARCHIVE", help="The folder to walk, or a DICOMweb server's URL.")],
    as_json: AsJson = False,
    write_manifest: Annotated[
        Path | None, typer.Option("--write-manifest", metavar="FILE", help="List the usable images for camaudit run.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE.parquet", help="Write the catalogue under pseudonyms.")
    ] = None,
    index: Annotated[
        Path | None, typer.Option("--index", metavar="FILE", help="Where the private working index lies.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=0, help="Processes; 0 reads in this one, unguarded.")] = 2,
) -> None:
    """Find what is in an archive: studies by modality, usable or excluded by a reason.

    Nothing in the archive is changed. A second scan opens only what is new or changed. Of a server (https://...) only
    metadata is read, each time; CAMAUDIT_DICOMWEB_AUTHORIZATION is sent as its Authorization.
    """
    from flows.scanning import scan_archive

    scan_archive(archive, as_json=as_json, outputs=(write_manifest, export), index=index, workers=workers)


@app.command()
def schedule(
    config: ConfigPath,
    cron: Annotated[str, typer.Option("--cron", help="When, as a cron expression, e.g. '0 2 * * *'.")],
) -> None:
    """Serve the audit on a schedule; each run audits only the studies that are new.

    Needs a Prefect server (prefect server start) named by PREFECT_API_URL.
    """
    from flows.schedule import serve

    typer.echo(f"serving {config} at '{cron}' until interrupted")
    serve(config, cron)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write the PDF.")] = None,
) -> None:
    """Render the report of a run again, from its folder alone."""
    from reports.pdf import render

    typer.echo(render(run, output))


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where to make the demo.")] = Path("demo"),
    as_json: AsJson = False,
) -> None:
    """Make a synthetic archive, train a sound and a shortcut model for each modality, and audit all four."""
    from flows.demo import make_demo
    from flows.server import prefect_server

    _clear_demo(folder)
    os.environ.setdefault("PREFECT_HOME", str((folder / ".prefect").resolve()))
    with prefect_server() as server:  # its own process: a temporary one starts while the models train
        configs = make_demo(folder, on_step=lambda text: None if as_json else typer.echo(text))
        for config in configs:
            _lock(config)
        runs = [_run(config, quiet=as_json, server=server) for config in configs]
    for run_folder in runs:
        _tell(run_folder, as_json=as_json)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check what an audit needs: device, libraries, decoders, fonts, Prefect server."""
    from flows.doctor import examine

    checks = examine()
    if as_json:
        typer.echo(json.dumps([check.__dict__ for check in checks]))
    else:
        for check in checks:
            typer.echo(f"{'ok     ' if check.sound else 'MISSING'}  {check.name:<16} {check.finding}")
    if not all(check.sound for check in checks if check.needed):
        raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Print the JSON Schema of audit.yaml, for editors."""
    from pipeline.config import AuditConfig

    typer.echo(json.dumps(AuditConfig.model_json_schema(), indent=2))


def _lock(config: Path, *, open_cohort: bool = False) -> Path:
    from pipeline.lock import write_lock
    from pipeline.run import find_sources, open_auditor

    auditor = open_auditor(config)
    hashes = [source.sha256 for source in find_sources(auditor.config, auditor.pseudonyms)]
    return write_lock(config, auditor.config, auditor.model.sha256, hashes, cohort_open=open_cohort)


def _run(config: Path, *, quiet: bool, server: "Server | UnreachableError | None" = None) -> Path:
    from flows.progress import watching
    from flows.running import run_audit

    with watching(f"{config}: checking, hashing, locking", quiet=quiet) as watcher:
        return run_audit(config, f"camaudit run {config.name}", watcher, _warn, server)


def _warn(text: str) -> None:
    typer.echo(f"camaudit: {text}", err=True)


def _tell(folder: Path, *, as_json: bool) -> None:
    """Say what a run found; the report's path comes last."""
    from pipeline.record import load_results

    results = load_results(folder)
    pdf = folder / "report.pdf"
    if as_json:
        answers = [{"criterion": verdict.criterion, "answer": verdict.answer} for verdict in results.verdicts]
        content = {
            "run": str(folder),
            "report": str(pdf),
            "flow": results.flow.model_dump(),
            "verdicts": answers,
        }
        typer.echo(json.dumps({**content, "exploratory": list(results.lock.exploratory)}))
        return
    for line in _summary(results):
        typer.echo(line)
    typer.echo(f"  report: {pdf}")


def _summary(results: "Results") -> list[str]:
    flow = results.flow
    lines = [
        f"{results.audit}: {flow.found} studies = {flow.analysed} analysed + {sum(flow.excluded.values())} excluded "
        f"+ {sum(flow.failed.values())} failed ({flow.reused} carried over)"
    ]
    lines += [f"  {'EXPLORATORY':<14} {reason}" for reason in results.lock.exploratory]
    for verdict in results.verdicts:
        estimate = verdict.estimate
        value = "-" if estimate.value is None else f"{estimate.value:.2f}"
        bounds = "" if estimate.low is None else f" [{estimate.low:.2f}, {estimate.high:.2f}]"
        lines.append(f"  {verdict.answer:<14} {verdict.criterion} ({value}{bounds})")
    return lines


_DEMO_MARK = ".camaudit-demo"


def _clear_demo(folder: Path) -> None:
    """Empty a folder that an earlier demo made; refuse any other that holds something."""
    from pipeline.errors import ConfigError, OutputError

    try:
        if (folder / _DEMO_MARK).exists():
            shutil.rmtree(folder)
        elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError(f"--folder: {folder} is not empty and not an earlier demo; name another folder")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _DEMO_MARK).touch()
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror}") from error


def main() -> None:
    """Run the command line: exit code 0, or one clear line and 2 (bad input), 3 (our own fault), 130, 143 (ended)."""
    from flows.ending import one_line_at_the_end

    with one_line_at_the_end(debug="--debug" in sys.argv):
        app()


if __name__ == "__main__":
    main()
