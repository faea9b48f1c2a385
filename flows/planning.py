"""``camaudit plan``: how many patients each criterion needs, and what those at hand could show at best."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline.checks.config_checks import check_names
from pipeline.checks.names import known_names
from pipeline.config import AuditConfig
from pipeline.errors import ConfigError
from pipeline.evidence.cohort.measures import MetricScale
from pipeline.evidence.localisation.tuning import tuning_patients
from pipeline.evidence.verdicts.plans import CohortCounts, CriterionPlan, cohort_counts, plan_criteria
from pipeline.studies.list_studies import list_studies
from pipeline.studies.listing.study_row import StudyRow
from pipeline.studies.pseudonyms import Pseudonyms, has_key, load_key
from pipeline.studies.readers.third_parties import load_readers

__all__ = ["plan_audit"]

_COLUMNS = ("criterion", "patients", "fewest", "best bound", "80 % power", "power here")


def plan_audit(path: Path, overrides: Sequence[str], *, spread: float | None, as_json: bool) -> None:
    """Print what each criterion of a configuration asks of a cohort; neither model nor image is opened.

    ``spread`` is the standard deviation of patients' scores, where a pilot has told it.

    Raises:
        AuditError: one line; a configuration without criteria is one, and an archive that cannot be listed.
    """
    config = check_names(path, overrides)
    if not config.metric_criteria:
        raise ConfigError(
            "criteria: there is none to plan for; write what has to hold, such as a hit_rate at_least 0.7"
        )
    if spread is not None and not 0 < spread < 1:
        raise ConfigError(f"--spread is a standard deviation above 0 and below 1, not {spread:g}")
    counts = _counts(config)
    scales = {name: MetricScale.of(metric) for name, metric in known_names().metrics.items()}
    findings = [label for label in config.model.labels if label != config.model.negative_label]
    plans = plan_criteria(config.metric_criteria, scales, findings, counts, spread)
    if as_json:
        cohort = None if counts is None else asdict(counts)
        print(json.dumps({"cohort": cohort, "criteria": [asdict(plan) for plan in plans]}))  # noqa: T201
    else:
        _print_plans(Console(), plans, counts)
        checks = len(config.criteria) - len(config.metric_criteria)
        if checks:
            print(f"{checks} more are checks: their rules are fixed, and nothing is planned for them")  # noqa: T201


def _counts(config: AuditConfig) -> CohortCounts | None:
    """Count the listed patients; None while there is no archive to list."""
    archive = config.archive
    if not archive.path.is_dir() or (archive.manifest is not None and not archive.manifest.is_file()):
        return None
    rows = list_studies(archive.path, archive.manifest, archive.label, load_readers())
    counts = _counted(config, rows)
    tuning = _tuning_names(config, rows)
    if not tuning:
        return counts
    tuned = tuple(name for name, metric in known_names().metrics.items() if metric.thresholded)
    return replace(counts, judged=_counted(config, [row for row in rows if row.patient not in tuning]), tuned=tuned)


def _counted(config: AuditConfig, rows: Iterable[StudyRow]) -> CohortCounts:
    studies = ((row.patient, row.reference) for row in rows)
    return cohort_counts(studies, config.model.labels, config.model.negative_label)


def _tuning_names(config: AuditConfig, rows: Sequence[StudyRow]) -> frozenset[str]:
    """Return the names of the patients on whom thresholds are tuned.

    A share of them is drawn by their pseudonyms. While there is no key for these it is drawn by their names: as many,
    give or take, though not the same ones; planning writes nothing, so it makes no key.
    """
    names = {row.patient: row.patient for row in rows}
    if has_key(config.run.output):
        pseudonyms = Pseudonyms(load_key(config.run.output))
        names = {pseudonyms.patient(patient): patient for patient in names}
    bearers = {patient: pseudonym for pseudonym, patient in names.items()}
    studies = ((bearers[row.patient], row.strata) for row in rows)
    return frozenset(names[bearer] for bearer in tuning_patients(config.overlap, config.run.seed, studies))


def _print_plans(console: Console, plans: Sequence[CriterionPlan], counts: CohortCounts | None) -> None:
    title = "no archive yet" if counts is None else f"{counts.patients} patients are listed"
    if counts is not None and counts.judged is not None:
        title += f", of whom {counts.patients - counts.judged.patients} tune thresholds"
    table = Table(title=f"Plan: {title}", title_justify="left")
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name == "criterion" else "right", overflow="fold")
    for plan in plans:
        table.add_row(*_cells(plan))
    table.caption = (
        "patients: those that the criterion speaks of; fewest: below them nothing can be MET; best bound: what they "
        "could show with perfect scores; 80 % power: patients needed where the truth lies 0.05 / 0.10 beyond the bound"
    )
    console.print(table)
    notes = dict.fromkeys(
        f"{plan.criterion}: {plan.rule}; {plan.group}; {plan.reason or 'nothing assumed'}" for plan in plans
    )
    console.print("\n".join(notes), highlight=False, markup=False)


def _cells(criterion: CriterionPlan) -> tuple[str, ...]:
    plan = criterion.plan
    if plan is None:
        return criterion.criterion, "-", "-", "-", "-", "-"
    return (
        criterion.criterion,
        "?" if plan.n_patients is None else str(plan.n_patients),
        "never" if plan.smallest_cohort is None else str(plan.smallest_cohort),
        "?" if plan.best_reachable is None else f"{plan.best_reachable:.3f}",
        " / ".join("-" if needed is None else str(needed) for _, needed in plan.needed),
        " / ".join("?" if power is None else f"{100 * power:.0f} %" for _, power in plan.power),
    )
