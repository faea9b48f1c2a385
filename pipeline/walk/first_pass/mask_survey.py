"""The masks of studies in the common frame, read without the model and without what it is shown."""

from collections.abc import Sequence

from pipeline.errors import StudyError
from pipeline.evidence.localisation.average_mask import study_cells
from pipeline.findings.shards import Maps
from pipeline.walk.auditor import Auditor
from pipeline.walk.reading import read_studies, unless_away
from pipeline.walk.sources import StudySource, bound

__all__ = ["surveyed_masks"]


def surveyed_masks(auditor: Auditor, sources: Sequence[StudySource]) -> Maps:
    """Return the masks' cells by ``<study>/<label>``; a study that cannot be read, or was changed, has none.

    Raises:
        ArchiveError: where the archive's folder is away.
    """
    cells: Maps = {}
    for source, study in zip(sources, read_studies(auditor, [source.row for source in sources]), strict=True):
        read = bound(unless_away(auditor, source, study), source.sha256)
        if not isinstance(read, StudyError):
            cells |= {f"{source.study}/{label}": filled for label, filled in study_cells(read.masks).items()}
    return cells
