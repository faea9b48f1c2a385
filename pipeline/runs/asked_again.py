"""What the conclusions of a run have to ask of its model and its archive once more, and what comes back.

Both travel between processes: who concludes need not hold the model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.conclusions.shown_cases.picture_facts import CasePicture
from pipeline.findings.arithmetic import ArithmeticCheck
from pipeline.findings.study_audit import StudyAudit

__all__ = ["AskModel", "AskedAgain", "Picture", "StudiesToAsk", "chosen_for_check"]

_STUDIES = 8

Picture = tuple[str | None, str | None]
"""The file of a picture in the run's folder, and the note beside it or in its place."""


@dataclass(frozen=True)
class StudiesToAsk:
    """Records of a few studies: ``cases`` are shown, and of ``first`` a plane of what the model saw.

    ``examples`` are those of which one is explained again; ``compared`` are explained again in plain float32, where the
    run computed in another arithmetic.
    """

    cases: tuple[StudyAudit, ...]
    first: StudyAudit | None
    examples: tuple[StudyAudit, ...]
    compared: tuple[StudyAudit, ...]


@dataclass(frozen=True)
class AskedAgain:
    """The cases' pictures by study, the picture of the model's input, and how alike maps came out again."""

    pictures: Mapping[str, CasePicture]
    model_input: Picture
    repeatability: str
    likeness: ArithmeticCheck | None

    @property
    def files(self) -> list[str]:
        """The names of all pictures that were cut into the run's folder."""
        cut = (name for case in self.pictures.values() for name in (case.panels, case.volume))
        return [name for name in (*cut, self.model_input[0]) if name is not None]


AskModel = Callable[[StudiesToAsk], AskedAgain]
"""Shows studies to the run's model again, in whichever process."""


def chosen_for_check(studies: Sequence[str]) -> list[str]:
    """Return a few studies that lie evenly over the cohort."""
    places = np.linspace(0, len(studies) - 1, min(_STUDIES, len(studies))).astype(int)
    return [studies[place] for place in places]
