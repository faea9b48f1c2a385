"""The family ``stability``: each map and each answer under changes of the picture that should matter to neither."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cam import resize
from pipeline.evidence.sanity.similarity import compared
from pipeline.experiments.bench import Bench, ChosenStudy, ModelAnswer
from pipeline.experiments.changed_pictures import compressed, narrower, noisy, shifted
from pipeline.experiments.trial import Cells, MapTrial
from pipeline.findings.experiments.stability import PICTURE_CHANGES, Change, StabilityRow, StabilityRows

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
    for change in PICTURE_CHANGES:
        pictures = [_changed(bench, change, study) for study in studies]
        after, answers = trial.maps(pictures, labels), bench.answers(pictures)
        for method, maps in after.items():
            pairs = zip(studies, before[method], maps, said, answers, strict=True) if maps else ()
            rows += [_row(method, change, *pair) for pair in pairs]
    return StabilityRows(
        methods=methods,
        rows=tuple(rows),
        failures=dict(bench.failures),
        not_done=trial.not_done,
        calls=dict(bench.calls),
    )


def _changed(bench: Bench, change: Change, study: ChosenStudy) -> Tensor:
    if change == "noise":
        return noisy(study.x, bench.generator(change, study.study))
    return {"shift": shifted, "window": narrower, "compression": compressed}[change](study.x)


def _row(
    method: str,
    change: Change,
    study: ChosenStudy,
    before: Cells,
    after: Cells,
    said: ModelAnswer,
    says: ModelAnswer,
) -> StabilityRow:
    first, second = _moved_back(before, after, tuple(study.x.shape[1:])) if change == "shift" else (before, after)
    outcome, similarity = compared(first, second)
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
