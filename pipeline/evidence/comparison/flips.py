"""Studies of which two runs say different things."""

from collections.abc import Iterator, Mapping, Sequence

from pipeline.evidence.comparison.figures import PairedScore
from pipeline.findings.context.changes import FlippedStudy
from pipeline.findings.study_audit import StudyAudit

__all__ = ["flipped_calls", "flipped_hits"]

_HIT = 0.5
"""From this share of the readers on, a map's peak counts as a hit of a study."""


def flipped_calls(
    studies: Sequence[str], a: Mapping[str, StudyAudit], b: Mapping[str, StudyAudit], *, alike: bool
) -> Iterator[FlippedStudy]:
    """Yield the studies of which the models call different things; ``alike``: they have the same labels."""
    for study in studies:
        before, after = a[study], b[study]
        if set(before.predicted) != set(after.predicted):
            gained = _gained(before, after) if alike and after.reference is not None else None
            yield FlippedStudy(study=study, what="call", before=_called(before), after=_called(after), gained=gained)


def _gained(before: StudyAudit, after: StudyAudit) -> bool | None:
    """Tell whether b alone is right, or a alone; None where both are wrong in different ways."""
    reference = set(after.reference or ())
    was_right, is_right = set(before.predicted) == reference, set(after.predicted) == reference
    return None if was_right == is_right else is_right


def _called(audit: StudyAudit) -> str:
    return "; ".join(audit.predicted) or "nothing"


def flipped_hits(scores: Sequence[PairedScore], name: str, labels: Sequence[str]) -> Iterator[FlippedStudy]:
    """Yield the studies in which a map's peak was a hit of its label in one run only; ``labels`` go with the scores."""
    for score, label in zip(scores, labels, strict=True):
        if score.a is None or score.b is None or (score.a >= _HIT) == (score.b >= _HIT):
            continue
        is_hit = score.b >= _HIT
        words = ("miss", "hit") if is_hit else ("hit", "miss")
        yield FlippedStudy(
            study=score.study, what="hit", map=name, label=label, before=words[0], after=words[1], gained=is_hit
        )
