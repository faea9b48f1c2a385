"""A control chart of a growing cohort: the patients that each run saw first, against the bound that was locked."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from pipeline.evidence.cohort.population import Population
from pipeline.evidence.exact.cusum import Cusum, average_run_length, cusum_of
from pipeline.evidence.verdicts.judging import MeanClaim
from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.plotted.control import Arrivals, FallDelay, RunControl

__all__ = ["ACCEPTED", "FALLS", "run_control"]

ACCEPTED: Final = 100
"""At most one false alarm in so many runs with new patients, on average."""
FALLS: Final = (0.10, 0.20)
"""The changes whose delay is told."""


def run_control(
    claim: MeanClaim, population: Population, studies: Sequence[StudyFacts], first_seen: Mapping[str, str]
) -> RunControl | None:
    """Return the chart of a population as ``as_first_seen`` returns it.

    None where scores do not lie within 0 and 1, the claim is no bound on one side, no bound lies between them, or
    nobody has a score. Patients without a score are left out: they say nothing of scores.
    """
    if claim.side == "within" or claim.span != (0.0, 1.0) or not len(population.scored):
        return None
    rule = cusum_of(claim.bound if claim.side == "at_least" else 1 - claim.bound, ACCEPTED)
    if rule is None:
        return None
    arrivals = _arrivals(claim, rule, _by_run(population, studies, first_seen))
    per_run = _usual([row.patients for row in arrivals])
    return RunControl(
        reference=claim.bound,
        side=claim.side,
        accepted=ACCEPTED,
        allowance=rule.allowance,
        limit=rule.limit,
        per_run=per_run,
        in_control_runs=average_run_length(rule, rule.reference, per_run),
        delays=tuple(FallDelay(fall=fall, runs=_delay(rule, fall, per_run)) for fall in FALLS),
        arrivals=arrivals,
        alarm=next((row.run for row in arrivals if rule.alarms(row.total)), None),
    )


def _by_run(
    population: Population, studies: Sequence[StudyFacts], first_seen: Mapping[str, str]
) -> dict[str, list[float]]:
    """Return the scores of the patients whom each run saw first, runs by time."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, number in enumerate(population.study.tolist()):
        rows[first_seen[studies[number].study]].append(row)
    means = {run: population.where(np.array(rows[run], dtype=np.intp)).patient_means() for run in sorted(rows)}
    return {run: values.tolist() for run, values in means.items() if len(values)}


def _arrivals(claim: MeanClaim, rule: Cusum, by_run: Mapping[str, list[float]]) -> tuple[Arrivals, ...]:
    rows: list[Arrivals] = []
    total = 0.0
    for run, values in by_run.items():
        mean = float(np.mean(values))
        total = rule.after(total, len(values), mean if claim.side == "at_least" else 1 - mean)
        rows.append(Arrivals(run=run, patients=len(values), value=mean, total=total))
    return tuple(rows)


def _usual(patients: Sequence[int]) -> int:
    """Return the median of the runs after the first, which takes what has gathered before anybody looked."""
    later = sorted(patients[1:] or patients)
    return later[(len(later) - 1) // 2]


def _delay(rule: Cusum, fall: float, per_run: int) -> float | None:
    worse = round(rule.reference - fall, 12)
    return average_run_length(rule, worse, per_run) if worse >= 0 else None
