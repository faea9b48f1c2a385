"""Which cases a report shows: chosen by a stated rule from scores and the seed alone."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.config import CasesConfig
from pipeline.evidence.cohort.population import by_files
from pipeline.findings.brief_study import StudyFacts
from pipeline.packed.on_demand import ChosenItems
from pipeline.vocabulary import Better

__all__ = ["TYPICAL", "choose_cases"]

Floats = NDArray[np.float64]


def choose_cases(
    audits: Sequence[StudyFacts],
    scores: Floats,
    cases: CasesConfig | Literal["all"],
    seed: int,
    better: Better,
) -> tuple[list[tuple[str, str]], str]:
    """Choose the studies to show; the choice depends on the scores, the seed and the studies' hashes alone.

    ``scores`` (studies,) ranks them, and ``better`` says which end is the good one; one without a score (NaN) is
    neither worst nor best. The typical case comes first: of all studies with a score the one in the middle, of two the
    worse. Correct and wrong predictions are chosen apart, because the same overlap means different things in the two; a
    regression predicts no label, and its studies are chosen from all.

    Returns:
        Pairs of study and why it is shown, and the rule in words.
    """
    mapped = _Mapped.of(audits, scores if better == "higher" else -scores)
    every = mapped.ranked(mapped.places)
    typical = {every[(len(every) - 1) // 2]: TYPICAL} if every else {}
    if cases == "all":
        rule = "every study with a map is shown"
        chosen = typical | {place: rule for place in mapped.places.tolist() if place not in typical}
        return [(audits[place].study, why) for place, why in chosen.items()], rule
    chosen = dict(typical) if cases.worst or cases.best or cases.random else {}
    generator = np.random.Generator(np.random.PCG64(seed))
    for group, correct in _ALL if mapped.calls_nothing else _BY_PREDICTION:
        members = mapped.places[mapped.correct[mapped.places] == correct]
        ranked = mapped.ranked(members[~np.isin(members, list(chosen))])
        for place in ranked[: cases.worst]:
            chosen.setdefault(place, f"worst overlap, {group}")
        for place in reversed(ranked[-cases.best :] if cases.best else []):
            chosen.setdefault(place, f"best overlap, {group}")
        rest = members[~np.isin(members, list(chosen))]
        for index in generator.permutation(len(rest))[: cases.random]:
            chosen[int(rest[index])] = f"drawn at random, {group}"
    among = "of the studies with a map" if mapped.calls_nothing else "of the correct and of the wrong predictions"
    parts = ["the typical one"] if typical and chosen else []
    parts += [f"the {many} {which}" for many, which in ((cases.worst, "worst"), (cases.best, "best")) if many]
    parts += [f"{cases.random} at random (PCG64, seed {seed})"] if cases.random else []
    rule = f"{_listed(parts)} {among}" if parts else "none"
    first = _first(list(chosen.items()), cases.at_most)
    return [(audits[place].study, why) for place, why in first], rule + _limit(cases.at_most)


@dataclass(frozen=True, eq=False)
class _Mapped:
    """The studies with a map: ``places`` among all, in the order of the hashes of their files.

    Of all studies: ``scores``, the worst the lowest, and whether what the model says is ``correct`` (1, 0; -1: nobody
    knows). ``calls_nothing``: the model is a regression.
    """

    places: NDArray[np.intp]
    scores: Floats
    correct: NDArray[np.int8]
    calls_nothing: bool

    @classmethod
    def of(cls, audits: Sequence[StudyFacts], scores: Floats) -> Self:
        """Go through the studies; little is held of each."""
        places, correct, calls_nothing = array("q"), array("b"), False
        for place, audit in enumerate(audits):
            correct.append(_correct(audit))
            calls_nothing = calls_nothing or bool(audit.values)
            if audit.places:
                places.append(place)
        known = np.array(places, dtype=np.intp)
        order = np.array(by_files(ChosenItems(audits, places)), dtype=np.intp)
        return cls(known[order], scores, np.array(correct, dtype=np.int8), calls_nothing)

    def ranked(self, places: NDArray[np.intp]) -> list[int]:
        """Return those of some that have a score, the worst first; of equal ones the first by its hash."""
        known = places[~np.isnan(self.scores[places])]
        ranked: list[int] = known[np.argsort(self.scores[known], kind="stable")].tolist()
        return ranked


def _first(chosen: list[tuple[int, str]], at_most: int | None) -> list[tuple[int, str]]:
    """Return as many cases as are wanted, in their order: first of each reason before second, wrong before correct."""
    if at_most is None or len(chosen) <= at_most:
        return chosen
    reasons = [why for _, why in chosen]
    kinds = (TYPICAL, "worst", "drawn", "best")

    def rank(place: int) -> tuple[int, int, bool, int]:
        why = reasons[place]
        kind = next(number for number, start in enumerate(kinds) if why.startswith(start))
        return min(kind, 1), reasons[:place].count(why), "wrong" not in why, kind

    kept = sorted(sorted(range(len(chosen)), key=rank)[:at_most])
    return [chosen[number] for number in kept]


def _limit(at_most: int | None) -> str:
    return "" if at_most is None else f"; of these {at_most} at most, wrong predictions and the worst first"


def _listed(parts: list[str]) -> str:
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)


TYPICAL = "typical: the median overlap of all studies with a score"
"""Why the first case is shown."""

_BY_PREDICTION: Final = (("correct prediction", 1), ("wrong prediction", 0))
_ALL: Final = (("of all studies", -1),)


def _correct(audit: StudyFacts) -> int:
    """Return 1 where the model says what the reference names, 0 where not, -1 where nothing is called or known."""
    return -1 if audit.values or audit.reference is None else int(set(audit.reference) == set(audit.predicted))
