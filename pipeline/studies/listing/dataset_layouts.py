"""Archives laid out by a convention that many people keep, told by its marks: no manifest is needed.

``LAYOUTS`` is the list of them. One layout has to fit, in the folder itself or, where that holds nothing else, in its
only sub-folder (as an unpacked download lies); where several fit, the user names one. Here are three of them, the
others are in ``layouts``:

- BIDS (``dataset_description.json`` and ``sub-*``): anatomical images, masks (``_mask``, ``_dseg``) in
  ``derivatives/<pipeline>``, whose name is the reader. A mask belongs to the image that bears the same entities (sub,
  ses, acq, run ...); its own (label, desc, space, res) set aside. Where several do, its sidecar has to name one.
- Medical Segmentation Decathlon (``dataset.json`` with ``training``): the pairs that it lists.
- nnU-Net (``dataset.json`` with ``labels`` beside ``imagesTr``): ``imagesTr/<case>_0000`` and ``labelsTr/<case>``; each
  channel is a study of the same patient, the case.

Masks bear the labels that the archive's own table names. Test images have no reference, which is not "none present".
"""

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.errors import ArchiveError, StudyError
from pipeline.studies.listing.by_file_name import UNNAMED_READER, check_readers
from pipeline.studies.listing.layouts.brats import BRATS
from pipeline.studies.listing.layouts.dicom_trees import DICOM, ORTHANC, TCIA, XNAT
from pipeline.studies.listing.layouts.grand_challenge import GRAND_CHALLENGE
from pipeline.studies.listing.layouts.layout import (
    DETECTED,
    Folder,
    Layout,
    LayoutChoice,
    chosen_modalities,
    stem_of,
    visible,
    volumes,
)
from pipeline.studies.listing.layouts.luna import LUNA
from pipeline.studies.listing.layouts.total_segmentator import TOTAL_SEGMENTATOR
from pipeline.studies.listing.study_row import MaskSource, StudyRow, inside
from pipeline.studies.readers.images.nifti import FACTS as NIFTI
from pipeline.studies.readers.shared.sidecars import named_values

__all__ = ["LAYOUTS", "FoundLayout", "about_label", "archives_below", "conventional", "found_layout"]

_BIDS, _DATASET = "dataset_description.json", "dataset.json"
_CAP = 16 * 1024**2
_MOST_BELOW = 64  # sub-folders that may be archives of their own
_JUNK = "__MACOSX"  # beside what a Mac has packed
_NOT_AS_SAID = "the file that describes the archive is not what its convention says"
_ANATOMY = re.compile(rf"(sub-.+)_([A-Za-z0-9]+)(?:{'|'.join(map(re.escape, NIFTI.endings))})")
_SUFFIXES = {
    "T1w",
    "T2w",
    "PDw",
    "T2starw",
    "FLAIR",
    "inplaneT1",
    "inplaneT2",
    "PDT2",
    "angio",
    "T2star",
    "T1rho",
    "UNIT1",
}
_DRAWN = {"mask", "dseg"}
_OWN = {"label", "desc", "space", "res", "den", "hemi"}
_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")


@dataclass(frozen=True)
class FoundLayout:
    """The layout that an archive keeps, and the folder that it lies in: the archive's, or its only sub-folder."""

    layout: Layout
    root: Path


def found_layout(root: Path, choice: LayoutChoice = DETECTED) -> FoundLayout | None:
    """Return the layout that an archive keeps, or the one that is chosen; None for an archive of none.

    Raises:
        ArchiveError: when several fit and none is chosen, when a chosen one is unknown or does not fit, or when
            modalities are chosen of a layout that has none.
    """
    if not root.is_dir():
        return None  # a server's files lie in no folder
    try:
        detected = _found_in(root, choice) or _found_below(root, choice)
    except OSError as error:
        raise ArchiveError(f"{root}: cannot be read: {error.strerror}") from error
    if detected is None and choice.layout is not None:
        raise ArchiveError(f"{root}: is not laid out as {_of_name(choice.layout).title}, which archive.layout names")
    if choice.modalities is not None and (detected is None or not detected.layout.has_modalities):
        title = "an archive of no known layout" if detected is None else detected.layout.title
        raise ArchiveError(f"{root}: archive.modalities chooses among a subject's images, and {title} tells none apart")
    return detected


def _of_name(name: str) -> Layout:
    layout = next((layout for layout in LAYOUTS if layout.name == name), None)
    if layout is None:
        known = ", ".join(layout.name for layout in LAYOUTS)
        raise ArchiveError(f"archive.layout: {name!r} is no layout; there are {known}")
    return layout


def _found_in(root: Path, choice: LayoutChoice) -> FoundLayout | None:
    folder = visible(root)
    if choice.layout is not None:
        layout = _of_name(choice.layout)
        return FoundLayout(layout, root) if layout is DICOM or layout.is_here(folder) else None
    fitting = [layout for layout in LAYOUTS if layout.is_here(folder)]
    if len(fitting) > 1:
        names = " and ".join(f"{layout.title} ({layout.name})" for layout in fitting)
        raise ArchiveError(f"{root}: is laid out as {names}; name the one that is meant by archive.layout")
    return FoundLayout(fitting[0], root) if fitting else None


def _found_below(root: Path, choice: LayoutChoice) -> FoundLayout | None:
    """Return what an archive's only sub-folder keeps, where nothing that may be an image lies beside it."""
    folder = visible(root)
    below = [path for path in folder.folders if path.name != _JUNK]
    if len(below) != 1 or below[0].is_symlink() or volumes(root):
        return None
    return _found_in(below[0], choice)


def archives_below(root: Path) -> tuple[str, ...]:
    """Return the titles of the layouts that a folder's sub-folders keep, each an archive of its own."""
    titles = []
    for path in visible(root).folders[:_MOST_BELOW]:
        try:
            below = _found_in(path, DETECTED)
        except ArchiveError:
            continue
        titles += [below.layout.title] if below is not None else []
    return tuple(titles)


def conventional(root: Path, label: str | None = None, choice: LayoutChoice = DETECTED) -> tuple[StudyRow, ...] | None:
    """Return the studies of an archive that keeps one of the conventions, or None where nothing or headers tell them.

    With ``label``, only masks of that label count: images that have one are positive, the others negative.

    Raises:
        ArchiveError: one line, when the marks are there and the rest is not as the convention says, or when two
            images are one study by their names; as ``found_layout``.
    """
    detected = found_layout(root, choice)
    if detected is None or detected.layout.rows is None:
        return None
    try:
        rows = tuple(detected.layout.rows(detected.root, choice))
    except OSError as error:
        raise ArchiveError(f"{root}: cannot be read: {error.strerror}") from error
    except StudyError as error:
        raise ArchiveError(f"{root}: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ArchiveError(f"{root}: {_NOT_AS_SAID}") from error
    doubled = len(rows) - len({row.study for row in rows})
    if doubled:
        raise ArchiveError(f"{root}: {doubled} images bear the name of another one; use a manifest")
    check_readers(root, (mask.reader for row in rows for mask in row.masks))
    return rows if label is None else tuple(about_label(row, label) for row in rows)


def _json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _CAP:
        raise ValueError
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8-sig"))
    return content


def about_label(row: StudyRow, label: str) -> StudyRow:
    """Return a study with the masks of one label only; one without a reference stays so."""
    if row.reference is None and not row.masks:
        return row
    masks = tuple(replace(mask, label=label) for mask in row.masks if mask.label in (None, label))
    return replace(row, masks=masks, reference=(label,) if masks else ())


def _masks(path: Path, reader: str) -> tuple[MaskSource, ...]:
    """Return a map's masks: one a label that its table names, or one without a label."""
    names: list[str | None] = [*dict.fromkeys(name for name, _ in named_values(path))]
    return tuple(MaskSource(reader, name, path) for name in names or [None])


# Decathlon and nnU-Net.


def _is_decathlon(folder: Folder) -> bool:
    return folder.has_file(_DATASET) and "training" in _about(folder.path) and not _has_channels(folder.path)


def _is_nnunet(folder: Folder) -> bool:
    if not folder.has_file(_DATASET) or not folder.has_folder("imagesTr"):
        return False
    return "labels" in _about(folder.path) and not _is_decathlon(folder)


def _about(root: Path) -> dict[str, Any]:
    """Return what a data set says of itself.

    Raises:
        ArchiveError: when it is not what its name says.
    """
    try:
        about = _json(root / _DATASET)
        if isinstance(about, dict):
            return about
    except (ValueError, RecursionError):
        pass
    raise ArchiveError(f"{root}: {_NOT_AS_SAID}")


def _decathlon(root: Path, choice: LayoutChoice) -> Iterator[StudyRow]:  # noqa: ARG001 - one image a subject
    real_root, about = root.resolve(), _about(root)
    pairs = [(pair["image"], pair["label"]) for pair in about["training"]]
    pairs += [(image, None) for image in about.get("test", ()) if isinstance(image, str)]
    known: dict[Path, tuple[MaskSource, ...]] = {}
    for number, (image, drawn) in enumerate(pairs, start=1):
        where = f"{root / _DATASET}: entry {number}"
        path = inside(real_root, root / image, where)
        name = stem_of(path)
        masks = () if drawn is None else _known_masks(known, inside(real_root, root / drawn, where))
        yield StudyRow(name, name, path, masks, None, {})


def _known_masks(known: dict[Path, tuple[MaskSource, ...]], path: Path) -> tuple[MaskSource, ...]:
    """Return a map's masks; maps of one folder have the same table, which is read once."""
    if path.parent not in known:
        known[path.parent] = _masks(path, UNNAMED_READER)
    return tuple(replace(mask, path=path) for mask in known[path.parent])


def _has_channels(root: Path) -> bool:
    first = next(iter(volumes(root / "imagesTr")), None)
    return first is not None and _CHANNEL.fullmatch(stem_of(first)) is not None


def _nnunet(root: Path, choice: LayoutChoice) -> Iterator[StudyRow]:
    real_root, where = root.resolve(), f"{root}: a file"
    drawn = {stem_of(path): path for path in volumes(root / "labelsTr")}
    wanted = _wanted_channels(root, choice)
    known: dict[Path, tuple[MaskSource, ...]] = {}
    for folder in ("imagesTr", "imagesTs"):
        for path in volumes(root / folder):
            name = stem_of(path)
            channel = _CHANNEL.fullmatch(name)
            if wanted is not None and (channel is None or channel["channel"] not in wanted):
                continue
            case = channel["case"] if channel else name
            mask = drawn.get(case) if folder == "imagesTr" else None
            masks = _known_masks(known, inside(real_root, mask, where)) if mask else ()
            yield StudyRow(name, case, inside(real_root, path, where), masks, None, {})


def _wanted_channels(root: Path, choice: LayoutChoice) -> set[str] | None:
    """Return the numbers of the channels whose names are chosen; None for all."""
    if choice.modalities is None:
        return None
    about = _about(root)
    names = {f"{int(number):04d}": str(name) for number, name in about.get("channel_names", {}).items()}
    chosen = chosen_modalities(root, names.values(), choice)
    return {number for number, name in names.items() if name in chosen}


# BIDS.


def _is_bids(folder: Folder) -> bool:
    return folder.has_file(_BIDS) and any(path.name.startswith("sub-") for path in folder.folders)


def _bids(root: Path, choice: LayoutChoice) -> Iterator[StudyRow]:  # noqa: ARG001 - every anatomical image
    real_root, where = root.resolve(), f"{root}: a file"
    images = [path for path in sorted(root.glob("sub-*/**/anat/*")) if _suffix(path) in _SUFFIXES]
    bearing: dict[frozenset[tuple[str, str]], list[Path]] = defaultdict(list)
    for path in images:
        bearing[_entities(path)].append(path)
    masks: dict[Path, list[MaskSource]] = defaultdict(list)
    drawn = sorted(root.glob("derivatives/*/sub-*/**/anat/*"))
    unclear = 0
    for path in (path for path in drawn if _suffix(path) in _DRAWN and not _is_elsewhere(path)):
        fitting = bearing[_entities(path)]
        named = [image for image in fitting if _names(path, image)] if len(fitting) > 1 else fitting
        unclear += len(named) != 1
        if len(named) == 1:
            masks[named[0]] += _bids_masks(inside(real_root, path, where), path.relative_to(root).parts[1])
    if unclear:
        message = f"{root}: {unclear} masks in derivatives fit no image, or several without a sidecar that names one"
        raise ArchiveError(f"{message}; use a manifest")
    for path in images:
        yield StudyRow(stem_of(path), _parts(path)["sub"], inside(real_root, path, where), tuple(masks[path]), None, {})


def _bids_masks(path: Path, reader: str) -> tuple[MaskSource, ...]:
    """Return a mask by its own label, or a segmentation's by its table."""
    label = _parts(path).get("label")
    return (MaskSource(reader, label, path),) if _suffix(path) == "mask" else _masks(path, reader)


def _suffix(path: Path) -> str:
    match = _ANATOMY.fullmatch(path.name)
    return match[2] if match else ""


def _parts(path: Path) -> dict[str, str]:
    pairs = (part.split("-", 1) for part in path.name.split(".")[0].split("_")[:-1])
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _entities(path: Path) -> frozenset[tuple[str, str]]:
    """Return the entities that an image and what is drawn on it have in common."""
    return frozenset((name, value) for name, value in _parts(path).items() if name not in _OWN)


def _is_elsewhere(path: Path) -> bool:
    """Tell whether a mask lies in a template's space: it is none of the image's voxels."""
    space = _parts(path).get("space")
    return space not in (None, "orig", "individual", *_SUFFIXES)


def _names(path: Path, image: Path) -> bool:
    """Tell whether a mask's space or its sidecar names the image."""
    if _parts(path).get("space") == _suffix(image):
        return True
    sidecar = path.with_name(f"{stem_of(path)}.json")
    if not sidecar.is_file():
        return False
    about = _json(sidecar)
    sources = [about.get(key) for key in ("Sources", "RawSources", "SpatialReference")]
    flat = [uri for source in sources for uri in (source if isinstance(source, list) else [source])]
    return any(isinstance(uri, str) and os.path.basename(uri) == image.name for uri in flat)  # noqa: PTH119 - a URI


LAYOUTS: tuple[Layout, ...] = (
    Layout("bids", "BIDS", _is_bids, _bids),
    Layout("decathlon", "Medical Segmentation Decathlon", _is_decathlon, _decathlon),
    Layout("nnunet", "nnU-Net", _is_nnunet, _nnunet, has_modalities=True),
    TOTAL_SEGMENTATOR,
    BRATS,
    LUNA,
    GRAND_CHALLENGE,
    TCIA,
    XNAT,
    ORTHANC,
    DICOM,
)
"""Every layout that is known; at most one may fit a folder."""
