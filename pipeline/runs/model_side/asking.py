"""What conclusions ask the model and the archive again, for a few studies of a run."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.runs.asked_again import AskedAgain, StudiesToAsk
from pipeline.runs.model_side.arithmetic_check import likeness_to_float32
from pipeline.runs.model_side.pictures import cut_pictures
from pipeline.runs.model_side.repeatability import repeatability
from pipeline.walk.auditor import Auditor
from pipeline.walk.sources import StudySource

__all__ = ["asked_again"]


def asked_again(
    folder: Path, auditor: Auditor, studies: StudiesToAsk, sources: Mapping[str, StudySource]
) -> AskedAgain:
    """Cut pictures into a run's folder, and hold maps that it keeps against what the model gives now.

    Raises:
        OutputError: when the folder cannot be written.
    """
    pictures, model_input = cut_pictures(folder, auditor, studies.cases, studies.first, sources)
    return AskedAgain(
        pictures=pictures,
        model_input=model_input,
        repeatability=repeatability(folder, studies.examples, auditor, sources),
        likeness=likeness_to_float32(folder, studies.compared, auditor, sources),
    )
