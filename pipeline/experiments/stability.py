"""The family ``stability``: each map and each answer under changes of the picture that should matter to neither."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import torch

from cam import resize
from pipeline.config_experiments import StabilityConfig
from pipeline.errors import StudyError
from pipeline.evidence.sanity.similarity import compared
from pipeline.experiments.bench import Bench, ChosenStudy, ModelAnswer
from pipeline.experiments.changed_pictures import compressed, narrower, noisy, shifted
from pipeline.experiments.prepared_otherwise import prepared_otherwise
from pipeline.experiments.trial import Cells, MapTrial
from pipeline.findings.experiments.stability import (
    PICTURE_CHANGES,
    Change,
    PatientPair,
    StabilityRow,
    StabilityRows,
)
from pipeline.models.prepare import Prepared
from pipeline.studies.geometry import cells, plan

__all__ = ["stability"]


def stability(bench: Bench) -> StabilityRows:
    """Compute maps and answers of the pictures as they are and of each change of them."""
    studies = list(bench.studies())
    methods = tuple(bench.map_names.values())
    trial = MapTrial(bench, list(methods))
    labels = [study.label for study in studies]
    before = trial.maps([study.x for study in studies], labels)
    said = bench.answers([study.x for study in studies])
    rows: list[StabilityRow] = []
    not_tried: dict[Change, str] = {}
    for change in PICTURE_CHANGES:
        pictures = _changed(bench, change, studies)
        answers = pictures if isinstance(pictures, str) else _answers(bench, change, pictures)
        if isinstance(pictures, str) or isinstance(answers, str):
            not_tried[change] = str(answers)
            continue
        after = trial.maps([picture.x for picture in pictures], labels)
        for method, maps in after.items():
            carried = [_carried(change, *each) for each in zip(studies, pictures, before[method], maps, strict=True)]
            pairs = zip(studies, carried, said, answers, strict=True)
            rows += [_row(method, change, *pair) for pair in pairs]
    pairs_of_patients = _pairs(bench, studies, {name: before[name] for name in methods if name in before})
    return StabilityRows(
        methods=methods,
        rows=tuple(rows),
        failures=dict(bench.failures),
        not_done=trial.not_done,
        not_tried=not_tried,
        pairs=() if isinstance(pairs_of_patients, str) else tuple(pairs_of_patients),
        not_paired=pairs_of_patients if isinstance(pairs_of_patients, str) else None,
        calls=dict(bench.calls),
    )


def _changed(bench: Bench, change: Change, studies: Sequence[ChosenStudy]) -> list[Prepared] | str:
    """Return the changed pictures with their grids, or why the change cannot be made."""
    if change == "spacing" or change == "interpolation":
        return prepared_otherwise(bench, change, studies)
    if change == "noise":
        return [Prepared(noisy(study.x, bench.generator(change, study.study)), study.grid) for study in studies]
    made = {"shift": shifted, "window": narrower, "compression": compressed}[change]
    return [Prepared(made(study.x), study.grid) for study in studies]


def _answers(bench: Bench, change: Change, pictures: Sequence[Prepared]) -> list[ModelAnswer] | str:
    """Return the model's answers; of pictures of another size, why it has none."""
    try:
        return bench.answers([picture.x for picture in pictures])
    except StudyError:
        if change != "spacing":
            raise
        return "the model takes no picture of another size"


def _carried(change: Change, study: ChosenStudy, picture: Prepared, before: Cells, after: Cells) -> tuple[Cells, Cells]:
    """Return both maps where they can be compared: on the picture's grid, or in the cells of the study's own map."""
    if change == "shift":
        return _moved_back(before, after, tuple(study.x.shape[1:]))
    if picture.grid == study.grid or before.ndim != len(study.grid.shape):
        return before, after
    there, here = cells(picture.grid, after.shape), cells(study.grid, before.shape)
    return before, plan(there, here).apply(after.astype(np.float32))


def _pairs(
    bench: Bench, studies: Sequence[ChosenStudy], maps: Mapping[str, Sequence[Cells]]
) -> list[PatientPair] | str:
    """Return how alike the maps of every two studies with one label are, or why they cannot be compared."""
    if not bench.settings(StabilityConfig).common_frame:
        return "the configuration does not say that the studies are registered to one frame (common_frame)"
    if len({(study.grid.shape, np.round(study.grid.affine, 3).tobytes()) for study in studies}) > 1:
        return "the prepared studies do not lie on one grid, so they are not in one frame"
    pairs = []
    for method, own in maps.items():
        for (first, a), (second, b) in combinations(zip(studies, own, strict=True), 2):
            if first.label == second.label:
                outcome, similarity = compared(a, b)
                pairs.append(
                    PatientPair(
                        label=first.label,
                        method=method,
                        studies=(first.study, second.study),
                        outcome=outcome,
                        similarity=similarity,
                    )
                )
    return pairs or "no two of the studies have one label"


def _row(
    method: str,
    change: Change,
    study: ChosenStudy,
    maps: tuple[Cells, Cells],
    said: ModelAnswer,
    says: ModelAnswer,
) -> StabilityRow:
    outcome, similarity = compared(*maps)
    return StabilityRow(
        study=study.study,
        patient=study.patient,
        label=study.label,
        method=method,
        change=change,
        outcome=outcome,
        similarity=similarity,
        logit=float(says.logits[study.label_index] - said.logits[study.label_index]),
        same_answer=said.predicted == says.predicted,
    )


def _moved_back(before: Cells, after: Cells, shape: Sequence[int]) -> tuple[Cells, Cells]:
    """Return both maps on the picture's grid, that of the shifted picture a voxel back; its border is left out.

    A map of another number of axes than the picture cannot be moved and is compared as it is.
    """
    if before.ndim != len(shape) or before.ndim not in (2, 3):
        return before, after
    fine = resize(torch.from_numpy(np.stack([before, after]).astype(np.float32)), tuple(shape)).numpy()
    ahead = tuple(slice(1, None) for _ in shape)
    behind = tuple(slice(None, -1) for _ in shape)
    return fine[0][behind], fine[1][ahead]
