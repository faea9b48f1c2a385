"""The rules of the family ``sanity``: rows to a figure and an answer for each check of each map.

The bounds are fixed here and nowhere else. What is not done is INCONCLUSIVE with its reason, never MET.
"""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np

from pipeline.config_experiments import SanityConfig
from pipeline.findings.experiments.check import CheckFinding
from pipeline.findings.experiments.sanity import (
    MapPlan,
    RedrawnWeights,
    SanityFigure,
    SanityFindings,
    SanityRow,
    SanityRows,
)
from pipeline.vocabulary import Check, Decision

__all__ = [
    "FEWEST_MAPS",
    "PARTLY",
    "REPEATS",
    "SAME_PLACE",
    "SAME_WEIGHTS",
    "figure_of",
    "map_plan",
    "repeats",
    "sanity_findings",
]

REPEATS: Final = 0.99
"""A map that is computed twice agrees with itself at least so well."""
SAME_PLACE: Final = 0.95
"""Above this the map of a shuffled picture is that of the picture: it does not look at it."""
SAME_WEIGHTS: Final = 0.85
"""Above this the map of a model that knows nothing is that of the trained one."""
PARTLY: Final = 0.60
"""From here on a map depends on the trained weights in part only, which is said and not judged."""
FEWEST_MAPS: Final = 4
"""Studies with a map below which nothing is concluded."""
_FEW_DRAWS: Final = 3

_CHECKS: Final[tuple[Check, ...]] = ("repeatability", "shuffled_picture", "weight_randomisation")


def map_plan(settings: SanityConfig, *, is_costly: bool) -> MapPlan:
    """Return on how many studies, with how many draws, a map's weights test is done."""
    if not is_costly:
        return MapPlan(studies=settings.studies, draws=settings.draws)
    return MapPlan(studies=max(settings.studies // 2, FEWEST_MAPS), draws=_FEW_DRAWS)


def repeats(figure: SanityFigure) -> bool:
    """Tell whether a map's repeatability lets the other checks be done; they would measure its noise otherwise."""
    return figure.value is not None and figure.studies >= FEWEST_MAPS and figure.value >= REPEATS


def figure_of(method: str, check: Check, rows: Sequence[SanityRow]) -> SanityFigure:
    """Return a check of a map in numbers: the mean over studies in each draw, then over draws."""
    scored = [row for row in rows if row.similarity is not None]
    draws = sorted({row.draw for row in scored})
    means = [float(np.mean([row.similarity for row in scored if row.draw == draw])) for draw in draws]
    value = float(np.mean(means)) if means else None
    return SanityFigure(
        check=check,
        method=method,
        value=value,
        by_draw=tuple(means),
        studies=len({row.study for row in scored}),
        patients=len({row.patient for row in scored}),
        without_map=len({row.study for row in rows} - {row.study for row in scored}),
        compared=len(scored),
        empty=sum(row.outcome == "empty_after" for row in scored),
        partly=check == "weight_randomisation" and value is not None and PARTLY <= value <= SAME_WEIGHTS,
    )


def sanity_findings(rows: SanityRows, settings: SanityConfig, chosen: Sequence[str]) -> SanityFindings:
    """Return what follows from the rows of the ``chosen`` studies.

    Raises:
        ValueError: for rows that no run of these settings writes.
    """
    _refuse_foreign(rows, settings, chosen)
    figures: list[SanityFigure] = []
    checks: list[CheckFinding] = []
    for method in rows.plans:
        own = [row for row in rows.rows if row.method == method]
        by_check = {check: figure_of(method, check, [row for row in own if row.check == check]) for check in _CHECKS}
        checks += [_finding(rows, figure, by_check["repeatability"]) for figure in by_check.values()]
        figures += [figure for figure in by_check.values() if figure.compared or figure.without_map]
    return SanityFindings(
        checks=tuple(checks),
        figures=tuple(figures),
        weights=rows.weights,
        asked=len(chosen),
        failures=rows.failures,
        calls=rows.calls,
    )


def _finding(rows: SanityRows, figure: SanityFigure, repeatability: SanityFigure) -> CheckFinding:
    side, bound = _BOUNDS[figure.check]
    why = _why_not_done(rows, figure, repeatability)
    if why is not None or figure.value is None:
        reason = f"not done: {why or 'no study has a map'}"
        return _checked(figure, "INCONCLUSIVE", reason, value=None)
    passes = figure.value >= bound if side == "at_least" else figure.value <= bound
    return _checked(figure, "MET" if passes else "NOT MET", _words(figure, passes=passes), value=figure.value)


def _checked(figure: SanityFigure, answer: Decision, reason: str, value: float | None) -> CheckFinding:
    side, bound = _BOUNDS[figure.check]
    return CheckFinding(
        check=figure.check,
        method=figure.method,
        answer=answer,
        reason=reason,
        value=value,
        bound=bound,
        side=side,
        patients=figure.patients,
        studies=figure.studies,
        strikes=answer == "NOT MET",
    )


_BOUNDS: Final[dict[Check, tuple[Literal["at_least", "at_most"], float]]] = {
    "repeatability": ("at_least", REPEATS),
    "shuffled_picture": ("at_most", SAME_PLACE),
    "weight_randomisation": ("at_most", SAME_WEIGHTS),
}


def _why_not_done(rows: SanityRows, figure: SanityFigure, repeatability: SanityFigure) -> str | None:
    """Return why a check says nothing of a map; None where it does."""
    broken_off = rows.not_done.get(figure.method)
    if figure.check != "repeatability" and repeatability.compared and not repeats(repeatability):
        differs = repeatability.value is not None and repeatability.value < REPEATS
        seen = "the map does not come out" if differs else "too few maps show whether one comes out"
        return f"{seen} the same twice, so what a change does to it cannot be told"
    if figure.check == "weight_randomisation" and rows.weights.redrawn < rows.weights.values:
        return _weights_kept(rows.weights)
    if figure.check == "weight_randomisation" and not rows.weights.values:
        return "the model has no learnt numbers that could be drawn anew"
    if not figure.compared and broken_off is not None:
        return broken_off
    if figure.studies < FEWEST_MAPS:
        return f"{figure.studies} of the chosen studies have a map, and fewer than {FEWEST_MAPS} tell nothing"
    return None


def _weights_kept(weights: RedrawnWeights) -> str:
    kept = weights.values - weights.redrawn
    names = ", ".join(weights.left)
    return (
        f"only {100 * weights.share:.1f} % of the model's learnt numbers can be drawn anew; {kept} of "
        f"{weights.values} belong to modules without a way to do so ({names})"
    )


def _words(figure: SanityFigure, *, passes: bool) -> str:
    """Return what an answer means, and what not."""
    if figure.check == "repeatability":
        return (
            "computed twice, the map is the same"
            if passes
            else "computed twice, the map is another: it is no evidence of anything"
        )
    if figure.check == "shuffled_picture":
        return (
            "the map follows what is in the picture"
            if passes
            else "the map stays where it is whatever the picture holds"
        )
    if not passes:
        return "most of the map's order comes from the picture and the architecture, not from what the model learnt"
    if figure.partly:
        return "the map depends partly on what the model learnt: much of its order stays without it"
    return "the map depends on what the model learnt, which does not show that it is right"


def _refuse_foreign(rows: SanityRows, settings: SanityConfig, chosen: Sequence[str]) -> None:
    """Refuse rows that are not those of the chosen studies, each once for every check that was done."""
    plans = [map_plan(settings, is_costly=is_costly) for is_costly in (False, True)]
    if any(plan not in plans for plan in rows.plans.values()):
        raise ValueError("a map was tried on another number of studies or draws than the configuration says")
    if set(rows.failures) - set(chosen) or {row.method for row in rows.rows} - set(rows.plans):
        raise ValueError("the rows are of studies or maps that were not chosen")
    readable = [study for study in chosen if study not in rows.failures]
    for method, plan in rows.plans.items():
        for check in _CHECKS:
            own = [row for row in rows.rows if (row.method, row.check) == (method, check)]
            is_weights = check == "weight_randomisation"
            studies, draws = (readable[: plan.studies], plan.draws) if is_weights else (readable, 1)
            expected = [(draw, study) for draw in range(draws) for study in studies]
            if own and [(row.draw, row.study) for row in own] != expected:
                raise ValueError(f"{check} of {method} is not of the studies and draws that were chosen")
        _refuse_unordered(rows, method)
    if any(row.check == "weight_randomisation" for row in rows.rows) and rows.weights.redrawn < rows.weights.values:
        raise ValueError("weights were not drawn anew, and there are rows of it")


def _refuse_unordered(rows: SanityRows, method: str) -> None:
    """Refuse a map that was tried further although it does not repeat, or was not although nothing forbade it."""
    own = [row for row in rows.rows if row.method == method]
    done = {row.check for row in own}
    tried = repeats(figure_of(method, "repeatability", [row for row in own if row.check == "repeatability"]))
    if done - {"repeatability"} and not tried:
        raise ValueError(f"{method} does not repeat, and there are rows of what is done only after that")
    whole = 0 < rows.weights.values == rows.weights.redrawn
    expected = {"shuffled_picture"} | ({"weight_randomisation"} if whole else set())
    if tried and method not in rows.not_done and not expected <= done:
        raise ValueError(f"{method} lacks a check, and nothing says why")
