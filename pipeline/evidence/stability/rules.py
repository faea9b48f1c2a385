"""The rules of the family ``stability``: figures for every change, and one bound, under noise.

Wrong maps are the most stable of all, so a high value says nothing good of a map; only a very low one is judged.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from pipeline.config_experiments import StabilityConfig
from pipeline.findings.experiments.check import CheckFinding
from pipeline.findings.experiments.stability import (
    PICTURE_CHANGES,
    Change,
    ConsistencyFigure,
    StabilityFigure,
    StabilityFindings,
    StabilityRow,
    StabilityRows,
)

__all__ = ["FEWEST_ANSWERS", "HOLDS", "stability_findings"]

HOLDS: Final = 0.50
"""Below this, under noise that leaves the answer as it is, a map does not hold."""
FEWEST_ANSWERS: Final = 4
"""Studies with a map and an unchanged answer below which nothing is concluded."""


def stability_findings(rows: StabilityRows, settings: StabilityConfig, chosen: Sequence[str]) -> StabilityFindings:
    """Return what follows from the rows of the ``chosen`` studies.

    Raises:
        ValueError: for rows that no run of these settings writes.
    """
    _refuse_foreign(rows, settings, chosen)
    figures = [
        figure
        for method in rows.methods
        for change in PICTURE_CHANGES
        if (figure := _figure(method, change, _of(rows, method, change))) is not None
    ]
    return StabilityFindings(
        checks=tuple(_finding(rows, method) for method in rows.methods),
        figures=tuple(figures),
        consistency=_consistency(rows),
        not_tried=rows.not_tried,
        not_paired=rows.not_paired,
        asked=len(chosen),
        failures=rows.failures,
        calls=rows.calls,
    )


def _of(rows: StabilityRows, method: str, change: Change) -> list[StabilityRow]:
    return [row for row in rows.rows if (row.method, row.change) == (method, change)]


def _figure(method: str, change: Change, rows: Sequence[StabilityRow]) -> StabilityFigure | None:
    if not rows:
        return None
    values = [row.similarity for row in rows if row.similarity is not None]
    return StabilityFigure(
        method=method,
        change=change,
        value=float(np.mean(values)) if values else None,
        lowest=min(values) if values else None,
        logit=float(np.mean([abs(row.logit) for row in rows])),
        studies=len(rows),
        patients=len({row.patient for row in rows}),
        same=sum(row.same_answer for row in rows),
        without_map=len(rows) - len(values),
        empty=sum(row.outcome == "empty_after" for row in rows),
    )


def _consistency(rows: StabilityRows) -> tuple[ConsistencyFigure, ...]:
    """Return the mean over pairs of patients of each label and map, in the order of the pairs."""
    figures = []
    for label, method in dict.fromkeys((pair.label, pair.method) for pair in rows.pairs):
        own = [pair for pair in rows.pairs if (pair.label, pair.method) == (label, method)]
        values = [pair.similarity for pair in own if pair.similarity is not None]
        patients = len({study for pair in own for study in pair.studies})
        value = float(np.mean(values)) if values else None
        figures.append(ConsistencyFigure(label=label, method=method, value=value, pairs=len(values), patients=patients))
    return tuple(figures)


def _finding(rows: StabilityRows, method: str) -> CheckFinding:
    """Answer for noise alone, on the studies whose answer stays: where it does not, the map has a reason to move."""
    noise = _of(rows, method, "noise")
    kept = [row for row in noise if row.same_answer and row.similarity is not None]
    values = [row.similarity for row in kept if row.similarity is not None]
    studies, patients = len(kept), len({row.patient for row in kept})
    if len(kept) < FEWEST_ANSWERS:
        few = f"{len(kept)} chosen studies have a map and keep their answer; fewer than {FEWEST_ANSWERS} tell nothing"
        why = rows.not_done.get(method, few) if not noise else few
        return CheckFinding(
            check="noise_stability",
            method=method,
            answer="INCONCLUSIVE",
            reason=f"not done: {why}",
            bound=HOLDS,
            side="at_least",
            studies=studies,
            patients=patients,
        )
    value = float(np.mean(values))
    holds = value >= HOLDS
    return CheckFinding(
        check="noise_stability",
        method=method,
        answer="MET" if holds else "NOT MET",
        reason="under noise that leaves the answer as it is the map keeps its order"
        if holds
        else "the map is less stable than the answer: noise that leaves the answer as it is moves it",
        value=value,
        bound=HOLDS,
        side="at_least",
        studies=studies,
        patients=patients,
    )


def _refuse_foreign(rows: StabilityRows, settings: StabilityConfig, chosen: Sequence[str]) -> None:
    """Refuse rows that are not those of the chosen studies, each once for every change that was tried."""
    if len(chosen) > settings.studies:
        raise ValueError("more studies were chosen than the configuration says")
    if set(rows.failures) - set(chosen) or {row.method for row in rows.rows} - set(rows.methods):
        raise ValueError("the rows are of studies or maps that were not chosen")
    readable = [study for study in chosen if study not in rows.failures]
    for method in rows.methods:
        for change in PICTURE_CHANGES:
            own = _of(rows, method, change)
            if own and (change in rows.not_tried or [row.study for row in own] != readable):
                raise ValueError(f"{change} of {method} is not of the studies that were chosen")
    pairs = [(pair.method, frozenset(pair.studies)) for pair in rows.pairs]
    paired = {study for _, studies in pairs for study in studies}
    if len(set(pairs)) < len(pairs) or not paired <= set(readable) or (pairs and not settings.common_frame):
        raise ValueError("pairs of patients are not of the studies that were chosen")
    if rows.pairs and rows.not_paired is not None:
        raise ValueError("pairs of patients go without a reason why there are none")
