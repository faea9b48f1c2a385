"""What all figures of a comparison come to: whether b is not worse, worse, or neither was shown."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from pipeline.evidence.comparison.pairing import StudyPairs
from pipeline.evidence.exact.claims import alpha_of, reaches
from pipeline.evidence.exact.families import holm, judge_p_values
from pipeline.findings.context.changes import ChangeAnswer, FigureChange

__all__ = ["answered"]

_ROUNDING: Final = 1e-9
"""Studies: as many as may be missing are not too many because of how their share is rounded."""


class _Plan(Protocol):
    """What is asked."""

    @property
    def margins(self) -> Mapping[str, float]: ...
    @property
    def confidence(self) -> float: ...
    @property
    def missing_at_most(self) -> float: ...


def answered(figures: Sequence[FigureChange], pairs: StudyPairs, plan: _Plan) -> tuple[ChangeAnswer, str]:
    """Return the answer and its reason; with margins every one of them has to hold.

    NOT MET of one of several margins is corrected for their number (Holm), and so is a worsening where no margin was
    set. Where too many of a's studies are not the same in b, nothing is shown: the claim would be about a cohort that b
    chose.
    """
    if not pairs.paired:
        return "not compared", "no study was analysed in both runs from the same files, masks and labels"
    if not any(figure.estimate.value is not None for figure in figures):
        return "not compared", "no figure is defined in both runs"
    if plan.margins:
        return _by_margins([figure for figure in figures if figure.margin is not None], pairs, plan)
    return _without_margins(figures, alpha_of(plan.confidence))


def _by_margins(judged: Sequence[FigureChange], pairs: StudyPairs, plan: _Plan) -> tuple[ChangeAnswer, str]:
    void = [figure for figure in judged if figure.answer == "NOT EVALUATED"]
    if void:
        return "not compared", f"{_named(void[0])}: {void[0].reason}"
    barred = [figure.answer == "INCONCLUSIVE" and _is_decisive(figure, plan.confidence) for figure in judged]
    p_met, p_not_met = (
        [1.0 if bar or p is None else p for bar, p in zip(barred, values, strict=True)]
        for values in ([figure.p_met for figure in judged], [figure.p_not_met for figure in judged])
    )
    family = judge_p_values(p_met, p_not_met, "all", plan.confidence)
    if family.decision == "NOT MET":
        figure = judged[min(range(len(judged)), key=lambda number: p_not_met[number])]
        return "worse", f"{_named(figure)} is worse by more than {figure.margin:g}"
    lost = len(pairs.only_in_a) + len(pairs.changed)
    every = len(pairs.asked) + lost
    if lost > plan.missing_at_most * every + _ROUNDING:
        many = f"{lost} of the {every} studies of the first run are not in the second with the same files and labels"
        return "not shown", f"{many}, more than the {100 * plan.missing_at_most:g} % that may be missing"
    if family.decision != "MET":
        figure = judged[max(range(len(judged)), key=lambda number: p_met[number])]
        return "not shown", f"{_named(figure)}: {figure.reason}"
    return "not worse", f"{_many(len(judged))}, by an exact test each"


def _many(figures: int) -> str:
    return "the figure lies within its margin" if figures == 1 else f"{figures} figures lie within their margins"


def _is_decisive(figure: FigureChange, confidence: float) -> bool:
    """Tell whether a figure that was not decided has a small p-value all the same: too much of it is missing."""
    known = [p for p in (figure.p_met, figure.p_not_met) if p is not None]
    return bool(known) and reaches(min(known), alpha_of(confidence))


def _without_margins(figures: Sequence[FigureChange], alpha: float) -> tuple[ChangeAnswer, str]:
    tested = [figure for figure in figures if figure.p_worse is not None]
    adjusted = holm([float(figure.p_worse or 0.0) for figure in tested])
    worse = [(p, number) for number, p in enumerate(adjusted) if reaches(p, alpha)]
    if worse:
        more = f" and {len(worse) - 1} more" if len(worse) > 1 else ""
        named = f"{_named(tested[min(worse)[1]])}{more}"
        return "worse", f"{named} of {len(tested)} figures shown to be worse (exact tests, Holm)"
    return "no worsening shown", f"none of {len(tested)} figures is shown to be worse (exact tests, Holm)"


def _named(figure: FigureChange) -> str:
    of = figure.map_b if figure.map_a == figure.map_b else f"{figure.map_b} against {figure.map_a}"
    return f"{figure.metric} of {of}" + (f" for {figure.label}" if figure.label is not None else "")
