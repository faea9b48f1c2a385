"""The family ``stability``: maps and answers under changes that should matter to neither."""

from collections.abc import Mapping
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from pipeline.findings.experiments.check import CheckFinding
from pipeline.findings.experiments.map_pair import Outcome, check_similarity
from pipeline.findings.frozen_model import FrozenModel

__all__ = [
    "PICTURE_CHANGES",
    "Change",
    "ConsistencyFigure",
    "PatientPair",
    "StabilityFigure",
    "StabilityFindings",
    "StabilityRow",
    "StabilityRows",
]

Change = Literal["noise", "shift", "window", "compression", "spacing", "interpolation"]

PICTURE_CHANGES: Final[Mapping[Change, str]] = {
    "noise": "Noise of 1 % of the picture's range",
    "shift": "Shift by one voxel along each axis, the map moved back",
    "window": "Window a tenth narrower",
    "compression": "Stored in 8 bits",
    "spacing": "Prepared at a spacing a tenth larger, the map carried back",
    "interpolation": "Prepared with the other interpolation (nearest, or linear)",
}
"""What is changed of the model's input, one at a time; the last two are choices of the preparation."""


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


class PatientPair(FrozenModel):
    """How alike the maps of two patients' studies with one label are, in the frame that both are registered to."""

    label: str
    method: str
    studies: tuple[str, str]
    outcome: Outcome
    similarity: float | None = Field(default=None, ge=-1, le=1)

    @model_validator(mode="after")
    def _of_its_outcome(self) -> Self:
        check_similarity(self.outcome, self.similarity)
        return self


class StabilityRows(FrozenModel):
    """What was seen, of ``methods`` (maps' names); ``failures`` and ``not_done`` as in the family ``sanity``.

    ``not_tried`` says of a change why it was not made. ``pairs`` are of patients with one label, where the
    configuration says that the studies are registered to one frame; ``not_paired`` says why there are none.
    """

    family: Literal["stability"] = "stability"
    methods: tuple[str, ...]
    rows: tuple[StabilityRow, ...]
    failures: Mapping[str, str] = {}
    not_done: Mapping[str, str] = {}
    not_tried: Mapping[Change, str] = {}
    pairs: tuple[PatientPair, ...] = ()
    not_paired: str | None = None
    calls: Mapping[str, int] = {}


class ConsistencyFigure(FrozenModel):
    """How alike a map of different patients with one label is, on average over pairs; ``value`` None without a map."""

    label: str
    method: str
    value: float | None
    pairs: int
    patients: int


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
    consistency: tuple[ConsistencyFigure, ...] = ()
    not_tried: Mapping[Change, str] = {}
    not_paired: str | None = None
    asked: int
    failures: Mapping[str, str] = {}
    calls: Mapping[str, int] = {}
