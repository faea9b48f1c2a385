"""BraTS in its generations: a folder a case, a file a modality, and one label map, ``seg``.

Up to 2021 ``BraTS20_Training_001/BraTS20_Training_001_t1ce``, from 2023 on
``BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1c`` with other names and numbers. Each modality is a study of the same
patient, under its new name. The regions are those that the challenge evaluates; which numbers make them up depends on
the generation, which the case's name tells.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.studies.listing.by_file_name import UNNAMED_READER
from pipeline.studies.listing.layouts.layout import (
    Folder,
    Layout,
    LayoutChoice,
    chosen_modalities,
    visible,
)
from pipeline.studies.listing.study_row import MaskSource, StudyRow, inside
from pipeline.studies.readers.images.nifti import FACTS as NIFTI

__all__ = ["BRATS"]

_NEW = re.compile(r"(?P<patient>BraTS-(?P<tumour>[A-Za-z]+)-\d+)-\d+")
_OLD = re.compile(r"BraTS20_(?:Training|Validation|Testing)_\d+|BraTS2021_\d+")
_OLDEST = re.compile(r"(?P<patient>(?:Brats1[78]|BraTS19)_\w+?)(?:_\d+)?")
_MODALITIES = {"t1n": "t1", "t1c": "t1ce", "t2w": "t2", "t2f": "flair"}  # from 2023 on, and before
_MOST_GROUPS = 16
_GRADES = ("HGG", "LGG")
_WHOLE, _CORE, _ENHANCING = "whole tumor", "tumor core", "enhancing tumor"
_OLD_REGIONS = {_WHOLE: (1, 2, 4), _CORE: (1, 4), _ENHANCING: (4,)}
_NEW_REGIONS = {_WHOLE: (1, 2, 3), _CORE: (1, 3), _ENHANCING: (3,)}
_OTHER_REGIONS = {"PED": {_WHOLE: (1, 2, 3, 4)}}  # children's tumours: the parts' numbers changed from year to year


@dataclass(frozen=True)
class _Case:
    """A case's folder with its files by modality; ``patient`` may have several cases, one a visit."""

    path: Path
    files: dict[str, Path]
    patient: str
    is_new: bool
    tumour: str


def _is_here(folder: Folder) -> bool:
    return next(_cases(folder), None) is not None


def _cases(folder: Folder) -> Iterator[_Case]:
    """Yield the cases in a folder or, where every folder in it holds some, one level below (HGG and LGG)."""
    own = [case for path in folder.folders if (case := _case(path)) is not None]
    if own or len(folder.folders) > _MOST_GROUPS:
        yield from own
        return
    groups = [
        [case for below in visible(path).folders if (case := _case(below)) is not None] for path in folder.folders
    ]
    if all(groups):  # else a folder beside them is another archive, and would be passed over
        for group in groups:
            yield from group


def _case(path: Path) -> _Case | None:
    new, oldest = _NEW.fullmatch(path.name), _OLDEST.fullmatch(path.name)
    if not (new or oldest or _OLD.fullmatch(path.name)):
        return None
    between = "-" if new else "_"
    files = {
        name: file
        for name in (*_MODALITIES, "seg")
        if (file := _file(path, f"{path.name}{between}{name if new else _MODALITIES.get(name, name)}")) is not None
    }
    if not files:
        return None
    patient = new["patient"] if new else oldest["patient"] if oldest else path.name
    return _Case(path, files, patient, new is not None, new["tumour"] if new else "")


def _file(folder: Path, stem: str) -> Path | None:
    return next((path for ending in NIFTI.endings[:2] if (path := folder / f"{stem}{ending}").is_file()), None)


def _rows(root: Path, choice: LayoutChoice) -> Iterator[StudyRow]:
    real_root, where = root.resolve(), f"{root}: a file"
    cases = list(_cases(visible(root)))
    there = [name for name in _MODALITIES if any(name in case.files for case in cases)]
    drawn_in = {case.path.parent for case in cases if "seg" in case.files}
    for case in cases:
        usual = next(iter(case.files.values()))
        masks = _masks(case, inside(real_root, _own(case, "seg", usual), where)) if case.path.parent in drawn_in else ()
        grade = {"grade": case.path.parent.name} if case.path.parent.name in _GRADES else {}
        for name in chosen_modalities(root, there, _by_new_names(choice)):
            image = inside(real_root, _own(case, name, usual), where)
            yield StudyRow(f"{case.path.name}-{name}", case.patient, image, masks, None, {"modality": name, **grade})


def _own(case: _Case, name: str, usual: Path) -> Path:
    """Return a modality's file; where it is missing, the name that it should bear."""
    ending = next(ending for ending in NIFTI.endings if usual.name.endswith(ending))
    stem = f"{case.path.name}-{name}" if case.is_new else f"{case.path.name}_{_MODALITIES.get(name, name)}"
    return case.files.get(name, case.path / f"{stem}{ending}")


def _masks(case: _Case, path: Path) -> tuple[MaskSource, ...]:
    regions = _OTHER_REGIONS.get(case.tumour, _NEW_REGIONS) if case.is_new else _OLD_REGIONS
    return tuple(
        MaskSource(UNNAMED_READER, label, path, value) for label, values in regions.items() for value in values
    )


def _by_new_names(choice: LayoutChoice) -> LayoutChoice:
    """Return the choice with the names of before 2023 replaced: they mean the same."""
    if choice.modalities is None:
        return choice
    names = {old: new for new, old in _MODALITIES.items()}
    return LayoutChoice(choice.layout, tuple(names.get(name, name) for name in choice.modalities))


BRATS = Layout("brats", "BraTS", _is_here, _rows, has_modalities=True)
