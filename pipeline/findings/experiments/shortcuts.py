"""What a classifier leans on beside the lesion: the answers to changed studies, the tests on them, the causes named."""

from collections.abc import Mapping
from typing import Final, Literal

from pipeline.findings.experiments.check import CheckFinding
from pipeline.findings.frozen_model import FrozenModel

__all__ = [
    "CAUSES",
    "LabelRows",
    "LabelShortcuts",
    "LesionNumbers",
    "NeedOverlap",
    "ShortcutFinding",
    "ShortcutFindings",
    "ShortcutRow",
    "ShortcutRows",
    "ShortcutTest",
    "TurnedAnswers",
    "cause_words",
]

CAUSES: Final[Mapping[str, str]] = {
    "border": "the border of the picture",
    "outside": "something outside the body",
    "texture": "the noise texture",
    "contrast": "the contrast",
    "position": "the position of the body in the picture",
    "body_marks": "small bright marks in the body",
    "air_marks": "small bright marks outside the body",
}
"""The seven causes that are tested, with what each is called; a region to avoid adds ``avoid:<name>``."""


def cause_words(test: str) -> str:
    """Return what a tested cause is called within a sentence; of a region to avoid, its name."""
    return CAUSES.get(test, f"the regions marked {test.removeprefix('avoid:')!r}")


class ShortcutRow(FrozenModel):
    """The model's answers to one study, once changed and once changed by the control of the same change.

    ``study`` counts from 0 in the order in which the studies were given. ``test`` is a cause, ``avoid:<name>`` or one
    of the lesion's experiments. Scores are the label's logits, above 0 where the model answers the label. Without
    ``changed``, a ``reason`` says why the experiment was not done; a control that there cannot be is None alone.
    ``plain`` is None where the model gave no number for the study as it is.
    """

    study: int
    patient: str
    positive: bool
    test: str
    plain: float | None
    changed: float | None = None
    control: float | None = None
    reason: str | None = None


class TurnedAnswers(FrozenModel):
    """Of how many answers some were turned: by the change, and by its control where it has one."""

    of: int
    changed: int
    control: int | None = None


class ShortcutTest(FrozenModel):
    """What one change of the studies does to the label's score.

    Attributes:
        test: the cause, or ``avoid:<name>``.
        effect: mean change of the score beyond the control's, as a share of the distance between the classes; above 0
            where the cause speaks for the class that bears it. None when the test was not done, for a ``reason``.
        p: one-sided, by flipping signs patient by patient; ``p_adjusted`` is Holm's over the tests that were done.
        smallest: the smallest effect that could have been named.
        positives: answers of positive studies turned.
        studies: how many took part, of how many ``patients``; ``left_out`` counts the others by reason.
    """

    test: str
    effect: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    smallest: float | None = None
    positives: TurnedAnswers | None = None
    studies: int = 0
    patients: int = 0
    left_out: Mapping[str, int] = {}
    reason: str | None = None


class LesionNumbers(FrozenModel):
    """Whether the model needs the lesion: answers of positive studies, and of negatives that were given one.

    Attributes:
        filled: lesions painted over, against a region of the same shape elsewhere.
        marks_filled: the bright marks beside the lesions alone, in the same studies where they have any.
        both_filled: lesions and marks.
        pasted: negatives with another patient's lesion; ``of`` are those answered negative before.
        effect: of painting over the lesion, as a share of the distance between the classes.
        background_auroc: what the surroundings of the body alone separate; the body is painted over.
        reasons: why one of them is None.
    """

    filled: TurnedAnswers | None = None
    marks_filled: TurnedAnswers | None = None
    both_filled: TurnedAnswers | None = None
    pasted: TurnedAnswers | None = None
    effect: float | None = None
    background_auroc: float | None = None
    reasons: Mapping[str, str] = {}


class ShortcutFinding(FrozenModel):
    """What a battery of changed studies says of one label.

    Attributes:
        refused: why nothing may be named, where nothing may.
        named: the causes, the largest effect first; empty where none was found.
        sentences: what may be said of it, computed from the tests and in no stronger words than they support.
        smallest: the smallest effect that every test that was done could have named.
        auroc: of the label in the studies as they are; ``gap`` is the distance between the classes' mean scores.
        forwards: studies that the model was shown, changed and unchanged.
    """

    refused: str | None = None
    named: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    tests: tuple[ShortcutTest, ...] = ()
    lesion: LesionNumbers | None = None
    smallest: float | None = None
    auroc: float | None = None
    gap: float | None = None
    positives: int = 0
    negatives: int = 0
    patients: int = 0
    forwards: int = 0


class LabelRows(FrozenModel):
    """The rows of one label; ``studies`` (pseudonyms) are those that the rows count, in their order."""

    label: str
    studies: tuple[str, ...]
    rows: tuple[ShortcutRow, ...]


class ShortcutRows(FrozenModel):
    """What was seen, label by label, of the studies that have a reference.

    ``failures`` go from a chosen study that could not be read or prepared to the reason, ``unlabelled`` are those whose
    truth nobody knows. ``not_done`` says why the battery was broken off; ``forwards`` counts what the model was shown.
    """

    family: Literal["shortcuts"] = "shortcuts"
    seed: int
    labels: tuple[LabelRows, ...]
    failures: Mapping[str, str] = {}
    unlabelled: tuple[str, ...] = ()
    not_done: str | None = None
    forwards: int = 0


class NeedOverlap(FrozenModel):
    """A metric's mean over studies (and the readers of each) whose mask the model needs, and over the others.

    None where no study of the group has the score.
    """

    method: str
    metric: str
    needed: float | None
    needed_studies: int
    not_needed: float | None
    not_needed_studies: int


class LabelShortcuts(FrozenModel):
    """What follows for one label: the finding, and the studies whose mask the model does and does not need.

    In those ``not_needed`` (pseudonyms), painting over the lesion moved the score by less than the locked share of the
    distance between the classes. ``overlap`` describes the maps of both groups, and decides nothing.
    """

    label: str
    finding: ShortcutFinding
    needed: tuple[str, ...] = ()
    not_needed: tuple[str, ...] = ()
    overlap: tuple[NeedOverlap, ...] = ()


class ShortcutFindings(FrozenModel):
    """What follows: a finding for each label, and an answer for the model. ``asked`` counts the chosen studies."""

    checks: tuple[CheckFinding, ...]
    labels: tuple[LabelShortcuts, ...]
    asked: int
    failures: Mapping[str, str] = {}
    unlabelled: int = 0
    not_done: str | None = None
    forwards: int = 0
