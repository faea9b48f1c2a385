"""The family ``sanity``: maps of changed pictures and of models without what they learnt, beside the trained ones."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.findings.experiments.check import CheckFinding
from pipeline.findings.experiments.map_pair import Outcome, check_similarity
from pipeline.findings.frozen_model import FrozenModel
from pipeline.vocabulary import Check

__all__ = ["MapPlan", "RedrawnWeights", "SanityFigure", "SanityFindings", "SanityRow", "SanityRows"]


class SanityRow(FrozenModel):
    """How alike a study's map and that of one change of it are: Spearman's correlation over the layer's cells."""

    study: str
    patient: str
    label: str
    method: str
    check: Check
    draw: int = Field(default=0, ge=0)
    outcome: Outcome
    similarity: float | None = Field(default=None, ge=-1, le=1)

    @model_validator(mode="after")
    def _of_its_outcome(self) -> Self:
        check_similarity(self.outcome, self.similarity)
        return self


class MapPlan(FrozenModel):
    """On how many of the chosen studies, and with how many draws, a map's weights test is done."""

    studies: int
    draws: int


class RedrawnWeights(FrozenModel):
    """How many of the model's learnt numbers were drawn anew; ``left`` are the classes of modules that kept some."""

    values: int
    redrawn: int
    left: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """The share of the learnt numbers that were drawn anew."""
        return self.redrawn / self.values if self.values else 0.0


class SanityRows(FrozenModel):
    """What was seen. ``plans`` go from a map's name to its plan, in the order of the run.

    ``failures`` go from a chosen study that could not be read or prepared to the reason. ``not_done`` go from a map to
    why a check of it was broken off. ``calls`` count the maps that were computed, by map.
    """

    family: Literal["sanity"] = "sanity"
    plans: Mapping[str, MapPlan]
    rows: tuple[SanityRow, ...]
    weights: RedrawnWeights
    failures: Mapping[str, str] = {}
    not_done: Mapping[str, str] = {}
    calls: Mapping[str, int] = {}


class SanityFigure(FrozenModel):
    """A check of a map in numbers: the mean similarity, its mean in each draw, and what became of the studies.

    ``studies`` were compared; ``without_map`` had no map to begin with. ``empty`` of the ``compared`` maps came out
    empty after the change and count as 0. ``partly``: below the bound, and yet close to it.
    """

    check: Check
    method: str
    value: float | None
    by_draw: tuple[float, ...] = ()
    studies: int = 0
    patients: int = 0
    without_map: int = 0
    compared: int = 0
    empty: int = 0
    partly: bool = False


class SanityFindings(FrozenModel):
    """What follows: a figure and an answer for each check of each map. ``asked`` counts the chosen studies."""

    checks: tuple[CheckFinding, ...]
    figures: tuple[SanityFigure, ...]
    weights: RedrawnWeights
    asked: int
    failures: Mapping[str, str] = {}
    calls: Mapping[str, int] = {}
