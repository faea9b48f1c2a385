"""Cohorts of phantom patients, one study each, half of them ill."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flows.selftest.phantom import Phantom, PhantomPatient, ShortcutKind, draw_patient, render
from flows.selftest.recipes import Recipe

__all__ = ["PhantomStudy", "draw_cohort", "labels_of", "pictures_of"]


@dataclass(frozen=True)
class PhantomStudy:
    """A patient, and the shortcuts that his study carries."""

    patient: PhantomPatient
    kinds: frozenset[ShortcutKind]

    def changed(self, *, add: Sequence[ShortcutKind] = (), remove: Sequence[ShortcutKind] = ()) -> "PhantomStudy":
        """Return the study with and without these shortcuts, all else equal."""
        return PhantomStudy(self.patient, (self.kinds | frozenset(add)) - frozenset(remove))

    def picture(self) -> NDArray[np.float32]:
        """Draw the study, shape (*S)."""
        return render(self.patient, self.kinds)

    def lesion(self) -> NDArray[np.bool_]:
        """Return where the lesion is, shape (*S)."""
        return self.patient.lesion_mask(self.kinds)

    def organ(self) -> NDArray[np.bool_]:
        """Return where the organ is, shape (*S)."""
        return self.patient.organ_mask(self.kinds)


def draw_cohort(phantom: Phantom, recipe: Recipe, number: int, rng: np.random.Generator) -> tuple[PhantomStudy, ...]:
    """Draw ``number`` patients of their own; every second is ill."""
    studies = []
    for place in range(number):
        ill = place % 2 == 1
        studies.append(PhantomStudy(draw_patient(phantom, rng, ill=ill), recipe.carried(rng, ill=ill)))
    return tuple(studies)


def pictures_of(studies: Sequence[PhantomStudy]) -> Tensor:
    """Return what the network is shown, shape (studies, 1, *S)."""
    pictures = np.stack([study.picture() for study in studies])
    return torch.from_numpy(pictures)[:, None]


def labels_of(studies: Sequence[PhantomStudy]) -> Tensor:
    """Return who is ill, shape (studies,), float."""
    return torch.tensor([float(study.patient.ill) for study in studies])
