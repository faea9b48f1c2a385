"""Numbers that reviewers ask for and that are known to mislead, of one study's maps; never judged."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from pipeline.evidence.faithfulness.blocks import block_grid
from pipeline.evidence.faithfulness.on_request import (
    drop_and_increase,
    mean_fill_deletion,
    sensitivity_n,
    shown_by_map,
)
from pipeline.evidence.faithfulness.opponents import generator_for
from pipeline.experiments.bench import Bench, ChosenStudy
from pipeline.findings.experiments.faithfulness import AskedRow
from pipeline.vocabulary import AskedScore

__all__ = ["asked_rows"]

Values = Mapping[AskedScore, Mapping[str, float | None]]
"""By score, each map's value."""


def asked_rows(
    bench: Bench, study: ChosenStudy, maps: Mapping[str, Tensor], also: Sequence[AskedScore]
) -> list[AskedRow]:
    """Return the scores of ``also`` of maps (*S) at the input's voxels.

    Raises:
        StudyError: when the model fails.
    """
    if not also or not maps:
        return []
    values: dict[AskedScore, Mapping[str, float | None]] = {}
    if "average_drop" in also or "increase" in also:
        values |= _drops(bench, study, maps)
    if "sensitivity_n" in also:
        values["sensitivity_n"] = _sensitivity(bench, study, maps)
    if "mean_fill_deletion" in also:
        values["mean_fill_deletion"] = _deletion(bench, study, maps)
    return [
        AskedRow(
            study=study.study,
            patient=study.patient,
            label=study.label,
            method=method,
            score=score,
            value=values[score][method],
        )
        for method in maps
        for score in also
    ]


def _drops(bench: Bench, study: ChosenStudy, maps: Mapping[str, Tensor]) -> Values:
    """Return drop and increase of the probability; undefined for a regression, and where there is none to lose."""
    pictures = [study.x, *(shown_by_map(study.x, values.cpu()) for values in maps.values())]
    before, *after = (answer.probabilities.get(study.label) for answer in bench.answers(pictures))
    changes = {
        method: drop_and_increase(min(before, 1.0), value) if before and value is not None else None
        for method, value in zip(maps, after, strict=True)
    }
    return {
        "average_drop": {method: None if change is None else change.drop_percent for method, change in changes.items()},
        "increase": {method: None if change is None else float(change.increases) for method, change in changes.items()},
    }


def _sensitivity(bench: Bench, study: ChosenStudy, maps: Mapping[str, Tensor]) -> Mapping[str, float | None]:
    x, grid = study.x[None].to(bench.device), block_grid(study.x.shape[1:], bench.device)
    heatmaps = torch.stack(list(maps.values()))
    (values,) = sensitivity_n(x, heatmaps, grid, partial(bench.rescored, study), _chance(bench, study)("sets"))
    return dict(zip(maps, values, strict=True))


def _deletion(bench: Bench, study: ChosenStudy, maps: Mapping[str, Tensor]) -> Mapping[str, float | None]:
    """Return the area under each map's deletion curve, in units of the label's score."""
    x, chance, rescore = study.x[None].to(bench.device), _chance(bench, study), partial(bench.rescored, study)
    curves = {
        method: mean_fill_deletion(x, values, rescore, chance(f"cells of {method}")) for method, values in maps.items()
    }
    return {
        method: None if curve is None else float(np.trapezoid(curve[0].cpu().numpy(), dx=1 / (curve.shape[1] - 1)))
        for method, curve in curves.items()
    }


def _chance(bench: Bench, study: ChosenStudy) -> Callable[[str], torch.Generator]:
    return partial(generator_for, *bench.chance(study))
