"""What changed between two runs of one cohort, as results keep it: figures paired by patient, and studies that flipped.

Differences are the second run's (b, the run whose record this is) minus the first's (a). No name of a study of a stands
here, since the two may have pseudonyms under different keys, which must not be linked in a file that is handed on.
"""

from collections.abc import Mapping
from typing import Final, Literal

from pipeline.findings.estimates import Estimate
from pipeline.findings.frozen_model import FrozenModel
from pipeline.vocabulary import Answer, Better

__all__ = [
    "BESIDE",
    "CHANGE_ANSWERS",
    "ChangeAnswer",
    "ChangeKind",
    "FigureChange",
    "FlippedStudy",
    "MatchedStudies",
    "PeakShift",
    "RunChange",
]

ChangeKind = Literal["previous", "predecessor", "named"]
"""How the other run was chosen: the one before of the same audit, ``report.predecessor``, or on the command line."""

BESIDE: Final[Mapping[ChangeKind, str]] = {
    "previous": "the previous run of this audit",
    "predecessor": "the named predecessor",
    "named": "the run that was named",
}

ChangeAnswer = Literal["not worse", "worse", "not shown", "no worsening shown", "not compared"]

CHANGE_ANSWERS: Final[Mapping[ChangeAnswer, str]] = {
    "not worse": "not worse",
    "worse": "worse",
    "not shown": "not shown to be not worse",
    "no worsening shown": "no figure is shown to be worse; without a margin none is shown to be as good",
    "not compared": "not compared",
}


class MatchedStudies(FrozenModel):
    """How many studies are where; each study of either run is counted once.

    ``paired`` were analysed in both; ``not_analysed`` are in both and were excluded or failed in one or both;
    ``changed`` have other files, masks or labels in b than in a.
    """

    paired: int
    not_analysed: int
    changed: int
    only_in_a: int
    only_in_b: int


class FigureChange(FrozenModel):
    """A figure of both runs over the same patients: ``estimate`` is the mean difference b minus a with exact bounds.

    ``map_a`` and ``map_b`` are what it is of, ``classifier`` where it is the model itself. ``value_a`` and ``value_b``
    are the means over patients of the studies that have both. ``improved``, ``tied`` and ``worsened`` count patients by
    the sign of their mean difference; ``p_sign`` is the exact two-sided sign test on them, which of hits is McNemar's.
    ``p_worse`` is small where the mean got worse, or more patients than not (half of the error each). With a
    ``margin``, ``answer`` says whether it is worse by less.
    """

    metric: str
    map_a: str
    map_b: str
    label: str | None
    better: Better
    value_a: float | None
    value_b: float | None
    estimate: Estimate
    improved: int
    tied: int
    worsened: int
    p_sign: float | None = None
    p_worse: float | None = None
    margin: float | None = None
    answer: Answer | None = None
    reason: str | None = None
    p_met: float | None = None
    p_not_met: float | None = None

    @property
    def is_unchanged(self) -> bool:
        """Whether no patient has another value."""
        return self.improved == self.worsened == 0


class FlippedStudy(FrozenModel):
    """A study of which a and b say different things: what is called of it, or whether a map's peak is a hit.

    ``map`` and ``label`` are those of a hit. ``gained`` tells whether b is right and a was not; None where nobody said
    what is right.
    """

    study: str
    what: Literal["call", "hit"]
    map: str | None = None
    label: str | None = None
    before: str
    after: str
    gained: bool | None


class PeakShift(FrozenModel):
    """How far apart two sets of peaks of a map lie: the energy distance of their places, as shares of the picture.

    ``same patients``: in this run (``patients``) and in the other (``patients_before``). ``new patients``: those whom
    the other run did not have, against those whom it had, both in this run. ``group`` is such as ``site=A``; None: all.
    ``p`` is by permutation of patients, of one distance alone: it describes and decides nothing.
    """

    map: str
    label: str
    group: str | None = None
    of: Literal["same patients", "new patients"]
    axes: int
    patients_before: int
    patients: int
    distance: float
    p: float


class RunChange(FrozenModel):
    """Run b against run a.

    ``results_sha256`` is that of a's ``results.json``. ``refused`` says in a sentence why nothing was compared.
    ``matched_by`` tells how studies were matched. ``differs`` are what else the two do otherwise, ``not_compared``
    what is no figure of both. ``locked``: the margins were locked before b's first inference. ``answer`` is that of all
    margins, which have to hold together; without margins, whether any figure is shown to be worse (Holm's correction).
    ``shifts`` tell whether maps peak elsewhere.
    """

    kind: ChangeKind
    run_a: str
    run_b: str
    results_sha256: str | None = None
    refused: str | None = None
    matched_by: Literal["pseudonyms", "names under two keys"] = "pseudonyms"
    studies: MatchedStudies | None = None
    differs: tuple[str, ...] = ()
    not_compared: tuple[str, ...] = ()
    confidence: float = 0.95
    locked: bool = False
    figures: tuple[FigureChange, ...] = ()
    flips: tuple[FlippedStudy, ...] = ()
    shifts: tuple[PeakShift, ...] = ()
    answer: ChangeAnswer = "not compared"
    reason: str = ""

    @property
    def is_unchanged(self) -> bool:
        """Whether no figure of any patient differs and no study flipped."""
        return self.refused is None and not self.flips and all(figure.is_unchanged for figure in self.figures)
