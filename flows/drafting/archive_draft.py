"""What an archive tells, as the part ``archive`` of a draft: its list of studies, found or written."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ArchiveError
from pipeline.studies.listing.manifest import read_manifest
from pipeline.studies.listing.study_row import StudyRow

__all__ = ["ArchiveDraft", "draft_archive"]

_USUAL_NAME = "manifest.csv"


@dataclass(frozen=True)
class ArchiveDraft:
    """The archive's ``manifest``, whether it was ``written`` just now, and what it lists.

    ``labels`` counts the studies of each label that the manifest or a mask's column names, the most frequent first;
    ``referenced`` are the studies whose labels it states, ``masked`` those with a mask.
    """

    path: Path
    manifest: Path
    written: bool
    studies: int
    patients: int
    referenced: int
    masked: int
    labels: Mapping[str, int]

    @property
    def has_labels(self) -> bool:
        """Whether it states what is right, of one study at least."""
        return self.referenced > 0

    @property
    def has_masks(self) -> bool:
        """Whether an expert marked a study."""
        return self.masked > 0


def draft_archive(path: Path, manifest: Path, scan: Callable[[Path], None]) -> ArchiveDraft:
    """Take the list of studies that lies in the archive, else have ``scan`` write one to ``manifest``.

    Raises:
        ArchiveError: when the archive is no folder, or holds no usable image.
        OutputError: when the list cannot be written.
    """
    if not path.is_dir():
        raise ArchiveError(f"ARCHIVE: must name a folder, not {str(path)!r}")
    own = path / _USUAL_NAME
    written = not own.is_file()
    if written:
        scan(manifest)
    chosen = manifest if written else own
    rows = read_manifest(path, chosen)
    labels = Counter(label for row in rows for label in dict.fromkeys(_labels_of(row)))
    return ArchiveDraft(
        path,
        chosen,
        written,
        len(rows),
        len({row.patient for row in rows}),
        sum(row.reference is not None for row in rows),
        sum(bool(row.masks) for row in rows),
        dict(labels.most_common()),
    )


def _labels_of(row: StudyRow) -> list[str]:
    return [*(row.reference or ()), *(mask.label for mask in row.masks if mask.label is not None)]
