"""An archive as a list of studies.

An archive that cannot be listed is an ``ArchiveError`` before anything is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ArchiveError
from pipeline.studies.listing.by_file_name import discover
from pipeline.studies.listing.by_scan import scanned_rows
from pipeline.studies.listing.dataset_layouts import about_label, archives_below, conventional, found_layout
from pipeline.studies.listing.layouts.layout import DETECTED, LayoutChoice
from pipeline.studies.listing.manifest import read_manifest
from pipeline.studies.listing.study_row import StudyRow
from pipeline.studies.readers import BUILT_IN, Readers

__all__ = ["BY_MARKS", "Discovery", "list_studies"]


@dataclass(frozen=True)
class Discovery:
    """How studies are found without a manifest.

    ``private``: a folder of the owner's alone for what a scan of DICOM keeps; None where headers are not to be read.
    """

    choice: LayoutChoice = DETECTED
    private: Path | None = None


BY_MARKS = Discovery()
"""Nothing is said: marks and names decide, and no header is read."""


def list_studies(
    path: Path,
    manifest: Path | None = None,
    label: str | None = None,
    readers: Readers = BUILT_IN,
    found_by: Discovery = BY_MARKS,
) -> Sequence[StudyRow]:
    """Return an archive's studies: the manifest's in its order, or those discovered, by name.

    Raises:
        ArchiveError: one line that says what is missing or wrong; it names lines and columns, no patient.
    """
    if not path.is_dir():
        raise ArchiveError(f"{path}: the archive is not there or is no folder")
    if manifest is not None and label is not None:
        raise ArchiveError(f"{manifest}: archive.label goes without a manifest, which has its own column 'label'")
    if manifest is not None and found_by.choice != DETECTED:
        raise ArchiveError(
            f"{manifest}: archive.layout and archive.modalities go without a manifest, which lists images"
        )
    rows = _found(path, label, readers, found_by) if manifest is None else read_manifest(path, manifest)
    if not rows:
        below = archives_below(path) if manifest is None else ()
        which = f"; {len(below)} of its folders are archives ({', '.join(sorted(set(below)))}): give the path of one"
        hint = "" if manifest else "; camaudit scan --write-manifest finds images and masks in other layouts"
        raise ArchiveError(f"{manifest or path}: holds no studies{which if below else hint}")
    return rows


def _found(path: Path, label: str | None, readers: Readers, found_by: Discovery) -> tuple[StudyRow, ...]:
    """Return the studies that a known convention lays out, or else those that the file names tell of."""
    detected = found_layout(path, found_by.choice)
    if detected is None:
        return discover(path, label, readers)
    if detected.layout.rows is not None:
        return conventional(path, label, found_by.choice) or ()
    if found_by.private is None:
        message = (
            f"{path}: is laid out as {detected.layout.title}, whose studies its headers tell; make a manifest with "
        )
        raise ArchiveError(f"{message}camaudit scan {path} --write-manifest FILE")
    rows = scanned_rows(path, found_by.private, readers)
    return rows if label is None else tuple(about_label(row, label) for row in rows)
