"""A figure of two runs, paired by patient: the mean difference with exact bounds, who won, whether a margin holds."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.evidence.cohort.estimating import Bootstrap, mean_estimate_of
from pipeline.evidence.cohort.measures import MetricScale
from pipeline.evidence.cohort.population import Population
from pipeline.evidence.columns.grouped import group_means
from pipeline.evidence.comparison.paired_scores import PairedScores
from pipeline.evidence.exact.claims import Claim, ExactResult
from pipeline.evidence.exact.means import judge_mean
from pipeline.evidence.exact.measures import won
from pipeline.evidence.exact.scores import one_study_each
from pipeline.findings.context.changes import FigureChange
from pipeline.findings.estimates import Estimate
from pipeline.vocabulary import Better, Stratum

__all__ = ["Asking", "FigureName", "figure_change"]


@dataclass(frozen=True)
class FigureName:
    """What a figure is of: a metric of a map of each run, over a label's studies (None: all), in a stratum."""

    metric: str
    map_a: str
    map_b: str
    label: str | None
    among: Stratum
    better: Better


@dataclass(frozen=True)
class Asking:
    """How differences are judged: the confidence, and the share of the population that may lack a score.

    ``bootstrap`` makes the interval that only describes. ``margins`` go from a metric to by how much less is not worse;
    ``withheld`` is why none can be answered, ``withheld_of_maps`` why none of a map can; None where one can.
    """

    bootstrap: Bootstrap
    missing_at_most: float
    margins: Mapping[str, float]
    withheld: str | None = None
    withheld_of_maps: str | None = None


def figure_change(
    name: FigureName, scores: PairedScores, scale: MetricScale, asking: Asking, withheld: str | None = None
) -> FigureChange:
    """Return a figure of both runs; ``withheld`` is why its margin cannot be answered, None where it can."""
    population, width = scores.differences(), scale.width
    method = name.map_b if name.map_a == name.map_b else f"{name.map_b} - {name.map_a}"
    group = None if name.label is None else f"label={name.label}"
    named = {"metric": name.metric, "method": method, "among": name.among, "group": group}
    span = (None, None) if width is None else (-width, width)
    estimate = mean_estimate_of(population, span, asking.bootstrap, named)
    common: dict[str, object] = {
        "metric": name.metric,
        "map_a": name.map_a,
        "map_b": name.map_b,
        "label": name.label,
        "better": name.better,
        "value_a": scores.mean_of(scores.a),
        "value_b": scores.mean_of(scores.b),
        "estimate": estimate,
    }
    signs = _signs(population, name.better)
    if width is not None and estimate.value is not None:
        mean = _claim(population, 0.0, name.better, width, asking)
        # of two tests, of how often and of how much, either may show a worsening: each has half of the error
        signs["p_worse"] = min(1.0, 2 * mean.p_not_met, *([signs["p_worse"]] if "p_worse" in signs else []))
    return FigureChange.model_validate(
        {**common, **signs, **_judged(name, (population, estimate, width), asking, withheld)}
    )


def _signs(population: Population, better: Better) -> dict[str, float]:
    """Count patients who have all their scores by the sign of their mean difference, and test it."""
    sign = 1.0 if better == "higher" else -1.0
    groups = population.groups
    whole = np.bincount(groups.number, weights=~population.has_value, minlength=groups.count) == 0
    inside = whole[groups.number]
    outcomes = won(sign * group_means(groups.number[inside], groups.count, population.value[inside]))
    improved, worsened = int((outcomes == 1).sum()), int((outcomes == 0).sum())
    counts: dict[str, float] = {"improved": improved, "tied": len(outcomes) - improved - worsened, "worsened": worsened}
    if not len(outcomes):
        return counts
    result = judge_mean(one_study_each(outcomes.tolist()), Claim("at_least", 0.5))
    two_sided = min(1.0, 2 * min(result.p_met, result.p_not_met))
    return {**counts, "p_sign": two_sided, "p_worse": min(1.0, 2 * result.p_not_met)}


def _judged(
    name: FigureName, known: tuple[Population, Estimate, float | None], asking: Asking, withheld: str | None
) -> dict[str, object]:
    """Answer the metric's margin, where there is one."""
    population, estimate, width = known
    margin = asking.margins.get(name.metric)
    if margin is None:
        return {}
    if withheld is not None or estimate.value is None or width is None:
        reason = estimate.reason or f"{name.metric} has no end, so no test of its mean difference is valid"
        return {"margin": margin, "answer": "NOT EVALUATED", "reason": withheld or reason}
    result = _claim(population, min(margin, width), name.better, width, asking)
    answer = {"answer": result.decision, "reason": result.reason, "p_met": result.p_met, "p_not_met": result.p_not_met}
    return {"margin": margin, **answer}


def _claim(population: Population, margin: float, better: Better, width: float, asking: Asking) -> ExactResult:
    """Answer whether b is worse than a by less than a margin, in the metric's own direction."""
    cohort = population.scores((-width, width))
    confidence, missing = asking.bootstrap.confidence, asking.missing_at_most
    if better == "higher":
        return judge_mean(cohort, Claim("at_least", -margin, confidence, missing))
    return judge_mean(cohort, Claim("at_most", margin, confidence, missing))
