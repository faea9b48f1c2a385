"""The family ``sanity``: each map twice, of the shuffled picture, and of the model with all weights drawn anew."""

from collections.abc import Mapping, Sequence
from typing import Final

from cam import METHODS
from cam.registry import Workload
from pipeline.config_experiments import SanityConfig
from pipeline.evidence.sanity.rules import figure_of, map_plan, repeats
from pipeline.evidence.sanity.similarity import compared
from pipeline.experiments.bench import Bench, ChosenStudy
from pipeline.experiments.changed_pictures import shuffled
from pipeline.experiments.redrawn import redrawn
from pipeline.experiments.trial import Cells, MapTrial
from pipeline.findings.experiments.sanity import MapPlan, RedrawnWeights, SanityFigure, SanityRow, SanityRows
from pipeline.vocabulary import Check

__all__ = ["sanity"]

_COSTLY: Final = 16
"""Pictures that the model is shown for one map, from which on fewer studies and draws have to do."""
_USUAL: Final = Workload(samples=1, targets=1, channels=512, cells=49, shape=(224, 224))


def sanity(bench: Bench) -> SanityRows:
    """Compute the maps and how alike they are; a map that does not repeat is tried no further."""
    settings, studies = bench.settings(SanityConfig), list(bench.studies())
    names = bench.map_names
    plans = {name: map_plan(settings, is_costly=_is_costly(bench, method)) for (method, _), name in names.items()}
    trial = MapTrial(bench, list(plans))
    pictures, labels = [study.x for study in studies], [study.label for study in studies]
    trained = trial.maps(pictures, labels)
    rows = _rows("repeatability", 0, studies, trained, trial.maps(pictures, labels))
    trial.methods = [name for name in trial.methods if repeats(_figure(name, rows))]
    blocks = [shuffled(study.x, bench.generator("shuffled", study.study)) for study in studies]
    rows += _rows("shuffled_picture", 0, studies, trained, trial.maps(blocks, labels))
    weights, of_weights = _without_weights(trial, studies, trained, plans)
    return SanityRows(
        plans=plans,
        rows=tuple(rows + of_weights),
        weights=weights,
        failures=dict(bench.failures),
        not_done=trial.not_done,
        calls=dict(bench.calls),
    )


def _is_costly(bench: Bench, method: str) -> bool:
    options = {**METHODS[method].options, **bench.config.explain.options.get(method, {})}
    return METHODS[method].forwards(_USUAL, options) > _COSTLY


def _figure(name: str, rows: Sequence[SanityRow]) -> SanityFigure:
    return figure_of(name, "repeatability", [row for row in rows if row.method == name])


def _without_weights(
    trial: MapTrial, studies: Sequence[ChosenStudy], trained: Mapping[str, list[Cells]], plans: Mapping[str, MapPlan]
) -> tuple[RedrawnWeights, list[SanityRow]]:
    """Draw all weights anew, once for each draw, and explain again; nothing where not all of them can be."""
    bench, rows = trial.bench, list[SanityRow]()
    weights = RedrawnWeights(values=0, redrawn=0)
    for draw in range(max(plan.draws for plan in plans.values())):
        with redrawn(bench.network, int(bench.generator("weights", draw).integers(2**63))) as drawn:
            weights = drawn
            if weights.redrawn < weights.values:
                return weights, []
            for plan in dict.fromkeys(plans.values()):
                if draw < plan.draws:
                    own = studies[: plan.studies]
                    methods = [name for name in trial.methods if plans[name] == plan]
                    maps = trial.maps([study.x for study in own], [study.label for study in own], methods)
                    rows += _rows("weight_randomisation", draw, own, trained, maps)
    return weights, [row for row in rows if row.method not in trial.not_done]


def _rows(
    check: Check,
    draw: int,
    studies: Sequence[ChosenStudy],
    before: Mapping[str, list[Cells]],
    after: Mapping[str, list[Cells]],
) -> list[SanityRow]:
    rows = []
    for method, maps in after.items():
        for study, first, second in zip(studies, before[method], maps, strict=False):
            outcome, similarity = compared(first, second)
            row = SanityRow(
                study=study.study,
                patient=study.patient,
                label=study.label,
                method=method,
                check=check,
                draw=draw,
                outcome=outcome,
                similarity=similarity,
            )
            rows.append(row)
    return rows
