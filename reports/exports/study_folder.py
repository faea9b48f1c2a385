"""A folder for each study with a file for each of its arrays, in whatever format."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.findings.exported.study import ExportedStudy
from pipeline.findings.results import Results
from reports.exports.outcome import WrittenStudy
from reports.exports.unique_names import StableNames
from reports.exports.volumes import VolumePart, plain_name, volume_parts

__all__ = ["StudyFolder", "WritePart"]

WritePart = Callable[[VolumePart, ExportedStudy, Path], Iterable[Path]]
"""Writes an array of a study under a path without its ending, and returns the files."""


@dataclass(frozen=True)
class StudyFolder:
    """A folder for each study, by its pseudonym; ``option`` is what asks for it."""

    folder: Path
    results: Results
    option: str
    write_part: WritePart

    def write(self, study: ExportedStudy) -> WrittenStudy:
        """Write a study's maps, regions and masks.

        Raises:
            OutputError: when a file cannot be written, or a map not be read.
        """
        names, files = StableNames(plain_name), list[Path]()
        for part in volume_parts(study, self.results):
            files += self.write_part(part, study, self.folder / study.study / names.of(part.text))
        return WrittenStudy(tuple(files))
