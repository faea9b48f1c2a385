"""The battery: each study changed in one respect at a time, and what the model answers to it.

At most 14 changed inputs a study, and the study as it is: five transplants with their controls, bright marks outside
and inside the body painted over with theirs; two more for each region to avoid.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.shortcuts.donors import Donors, choose_donors
from pipeline.evidence.shortcuts.filling import fill, move
from pipeline.evidence.shortcuts.parts import find_parts, grown
from pipeline.evidence.shortcuts.study import BatterySettings, BatteryStudy, ScoreOfLabel
from pipeline.evidence.shortcuts.transplants import TRANSPLANTS, Patient
from pipeline.findings.experiments.shortcuts import ShortcutRow

__all__ = ["Change", "battery_rows", "generator_of", "painted_over", "scored"]

Image = NDArray[np.float32]
Region = NDArray[np.bool_]

NO_DONOR = "no study of another patient with the {} label on the same grid"
NOT_PLACED = "no place for the same shape elsewhere in the same tissue"


@dataclass(frozen=True, eq=False)
class Change:
    """One experiment on one study: the changed input and its control, or the reason why it is not done."""

    test: str
    changed: Image | None = None
    control: Image | None = None
    reason: str | None = None


def battery_rows(
    score: ScoreOfLabel, studies: Sequence[BatteryStudy], settings: BatterySettings
) -> tuple[ShortcutRow, ...]:
    """Return the answers to each study for each of the seven causes and each region to avoid.

    Args:
        score: the label's logits for a batch of inputs, above 0 where the model answers the label.
        studies: of one label's question, positives and negatives; a study's donors are among them.
        settings: locked beforehand; their seed chooses donors, places and noise.
    """
    patients = tuple(Patient(study, find_parts(study)) for study in studies)
    donors = choose_donors(studies, settings.seed)
    rows: list[ShortcutRow] = []
    for number, study in enumerate(studies):
        changes = tuple(_changes(number, patients, donors[number], settings.seed))
        rows += scored(score, number, study, changes, settings.batch)
    return tuple(rows)


def scored(
    score: ScoreOfLabel, number: int, study: BatteryStudy, changes: Sequence[Change], batch: int
) -> list[ShortcutRow]:
    """Return the rows of one study: its input and all that was made of it, shown to the model in batches."""
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
        ShortcutRow(
            study=number,
            patient=study.patient,
            positive=study.positive,
            test=change.test,
            plain=float(logits[0]),
            changed=None if changed is None else float(logits[changed]),
            control=None if control is None else float(logits[control]),
            reason=change.reason,
        )
        for change, (changed, control) in zip(changes, places, strict=True)
    ]


def generator_of(seed: int, study: int, test: str) -> np.random.Generator:
    """Return the generator of one experiment on one study; a change and its control draw the same numbers."""
    return np.random.Generator(np.random.PCG64([seed, study, *test.encode()]))


def _changes(number: int, patients: Sequence[Patient], donors: Donors, seed: int) -> Iterator[Change]:
    own = patients[number]
    for test in TRANSPLANTS:
        yield _transplanted(test, own, (patients, donors), (seed, number))
    parts = own.parts
    regions: dict[str, tuple[Region | str, Region]] = {
        "body_marks": (_known(parts.body_marks), _free_body(own)),
        "air_marks": (parts.air_marks, ~grown(parts.body, own.study.ruler.voxels(1))),
        **{f"avoid:{name}": (mask, _same_tissue(own, mask)) for name, mask in own.study.avoid.items()},
    }
    for test, (region, tissue) in regions.items():
        yield painted_over(test, own, (region, tissue), generator_of(seed, number, test))


def _known(marks: Region | None) -> Region | str:
    return "nobody outlined the lesion, which could be taken for a mark" if marks is None else marks


def _free_body(own: Patient) -> Region:
    """Return the body without the lesion, its surroundings and the border."""
    body = own.parts.body & ~own.parts.band
    lesion = own.study.lesion
    return body if lesion is None or not lesion.any() else body & ~grown(lesion, own.study.ruler.voxels(2))


def _same_tissue(own: Patient, region: Region) -> Region:
    """Return where a region may be moved to: within the body or outside, wherever most of it lies, off the lesion."""
    if not region.any():
        return own.parts.body
    in_body = float(own.parts.body[region].mean()) >= 0.5
    lesion = own.study.lesion
    tissue = own.parts.body if in_body else own.parts.outside
    return tissue if lesion is None else tissue & ~lesion


def _transplanted(test: str, own: Patient, given: tuple[Sequence[Patient], Donors], seeded: tuple[int, int]) -> Change:
    patients, donors = given
    if donors.opposite is None or donors.same is None:
        return Change(test, reason=NO_DONOR.format("opposite" if donors.opposite is None else "same"))
    results = [
        TRANSPLANTS[test](own, patients[donor], generator_of(*seeded, test)) for donor in (donors.opposite, donors.same)
    ]
    reasons = [result for result in results if isinstance(result, str)]
    if reasons:
        return Change(test, reason=reasons[0])
    changed, control = (result for result in results if not isinstance(result, str))
    return Change(test, changed, control)


def painted_over(test: str, own: Patient, where: tuple[Region | str, Region], rng: np.random.Generator) -> Change:
    """Return a region painted over, and as its control the same shape painted over elsewhere in the same tissue."""
    region, tissue = where
    if isinstance(region, str):
        return Change(test, reason=region)
    if not region.any():
        return Change(test, reason="nothing of this kind in the picture")
    image = own.study.x.mean(axis=0)
    moved = move(region, tissue, image, rng)
    if moved is None:
        return Change(test, reason=NOT_PLACED)
    rest, ruler = tissue & ~region, own.study.ruler
    state = rng.bit_generator.state
    changed = fill(own.study.x, moved.where, rest, ruler, rng)
    rng.bit_generator.state = state
    return Change(test, changed, fill(own.study.x, moved.moved, rest, ruler, rng))
