"""Which cases a report shows: chosen by a stated rule from scores and the seed alone."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from pipeline.config import CasesConfig
from pipeline.findings.brief_study import StudyFacts
from pipeline.vocabulary import Better

__all__ = ["TYPICAL", "choose_cases"]


def choose_cases(
    audits: Sequence[StudyFacts],
    scores: Mapping[str, float],
    cases: CasesConfig | Literal["all"],
    seed: int,
    better: Better,
) -> tuple[list[tuple[str, str]], str]:
    """Choose the studies to show; the choice depends on the scores, the seed and the studies' hashes alone.

    ``scores`` ranks the studies, and ``better`` says which end is the good one; only studies in it are worst or best.
    The typical case comes first: of all studies with a score the one in the middle, of two the worse. Correct and wrong
    predictions are chosen apart, because the same overlap means different things in the two; a
    regression predicts no label, and its studies are chosen from all.

    Returns:
        Pairs of study and why it is shown, and the rule in words.
    """
    order = {audit.study: (audit.source_sha256, audit.study) for audit in audits}
    mapped = sorted((audit for audit in audits if audit.places), key=lambda audit: order[audit.study])
    sign = 1 if better == "higher" else -1
    every = sorted((audit.study for audit in mapped if audit.study in scores),
                   key=lambda study: (sign * scores[study], order[study]))  # fmt: skip
    typical = {every[(len(every) - 1) // 2]: TYPICAL} if every else {}
    if cases == "all":
        rule = "every study with a map is shown"
        return [*typical.items(), *((audit.study, rule) for audit in mapped if audit.study not in typical)], rule
    chosen = dict(typical) if cases.worst or cases.best or cases.random else {}
    generator = np.random.Generator(np.random.PCG64(seed))
    calls_nothing = any(audit.values for audit in audits)
    groups = _ALL if calls_nothing else _BY_PREDICTION
    for group, correct in groups:
        members = [audit.study for audit in mapped if _correct(audit) == correct]
        ranked = sorted(
            (study for study in members if study in scores and study not in chosen),
            key=lambda study: (sign * scores[study], order[study]),
        )
        for study in ranked[: cases.worst]:
            chosen.setdefault(study, f"worst overlap, {group}")
        for study in reversed(ranked[-cases.best :] if cases.best else []):
            chosen.setdefault(study, f"best overlap, {group}")
        rest = [study for study in members if study not in chosen]
        for index in generator.permutation(len(rest))[: cases.random]:
            chosen[rest[index]] = f"drawn at random, {group}"
    among = "of the studies with a map" if calls_nothing else "of the correct and of the wrong predictions"
    parts = ["the typical one"] if typical and chosen else []
    parts += [f"the {many} {which}" for many, which in ((cases.worst, "worst"), (cases.best, "best")) if many]
    parts += [f"{cases.random} at random (PCG64, seed {seed})"] if cases.random else []
    rule = f"{_listed(parts)} {among}" if parts else "none"
    return _first(list(chosen.items()), cases.at_most), rule + _limit(cases.at_most)


def _first(chosen: list[tuple[str, str]], at_most: int | None) -> list[tuple[str, str]]:
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
    return [chosen[place] for place in kept]


def _limit(at_most: int | None) -> str:
    return "" if at_most is None else f"; of these {at_most} at most, wrong predictions and the worst first"


def _listed(parts: list[str]) -> str:
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)


TYPICAL = "typical: the median overlap of all studies with a score"
"""Why the first case is shown."""

_BY_PREDICTION: tuple[tuple[str, bool | None], ...] = (("correct prediction", True), ("wrong prediction", False))
_ALL: tuple[tuple[str, bool | None], ...] = (("of all studies", None),)


def _correct(audit: StudyFacts) -> bool | None:
    if audit.values:
        return None
    return None if audit.reference is None else set(audit.reference) == set(audit.predicted)
