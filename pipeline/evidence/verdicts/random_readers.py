"""A claim about a map with readers like these, and not these alone, to an answer: approximate, and marked so."""

from collections.abc import Sequence

from pipeline.evidence.cohort.measures import Measure
from pipeline.evidence.cohort.readers import RANDOM_READERS, USUAL_READERS, reader_scores
from pipeline.evidence.columns.unit_table import UnitTable
from pipeline.evidence.exact.claims import Claim
from pipeline.evidence.exact.families import equivalence_of
from pipeline.evidence.exact.readers import FEWEST_READERS, ReaderScores, judge_readers, usual_interval
from pipeline.evidence.verdicts.judging import MeanClaim, Result, bounds_of, part_of
from pipeline.findings.estimates import DescriptiveInterval, Estimate, LabelVerdict

__all__ = ["judged_over_readers"]


def judged_over_readers(
    claim: MeanClaim,
    units: UnitTable,
    measure: Measure,
    estimate: Estimate,
    of: tuple[str | None, str | None],
    *,
    growing: bool,
) -> LabelVerdict:
    """Answer a claim about readers like those of the units, of whom there have to be three or more.

    ``estimate`` is that about these readers, ``of`` the label and the map that it is held against.
    """
    readers = units.readers_named
    refusal = _refusal(readers, estimate, growing=growing)
    if refusal is not None:
        none = {"value": None, "low": None, "high": None, "interval": "none", "described": None, "reason": refusal}
        return part_of(*of, estimate.model_copy(update=none), None)
    cohort = reader_scores(units, measure, readers, claim.span)
    result = _result(claim, cohort)
    low, high = bounds_of(result) or (None, None)
    return part_of(
        *of,
        estimate.model_copy(
            update={
                "value": cohort.value,
                "per_patient": cohort.value,
                "per_study": None,
                "complete_case": None,
                "low": low,
                "high": high,
                "interval": RANDOM_READERS,
                "described": _described(cohort, claim.confidence),
            }
        ),
        result,
    )


def _refusal(readers: Sequence[str], estimate: Estimate, *, growing: bool) -> str | None:
    if growing:
        return "readers: random is judged once, and this cohort was locked as one that grows"
    if estimate.value is None:
        return estimate.reason
    if len(readers) < FEWEST_READERS:
        return f"a claim about readers like these needs {FEWEST_READERS} or more, and there are {len(readers)}"
    return None


def _result(claim: MeanClaim, cohort: ReaderScores) -> Result:
    if claim.side != "within":
        return judge_readers(cohort, claim.exact)
    upper = Claim("at_most", claim.bound, claim.confidence, claim.missing_at_most)
    return equivalence_of(judge_readers(cohort, claim.exact), judge_readers(cohort, upper))


def _described(cohort: ReaderScores, confidence: float) -> DescriptiveInterval | None:
    interval = usual_interval(cohort, confidence)
    return None if interval is None else DescriptiveInterval(low=interval[0], high=interval[1], how=USUAL_READERS)
