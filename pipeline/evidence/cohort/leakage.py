"""What makes a cohort say more than it can: one picture under two patients, or with two labels, also when it is a copy.

Copies are told by sketches, less what all pictures of the cohort have in common: anatomy is alike in everybody.
"""

import heapq
from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.cohort.close_pairs import close_pairs
from pipeline.evidence.sketch import read_sketch, sketch_shape
from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.context.cohort import AlikePictures, Leakage, SamePicture
from pipeline.packed.repeated import repeated

__all__ = ["ALIKE", "FEWEST_PICTURES", "leakage"]

ALIKE: Final = 0.95
"""Correlation of two sketches from which on two pictures count as alike; different patients' reach .9."""
FEWEST_PICTURES: Final = 8
"""Of fewer pictures nothing tells what all of them have in common."""

_LISTED = 50

Floats = NDArray[np.float64]
_Form = tuple[int, ...]


def leakage(audits: Sequence[StudyFacts]) -> Leakage:
    """Compare the pictures that the model was shown, each with all others of its form.

    The studies are gone through several times, and few of them are in memory at a time.
    """
    forms = [_OwnParts.of(audits, places) for places in _places_by_form(audits) if len(places) >= FEWEST_PICTURES]
    counts = _AlikeCounts()
    closest = heapq.nsmallest(_LISTED, counts.counted(forms), key=lambda pair: (-pair.likeness, pair.studies))
    return Leakage(
        pictures=sum(_digest(audit) != "" for audit in audits),
        compared=sum(len(form.places) for form in forms),
        same=tuple(_same(audits)),
        alike=tuple(closest),
        alike_pairs=counts.pairs,
        alike_across_labels=counts.across_labels,
    )


@dataclass
class _AlikeCounts:
    """How many pairs were gone through."""

    pairs: int = 0
    across_labels: int = 0

    def counted(self, forms: "Sequence[_OwnParts]") -> Iterator[AlikePictures]:
        for form in forms:
            for pair in form.alike():
                self.pairs += 1
                self.across_labels += pair.labels_differ
                yield pair


def _same(audits: Sequence[StudyFacts]) -> Iterator[SamePicture]:
    hashes = array("q", (hash(_digest(audit)) for audit in audits))
    suspects = repeated(hashes)
    by_digest: dict[str, list[StudyFacts]] = defaultdict(list)
    for number, audit in zip(hashes, audits, strict=True):
        if number in suspects and _digest(audit):
            by_digest[_digest(audit)].append(audit)
    for group in by_digest.values():
        patients, labels = len({audit.patient for audit in group}), _labels(group)
        if patients > 1 or labels > 1:
            studies = tuple(audit.study for audit in group)
            yield SamePicture(studies=studies, patients=patients, labels_differ=labels > 1)


def _labels(audits: Sequence[StudyFacts]) -> int:
    """Return how many references the studies have; what nobody stated is none."""
    return len({frozenset(audit.reference) for audit in audits if audit.reference is not None})


def _places_by_form(audits: Sequence[StudyFacts]) -> "list[array[int]]":
    """Return which pictures can be compared with each other: those of one form."""
    places: dict[_Form, array[int]] = defaultdict(lambda: array("q"))
    for place, audit in enumerate(audits):
        if audit.model_input is not None and audit.model_input.sha256 and audit.model_input.sketch:
            places[sketch_shape(audit.model_input.shape[1:])].append(place)
    return list(places.values())


def _digest(audit: StudyFacts) -> str:
    return "" if audit.model_input is None else audit.model_input.sha256


def _sketch(audit: StudyFacts) -> Floats:
    return read_sketch("" if audit.model_input is None else audit.model_input.sketch)


@dataclass(frozen=True, eq=False)
class _OwnParts:
    """What pictures of one form show beside what all of them have in common, which is ``mean``."""

    audits: Sequence[StudyFacts]
    places: "array[int]"
    mean: Floats

    @classmethod
    def of(cls, audits: Sequence[StudyFacts], places: "array[int]") -> "_OwnParts":
        total = np.zeros_like(_sketch(audits[places[0]]))
        for place in places:
            total += _sketch(audits[place])
        return cls(audits, places, total / len(places))

    def alike(self) -> Iterator[AlikePictures]:
        """Yield pictures that are alike and not the same, of two patients or with two labels."""
        for first, second, likeness in close_pairs(self._each, self._some, ALIKE):
            pair = self.audits[self.places[first]], self.audits[self.places[second]]
            differ = _labels(pair) > 1
            if _digest(pair[0]) != _digest(pair[1]) and (pair[0].patient != pair[1].patient or differ):
                yield AlikePictures(
                    studies=(pair[0].study, pair[1].study),
                    likeness=min(likeness, 1.0),
                    patients=len({audit.patient for audit in pair}),
                    labels_differ=differ,
                )

    def _each(self) -> Iterator[Floats]:
        return (self._own(place) for place in self.places)

    def _some(self, numbers: Sequence[int]) -> Floats:
        return np.array([self._own(self.places[number]) for number in numbers])

    def _own(self, place: int) -> Floats:
        """Return a sketch less the mean, of length 1; zeros where nothing is left."""
        own = _sketch(self.audits[place]) - self.mean
        length = float(np.linalg.norm(own))
        return own / length if length > 1e-9 else np.zeros_like(own)
