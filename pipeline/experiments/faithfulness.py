"""The family ``faithfulness``: each map's order of a picture's blocks, beside the orders that it has to beat."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from pipeline.config_experiments import FaithfulnessConfig
from pipeline.errors import StudyError
from pipeline.evidence.baselines import centre_prior
from pipeline.evidence.faithfulness.blocks import block_grid
from pipeline.evidence.faithfulness.curves import FEWEST_BLOCKS
from pipeline.evidence.faithfulness.fills import Fill, blur_fill
from pipeline.evidence.faithfulness.finer import finer_areas
from pipeline.evidence.faithfulness.opponents import generator_for
from pipeline.evidence.faithfulness.picture import MapOfPicture, PictureResult, picture_result
from pipeline.evidence.faithfulness.road import road_fill
from pipeline.experiments.asked_scores import asked_rows
from pipeline.experiments.bench import Bench, ChosenStudy
from pipeline.findings.experiments.faithfulness import (
    AskedRow,
    BlockFill,
    FaithfulnessRow,
    FaithfulnessRows,
    FinerRow,
    OpponentRow,
)
from pipeline.studies.geometry import Geometry, cells
from pipeline.walk.alignment import map_resampling

__all__ = ["faithfulness"]

_TOO_SMALL = "too_few_blocks"


@dataclass
class _Seen:
    """What was seen so far; ``methods`` are the maps that none of the studies failed for."""

    methods: list[str]
    rows: list[FaithfulnessRow] = field(default_factory=list)
    opponents: list[OpponentRow] = field(default_factory=list)
    asked: list[AskedRow] = field(default_factory=list)
    finer: list[FinerRow] = field(default_factory=list)
    not_done: dict[str, str] = field(default_factory=dict)


def faithfulness(bench: Bench) -> FaithfulnessRows:
    """Take each study's blocks away in the order of every map and of the opponents, and score what is left."""
    settings = bench.settings(FaithfulnessConfig)
    methods = tuple(bench.map_names.values())
    seen = _Seen(list(methods))
    for study in bench.studies():
        if block_grid(study.x.shape[1:], study.x.device).blocks < FEWEST_BLOCKS:
            bench.failures[study.study] = _TOO_SMALL
            continue
        try:
            _try(bench, study, settings, seen)
        except StudyError as fault:
            bench.failures[study.study] = fault.reason.value
    return FaithfulnessRows(
        methods=methods,
        rows=tuple(row for row in seen.rows if row.method not in seen.not_done),
        opponents=tuple(seen.opponents),
        asked=tuple(row for row in seen.asked if row.method not in seen.not_done),
        finer=tuple(row for row in seen.finer if row.method not in seen.not_done),
        failures=dict(bench.failures),
        not_done=seen.not_done,
        calls=dict(bench.calls),
        forwards=bench.forwards,
    )


def _try(bench: Bench, study: ChosenStudy, settings: FaithfulnessConfig, seen: _Seen) -> None:
    """Add a study's rows, all of them or, where the model fails, none."""
    maps, failed = _maps(bench, study, seen.methods)
    x = study.x[None].to(bench.device)
    rows, opponents = list[FaithfulnessRow](), list[OpponentRow]()
    for name, fill in _fills(bench, study, x, settings).items():
        result = picture_result(
            x,
            [MapOfPicture(method, 0, values) for method, values in maps.items()],
            partial(bench.rescored, study),
            bench.chance(study),
            fill=fill,
            with_best=settings.best_order,
        )
        rows += _rows(study, name, result)
        opponents.append(_opponents(study, name, result))
    asked = asked_rows(bench, study, maps, settings.also)
    finer = _finer(bench, study, x, maps) if settings.finer_look else []
    seen.rows += rows
    seen.opponents += opponents
    seen.asked += asked
    seen.finer += finer
    seen.not_done |= failed
    seen.methods = [method for method in seen.methods if method not in failed]


def _finer(bench: Bench, study: ChosenStudy, x: Tensor, maps: Mapping[str, Tensor]) -> list[FinerRow]:
    """Return what the halves of the blocks that each map ranks first do; no row for a map that ranks none."""
    grid, rescore = block_grid(x.shape[2:], x.device), partial(bench.rescored, study)
    blob = torch.from_numpy(centre_prior(Geometry(grid.shape, np.eye(4)))).to(x.device)
    rows = []
    for method, values in maps.items():
        given = MapOfPicture(method, 0, values)
        areas = finer_areas(grid, given, blob, (blur_fill(x), rescore), bench.chance(study))
        if areas is not None:
            own = {"study": study.study, "patient": study.patient, "label": study.label, "method": method}
            rows.append(FinerRow(**own, area=areas.own, centre=areas.centre, random=areas.random))
    return rows


def _fills(bench: Bench, study: ChosenStudy, x: Tensor, settings: FaithfulnessConfig) -> Mapping[BlockFill, Fill]:
    fills: dict[BlockFill, Fill] = {"blur": blur_fill(x)}
    if settings.second_look:
        fills["road"] = road_fill(x, generator_for(*bench.chance(study), "noise of ROAD's fill"))
    return fills


def _maps(bench: Bench, study: ChosenStudy, methods: Sequence[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return a study's maps at the input's voxels, by map, and why others cannot be computed."""
    maps: dict[str, Tensor] = {}
    failed: dict[str, str] = {}
    try:
        (together,) = bench.maps([study.x], [study.label], methods)
    except StudyError:
        together = {}
        for method in methods:  # one of them fails: which?
            try:
                together |= bench.maps([study.x], [study.label], [method])[0]
            except StudyError as fault:
                failed[method] = str(fault)
                if len(failed) == len(methods):
                    raise  # the model fails, whatever the map
    layers = {name: layer for (_, layer), name in bench.map_names.items()}
    for method, values in together.items():
        laid = map_resampling(bench.auditor, layers[method], cells(study.grid, values.shape), study.grid)
        maps[method] = torch.from_numpy(laid.apply(values)).to(bench.device)
    return maps, failed


def _rows(study: ChosenStudy, fill: BlockFill, result: PictureResult) -> list[FaithfulnessRow]:
    of_fill = FaithfulnessRow(study=study.study, patient=study.patient, label=study.label, method="", fill=fill)
    rows = []
    for own in result.maps:
        curves = (own.insertion, own.deletion) if fill == "blur" else ((), ())
        named = {"method": own.name, "area": own.area, "insertion": curves[0], "deletion": curves[1]}
        rows.append(FaithfulnessRow.model_validate({**of_fill.model_dump(), **named}))
    return rows


def _opponents(study: ChosenStudy, fill: BlockFill, result: PictureResult) -> OpponentRow:
    (held,) = result.opponents
    return OpponentRow(
        study=study.study,
        patient=study.patient,
        label=study.label,
        fill=fill,
        centre=held.centre,
        random=held.random,
        best=held.best,
    )
