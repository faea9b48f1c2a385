"""The items that reviewers look for in a study of explanations, filled from a run's results: for checklists and forms.

What the run did not measure is an item of its own, with the reason: nothing is left out in silence.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from pipeline.findings.estimates import Estimate
from pipeline.findings.experiments.check import CheckFinding
from pipeline.findings.frozen_model import FrozenModel
from pipeline.findings.results import Results
from pipeline.vocabulary import BASELINES, CHECKS, CLASSIFIER, Answer, Check, ConfusionCell, Decision, Stratum

__all__ = ["ReportedCheck", "ReportedInterpretation", "ReportedMetric", "ReportingItems", "reporting_items"]


class ReportedMethod(FrozenModel):
    """How a map is computed. ``options`` are those that the configuration set."""

    name: str
    title: str
    formula: str
    paper: str
    options: Mapping[str, str]
    limits: str
    software: str


class ReportedMetric(FrozenModel):
    """An agreement of maps with the reference standard, over a cohort. ``value`` is None with a ``reason``."""

    metric: str
    definition: str
    method: str
    among: Stratum | ConfusionCell
    is_baseline: bool
    value: float | None
    low: float | None
    high: float | None
    confidence: float
    interval: str
    patients: int
    studies: int
    chance: float | None
    reason: str | None


class ReportedCheck(FrozenModel):
    """A check of a map, or of the model (``method`` None). ``answer`` is None where it was not done."""

    check: Check
    family: str
    title: str
    method: str | None
    answer: Decision | None
    value: float | None
    bound: float | None
    patients: int
    reason: str


class ReportedInterpretation(FrozenModel):
    """What was concluded of a criterion, and why."""

    criterion: str
    answer: Answer
    reason: str


class ReportingItems(FrozenModel):
    """``level`` is that of the evidence: of all studies of a cohort, or of some that were shown.

    ``flow`` is n in = n analysed + n excluded + n failed. ``examples`` tells by which rule the pictures that a report
    shows were chosen. ``locked`` whether the criteria were fixed before anybody looked; ``not_reported`` goes from an
    item that the run has no number of to the reason.
    """

    schema_version: Literal[1] = 1
    run: str
    audit: str
    program: str
    finished_at: str
    intended_use: str
    reference_standard: str
    model: Mapping[str, str]
    methods: tuple[ReportedMethod, ...]
    level: Literal["cohort", "none"]
    patients: int
    flow: Mapping[str, int]
    left_out: Mapping[str, int]
    examples: str
    classification: tuple[ReportedMetric, ...]
    localisation: tuple[ReportedMetric, ...]
    checks: tuple[ReportedCheck, ...]
    struck: Mapping[str, str]
    locked: bool
    exploratory: tuple[str, ...]
    interpretation: tuple[ReportedInterpretation, ...]
    not_reported: Mapping[str, str]


def reporting_items(results: Results) -> ReportingItems:
    """Return the items of a run. Nothing is computed that the results do not hold."""
    flow = results.flow
    localisation = tuple(_metrics(results, results.estimates))
    checks = tuple(_checks(results))
    return ReportingItems(
        run=results.run,
        audit=results.audit,
        program=f"camaudit {results.provenance.camaudit}",
        finished_at=results.provenance.finished_at,
        intended_use=results.intended_use,
        reference_standard=results.reference_standard,
        model={
            "name": results.model.name,
            "version": results.model.version,
            "architecture": results.model.architecture,
            "weights_sha256": results.model.sha256,
            "layers": ", ".join(layer.name for layer in results.model.layers),
            "training_data": results.model.training_data,
        },
        methods=tuple(_methods(results)),
        level="cohort" if flow.analysed else "none",
        patients=flow.patients,
        flow={
            "found": flow.found,
            "analysed": flow.analysed,
            "excluded": sum(flow.excluded.values()),
            "failed": sum(flow.failed.values()),
        },
        left_out=dict(sorted({**flow.excluded, **flow.failed}.items())),
        examples=results.case_rule,
        classification=tuple(_metrics(results, results.classification)),
        localisation=localisation,
        checks=checks,
        struck=results.experiments.struck(),
        locked=not results.lock.exploratory,
        exploratory=results.lock.exploratory,
        interpretation=tuple(
            ReportedInterpretation(criterion=verdict.criterion, answer=verdict.answer, reason=verdict.reason)
            for verdict in results.verdicts
        ),
        not_reported=_not_reported(results, localisation, checks),
    )


def _methods(results: Results) -> Iterator[ReportedMethod]:
    for facts in results.methods:
        own = f"camaudit {results.provenance.camaudit}"
        yield ReportedMethod(
            name=facts.name,
            title=facts.title,
            formula=facts.formula,
            paper=facts.paper,
            options=facts.options,
            limits=facts.limits,
            software=own if facts.package is None else f"{facts.package} {facts.package_version}",
        )


def _metrics(results: Results, estimates: Iterable[Estimate]) -> Iterator[ReportedMetric]:
    """Yield the estimates of the whole cohort: those of subgroups answer another question."""
    definitions = {facts.name: facts.definition for facts in results.metrics}
    for estimate in estimates:
        if estimate.group is None:
            yield ReportedMetric(
                metric=estimate.metric,
                definition=definitions.get(estimate.metric, ""),
                method=estimate.method,
                among=estimate.among,
                is_baseline=estimate.method in BASELINES,
                value=estimate.value,
                low=estimate.low,
                high=estimate.high,
                confidence=estimate.confidence,
                interval=estimate.interval,
                patients=estimate.patients,
                studies=estimate.studies,
                chance=estimate.chance,
                reason=estimate.reason,
            )


def _checks(results: Results) -> Iterator[ReportedCheck]:
    """Yield what was done of every check of every map, and of each that was not done the reason."""
    done: dict[Check, list[CheckFinding]] = {check: [] for check in CHECKS}
    for finding in results.experiments.checks():
        done[finding.check].append(finding)
    for check, findings in done.items():
        facts = CHECKS[check]
        for finding in findings:
            yield ReportedCheck(
                check=check,
                family=facts.family,
                title=facts.title,
                method=finding.method,
                answer=None if finding.value is None and finding.answer == "INCONCLUSIVE" else finding.answer,
                value=finding.value,
                bound=finding.bound,
                patients=finding.patients,
                reason=finding.reason,
            )
        if not findings:
            reason = f"experiments.{facts.family} was not asked for"
            yield ReportedCheck(
                check=check, family=facts.family, title=facts.title, method=None, answer=None, value=None, bound=None,
                patients=0, reason=reason,
            )  # fmt: skip


def _not_reported(
    results: Results, localisation: Iterable[ReportedMetric], checks: Iterable[ReportedCheck]
) -> dict[str, str]:
    """Return the items that a reviewer looks for and the run has no number of, each with the reason."""
    maps = [metric for metric in localisation if metric.method != CLASSIFIER and not metric.is_baseline]
    missing = {f"checks.{check.check}": check.reason for check in checks if check.answer is None}
    if not any(metric.value is not None for metric in maps):
        reasons = [metric.reason for metric in maps if metric.reason]
        missing["localisation"] = reasons[0] if reasons else "no metric of maps against the reference was asked for"
    if not any(metric.is_baseline for metric in localisation):
        missing["localisation.baseline"] = "no baseline (overlap.baselines) was asked for"
    if not results.agreements:
        missing["reader_agreement"] = "fewer than two readers outlined the same studies"
    for name in ("intended_use", "reference_standard"):
        if not getattr(results, name):
            missing[name] = "the configuration does not state it"
    if not results.model.training_data:
        missing["model.training_data"] = "the configuration does not state it"
    if not results.verdicts:
        missing["interpretation"] = "the configuration has no criteria"
    return missing
