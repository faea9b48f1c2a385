"""What experiments came to: their findings from the rows, the answers to criteria on checks, and what is struck."""

from collections.abc import Iterable, Mapping, Sequence

from pipeline.config import AuditConfig, CheckCriterion, Criterion
from pipeline.evidence.faithfulness.findings import faithfulness_findings
from pipeline.evidence.sanity.rules import sanity_findings
from pipeline.evidence.shortcuts.rules import shortcut_findings
from pipeline.evidence.stability.rules import stability_findings
from pipeline.findings.estimates import Estimate, Verdict
from pipeline.findings.experiments.bundle import ExperimentFindings, ExperimentRows
from pipeline.findings.experiments.check import CheckFinding
from pipeline.findings.spec import RunSpec
from pipeline.vocabulary import CHECKS, CLASSIFIER, Answer

__all__ = ["experiment_findings", "with_checks"]

_INTERVAL = "none: a fixed bound"


def experiment_findings(spec: RunSpec, rows: ExperimentRows) -> ExperimentFindings:
    """Return what follows from the rows of each family that the run was asked for.

    Raises:
        ValueError: when a family lacks its rows, has some that nobody asked for, or has some that no run writes.
    """
    asked, chosen = spec.config.experiments, spec.experiments
    for family in ExperimentRows.model_fields:
        if (getattr(rows, family) is None) != (getattr(asked, family) is None):
            raise ValueError(f"the rows of {family} are not those that the configuration asks for")
    sanity = shortcuts = stability = faithfulness = None
    if rows.sanity is not None and asked.sanity is not None:
        sanity = sanity_findings(rows.sanity, asked.sanity, chosen["sanity"])
    if rows.shortcuts is not None and asked.shortcuts is not None:
        shortcuts = shortcut_findings(rows.shortcuts, asked.shortcuts, chosen["shortcuts"])
    if rows.stability is not None and asked.stability is not None:
        stability = stability_findings(rows.stability, asked.stability, chosen["stability"])
    if rows.faithfulness is not None and asked.faithfulness is not None:
        faithfulness = faithfulness_findings(rows.faithfulness, asked.faithfulness, chosen["faithfulness"])
    return ExperimentFindings(sanity=sanity, shortcuts=shortcuts, stability=stability, faithfulness=faithfulness)


def with_checks(
    config: AuditConfig, of_metrics: Sequence[Verdict], findings: ExperimentFindings
) -> tuple[Verdict, ...]:
    """Return the answers to all criteria in the configuration's order: those on metrics, and those on checks.

    What is claimed of a struck map is MET no longer: it may hold of the map, and says nothing of the model.
    """
    struck, rest = findings.struck(), iter(of_metrics)
    return tuple(
        _of_a_check(criterion, findings.checks())
        if isinstance(criterion, CheckCriterion)
        else _unless_struck(criterion, next(rest), struck)
        for criterion in config.criteria
    )


def _unless_struck(criterion: Criterion, verdict: Verdict, struck: Mapping[str, str]) -> Verdict:
    bars = (criterion.not_worse_than, criterion.equivalent_to)  # to be as good as what is no evidence shows nothing
    failed = next((name for name in (criterion.method, *bars) if name in struck), None)
    if failed is None:
        return verdict
    why = f"struck: {failed} fails {struck[failed]}, so where it lies is no evidence of the model"

    def taken_back(answer: Answer, reason: str) -> dict[str, object]:
        return {"answer": "INCONCLUSIVE", "reason": f"{why}; {reason}"} if answer == "MET" else {}

    parts = tuple(part.model_copy(update=taken_back(part.answer, part.reason)) for part in verdict.parts)
    return verdict.model_copy(update={"struck": True, "parts": parts, **taken_back(verdict.answer, verdict.reason)})


def _of_a_check(criterion: CheckCriterion, checks: Iterable[CheckFinding]) -> Verdict:
    of_it = (check for check in checks if (check.check, check.method) == (criterion.check, criterion.method))
    reason = f"not done: experiments.{CHECKS[criterion.check].family} was not asked for"
    missing = CheckFinding(check=criterion.check, method=criterion.method, answer="INCONCLUSIVE", reason=reason)
    finding, method = next(of_it, missing), criterion.method or CLASSIFIER
    rule = "as fixed" if finding.bound is None else f"{(finding.side or '').replace('_', ' ')} {finding.bound:g}"
    estimate = Estimate(
        metric=criterion.check,
        method=method,
        among="all",
        value=finding.value,
        confidence=0.0,
        interval=_INTERVAL,
        patients=finding.patients,
        studies=finding.studies,
        reason=None if finding.value is not None else finding.reason,
    )
    return Verdict(
        criterion=f"{CHECKS[criterion.check].title} of {method}: {rule}",
        metric=criterion.check,
        method=method,
        among="all",
        rule=rule,
        side=finding.side,
        bound=finding.bound,
        estimate=estimate,
        answer=finding.answer,
        reason=finding.reason,
        alpha=0.0,
        check=criterion.check,
    )
