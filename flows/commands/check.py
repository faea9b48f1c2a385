"""``camaudit check`` and ``camaudit lock``: everything is looked at before anything is frozen."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from operator import attrgetter
from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cam import Cost
from pipeline.checks.estimate import estimate_run
from pipeline.checks.model_check import Probe, check_model
from pipeline.checks.run_estimate import RunEstimate
from pipeline.checks.survey import Losses, Survey, survey_studies
from pipeline.config import AuditConfig, Criterion
from pipeline.config_file import LoadedConfig
from pipeline.errors import ArchiveError, ConfigError
from pipeline.findings.custody.site_key import load_site_key
from pipeline.findings.custody.time_stamp import open_authority
from pipeline.packed.items import MappedItems
from pipeline.runs import locking
from pipeline.runs.locking import subject_of
from pipeline.studies.untrusted.workers import WorkerPool
from pipeline.walk.auditor import Auditor, open_auditor
from pipeline.walk.sources import StudySource, find_sources

__all__ = ["check_audit", "lock_audit"]

_MANY = 500  # images through the model for one map


def check_audit(loaded: LoadedConfig, *, first_only: bool, allow_missing: bool, as_json: bool) -> None:
    """Look at the model, the first study, and, unless ``first_only``, at every other one; print what a run would do.

    Raises:
        AuditError: one line; an archive with holes is one, unless ``allow_missing``.
    """
    console = Console(quiet=as_json)
    with WorkerPool() as pool:
        with Console(stderr=True, quiet=as_json).status("loading the model, reading the first study"):
            auditor = open_auditor(loaded.config, loaded.folder, pool=pool)
            sources = find_sources(auditor.config, auditor.pseudonyms)
        probe = check_model(auditor, MappedItems(attrgetter("row"), sources), partial(_print_costs, console))
        patients = len({source.patient for source in sources})
        families = auditor.config.experiments.families
        tried = {family: min(given.studies, patients) for family, given in families.items()}
        estimate = estimate_run(auditor.config, probe, len(sources), tried)
        _print_model(console, auditor, probe)
        _print_estimate(console, auditor, estimate, len(sources))
        survey = None if first_only else _surveyed(auditor, sources, quiet=as_json)
    if survey is not None:
        _print_survey(console, survey)
    if as_json:
        print(json.dumps(_as_json(auditor, probe, estimate, survey)))  # noqa: T201
    if survey is not None and not allow_missing:
        _refuse_holes(survey)


def lock_audit(
    loaded: LoadedConfig,
    *,
    open_cohort: bool = False,
    allow_missing: bool = False,
    deep: bool = False,
    amend: str | None = None,
    timestamp: str | None = None,
    quiet: bool = False,
) -> Path:
    """Look at the model and at every study, then lock; return the lock's path.

    ``amend`` is the reason for changing the lock that is there, ``timestamp`` the URL of an authority that stamps it.

    Raises:
        AuditError: one line, and nothing is locked; an archive with holes is one, unless ``allow_missing``.
    """
    if open_cohort:
        _refuse_growing_weights(loaded.config)
    authority = None if timestamp is None else open_authority(timestamp)
    with WorkerPool() as pool:
        auditor = open_auditor(loaded.config, loaded.folder, pool=pool)
        sources = find_sources(auditor.config, auditor.pseudonyms, deep=deep)
        check_model(auditor, MappedItems(attrgetter("row"), sources))
        survey = _surveyed(auditor, sources, quiet=quiet)
    _print_survey(Console(quiet=quiet), survey)
    if not allow_missing:
        _refuse_holes(survey)
    subject = subject_of(loaded.config, auditor.loaded, sources)
    key, path = load_site_key(), loaded.path
    return locking.lock_audit(path, subject, key, open_cohort=open_cohort, amend=amend, authority=authority)


def _refuse_growing_weights(config: AuditConfig) -> None:
    """Refuse a criterion that no growing cohort can be judged by.

    Raises:
        ConfigError: naming it.
    """
    for number, criterion in enumerate(config.criteria):
        if isinstance(criterion, Criterion) and criterion.unit == "study":
            raise ConfigError(
                f"criteria.{number}.unit: study weighs a patient by his studies, which grow with an open cohort; write "
                "patient, or lock without --open-cohort"
            )
        if isinstance(criterion, Criterion) and criterion.readers == "random":
            raise ConfigError(
                f"criteria.{number}.readers: random is judged once, and an open cohort is looked at again; write "
                "these, or lock without --open-cohort"
            )


def _surveyed(auditor: Auditor, sources: Sequence[StudySource], *, quiet: bool) -> Survey:
    with _counting(len(sources), quiet=quiet) as on_study:
        return survey_studies(auditor, sources, on_study)


@contextmanager
def _counting(studies: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    columns = (TextColumn("looking at every study"), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True, quiet=quiet), transient=True) as progress:
        bar = progress.add_task("studies", total=studies)
        yield lambda: progress.advance(bar)


def _refuse_holes(survey: Survey) -> None:
    if survey.holes:
        raise ArchiveError(
            f"the archive has holes: {'; '.join(survey.holes)}. Mend them, or go on with --allow-missing"
        )


def _print_model(console: Console, auditor: Auditor, probe: Probe) -> None:
    model = auditor.loaded
    table = Table(title="Model", title_justify="left", show_header=False)
    table.add_row("network", f"{model.architecture}, {model.parameters:,} parameters, {model.source}")
    table.add_row("weights", f"sha256 {model.sha256}")
    table.add_row("device", str(auditor.device))
    shape = " x ".join(map(str, probe.shape))
    values = f"values {probe.minimum:.3g} to {probe.maximum:.3g}, mean {probe.mean:.3g}"
    table.add_row("input", f"{shape} from the first study, {values}")
    for layer in probe.layers:
        cells = " x ".join(map(str, layer.shape))
        size = " x ".join(f"{length:.3g}" for length in layer.cell_mm)
        chosen = f"{layer.requested}: " if layer.requested != layer.name else ""
        table.add_row("layer", f"{chosen}{layer.name}, {cells} cells of {size} {layer.unit}")
        past = "unknown" if layer.past is None else f"{layer.past:.3f}"
        table.add_row("", f"{layer.reason}; share of the input's gradient that goes past it: {past}")
    if probe.one_by_one:
        table.add_row("batches", "of one study: its answer depends on the others of a batch, or it takes no batch")
    for note in (*model.notes, *probe.notes):
        table.add_row("note", note)
    console.print(table)


def _print_costs(console: Console, costs: Mapping[str, Cost]) -> None:
    """Print what a map of one study costs at most, before the first is made: a method may take minutes or days."""
    table = Table(title="Cost of a study and target, at most", title_justify="left")
    for name in ("method", "images through the model", "seconds", "MiB"):
        table.add_column(name, justify="left" if name == "method" else "right")
    for method, cost in costs.items():
        table.add_row(method, f"{cost.images:,}", f"{cost.seconds:.3g}", f"{cost.bytes / 2**20:.3g}")
    if any(cost.images > _MANY for cost in costs.values()):
        table.caption = "fewer: explain.options {scorecam: {max_channels: 64}}, or the method's own option"
    console.print(table)


def _print_estimate(console: Console, auditor: Auditor, estimate: RunEstimate, studies: int) -> None:
    table = Table(title=f"Estimate for {studies} studies", title_justify="left")
    table.add_column("method")
    table.add_column("seconds a map", justify="right")
    table.add_column("share of the time", justify="right")
    for method in auditor.config.explain.methods:
        table.add_row(method, f"{estimate.seconds_a_map[method]:.3g}", f"{100 * estimate.shares[method]:.0f} %")
    table.caption = estimate.sentence
    console.print(table)


def _print_survey(console: Console, survey: Survey) -> None:
    table = Table(title="Studies: found = usable + excluded", title_justify="left")
    table.add_column("modality")
    for name in ("patients", "found", "usable", "excluded"):
        table.add_column(name, justify="right")
    table.add_column("why excluded", overflow="fold")
    for modality in survey.modalities:
        counts = (modality.patients, modality.found, modality.usable, modality.found - modality.usable)
        reasons = "\n".join(f"{count} {reason}" for reason, count in modality.excluded.items())
        table.add_row(modality.name, *map(str, counts), reasons)
    table.add_section()
    usable = survey.found - survey.studies.total
    table.add_row("all", *map(str, (survey.patients, survey.found, usable, survey.studies.total)))
    console.print(table)
    references = ", ".join(f"{label}: {count}" for label, count in survey.references.items())
    console.print(f"reference: {references or 'none'}", highlight=False)
    masks = f"masks: {survey.masks_usable} usable"
    console.print(f"{masks}{_losses_in_words('; ', survey.masks)}", highlight=False)
    if survey.regions_usable or survey.regions.total:
        regions = ", ".join(f"{name}: {count}" for name, count in survey.regions_usable.items())
        said = f"regions to avoid: {regions or 'none'}{_losses_in_words('; ', survey.regions)}"
        console.print(said, highlight=False, markup=False)
    if survey.studies.total:
        console.print(f"excluded: {_losses_in_words('', survey.studies)}", highlight=False)
    for doubt in survey.doubts:
        console.print(f"look: {doubt}", highlight=False)


def _losses_in_words(separator: str, losses: Losses) -> str:
    """Return the reasons with their counts and the first study of each."""
    reasons = [f"{count} {reason} (first {losses.first[reason]})" for reason, count in losses.counts.items()]
    return separator + ", ".join(reasons) if reasons else ""


def _as_json(auditor: Auditor, probe: Probe, estimate: RunEstimate, survey: Survey | None) -> Mapping[str, object]:
    return {
        "model": {"architecture": auditor.loaded.architecture, "sha256": auditor.loaded.sha256},
        "input": {"shape": probe.shape, "minimum": probe.minimum, "mean": probe.mean, "maximum": probe.maximum},
        "layers": [layer.model_dump() for layer in probe.layers],
        "one_by_one": probe.one_by_one,
        "costs": {method: asdict(cost) for method, cost in probe.costs.items()},
        "estimate": asdict(estimate),
        "archive": None if survey is None else {**asdict(survey), "holes": survey.holes},
    }
