"""A study read once more, as the audit read it, with the headers of its source; runs in a worker process."""

from dataclasses import dataclass

from pipeline.exports.source_series import SourceHeaders, source_headers
from pipeline.studies.files_read import InstanceNames
from pipeline.studies.listing.study_row import StudyRow
from pipeline.studies.pseudonyms import Pseudonyms
from pipeline.studies.read_study import read_study
from pipeline.studies.readers import Readers, ReadOptions
from pipeline.studies.readers.shared.kept_files import KeptFiles
from pipeline.studies.study import Study

__all__ = ["StudyWithHeaders", "read_with_headers"]


@dataclass(frozen=True, eq=False)
class StudyWithHeaders:
    """A study, and what may be copied of its image's headers."""

    study: Study
    headers: SourceHeaders

    @property
    def source_sha256(self) -> str:
        """The digest of the files that the study was decoded from."""
        return self.study.source_sha256


def read_with_headers(
    row: StudyRow,
    pseudonyms: Pseudonyms,
    options: ReadOptions,
    readers: Readers,
    named: InstanceNames | None = None,
) -> StudyWithHeaders:
    """Read a study and its image's headers.

    Raises:
        StudyError: as ``read_study``.
    """
    study = read_study(row, pseudonyms, options, KeptFiles(), named, readers)
    return StudyWithHeaders(study, source_headers(row, study.image.geometry, options, readers))
