"""The family ``shortcuts``: each label's studies changed in one respect at a time, and what the model answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.config import ModelConfig
from pipeline.errors import StudyError
from pipeline.evidence.shortcuts import BatterySettings, BatteryStudy, battery_rows
from pipeline.experiments.bench import Bench, ChosenStudy
from pipeline.findings.experiments.shortcuts import LabelRows, ShortcutRows
from pipeline.studies.geometry import Geometry, plan
from pipeline.studies.volume import Mask
from pipeline.vocabulary import AVOID

__all__ = ["LabelScore", "region_on", "shortcuts"]


def shortcuts(bench: Bench) -> ShortcutRows:
    """Try the battery and the lesion's experiments on each label that means a finding; a model's fault ends it."""
    studies = list(bench.studies())
    known = [study for study in studies if study.reference is not None]
    model, settings = bench.config.model, BatterySettings(seed=bench.config.run.seed, lesion_experiments=True)
    labels: list[LabelRows] = []
    not_done = None
    for number, label in enumerate(model.labels):
        if label == model.negative_label:
            continue
        try:
            rows = battery_rows(LabelScore(bench, number), [_of_label(study, label) for study in known], settings)
        except StudyError as fault:
            not_done = fault.reason.value
            break
        labels.append(LabelRows(label=label, studies=tuple(study.study for study in known), rows=rows))
    return ShortcutRows(
        seed=settings.seed,
        labels=tuple(labels),
        failures=dict(bench.failures),
        unlabelled=tuple(study.study for study in studies if study.reference is None),
        not_done=not_done,
        forwards=bench.forwards,
    )


@dataclass(frozen=True)
class LabelScore:
    """How far the model's answer lies on a label's side: above 0 where it calls the label, by the model's threshold.

    The label's logit; where labels exclude each other, less that of the strongest other label.
    """

    bench: Bench
    label: int

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the scores (n) of inputs (n, C, *S)."""
        logits = self.bench.logits(list(torch.from_numpy(x)))
        model, own = self.bench.config.model, logits[:, self.label]
        if model.has_independent_labels:
            return own - _cut(model)
        others = np.delete(logits, self.label, axis=1).max(axis=1)
        if len(model.labels) > 2:
            return np.asarray(own - others)
        side = 1.0 if self.label == 1 else -1.0
        return np.asarray(own - others - side * _cut(model) * (2.0 if model.output == "single_logit" else 1.0))


def _cut(model: ModelConfig) -> float:
    """Return the logit of the probability from which on a label is called."""
    return float(np.log(model.threshold / (1 - model.threshold)))


def _of_label(study: ChosenStudy, label: str) -> BatteryStudy:
    """Return a study as the battery takes it; what the readers marked is joined on the grid that the model sees.

    A study without the label has no lesion of it; a positive one without a mask has one that nobody outlined.
    """
    positive = label in (study.reference or ())
    masks = [mask for mask in study.masks if mask.label == label]
    shape = tuple(study.x.shape[1:])
    lesion = None if positive and not masks else region_on(study, masks)
    spacing = study.grid.spacing
    return BatteryStudy(
        x=study.x.numpy().astype(np.float32, copy=False),
        lesion=lesion,
        positive=positive,
        patient=study.patient,
        spacing=spacing if len(spacing) == len(shape) else None,
        avoid={name: region_on(study, own) for name, own in _regions(study.avoid).items()},
    )


def _regions(avoid: Sequence[Mask]) -> dict[str, list[Mask]]:
    """Group the masks of regions to avoid by the regions' names."""
    regions: dict[str, list[Mask]] = {}
    for mask in avoid:
        regions.setdefault(mask.label.removeprefix(AVOID), []).append(mask)
    return regions


def region_on(study: ChosenStudy, masks: Sequence[Mask]) -> NDArray[np.bool_]:
    """Return where any mask lies on the grid that the model sees (*S): half a voxel or more of it.

    Of a mask so small that it covers half of no voxel, the voxels that it lies in are taken. Masks are carried to that
    grid here alone, for painting over; scores are taken on the experts' own grid.
    """
    region = np.zeros(tuple(study.x.shape[1:]), bool)
    for mask in masks:
        half = plan(mask.geometry, study.grid).apply(mask.array.astype(np.float32)) >= 0.5
        if half.any():
            region |= half
        else:
            region[_voxels_of(mask, study.grid)] = True
    return region


def _voxels_of(mask: Mask, grid: Geometry) -> tuple[NDArray[np.intp], ...]:
    """Return the voxels of a grid, as an index, in which those of a mask lie."""
    axes = len(grid.shape)
    there = (
        np.linalg.inv(grid.affine)
        @ np.c_[mask.geometry.world(np.argwhere(mask.array)), np.ones(int(mask.array.sum()))].T
    )
    places = np.rint(there[:axes]).astype(np.intp)
    within = ((places >= 0) & (places < np.array(grid.shape)[:, None])).all(axis=0)
    return tuple(places[:, within])
