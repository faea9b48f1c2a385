"""Folders of DICOM as archives hand them out or keep them: TCIA, XNAT, Orthanc. Headers tell their studies.

None of these folders' names is needed: patient, study, series and what a mask was drawn on stand in the files. The
marks only tell that the files are to be asked.
"""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pipeline.studies.listing.layouts.layout import Folder, Layout, visible

__all__ = ["DICOM", "ORTHANC", "TCIA", "XNAT"]

_TABLE = "metadata.csv"
_DOWNLOAD = re.compile(r"manifest-\d+")
_TABLE_COLUMNS = ("Series UID", "Study UID", "File Location")
_HEAD = 16 * 1024
_HEX = re.compile(r"[0-9a-f]{2}")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_LOOKED_AT = 50  # sub-folders of each: an archive that is laid out so shows it soon


def _is_tcia(folder: Folder) -> bool:
    downloads = [path for path in folder.folders if _DOWNLOAD.fullmatch(path.name)]
    return any(_is_table(path / _TABLE) for path in (folder.path, *downloads))


def _is_table(path: Path) -> bool:
    """Tell whether a table is the one that the NBIA Data Retriever writes."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(_HEAD).decode("utf-8", "replace").partition("\n")[0]
    return all(column in head for column in _TABLE_COLUMNS)


def _is_xnat(folder: Folder) -> bool:
    """Tell by ``<session>/SCANS/<number>/DICOM`` (or ``resources/DICOM``), up to two levels below the folder."""
    return any(_has_scans(path) for path in _below(folder, 2))


def _below(folder: Folder, levels: int) -> Iterator[Folder]:
    yield folder
    if levels:
        for path in islice(folder.folders, _LOOKED_AT):
            if not path.is_symlink():
                yield from _below(visible(path), levels - 1)


def _has_scans(session: Folder) -> bool:
    scans = next((path for path in session.folders if path.name in ("SCANS", "scans")), None)
    if scans is None:
        return False
    return any(
        (scan / place).is_dir()
        for scan in islice(visible(scans).folders, _LOOKED_AT)
        for place in ("DICOM", "resources/DICOM")
    )


def _is_orthanc(folder: Folder) -> bool:
    """Tell by attachments: ``ab/cd/abcd....``, named by a UUID whose first four digits are the folders' names."""
    for first in (path for path in folder.folders if _HEX.fullmatch(path.name)):
        for second in (path for path in visible(first).folders if _HEX.fullmatch(path.name)):
            begins = first.name + second.name
            names = visible(second).entries.items()
            if any(not is_folder and name.startswith(begins) and _UUID.fullmatch(name) for name, is_folder in names):
                return True
    return False


def _never(folder: Folder) -> bool:  # noqa: ARG001 - chosen by name alone
    return False


TCIA = Layout("tcia", "TCIA (NBIA download)", _is_tcia, None)
XNAT = Layout("xnat", "XNAT", _is_xnat, None)
ORTHANC = Layout("orthanc", "Orthanc storage", _is_orthanc, None)
DICOM = Layout("dicom", "DICOM by its headers", _never, None)
