"""What a run came to, on the console: counts with their reasons, verdicts, the report; and exit codes by them."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pipeline.errors import ConfigError, closest

if TYPE_CHECKING:  # importing what reads results takes a while, and ``--help`` needs the names alone
    from pipeline.findings.estimates import Verdict
    from pipeline.findings.results import Results
    from pipeline.findings.study_audit import StudyAudit

__all__ = ["OUTCOMES", "outcomes_of", "parse_outcomes", "print_results"]

OUTCOMES = ("not-met", "inconclusive", "not-evaluated", "exploratory", "failed-studies", "lost-studies")
"""What ``--fail-on`` can name. A study is lost that was excluded or that failed."""

_MOST_REASONS = 12


def parse_outcomes(text: str) -> frozenset[str]:
    """Read the value of ``--fail-on``: names with commas between them.

    Raises:
        ConfigError: for a name that there is not.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in OUTCOMES:
            raise ConfigError(f"--fail-on: unknown outcome {name!r}; {closest(name, OUTCOMES)}")
    return frozenset(names)


def outcomes_of(results: "Results") -> frozenset[str]:
    """Return which of ``OUTCOMES`` a run came to."""
    flow = results.flow
    answers = {verdict.answer.lower().replace(" ", "-") for verdict in results.verdicts}
    others = {
        "exploratory": bool(results.lock.exploratory),
        "failed-studies": bool(flow.failed),
        "lost-studies": bool(flow.failed or flow.excluded),
    }
    return frozenset((answers | {name for name, holds in others.items() if holds}) & set(OUTCOMES))


def print_results(folder: Path, *, as_json: bool, quiet: bool) -> "Results":
    """Say what a run found; the report's path comes last, and after it only what must not be overlooked."""
    from pipeline.findings.results import load_results

    results = load_results(folder)
    pdf = folder / "report.pdf"
    if as_json:
        typer.echo(json.dumps(_as_json(folder, pdf, results)))
        return results
    for line in [] if quiet else _summary(results):
        typer.echo(line)
    typer.echo(f"{pdf}" if quiet else f"  report: {pdf}")
    lost = _lost(results)
    if lost:
        typer.echo(f"camaudit: {lost}", err=True)
    return results


def _as_json(folder: Path, pdf: Path, results: "Results") -> dict[str, object]:
    return {
        "run": str(folder),
        "report": str(pdf),
        "flow": results.flow.model_dump(),
        "reasons": [
            {"status": status, "reason": reason, "studies": count, "first": first}
            for (status, reason), (count, first) in _reasons(results.not_analysed).items()
        ],
        "masks_refused": [
            {"study": study, **fault.model_dump(mode="json")}
            for study, faults in results.mask_faults.items()
            for fault in faults
        ],
        "inputs": None if results.inputs is None else results.inputs.model_dump(mode="json"),
        "verdicts": [{"criterion": verdict.criterion, "answer": verdict.answer} for verdict in results.verdicts],
        "exploratory": list(results.lock.exploratory),
        "amended": [amendment.reason for amendment in results.lock.amendments],
        "warning": _lost(results),
    }


def _summary(results: "Results") -> list[str]:
    flow = results.flow
    lines = [
        f"{results.audit}: {flow.found} studies = {flow.analysed} analysed + {sum(flow.excluded.values())} excluded "
        f"+ {sum(flow.failed.values())} failed ({flow.reused} carried over)"
    ]
    reasons = _reasons(results.not_analysed)
    for (status, reason), (count, first) in list(reasons.items())[:_MOST_REASONS]:
        lines.append(f"  {status:<14} {count} {reason.replace('_', ' ')}, first {first}")
    if len(reasons) > _MOST_REASONS:
        lines.append(f"  {'':<14} and {len(reasons) - _MOST_REASONS} more reasons, in the report")
    lines += _masks(results) + _inputs(results)
    lines += [f"  {'EXPLORATORY':<14} {reason}" for reason in results.lock.exploratory]
    lines += [f"  {'AMENDED':<14} {amendment.reason}" for amendment in results.lock.amendments]
    return lines + [_verdict(verdict) for verdict in results.verdicts]


def _masks(results: "Results") -> list[str]:
    """Return why masks could not be used, with the first study of each reason."""
    first: dict[str, str] = {}
    for study, faults in results.mask_faults.items():
        for fault in faults:
            first.setdefault(fault.reason, study)
    counts = results.flow.mask_faults.items()
    return [
        f"  {'mask refused':<14} {count} {reason.replace('_', ' ')}, first {first[reason]}" for reason, count in counts
    ]


def _inputs(results: "Results") -> list[str]:
    """Return what the model was shown: a forgotten scaling shows here first."""
    inputs = results.inputs
    if inputs is None:
        return []
    shapes = ", ".join(inputs.shapes)
    values = f"values {inputs.minimum:.3g} to {inputs.maximum:.3g}, mean {inputs.mean:.3g}"
    lines = [f"  {'input':<14} {shapes}, {values}"]
    return lines + [f"  {'look':<14} {note}" for note in inputs.notes]


def _verdict(verdict: "Verdict") -> str:
    estimate = verdict.estimate
    value = "-" if estimate.value is None else f"{estimate.value:.2f}"
    bounds = "" if estimate.low is None else f" [{estimate.low:.2f}, {estimate.high:.2f}]"
    difference = "difference " if verdict.against and estimate.value is not None else ""
    return f"  {verdict.answer:<14} {verdict.criterion} ({difference}{value}{bounds})"


def _reasons(audits: "tuple[StudyAudit, ...]") -> dict[tuple[str, str], tuple[int, str]]:
    """Count why studies were not analysed, the most frequent first: (status, reason) to how many and the first one."""
    counts = Counter((audit.status, audit.reason or "not stated") for audit in audits)
    first: dict[tuple[str, str], str] = {}
    for audit in audits:
        first.setdefault((audit.status, audit.reason or "not stated"), audit.study)
    return {kind: (count, first[kind]) for kind, count in counts.most_common()}


def _lost(results: "Results") -> str | None:
    """Return the warning of a run that lost more studies than its configuration allows."""
    flow = results.flow
    lost = flow.found - flow.analysed
    if not flow.found or lost <= results.lost_at_most * flow.found:
        return None
    return (
        f"{lost} of {flow.found} studies were lost ({100 * lost / flow.found:.0f} %), more than "
        f"run.lost_at_most allows ({100 * results.lost_at_most:g} %)"
    )
