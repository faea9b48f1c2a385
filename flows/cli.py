"""The command line. Each command imports what it needs when it runs, so that ``--help`` answers at once.

What the configuration alone can tell is checked before anything heavy is imported (``pipeline.checks.config_checks``).
"""

import atexit
import gc
import json
import os
import shlex
import shutil
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.outcome import OUTCOMES, outcomes_of, parse_outcomes, print_results
from pipeline.errors import ArchiveError, ConfigError, OutputError, closest
from pipeline.verify.failure import FailureKind

if TYPE_CHECKING:
    from flows.request import AuditRequest
    from flows.server import PrefectServer, UnreachableError

__all__ = ["app", "main"]

app = typer.Typer(
    name="camaudit",
    help="Audit where a medical-imaging classifier looked: class activation maps against the experts' masks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

ConfigPath = Annotated[Path, typer.Argument(metavar="AUDIT.YAML", help="The audit's configuration.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, for machines.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, and only the result's path.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. --set run.seed=3. May be repeated."),
]
AllowMissing = Annotated[
    bool, typer.Option("--allow-missing", help="Go on although studies or masks are missing or cannot be used.")
]
FailOn = Annotated[
    str, typer.Option("--fail-on", metavar="LIST", help=f"End with exit code 1 on any of: {', '.join(OUTCOMES)}.")
]
Notify = Annotated[
    str | None,
    typer.Option(
        "--notify", metavar="PROGRAM", help="Give it, as JSON, what somebody has to hear of: NOT MET, drift, failures."
    ),
]
Deep = Annotated[bool, typer.Option("--deep", help="Hash every file again, also those that look unchanged.")]


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


@app.command()
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


@app.command()
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
        checked_config(config, overrides or ()), f"camaudit run {config.name}", deep, if_new, _program(notify)
    )
    folder = _run(request, quiet=quiet or as_json)
    results = print_results(folder, as_json=as_json, quiet=quiet)
    if unwanted & outcomes_of(results):
        raise typer.Exit(1)


@app.command()
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


@app.command()
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

    folder = measure_again(run, overrides or (), _warn, quiet=quiet or as_json)
    results = print_results(folder, as_json=as_json, quiet=quiet)
    if unwanted & outcomes_of(results):
        raise typer.Exit(1)


@app.command()
def compare(
    run_a: Annotated[Path, typer.Argument(metavar="RUN_A", help="A finished run, or an audit: its newest run.")],
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B", help="The run that is held against it.")],
    margin: Annotated[
        list[str] | None,
        typer.Option("--margin", metavar="METRIC=NUMBER", help="In place of the locked margins. May be repeated."),
    ] = None,
    maps: Annotated[
        list[str] | None,
        typer.Option("--maps", metavar="MAP_A=MAP_B", help="Hold other maps against each other. May be repeated."),
    ] = None,
    key_a: Annotated[
        Path | None, typer.Option("--key-a", metavar="FILE", help="The pseudonym key of RUN_A, where keys differ.")
    ] = None,
    key_b: Annotated[
        Path | None, typer.Option("--key-b", metavar="FILE", help="The pseudonym key of RUN_B, where keys differ.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hold RUN_B against RUN_A on the same studies: paired differences, studies that flipped, margins.

    Exit code 0: not worse, by every margin; without margins: no figure is shown to be worse. 1: worse, or with margins
    not shown to be not worse. 2: bad input, or there is nothing to compare by.
    """
    from flows.commands.compare import (
        CompareOptions,
        compare_folders,
        exit_code_of,
        parse_maps,
        parse_margins,
        print_comparison,
    )

    options = CompareOptions(parse_margins(margin or ()), parse_maps(maps or ()), key_a, key_b)
    comparison = compare_folders(run_a, run_b, options)
    print_comparison(comparison, as_json=as_json)
    code = exit_code_of(comparison.change)
    if code:
        raise typer.Exit(code)


@app.command()
def check(
    config: ConfigPath,
    overrides: Overrides = None,
    first: Annotated[
        bool, typer.Option("--first", help="Look at the first study only, not at every file of the archive.")
    ] = False,
    allow_missing: AllowMissing = False,
    as_json: AsJson = False,
) -> None:
    """Look at configuration, model, layers, methods and every study, and estimate the run; nothing is audited."""
    from pipeline.checks.config_checks import checked_config
    from pipeline.config_file import ConfigFaultsError

    try:
        loaded = checked_config(config, overrides or ())
    except ConfigFaultsError as error:
        if as_json:
            faults = [
                {"place": place, "key": ".".join(map(str, fault.key)), "message": fault.message}
                for place, fault in error.faults
            ]
            typer.echo(json.dumps({"faults": faults}))
        raise
    from flows.commands.check import check_audit

    check_audit(loaded, first_only=first, allow_missing=allow_missing, as_json=as_json)


@app.command()
def plan(
    config: ConfigPath,
    overrides: Overrides = None,
    spread: Annotated[
        float | None,
        typer.Option("--spread", metavar="SD", help="Standard deviation of patients' scores, as a pilot has it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say how many patients each criterion needs, and what those listed could show at best; no model is loaded."""
    from flows.planning import plan_audit

    plan_audit(config, overrides or (), spread=spread, as_json=as_json)


@app.command()
def lock(
    config: ConfigPath,
    overrides: Overrides = None,
    open_cohort: Annotated[
        bool,
        typer.Option("--open-cohort", help="Let studies be added later (monitoring); all else stays fixed."),
    ] = False,
    amend: Annotated[
        str | None,
        typer.Option("--amend", metavar="REASON", help="Change the lock that is there, in the open; reports say why."),
    ] = None,
    timestamp: Annotated[
        str | None,
        typer.Option("--timestamp", metavar="URL", help="Have an authority (RFC 3161) stamp when the lock was there."),
    ] = None,
    allow_missing: AllowMissing = False,
    deep: Deep = False,
    quiet: Quiet = False,
) -> None:
    """Look at every study, then fix configuration, criteria, model and cohort before the first inference."""
    from pipeline.checks.config_checks import checked_config

    loaded = checked_config(config, overrides or ())
    from flows.commands.check import lock_audit

    choices = {"open_cohort": open_cohort, "allow_missing": allow_missing, "deep": deep}
    typer.echo(lock_audit(loaded, amend=amend, timestamp=timestamp, quiet=quiet, **choices))


@app.command()
def link(config: ConfigPath) -> None:
    """Write which of the archive's own names each pseudonym stands for; keep the file from others, or delete it."""
    from pipeline.runs.pseudonym_links import write_links

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
    label_from: Annotated[
        str | None,
        typer.Option("--label-from", metavar="SOURCE", help="The manifest's labels: folder, name:REGEX or a CSV file."),
    ] = None,
    patient_from: Annotated[
        str | None,
        typer.Option(
            "--patient-from", metavar="SOURCE", help="Its patients: folder, name:REGEX, a CSV file or header."
        ),
    ] = None,
    index: Annotated[
        Path | None, typer.Option("--index", metavar="FILE", help="Where the private working index lies.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=0, help="Processes; 0 reads in this one, unguarded.")] = 2,
    layout: Annotated[
        str | None, typer.Option("--layout", metavar="NAME", help="The archive's layout, where several fit.")
    ] = None,
    modality: Annotated[
        list[str] | None,
        typer.Option("--modality", metavar="NAME", help="List only this of a subject's images. May be repeated."),
    ] = None,
) -> None:
    """Find what is in an archive: studies by modality, usable or excluded by a reason.

    Nothing in the archive is changed. A second scan opens only what is new or changed. Of a server (https://...) only
    metadata is read, each time; CAMAUDIT_DICOMWEB_AUTHORIZATION is sent as its Authorization.
    """
    if not archive.startswith(("http://", "https://")) and not Path(archive or "?").is_dir():
        raise ArchiveError(f"ARCHIVE: must name a folder or a DICOMweb server's URL, not {archive!r}")
    from flows.commands.scan import Outputs, scan_archive, value_sources
    from pipeline.studies.listing.layouts.layout import LayoutChoice

    sources = value_sources(label_from, patient_from, write_manifest)
    outputs = Outputs(write_manifest, export, sources)
    choice = LayoutChoice(layout, tuple(modality) if modality else None)
    scan_archive(archive, as_json=as_json, outputs=outputs, index=index, workers=workers, choice=choice)


@app.command()
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
    from flows.scheduling.arrival import Arrival
    from flows.scheduling.schedule import AuditSchedule, serve

    firing = clock or Arrival(quiet or timedelta())

    def on_serving(missed: datetime | None) -> None:
        typer.echo(f"serving {config} at {firing} until interrupted")
        if missed is not None:
            then = "one run makes up for it" if catch_up else "skipped: the next run looks at everything that is new"
            typer.echo(f"missed since {missed:%Y-%m-%d %H:%M} UTC; {then}")

    serve(AuditSchedule(config, loaded.config, overrides or (), firing, catch_up, _program(notify)), on_serving)


AuditFolder = Annotated[Path, typer.Argument(metavar="AUDIT_FOLDER", help="The folder of an audit's runs: runs/NAME.")]


@app.command()
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


@app.command()
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


@app.command()
def prune(
    folder: AuditFolder,
    keep: Annotated[
        int, typer.Option("--keep", metavar="N", min=1, help="Finished runs that stay for their age.")
    ] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing; say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove older runs: never one that another refers to, that is signed or the first under its lock, or under way."""
    from flows.commands.nights.prune import prune

    prune(folder, keep, dry_run=dry_run, as_json=as_json)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write the PDF.")] = None,
    sheets: Annotated[
        bool, typer.Option("--sheets", help="Write a page for each study that the report shows, to mark by hand.")
    ] = False,
) -> None:
    """Render the report of a run again, from its folder alone.

    A run that does not verify is rendered with ALTERED on every page, beside its own report; the exit code is then that
    of camaudit verify.
    """
    if not (run / "results.json").is_file():
        raise OutputError(f"{run}: holds no results.json; give the folder of a finished run")
    from flows.commands.render import render_again

    code = render_again(run, output, sheets=sheets)
    if code:
        raise typer.Exit(code)


@app.command(epilog=_exit_codes())
def verify(
    path: Annotated[Path, typer.Argument(metavar="RUN|REPORT.PDF", help="The folder of a run, or its report alone.")],
    key: Annotated[
        str | None, typer.Option("--key", metavar="FINGERPRINT", help="The key that must have signed the ledger.")
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read the archive again: its hashes, and every score from the kept maps.")
    ] = False,
    recompute: Annotated[
        int, typer.Option("--recompute", metavar="N", min=0, help="Audit N studies, drawn at random, anew.")
    ] = 0,
    trust_authority: Annotated[
        Path | None,
        typer.Option("--trust-authority", metavar="FILE.PEM", help="Who must have stamped the lock: certificates."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Walk from the printed numbers back to their hashes and recompute all that needs no model.

    Of a report without its folder, what it carries and prints is checked, and what cannot be is said.
    """
    from flows.commands.verify import print_verification, verified, verified_with_archive

    if deep or recompute:
        verification = verified_with_archive(path, key, trust_authority, deep=deep, recompute=recompute)
    else:
        verification = verified(path, key, trust_authority)
    code = print_verification(path, verification, as_json=as_json)
    if code:
        raise typer.Exit(code)


@app.command()
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
            runs.append(_run(AuditRequest(loaded, f"camaudit run {config.name}"), quiet=silent, server=server))
    for run_folder in runs:
        print_results(run_folder, as_json=as_json, quiet=quiet)


@app.command()
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


@app.command()
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


@app.command()
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


def _run(request: "AuditRequest", *, quiet: bool, server: "PrefectServer | UnreachableError | None" = None) -> Path:
    from flows.commands.progress import watching
    from flows.running import run_audit

    with watching(f"{request.loaded.path}: checking, hashing, locking", quiet=quiet) as watcher:
        return run_audit(request, replace(watcher, said=_warn), _warn, server)


def _program(text: str | None) -> tuple[str, ...]:
    """Return the program of ``--notify`` with its arguments, as a shell would split them; no shell runs it."""
    try:
        parts = shlex.split(text or "")
    except ValueError as error:
        raise ConfigError(f"--notify: {text!r:.80} cannot be split into a program and its arguments") from error
    if parts and shutil.which(parts[0]) is None:
        raise ConfigError(f"--notify: there is no program {parts[0]!r:.80} that can be run")
    return tuple(parts)


def _warn(text: str) -> None:
    typer.echo(f"camaudit: {text}", err=True)


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
