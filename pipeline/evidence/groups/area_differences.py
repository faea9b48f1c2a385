"""The AUROC of one group of patients minus that of the rest."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from pipeline.evidence.exact.areas import DRAWS, AreaCohort, area_difference
from pipeline.findings.plotted.differences import GroupDifference
from pipeline.vocabulary import SMALLEST_GROUP

__all__ = ["MELDED_AREAS", "area_group_difference"]

MELDED_AREAS: Final = "the AUROC's bounds of both groups, melded; error rates measured, not proved"
"""How the bounds of a difference between two AUROCs are made."""

_WORK: Final = 20_000_000
"""Studies times draws: a cohort of more than 2,000 studies has fewer draws, which it needs less."""
_FEWEST: Final = 1_000


def area_group_difference(
    compared: tuple[AreaCohort, AreaCohort], shared: int, confidence: float, named: Mapping[str, object]
) -> GroupDifference:
    """Return the difference of two groups' AUROCs, of which ``shared`` patients belong to both.

    ``named`` are the difference's other fields. Nothing is compared where a side has fewer than ``SMALLEST_GROUP``
    patients with, or without, the label.
    """
    first, second = compared
    patients = [cohort.n_patients - cohort.n_missing for cohort in compared]
    own, rest = (cohort.area(cohort.share) for cohort in compared)
    common = {
        **named, "confidence": confidence, "patients": patients[0], "patients_rest": patients[1], "shared": shared,
        "own": own, "rest": rest,
    }  # fmt: skip
    fewest = min(*first.class_patients, *second.class_patients)
    if own is None or rest is None or fewest < SMALLEST_GROUP:
        reason = f"a side has fewer than {SMALLEST_GROUP} patients with, or without, the label"
        return GroupDifference.model_validate({**common, "value": None, "reason": reason})
    value = own - rest
    if shared:
        reason = f"{shared} {'patient belongs' if shared == 1 else 'patients belong'} to this group and to the rest"
        return GroupDifference.model_validate({**common, "value": value, "reason": reason})
    draws = int(np.clip(_WORK // (len(first.scores) + len(second.scores)), _FEWEST, DRAWS))
    low, high, p = area_difference(first, second, confidence=confidence, draws=draws)
    bounds = {"low": low, "high": high, "p": p, "interval": MELDED_AREAS}
    return GroupDifference.model_validate({**common, "value": value, **bounds})
