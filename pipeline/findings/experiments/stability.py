"""The family ``stability``: maps and answers under changes that should matter to neither."""

from collections.abc import Mapping
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from pipeline.findings.experiments.check import CheckFinding
from pipeline.findings.experiments.map_pair import Outcome, check_similarity
from pipeline.findings.frozen_model import FrozenModel

__all__ = ["PICTURE_CHANGES", "Change", "StabilityFigure", "StabilityFindings", "StabilityRow", "StabilityRows"]

Change = Literal["noise", "shift", "window", "compression"]

PICTURE_CHANGES: Final[Mapping[Change, str]] = {
    "noise": "Noise of 1 % of the picture's range",
    "shift": "Shift by one voxel along each axis, the map moved back",
    "window": "Window a tenth narrower",
    "compression": "Stored in 8 bits",
}
"""What is changed of the model's input, one at a time."""


class StabilityRow(FrozenModel):
    """How alike a study's map and that of its changed picture are, and by how much the answer moved.

    ``similarity`` is Spearman's correlation over the layer's cells, None where the study has no map. ``logit`` is the
    change of the explained label's logit; ``same_answer`` tells whether the model calls the same labels.
    """

    study: str
    patient: str
    label: str
    method: str
    change: Change
    outcome: Outcome
    similarity: float | None = Field(default=None, ge=-1, le=1)
    logit: float
    same_answer: bool

    @model_validator(mode="after")
    def _of_its_outcome(self) -> Self:
        check_similarity(self.outcome, self.similarity)
        return self


class StabilityRows(FrozenModel):
    """What was seen, of ``methods`` (maps' names); ``failures`` and ``not_done`` as in the family ``sanity``."""

    family: Literal["stability"] = "stability"
    methods: tuple[str, ...]
    rows: tuple[StabilityRow, ...]
    failures: Mapping[str, str] = {}
    not_done: Mapping[str, str] = {}
    calls: Mapping[str, int] = {}


class StabilityFigure(FrozenModel):
    """A map under one change: the mean similarity and the lowest, beside what became of the answers.

    ``logit`` is the mean absolute change of the explained label's logit; ``same`` of the ``studies`` keep their answer.
    """

    method: str
    change: Change
    value: float | None
    lowest: float | None
    logit: float
    studies: int
    patients: int
    same: int
    without_map: int = 0
    empty: int = 0


class StabilityFindings(FrozenModel):
    """What follows: figures, and an answer for noise alone."""

    checks: tuple[CheckFinding, ...]
    figures: tuple[StabilityFigure, ...]
    asked: int
    failures: Mapping[str, str] = {}
    calls: Mapping[str, int] = {}
