"""The analysed studies by what the reference names and what the model answers: how many, and which are wrong."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.plotted.classifier import AnswerCount
from pipeline.findings.results import WrongAnswer
from pipeline.packed.on_demand import ChosenItems

__all__ = ["AnswerKinds"]

_Kind = tuple[tuple[str, ...] | None, tuple[str, ...]]
"""What the reference names (None: nobody said) and what is answered, each sorted."""


@dataclass
class _Members:
    """The studies of a kind by place, and the numbers of their patients."""

    studies: ChosenItems[StudyFacts]
    patients: "array[int]" = field(default_factory=lambda: array("i"))

    @property
    def counts(self) -> dict[str, int]:
        """How many there are."""
        return {"studies": len(self.studies), "patients": len(set(self.patients))}


@dataclass(frozen=True)
class AnswerKinds:
    """The kinds of answers that came, the most frequent first."""

    members: Mapping[_Kind, _Members]

    @classmethod
    def of(cls, audits: Sequence[StudyFacts]) -> Self:
        """Group the analysed studies; those of a regression, which calls no label, are of no kind."""
        numbers: dict[str, int] = {}
        kinds: dict[_Kind, _Members] = {}
        for place, audit in enumerate(audits):
            if audit.status != "analysed" or audit.values:
                continue
            reference = None if audit.reference is None else _sorted(audit.reference)
            own = kinds.setdefault((reference, _sorted(audit.predicted)), _Members(ChosenItems(audits)))
            own.studies.add(place)
            own.patients.append(numbers.setdefault(audit.patient, len(numbers)))
        return cls(dict(sorted(kinds.items(), key=_rank)))

    def counts(self) -> tuple[AnswerCount, ...]:
        """Count the studies and patients of each kind."""
        return tuple(
            AnswerCount(reference=reference, answered=answered, **own.counts)
            for (reference, answered), own in self.members.items()
        )

    def wrong(self) -> tuple[WrongAnswer, ...]:
        """Return each kind in which the answer is not what the reference names, with its studies."""
        return tuple(
            WrongAnswer(
                reference=reference,
                answered=answered,
                patients=own.counts["patients"],
                studies=tuple(audit.study for audit in own.studies),
            )
            for (reference, answered), own in self.members.items()
            if reference is not None and reference != answered
        )


def _sorted(labels: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(set(labels)))


def _rank(kind: tuple[_Kind, _Members]) -> tuple[int, bool, tuple[str, ...], tuple[str, ...]]:
    (reference, answered), own = kind
    return -len(own.studies), reference is None, reference or (), answered
