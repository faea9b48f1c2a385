"""What a folder of DICOM files holds, series by series, without a name or an identifier of anybody."""

from collections import Counter
from pathlib import Path

from pipeline.studies.index.catalogue import known_modality
from pipeline.studies.readers.dicom.data_set import is_dicom, read_header
from pipeline.studies.readers.dicom.header import whole
from pipeline.studies.readers.shared.base import guarded, series_files

__all__ = ["described_series"]

_SHOWN = 6


def described_series(folder: Path) -> str:
    """Return the folder's series in words, ``""`` when it holds but one; runs in a worker.

    Raises:
        StudyError: when a file cannot be read.
    """
    return guarded("the folder", lambda: _described(folder))


def _described(folder: Path) -> str:
    counts = Counter[tuple[str, str]]()
    for file in filter(is_dicom, series_files(folder)):
        with file.open("rb") as content:
            header, _ = read_header(content, file.stat().st_size)
        modality = known_modality(header.get("modality")) or "other"
        rows, columns = whole(header, "rows", 0), whole(header, "columns", 0)
        size = f" of {columns} x {rows}" if rows and columns else ""
        counts[str(header.get("series")), f"{modality}{size}"] += 1
    listed = [f"{count} {'file' if count == 1 else 'files'} {kind}" for (_, kind), count in counts.most_common(_SHOWN)]
    series = len({name for name, _ in counts})
    more = f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else ""
    return f"{series} series ({', '.join(listed)}{more})" if series > 1 else ""
