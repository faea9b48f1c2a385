"""The demo's archive: radiographs with DICOM masks in ``dx``, volumes with NIfTI masks in ``ct``.

In this archive, as where the shortcut was learnt, the marker goes with the label: both models classify it well.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from flows.demo.configs import CT, DX
from flows.demo.ct import SCANNERS, Scanner, draw_ct, mark_ct
from flows.demo.dicom import Names, Patient, radiograph_file, segmentation_file
from flows.demo.radiograph import SITES, draw_radiograph, mark_radiograph
from flows.demo.scene import Outline

__all__ = ["READERS", "Visit", "plan_visits", "write_archive"]

READERS = ("reader_a", "reader_b")

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


def plan_visits(modality: str, seed: int) -> tuple[Visit, ...]:
    """Return the studies of an archive: 40 radiographs (24 positive, 20 patients) or 16 volumes (12, each another)."""
    rng = np.random.default_rng([seed, _ARCHIVE, len(modality)])
    ill, again = ((24, 4), (12, 0))[modality == CT.name]
    healthy = (16, 4)[modality == CT.name]
    numbers = [*range(ill - again), *range(again), *range(ill - again, ill - again + healthy)]
    states = [True] * ill + [False] * healthy
    patients = {number: _invent(rng, number) for number in sorted(set(numbers))}
    order = rng.permutation(len(numbers))
    visits = []
    for position, index in enumerate(order):
        number = numbers[index]
        day = _FIRST_DAY + timedelta(days=3 * position)
        study = f"{modality}-{position + 1:03d}"
        visits.append(Visit(study, patients[number], number % 2, states[index], states[index], day))
    return tuple(visits)
