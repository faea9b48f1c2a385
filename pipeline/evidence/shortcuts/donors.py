"""Who gives each study a property: one study of the opposite label, and one of the same label as the control."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.evidence.shortcuts.study import BatteryStudy

__all__ = ["Donors", "choose_donors"]


class Donors(NamedTuple):
    """The numbers of a study's donors; None where no other patient's study of that label has the same grid."""

    opposite: int | None
    same: int | None


def choose_donors(studies: Sequence[BatteryStudy], seed: int) -> tuple[Donors, ...]:
    """Return the donors of each study: other patients, each taken about equally often, the same for the same seed."""
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(studies)).tolist()
    of_label = {label: [number for number in order if studies[number].positive == label] for label in (False, True)}
    ranks = {number: rank for numbers in of_label.values() for rank, number in enumerate(numbers)}
    return tuple(
        Donors(
            _next(studies, number, of_label[not study.positive], ranks[number]),
            _next(studies, number, of_label[study.positive], ranks[number]),
        )
        for number, study in enumerate(studies)
    )


def _next(studies: Sequence[BatteryStudy], number: int, candidates: Sequence[int], start: int) -> int | None:
    """Return the first candidate from ``start`` on, and round, that is another patient's on the same grid."""
    own = studies[number]
    for step in range(len(candidates)):
        other = candidates[(start + step) % len(candidates)]
        if studies[other].patient != own.patient and studies[other].x.shape == own.x.shape:
            return other
    return None
