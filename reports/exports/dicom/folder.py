"""A folder of DICOM files: a folder for each study, named by its pseudonym, and the run's report beside them."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmwrite

from pipeline.files import written
from pipeline.findings.exported.study import ExportedStudy
from reports.exports.dicom.context import DicomObject, ExportContext
from reports.exports.dicom.objects import PartLeftOut, RunPapers, run_objects, study_objects
from reports.exports.dicom.quiet import quiet_libraries
from reports.exports.outcome import WrittenStudy

__all__ = ["DicomFolder"]


@dataclass(frozen=True, eq=False)
class DicomFolder:
    """Where the objects of a run are written. Files that name a patient are their owner's alone."""

    folder: Path
    papers: RunPapers
    context: ExportContext
    option: str = "--dicom"

    def write_run(self) -> WrittenStudy:
        """Write what is about the run as a whole.

        Raises:
            OutputError: when a file cannot be written.
        """
        return self._write(run_objects(self.papers, self.context), self.folder, private=False)

    def write(self, study: ExportedStudy) -> WrittenStudy:
        """Write a study's objects; one without a DICOM source is refused.

        Raises:
            OutputError: when a file cannot be written, or what the run keeps not be read.
        """
        if study.source is None:
            return WrittenStudy(refused=f"{study.no_source}; see --nifti")
        fault, place = None, self.folder / (study.seed if study.identified else study.study)
        try:
            return self._write(study_objects(study, self.context, self.papers), place, private=study.identified)
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:  # and its words quote the header
            fault = type(error).__name__
        for path in place.glob("*.dcm"):
            path.unlink()
        return WrittenStudy(refused=f"its header holds what no DICOM object may hold ({fault})")

    def _write(self, objects: Iterable[DicomObject | PartLeftOut], folder: Path, *, private: bool) -> WrittenStudy:
        with quiet_libraries():
            return self._written(objects, folder, private=private)

    def _written(self, objects: Iterable[DicomObject | PartLeftOut], folder: Path, *, private: bool) -> WrittenStudy:
        files, left_out = [], []
        for part in objects:
            if isinstance(part, PartLeftOut):
                left_out.append(part.reason)
                continue
            path = folder / f"{part.name}.dcm"
            content = io.BytesIO()
            dcmwrite(content, part.dataset, enforce_file_format=True)
            with written(path, private=private) as file:
                file.write(content.getbuffer())
            files.append(path)
        return WrittenStudy(tuple(files), tuple(left_out))
