"""grand-challenge.org's folders: ``images/<type>/`` with a file a case, of one name in every type.

A type whose name says so (``liver-segmentation``, ``prostate-mask``) holds masks; what is left of its name is the
label. Each other type is a modality. A case that lacks the mask which others have is told, as a file that is missing.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import ArchiveError
from pipeline.studies.listing.by_file_name import UNNAMED_READER
from pipeline.studies.listing.layouts.layout import (
    Folder,
    Layout,
    LayoutChoice,
    chosen_modalities,
    stem_of,
    visible,
    volumes,
)
from pipeline.studies.listing.study_row import MaskSource, StudyRow, inside
from pipeline.studies.readers.images.meta_image import FACTS as METAIMAGE
from pipeline.studies.readers.images.tiff import FACTS as TIFF

__all__ = ["GRAND_CHALLENGE"]

_IMAGES = "images"
_MOST_TYPES = 32
_MASK_WORDS = re.compile(r"(?:^|[-_])(?:segmentations?|masks?|seg|labels?|annotations?|delineations?)(?=$|[-_])")


def _is_here(folder: Folder) -> bool:
    if not folder.has_folder(_IMAGES) or "imagesTr" in folder.entries:
        return False
    types = visible(folder.path / _IMAGES).folders
    return 0 < len(types) <= _MOST_TYPES and any(
        METAIMAGE.bears(path) or TIFF.bears(path) for kind in types for path in volumes(kind)[:1]
    )


def _rows(root: Path, choice: LayoutChoice) -> Iterator[StudyRow]:
    real_root, where = root.resolve(), f"{root}: a file"
    files = {path.name: {stem_of(file): file for file in volumes(path)} for path in visible(root / _IMAGES).folders}
    masks = {name: own for name, own in files.items() if _MASK_WORDS.search(name)}
    images = {name: own for name, own in files.items() if name not in masks}
    stray = {stem for own in masks.values() for stem in own} - {stem for own in images.values() for stem in own}
    if stray:
        message = f"{root}: {len(stray)} masks under {_IMAGES} bear the name of no image; use a manifest"
        raise ArchiveError(message)
    for name in chosen_modalities(root, images, choice):
        for stem, path in images[name].items():
            drawn = tuple(
                MaskSource(UNNAMED_READER, _label(kind), inside(real_root, _own(root, kind, own, path), where))
                for kind, own in masks.items()
            )
            study = f"{stem}-{name}" if len(images) > 1 else stem
            strata = {"modality": name} if len(images) > 1 else {}
            yield StudyRow(study, stem, inside(real_root, path, where), drawn, None, strata)


def _own(root: Path, kind: str, own: dict[str, Path], image: Path) -> Path:
    return own.get(stem_of(image), root / _IMAGES / kind / image.name)


def _label(kind: str) -> str | None:
    return _MASK_WORDS.sub("", kind).strip("-_").replace("-", " ") or None


GRAND_CHALLENGE = Layout("grand-challenge", "grand-challenge", _is_here, _rows, has_modalities=True)
