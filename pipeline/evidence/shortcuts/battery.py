"""The battery: each study changed in one respect at a time, and what the model answers to it.

At most 14 changed inputs a study, and the study as it is: five transplants with their controls, bright marks outside
and inside the body painted over with theirs; two more for each region to avoid.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.shortcuts.change import ChangedStudy, generator_of, painted_over
from pipeline.evidence.shortcuts.donors import choose_donors
from pipeline.evidence.shortcuts.lesion import lesion_changes
from pipeline.evidence.shortcuts.parts import UNKNOWN_LESION, find_parts, grown
from pipeline.evidence.shortcuts.study import BatterySettings, BatteryStudy, ScoreOfLabel
from pipeline.evidence.shortcuts.transplants import TRANSPLANTS, DissectedStudy
from pipeline.findings.experiments.shortcuts import ShortcutRow
from pipeline.vocabulary import AVOID

__all__ = ["battery_rows"]

Region = NDArray[np.bool_]
Donors = tuple[DissectedStudy | None, DissectedStudy | None]
"""A study of the opposite label and one of the same label."""

NO_DONOR = "no study of another patient with the {} label on the same grid"
NO_NUMBER = "the model's answer is not a number"


def battery_rows(
    score: ScoreOfLabel, studies: Sequence[BatteryStudy], settings: BatterySettings
) -> tuple[ShortcutRow, ...]:
    """Return the answers to each study for each of the seven causes and each region to avoid.

    Args:
        score: the label's logits for a batch of inputs, above 0 where the model answers the label.
        studies: of one label's question, positives and negatives; a study's donors are among them.
        settings: locked beforehand; their seed chooses donors, places and noise, and they say whether the lesion's
            experiments are done too.
    """
    dissected = tuple(DissectedStudy(study, find_parts(study)) for study in studies)
    donors = choose_donors(studies, settings.seed)
    rows: list[ShortcutRow] = []
    for number, own in enumerate(dissected):
        opposite, same = (None if donor is None else dissected[donor] for donor in donors[number])
        changes = list(_changes(own, (opposite, same), (settings.seed, number)))
        if settings.lesion_experiments:
            changes += lesion_changes(own, opposite, (settings.seed, number))
        rows += _scored(score, (number, own.study), changes, settings.batch)
    return tuple(rows)


def _scored(
    score: ScoreOfLabel, numbered: tuple[int, BatteryStudy], changes: Sequence[ChangedStudy], batch: int
) -> list[ShortcutRow]:
    """Return the rows of one study: its input and all that was made of it, shown to the model in batches."""
    number, study = numbered
    inputs = [study.x]
    places: list[tuple[int | None, int | None]] = []
    for change in changes:
        place: list[int | None] = []
        for x in (change.changed, change.control):
            place.append(None if x is None else len(inputs))
            if x is not None:
                inputs.append(x)
        places.append((place[0], place[1]))
    batches = [np.stack(inputs[start : start + batch]) for start in range(0, len(inputs), batch)]
    logits = np.concatenate([np.asarray(score(each), dtype=np.float64) for each in batches])
    return [
        _row((number, study), change, tuple(None if place is None else float(logits[place]) for place in (0, *pair)))
        for change, pair in zip(changes, places, strict=True)
    ]


def _row(numbered: tuple[int, BatteryStudy], change: ChangedStudy, answers: tuple[float | None, ...]) -> ShortcutRow:
    """Return a row; ``answers`` are to the study as it is, changed, and changed by the control."""
    number, study = numbered
    failed = any(answer is not None and not math.isfinite(answer) for answer in answers)
    plain, changed, control = answers
    return ShortcutRow(
        study=number,
        patient=study.patient,
        positive=study.positive,
        test=change.test,
        plain=plain if plain is not None and math.isfinite(plain) else None,
        changed=None if failed else changed,
        control=None if failed else control,
        reason=NO_NUMBER if failed else change.reason,
    )


def _changes(own: DissectedStudy, donors: Donors, seeded: tuple[int, int]) -> Iterator[ChangedStudy]:
    for test in TRANSPLANTS:
        yield _transplanted(test, own, donors, seeded)
    parts = own.parts
    regions: dict[str, tuple[Region | str, Region]] = {
        "body_marks": (parts.body_marks, _free_body(own)),
        "air_marks": (parts.air_marks, parts.outside),
        **{f"{AVOID}{name}": _to_avoid(own, mask) for name, mask in own.study.avoid.items()},
    }
    for test, where in regions.items():
        yield painted_over(test, own, where, generator_of(*seeded, test))


def _free_body(own: DissectedStudy) -> Region:
    """Return the body without the lesion, its surroundings and the border."""
    body = own.parts.body & ~own.parts.band
    lesion = own.study.lesion
    return body if lesion is None or not lesion.any() else body & ~grown(lesion, 2, own.study.ruler)


def _to_avoid(own: DissectedStudy, region: Region) -> tuple[Region | str, Region]:
    """Return a region without the lesion, and where it may be moved to: the body or its outside, as most of it lies.

    In the body of a positive whose lesion nobody outlined, the lesion could lie in the region.
    """
    in_body = not region.any() or float(own.parts.body[region].mean()) >= 0.5
    tissue = own.parts.body if in_body else own.parts.outside
    lesion = own.study.lesion
    if lesion is None:
        return (UNKNOWN_LESION if own.study.positive and in_body else region), tissue
    kept = ~grown(lesion, 1, own.study.ruler)
    return region & kept, tissue & kept


def _transplanted(test: str, own: DissectedStudy, donors: Donors, seeded: tuple[int, int]) -> ChangedStudy:
    opposite, same = donors
    if opposite is None or same is None:
        return ChangedStudy(test, reason=NO_DONOR.format("opposite" if opposite is None else "same"))
    results = [TRANSPLANTS[test](own, donor, generator_of(*seeded, test)) for donor in (opposite, same)]
    reasons = [result for result in results if isinstance(result, str)]
    if reasons:
        return ChangedStudy(test, reason=reasons[0])
    changed, control = (result for result in results if not isinstance(result, str))
    return ChangedStudy(test, changed, control)
