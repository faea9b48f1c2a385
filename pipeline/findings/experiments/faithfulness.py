"""The family ``faithfulness``: what the answer does while a map's blocks of the picture come back or are taken away."""

from collections.abc import Mapping
from typing import Final, Literal, Self

from pydantic import model_validator

from pipeline.findings.experiments.check import CheckFinding
from pipeline.findings.frozen_model import FrozenModel
from pipeline.vocabulary import AskedScore

__all__ = [
    "BLOCK_FILLS",
    "OPPONENTS",
    "AskedFigure",
    "AskedRow",
    "BlockFill",
    "FaithfulnessAnswer",
    "FaithfulnessFigure",
    "FaithfulnessFindings",
    "FaithfulnessRow",
    "FaithfulnessRows",
    "FinerFigure",
    "FinerRow",
    "Opponent",
    "OpponentRow",
    "SignTest",
]

BlockFill = Literal["blur", "road"]

BLOCK_FILLS: Final[Mapping[BlockFill, str]] = {
    "blur": "the blurred picture",
    "road": "the neighbours' weighted means (ROAD)",
}
"""What stands in place of blocks that are taken away; the first decides, the second is a look at the fill."""

Opponent = Literal["random", "centre", "inverse"]

OPPONENTS: Final[Mapping[Opponent, str]] = {
    "random": "random orders",
    "centre": "a centre blob",
    "inverse": "its own order backwards",
}
"""What a map's order has to beat."""

FaithfulnessAnswer = Literal["beats both", "beats random only", "not shown", "loses"]


class FaithfulnessRow(FrozenModel):
    """A map's order of one study's blocks: insertion minus deletion, in units of the label's score.

    ``area`` is None where the map is the same in every block: it has no order, and beats nothing. ``insertion`` and
    ``deletion`` are the label's scores at each step, of the fill that decides.
    """

    study: str
    patient: str
    label: str
    method: str
    fill: BlockFill = "blur"
    area: float | None = None
    insertion: tuple[float, ...] = ()
    deletion: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _of_an_order(self) -> Self:
        if len(self.insertion) != len(self.deletion) or (self.area is None and self.insertion):
            raise ValueError("two curves of one length go with an area, and only with it")
        return self


class OpponentRow(FrozenModel):
    """What every map of a study is held against: the areas of a centre blob and of random orders.

    ``best`` is the area of the order of one-block occlusions, where it was asked for; the worst order's is ``-best``.
    """

    study: str
    patient: str
    label: str
    fill: BlockFill = "blur"
    centre: float
    random: tuple[float, ...]
    best: float | None = None

    @model_validator(mode="after")
    def _has_opponents(self) -> Self:
        if not self.random:
            raise ValueError("a random order at least is held against")
        return self


class AskedRow(FrozenModel):
    """A number that was asked for although it is known to mislead; None where it is undefined."""

    study: str
    patient: str
    label: str
    method: str
    score: AskedScore
    value: float | None = None


class FinerRow(FrozenModel):
    """Insertion minus deletion of a map within the blocks that it ranks first, halved; all else stays in the picture.

    ``area`` is None where the map is the same in all halves. ``centre`` and ``random`` are orders of the same halves.
    """

    study: str
    patient: str
    label: str
    method: str
    area: float | None = None
    centre: float
    random: tuple[float, ...]


class FaithfulnessRows(FrozenModel):
    """What was seen, of ``methods`` (maps' names), one label a study.

    ``failures`` go from a chosen study that could not be read, prepared or shown to the reason; ``not_done`` from a
    map to why it could not be computed. ``calls`` count the maps, ``forwards`` the pictures that the model was shown
    besides.
    """

    family: Literal["faithfulness"] = "faithfulness"
    methods: tuple[str, ...]
    rows: tuple[FaithfulnessRow, ...]
    opponents: tuple[OpponentRow, ...]
    asked: tuple[AskedRow, ...] = ()
    finer: tuple[FinerRow, ...] = ()
    failures: Mapping[str, str] = {}
    not_done: Mapping[str, str] = {}
    calls: Mapping[str, int] = {}
    forwards: int = 0


class SignTest(FrozenModel):
    """How many of ``patients`` were won and lost, and how probable as many wins, or losses, or more are by tossing."""

    wins: int
    losses: int
    patients: int
    p: float
    p_lost: float


class FaithfulnessFigure(FrozenModel):
    """What the rule says of a map, by the fill; ``sentence`` is what a reader may conclude.

    ``area`` is the mean over patients, in units of the label's score; ``share_of_best`` the mean of the areas as
    shares of half the distance between the best order and the worst, which compares models. ``pictures`` were shown;
    of ``without_order`` of them the map has no order and wins against nothing.
    """

    method: str
    fill: BlockFill
    answer: FaithfulnessAnswer
    sentence: str
    tests: Mapping[Opponent, SignTest]
    pictures: int
    patients: int
    without_order: int = 0
    area: float | None = None
    share_of_best: float | None = None
    insertion: tuple[float, ...] = ()
    deletion: tuple[float, ...] = ()


class FinerFigure(FrozenModel):
    """What the sign tests say of a map within the blocks that it ranks first; decides nothing.

    ``without`` counts pictures that have no halved blocks: the map ranks none, or they are too small to be halved.
    """

    method: str
    answer: FaithfulnessAnswer
    tests: Mapping[Opponent, SignTest]
    pictures: int
    patients: int
    without: int = 0
    area: float | None = None


class AskedFigure(FrozenModel):
    """The mean over patients of a number that is known to mislead."""

    method: str
    score: AskedScore
    value: float | None = None
    patients: int = 0
    undefined: int = 0


class FaithfulnessFindings(FrozenModel):
    """What follows: an answer for each map, figures by fill, and what else was asked for."""

    checks: tuple[CheckFinding, ...]
    figures: tuple[FaithfulnessFigure, ...]
    asked_figures: tuple[AskedFigure, ...] = ()
    finer_figures: tuple[FinerFigure, ...] = ()
    asked: int
    failures: Mapping[str, str] = {}
    not_done: Mapping[str, str] = {}
    calls: Mapping[str, int] = {}
    forwards: int = 0
