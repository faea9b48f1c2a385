"""The demo's archive: radiographs with DICOM masks in ``dx``, volumes with NIfTI masks in ``ct``.

In this archive, as where the shortcut was learnt, the marker goes with the label: both models classify it well.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from flows.demo.configs import CT, DX, DemoModality
from flows.demo.ct import SCANNERS, Scanner, draw_ct, mark_ct
from flows.demo.dicom import Names, Patient, radiograph_file, segmentation_file
from flows.demo.radiograph import SITES, draw_radiograph, mark_radiograph
from pipeline.files import gzipped
from pipeline.studies.geometry import Affine

__all__ = ["READERS", "Visit", "plan_visits", "write_archive"]

READERS = ("reader_a", "reader_b")

_FILES = ("image", *(f"mask:{reader}" for reader in READERS))
_COUNTS = {"dx": (20, 4, 16), "ct": (12, 0, 4)}
"""How many patients are ill, how many of these come twice, how many are healthy."""

_ARCHIVE = 0
"""Keeps the archive's random numbers apart from the training's."""

_FAMILIES = ("Ahorn", "Birke", "Eiche", "Erle", "Esche", "Fichte", "Kiefer", "Linde", "Tanne", "Ulme", "Weide", "Zeder")
_GIVEN = {"F": ("Ada", "Edith", "Ida", "Olga", "Uta"), "M": ("Anton", "Emil", "Otto", "Ivo", "Udo")}
_FIRST_DAY = date(2024, 3, 4)


@dataclass(frozen=True)
class Visit:
    """One study of the archive. ``place`` is the number of its site or scanner, ``marked`` whether the marker is in."""

    study: str
    patient: Patient
    place: int
    ill: bool
    marked: bool
    day: date


def write_archive(folder: Path, seed: int) -> tuple[Path, Path]:
    """Write both archives and return their manifests; the same seed gives the same bytes.

    Raises:
        FileExistsError: when there is an archive already.
    """
    return _write_dx(folder / "dx", seed), _write_ct(folder / "ct", seed)


def plan_visits(modality: DemoModality, seed: int) -> tuple[Visit, ...]:
    """Return the studies of an archive in their order: who, where, when, ill or not, marked or not.

    Of the ill, ``again`` come twice; every other patient comes once.
    """
    rng = np.random.default_rng([seed, _ARCHIVE, ord(modality.name[0])])
    ill, again, healthy = _COUNTS[modality.name]
    patients = [_invent(rng, number) for number in range(1, ill + healthy + 1)]
    coming = [(patient, True) for patient in patients[:ill]]
    coming += [(patient, True) for patient in patients[:again]]
    coming += [(patient, False) for patient in patients[ill:]]
    return tuple(
        Visit(
            study=f"{modality.name}-{position + 1:03d}",
            patient=coming[index][0],
            place=coming[index][0].number % 2,
            ill=coming[index][1],
            marked=coming[index][1],
            day=_FIRST_DAY + timedelta(days=3 * position),
        )
        for position, index in enumerate(rng.permutation(len(coming)))
    )


def _invent(rng: np.random.Generator, number: int) -> Patient:
    sex = "FM"[int(rng.integers(2))]
    family, given = str(rng.choice(_FAMILIES)), str(rng.choice(_GIVEN[sex]))
    born = date(1940, 1, 1) + timedelta(days=int(rng.integers(50 * 365)))
    return Patient(number, f"{family}^{given}", sex, born)


def _write_dx(folder: Path, seed: int) -> Path:
    rng = np.random.default_rng([seed, _ARCHIVE, 2])
    names = Names(rng.spawn(1)[0])
    rows = []
    for visit in _made(folder, DX, seed):
        site = SITES[visit.place]
        scene = draw_radiograph(rng, site, finding=visit.ill)
        image = mark_radiograph(scene.image, rng) if visit.marked else scene.image
        files = {"image": f"images/{visit.study}.dcm"}
        source = radiograph_file(image, site, visit.patient, visit.day, names)
        source.save_as(folder / files["image"], enforce_file_format=True)
        for reader, outline in zip(READERS, scene.outlines, strict=True):
            if visit.ill:
                files[f"mask:{reader}"] = f"masks/{visit.study}-{reader}.dcm"
                mask = segmentation_file(source, outline, DX.labels[1], reader, names)
                mask.save_as(folder / files[f"mask:{reader}"], enforce_file_format=True)
        rows.append(_row(visit, DX, site.name, files))
    return _write_manifest(folder, rows)


def _write_ct(folder: Path, seed: int) -> Path:
    rng = np.random.default_rng([seed, _ARCHIVE, 3])
    rows = []
    for visit in _made(folder, CT, seed):
        scanner = SCANNERS[visit.place]
        scene = draw_ct(rng, scanner, finding=visit.ill)
        image = mark_ct(scene.image, rng, scanner) if visit.marked else scene.image
        affine, turns = _pose(rng, scanner)
        files = {"image": f"images/{visit.study}.nii.gz"}
        _write_nifti(image.astype(np.int16), affine, turns, folder / files["image"])
        for reader, outline in zip(READERS, scene.outlines, strict=True):
            if visit.ill:
                files[f"mask:{reader}"] = f"masks/{visit.study}-{reader}.nii.gz"
                _write_nifti(outline.astype(np.uint8), affine, turns, folder / files[f"mask:{reader}"])
        rows.append(_row(visit, CT, scanner.name, files))
    return _write_manifest(folder, rows)


def _made(folder: Path, modality: DemoModality, seed: int) -> tuple[Visit, ...]:
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    return plan_visits(modality, seed)


def _pose(rng: np.random.Generator, scanner: Scanner) -> tuple[Affine, tuple[int, ...]]:
    """Return the affine of the drawn array, some patients lying at an angle, and the axes to store backwards."""
    angle = float(rng.choice((0.0, 0.0, -0.12, 0.09)))
    turned = np.eye(4)
    turned[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    centred = np.diag([*scanner.spacing, 1.0])
    centred[:3, 3] = -(np.array(scanner.shape) - 1) / 2 * scanner.spacing
    return turned @ centred, ((), (0,), (0, 1), (2,))[int(rng.integers(4))]


def _write_nifti(array: NDArray[np.generic], affine: Affine, turns: tuple[int, ...], path: Path) -> None:
    stored = affine.copy()
    for axis in turns:
        stored[:3, 3] += stored[:3, axis] * (array.shape[axis] - 1)
        stored[:3, axis] *= -1
    picture = nibabel.Nifti1Image(np.flip(array, turns), stored)
    picture.header.set_xyzt_units("mm")
    # the file's name and the clock must not reach its bytes
    path.write_bytes(gzipped(picture.to_bytes()))


def _row(visit: Visit, modality: DemoModality, place: str, files: Mapping[str, str]) -> dict[str, str]:
    return {
        "study": visit.study,
        "patient": f"{modality.name}-{visit.patient.number:05d}",
        **dict.fromkeys(_FILES, ""),
        **files,
        "label": modality.labels[1] if visit.ill else "",
        "site": place,
        "sex": visit.patient.sex,
    }


def _write_manifest(folder: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    path = folder / "manifest.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    return path
