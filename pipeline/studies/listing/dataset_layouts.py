"""Archives laid out by a convention that many people keep, told by its marker file: no manifest is needed.

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
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.errors import ArchiveError, StudyError
from pipeline.studies.listing.by_file_name import UNNAMED_READER, check_readers
from pipeline.studies.listing.study_row import MaskSource, StudyRow, inside
from pipeline.studies.readers import BUILT_IN
from pipeline.studies.readers.images.nifti import FACTS as NIFTI
from pipeline.studies.readers.masks.annotations import image_key
from pipeline.studies.readers.shared.sidecars import named_values

__all__ = ["conventional"]

_BIDS, _DATASET = "dataset_description.json", "dataset.json"
_CAP = 16 * 1024**2
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
_CHANNEL = re.compile(r"(?P<case>.+)_\d{4}")


def conventional(root: Path, label: str | None = None) -> tuple[StudyRow, ...] | None:
    """Return the studies of an archive that keeps one of the conventions, or None for any other.

    With ``label``, only masks of that label count: images that have one are positive, the others negative.

    Raises:
        ArchiveError: one line, when the marker is there and the rest is not as the convention says, or when two
            images are one study by their names.
    """
    try:
        rows = _rows(root)
    except OSError as error:
        raise ArchiveError(f"{root}: cannot be read: {error.strerror}") from error
    except StudyError as error:
        raise ArchiveError(f"{root}: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ArchiveError(f"{root}: the file that describes the archive is not what its convention says") from error
    if rows is None:
        return None
    doubled = len(rows) - len({row.study for row in rows})
    if doubled:
        raise ArchiveError(f"{root}: {doubled} images bear the name of another one; use a manifest")
    check_readers(root, (mask.reader for row in rows for mask in row.masks))
    return rows if label is None else tuple(_about(row, label) for row in rows)


def _rows(root: Path) -> tuple[StudyRow, ...] | None:
    if (root / _BIDS).is_file() and next(root.glob("sub-*"), None) is not None:
        return tuple(_bids(root))
    if not (root / _DATASET).is_file():
        return None
    about = _json(root / _DATASET)
    if "training" in about and not _has_channels(root):
        return tuple(_decathlon(root, about))
    if "labels" in about and (root / "imagesTr").is_dir():
        return tuple(_nnunet(root))
    return None


def _json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _CAP:
        raise ValueError
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8-sig"))
    return content


def _about(row: StudyRow, label: str) -> StudyRow:
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


def _decathlon(root: Path, about: Mapping[str, Any]) -> Iterator[StudyRow]:
    real_root = root.resolve()
    pairs = [(pair["image"], pair["label"]) for pair in about["training"]]
    pairs += [(image, None) for image in about.get("test", ()) if isinstance(image, str)]
    known: dict[Path, tuple[MaskSource, ...]] = {}
    for number, (image, drawn) in enumerate(pairs, start=1):
        where = f"{root / _DATASET}: entry {number}"
        path = inside(real_root, root / image, where)
        name = _without_ending(path)
        masks = () if drawn is None else _known_masks(known, inside(real_root, root / drawn, where))
        yield StudyRow(name, name, path, masks, None, {})


def _known_masks(known: dict[Path, tuple[MaskSource, ...]], path: Path) -> tuple[MaskSource, ...]:
    """Return a map's masks; maps of one folder have the same table, which is read once."""
    if path.parent not in known:
        known[path.parent] = _masks(path, UNNAMED_READER)
    return tuple(replace(mask, path=path) for mask in known[path.parent])


def _has_channels(root: Path) -> bool:
    first = next(iter(_volumes(root / "imagesTr")), None)
    return first is not None and _CHANNEL.fullmatch(_without_ending(first)) is not None


def _nnunet(root: Path) -> Iterator[StudyRow]:
    real_root, where = root.resolve(), f"{root}: a file"
    drawn = {_without_ending(path): path for path in _volumes(root / "labelsTr")}
    known: dict[Path, tuple[MaskSource, ...]] = {}
    for folder in ("imagesTr", "imagesTs"):
        for path in _volumes(root / folder):
            name = _without_ending(path)
            channel = _CHANNEL.fullmatch(name)
            case = channel["case"] if channel else name
            mask = drawn.get(case) if folder == "imagesTr" else None
            masks = _known_masks(known, inside(real_root, mask, where)) if mask else ()
            yield StudyRow(name, case, inside(real_root, path, where), masks, None, {})


def _volumes(folder: Path) -> list[Path]:
    """Return a folder's volumes and pictures by name; none when there is no such folder."""
    if not folder.is_dir():
        return []
    visible = (path for path in folder.iterdir() if not path.name.startswith(".") and not path.is_dir())
    return sorted(path for path in visible if path.name.lower().endswith(BUILT_IN.image_endings))


def _without_ending(path: Path) -> str:
    return image_key(path.name, BUILT_IN.image_endings)


# BIDS.


def _bids(root: Path) -> Iterator[StudyRow]:
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
        yield StudyRow(
            _without_ending(path), _parts(path)["sub"], inside(real_root, path, where), tuple(masks[path]), None, {}
        )


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
    sidecar = path.with_name(f"{_without_ending(path)}.json")
    if not sidecar.is_file():
        return False
    about = _json(sidecar)
    sources = [about.get(key) for key in ("Sources", "RawSources", "SpatialReference")]
    flat = [uri for source in sources for uri in (source if isinstance(source, list) else [source])]
    return any(isinstance(uri, str) and os.path.basename(uri) == image.name for uri in flat)  # noqa: PTH119 - a URI
