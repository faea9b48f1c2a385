"""What a study is read from, as one digest: the contents of its files, its readers, labels, reference and strata."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from pipeline.errors import ArchiveError, StudyError
from pipeline.studies.listing.file_lists import list_digests
from pipeline.studies.listing.study_row import MaskSource, StudyRow, is_list
from pipeline.studies.readers import BUILT_IN
from pipeline.studies.readers.masks.annotations import image_key
from pipeline.studies.readers.shared.base import series_files
from pipeline.studies.readers.shared.sidecars import sidecar_of

__all__ = ["ContentsOf", "contents", "entry_key", "sha256_of", "source_digest"]

ContentsOf = Callable[[Path, Path | None], list[str]]
"""What a path, and its archive's root, stands for in a digest: the sorted hashes of its files, or what else it is."""


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content; what is no regular file has none.

    Raises:
        OSError: when it cannot be read.
    """
    if not path.is_file() and path.exists():
        return "no regular file"  # opening a pipe would wait for ever
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def contents(
    path: Path,
    root: Path | None = None,
    sha256: Callable[[Path], str] = sha256_of,
    members: Mapping[tuple[Path, str], str] = MappingProxyType({}),
) -> list[str]:
    """Return the sorted hashes of a file, of the files of a folder, or of those that a list names.

    A header's voxels in files beside it count with it, and so do its volumes' b-values.
    ``members``: hashes of files in containers that are known already, by container and name.
    """
    try:
        if root is not None and is_list(path):
            return list_digests(path, root, sha256, members)
        return sorted(map(sha256, (*series_files(path), *BUILT_IN.files_beside(path))))
    except FileNotFoundError:
        return ["missing"]
    except (OSError, ArchiveError, StudyError):
        return ["unreadable"]


def source_digest(
    row: StudyRow, digests_of: ContentsOf = contents, sidecar: Callable[[Path], Path | None] = sidecar_of
) -> str:
    """Return the SHA-256 of what a study is read from: contents, readers, labels, reference, strata.

    No path counts. A file that is missing or cannot be read counts as that: its study stays in the cohort and
    fails there. ``digests_of``: what a path and its archive's root stand for, where that is not what the files hold
    now. ``sidecar``: the file beside a mask that names its values.
    """
    masks = [_mask_parts(row, mask, digests_of, sidecar) for mask in row.masks]
    parts = {
        "image": digests_of(row.image, row.root),
        "masks": sorted(masks, key=lambda mask: json.dumps(mask, sort_keys=True)),
        "reference": row.reference,
        "strata": dict(row.strata),
    }
    if row.avoid:  # a study without keeps the digest that it had before there were regions to avoid
        avoid = [_mask_parts(row, mask, digests_of, sidecar) for mask in row.avoid]
        parts["avoid"] = sorted(avoid, key=lambda mask: json.dumps(mask, sort_keys=True))
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _mask_parts(
    row: StudyRow, mask: MaskSource, digests_of: ContentsOf, sidecar: Callable[[Path], Path | None]
) -> dict[str, object]:
    """Return what a mask is read from; whatever names its values or its entry counts where it is used."""
    parts: dict[str, object] = {"reader": mask.reader, "label": mask.label, "sha256": digests_of(mask.path, row.root)}
    names = sidecar(mask.path) if mask.value is None else None
    parts |= {"sidecar": digests_of(names, None)} if names else {}
    parts |= {"value": mask.value} if mask.value is not None else {}
    return parts | ({"key": entry_key(row, mask)} if BUILT_IN.covers_many(mask.path) else {})


def entry_key(row: StudyRow, mask: MaskSource) -> str:
    """Return the name of a study's image in a file that covers many images."""
    return image_key(row.image.name, BUILT_IN.image_endings) if mask.key is None else mask.key
