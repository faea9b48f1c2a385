"""What makes a cohort say more than it can: one picture under two patients, or with two labels, also when it is a copy.

Copies are told by sketches, less what all pictures of the cohort have in common: anatomy is alike in everybody.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.sketch import read_sketch, sketch_shape
from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.context.cohort import AlikePictures, Leakage, SamePicture

__all__ = ["ALIKE", "FEWEST_PICTURES", "leakage"]

ALIKE: Final = 0.95
"""Correlation of two sketches from which on two pictures count as alike; different patients' reach .9."""
FEWEST_PICTURES: Final = 8
"""Of fewer pictures nothing tells what all of them have in common."""

_LISTED = 50
_BLOCK = 1024


def leakage(audits: Sequence[StudyFacts]) -> Leakage:
    """Compare the pictures that the model was shown, each with all others of its form."""
    shown = [audit for audit in audits if audit.model_input is not None and audit.model_input.sha256]
    pairs = sorted(_alike(shown), key=lambda pair: (-pair.likeness, pair.studies))
    return Leakage(
        pictures=len(shown),
        compared=sum(len(group) for group in _groups(shown) if len(group) >= FEWEST_PICTURES),
        same=tuple(_same(shown)),
        alike=tuple(pairs[:_LISTED]),
        alike_pairs=len(pairs),
        alike_across_labels=sum(pair.labels_differ for pair in pairs),
    )


def _same(audits: Sequence[StudyFacts]) -> Iterator[SamePicture]:
    by_digest: dict[str, list[StudyFacts]] = defaultdict(list)
    for audit in audits:
        assert audit.model_input is not None
        by_digest[audit.model_input.sha256].append(audit)
    for group in by_digest.values():
        patients, labels = len({audit.patient for audit in group}), _labels(group)
        if patients > 1 or labels > 1:
            studies = tuple(audit.study for audit in group)
            yield SamePicture(studies=studies, patients=patients, labels_differ=labels > 1)


def _labels(audits: Sequence[StudyFacts]) -> int:
    """Return how many references the studies have; what nobody stated is none."""
    return len({frozenset(audit.reference) for audit in audits if audit.reference is not None})


def _groups(audits: Sequence[StudyFacts]) -> list[list[StudyFacts]]:
    """Return the pictures that can be compared with each other: those of one form."""
    groups: dict[tuple[int, ...], list[StudyFacts]] = defaultdict(list)
    for audit in audits:
        if audit.model_input is not None and audit.model_input.sketch:
            groups[sketch_shape(audit.model_input.shape[1:])].append(audit)
    return list(groups.values())


def _alike(audits: Sequence[StudyFacts]) -> Iterator[AlikePictures]:
    for group in _groups(audits):
        if len(group) >= FEWEST_PICTURES:
            sketches = _own_part(np.array([read_sketch(_sketch(audit)) for audit in group]))
            for first, second, likeness in _close(sketches):
                pair = group[first], group[second]
                differ = _labels(pair) > 1
                if _digest(pair[0]) != _digest(pair[1]) and (pair[0].patient != pair[1].patient or differ):
                    yield AlikePictures(
                        studies=(pair[0].study, pair[1].study),
                        likeness=likeness,
                        patients=len({audit.patient for audit in pair}),
                        labels_differ=differ,
                    )


def _sketch(audit: StudyFacts) -> str:
    return "" if audit.model_input is None else audit.model_input.sketch


def _digest(audit: StudyFacts) -> str:
    return "" if audit.model_input is None else audit.model_input.sha256


def _own_part(sketches: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each sketch (n, numbers) less their mean, of length 1; zeros where nothing is left."""
    own: NDArray[np.float64] = sketches - sketches.mean(axis=0)
    lengths = np.linalg.norm(own, axis=1, keepdims=True)
    return np.where(lengths > 1e-9, own / np.maximum(lengths, 1e-9), 0.0)


def _close(sketches: NDArray[np.float64]) -> Iterator[tuple[int, int, float]]:
    """Yield the pairs whose correlation, to three digits, is ``ALIKE`` or more; a block of rows at a time."""
    for start in range(0, len(sketches), _BLOCK):
        block = np.round(sketches[start : start + _BLOCK] @ sketches.T, 3)
        for row, column in np.argwhere(block >= ALIKE):
            if start + row < column:
                yield int(start + row), int(column), min(float(block[row, column]), 1.0)
