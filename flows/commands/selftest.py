"""``camaudit selftest``: the rates of the shortcut battery on models whose leaning is known."""

import platform
import secrets
from dataclasses import dataclass
from pathlib import Path

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from flows.selftest.plan import full_plan, quick_plan
from flows.selftest.running import SelftestRun, audited_models
from flows.selftest.scoring import rates_of
from pipeline.errors import ConfigError, OutputError
from pipeline.files import written
from pipeline.findings.experiments.selftest import AuditedModel, KeptRate, SelftestRates
from pipeline.program import camaudit_version, program_digest, program_revision

__all__ = ["SelftestOptions", "exit_code_of", "print_selftest", "run_selftest"]

_LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True)
class SelftestOptions:
    """What the command line says. ``models`` stops after so many of the plan; a new ``seed`` is drawn without one."""

    quick: bool = False
    seed: int | None = None
    models: int | None = None
    workers: int = 2
    folder: Path | None = None
    output: Path | None = None
    quiet: bool = False


def run_selftest(options: SelftestOptions) -> tuple[SelftestRates, tuple[AuditedModel, ...]]:
    """Train and audit the models, and return the rates; they are written where ``output`` says.

    Raises:
        ConfigError: an option is out of its range.
        OutputError: a file cannot be written.
    """
    _check(options)
    seed = secrets.randbelow(_LARGEST_SEED) if options.seed is None else options.seed
    plans = quick_plan() if options.quick else full_plan()
    run = SelftestRun(plans[: options.models], seed, options.workers, options.folder)
    models = _with_progress(run, quiet=options.quiet)
    revision = program_revision()
    rates = SelftestRates(
        program=camaudit_version() + (f" ({revision})" if revision else ""),
        program_digest=program_digest(),
        seed=seed,
        full=not options.quick,
        models=len(models),
        planned=len(plans),
        platform=f"torch {torch.__version__}, {platform.machine()}",
        rates=rates_of(models, full=not options.quick),
    )
    if options.output is not None:
        with written(options.output) as file:
            file.write((rates.model_dump_json(indent=1) + "\n").encode())
    return rates, models


def exit_code_of(rates: SelftestRates) -> int:
    """Return 1 when a target is missed, else 0."""
    return int(any(rate.met is False for rate in rates.rates))


def print_selftest(rates: SelftestRates, models: tuple[AuditedModel, ...], *, as_json: bool) -> None:
    """Print the rates as a table, or one JSON object that holds every model too."""
    if as_json:
        content = '{{"rates": {}, "models": [{}], "exit_code": {}}}'
        typer.echo(
            content.format(
                rates.model_dump_json(), ", ".join(model.model_dump_json() for model in models), exit_code_of(rates)
            )
        )
        return
    kind = "full" if rates.full else "quick"
    typer.echo(
        f"camaudit {rates.program}: {kind} self-test, {rates.models} of {rates.planned} models, seed {rates.seed}"
    )
    for rate in rates.rates:
        typer.echo(_line(rate))
    missed = [rate.title for rate in rates.rates if rate.met is False]
    typer.echo(f"MISSED: {'; '.join(missed)}" if missed else "every target is met")
    if missed and rates.models < rates.planned:
        typer.echo("the plan was cut short: its bounds need all of it")


def _line(rate: KeptRate) -> str:
    share = "-" if not rate.of else f"{rate.count} of {rate.of}"
    bounds = (
        ""
        if rate.low is None or rate.high is None
        else f"{100 * rate.count / rate.of:5.1f} % [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"
    )
    asked = {None: "", True: f"met: {rate.target}", False: f"MISSED: {rate.target}"}[rate.met]
    return f"  {rate.title:<62} {share:>12}  {bounds:<22} {asked}".rstrip()


def _with_progress(run: SelftestRun, *, quiet: bool) -> tuple[AuditedModel, ...]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True, quiet=quiet), disable=quiet) as progress:
        bar = progress.add_task("training and auditing", total=len(run.plans))
        return audited_models(run, lambda: progress.advance(bar))


def _check(options: SelftestOptions) -> None:
    if options.seed is not None and not 0 <= options.seed <= _LARGEST_SEED:
        raise ConfigError(f"--seed: must lie within 0 and {_LARGEST_SEED}, not {options.seed}")
    if options.models is not None and options.models < 1:
        raise ConfigError(f"--models: must be 1 or more, not {options.models}")
    if options.workers < 1:
        raise ConfigError(f"--workers: must be 1 or more, not {options.workers}")
    if options.folder is not None and options.folder.exists() and not options.folder.is_dir():
        raise OutputError(f"--folder: {options.folder} is no folder; name one, or a new one")
