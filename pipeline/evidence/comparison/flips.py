"""Studies of which two runs say different things."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence

from pipeline.evidence.comparison.paired_scores import PairedScores
from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.context.changes import FlippedStudy
from pipeline.packed.texts import TextMap

__all__ = ["flipped_calls", "flipped_hits"]

_HIT = 0.5
"""From this share of the readers on, a map's peak counts as a hit of a study."""


def flipped_calls(
    paired: Collection[str], a: Iterable[StudyFacts], b: Iterable[StudyFacts], *, alike: bool
) -> Iterator[FlippedStudy]:
    """Yield the ``paired`` studies, in b's order, of which the models call different things.

    ``alike``: both models have the same labels.
    """
    called_by_a = TextMap((study.study, json.dumps(study.predicted)) for study in a if study.study in paired)
    for study in b:
        if study.study not in paired:
            continue
        before, after = json.loads(called_by_a[study.study]), study.predicted
        if set(before) != set(after):
            gained = _gained(before, study) if alike and study.reference is not None else None
            yield FlippedStudy(
                study=study.study, what="call", before=_named(before), after=_named(after), gained=gained
            )


def _gained(before: Sequence[str], after: StudyFacts) -> bool | None:
    """Tell whether b alone is right, or a alone; None where both are wrong in different ways."""
    reference = set(after.reference or ())
    was_right, is_right = set(before) == reference, set(after.predicted) == reference
    return None if was_right == is_right else is_right


def _named(labels: Sequence[str]) -> str:
    return "; ".join(labels) or "nothing"


def flipped_hits(
    scores: PairedScores, name: str, labels: Sequence[str], studies: Sequence[StudyFacts]
) -> Iterator[FlippedStudy]:
    """Yield the studies in which a map's peak was a hit of its label in one run only; both by their numbers."""
    flipped = scores.where(scores.has_both & ((scores.a >= _HIT) != (scores.b >= _HIT)))
    for study, label, is_hit in zip(flipped.study, flipped.target, (flipped.b >= _HIT).tolist(), strict=True):
        words = ("miss", "hit") if is_hit else ("hit", "miss")
        yield FlippedStudy(
            study=studies[study].study,
            what="hit",
            map=name,
            label=labels[label],
            before=words[0],
            after=words[1],
            gained=is_hit,
        )
