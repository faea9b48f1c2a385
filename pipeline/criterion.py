"""One acceptance criterion of ``audit.yaml``, and whether its bound goes with its metric."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from pipeline.config_part import ConfigPart, Names, Share, listed
from pipeline.vocabulary import AVOID, CHECKS, STRATA, Better, Check, ConfusionCell, SamplingUnit, Stratum, TargetRole

__all__ = ["AnyCriterion", "CheckCriterion", "Criterion", "bound_fault"]


def _is_population(value: object, check: ValidatorFunctionWrapHandler) -> object:
    try:
        return check(value)
    except ValidationError as error:
        named = f"{', '.join(STRATA)}, or a cell {{reference: LABEL, answered: LABEL}}"
        raise ValueError(f"must be {named}, not {value!r:.80}") from error


Among = Annotated[Stratum | ConfusionCell, WrapValidator(_is_population)]


class Criterion(ConfigPart):
    """One acceptance criterion, decided by an exact test whose error does not depend on how scores are distributed.

    A metric of a method (``hit_rate`` of ``gradcam``) or of the classifier (``accuracy``, no method), among a stratum:
    at least or at most a number; or better than, not worse than, or as good as another map, paired by study. The
    claim is about the mean over patients, or over studies (``unit``); patients are independent. Over studies it holds
    where a patient's number of studies says nothing about his scores, or where ``studies_at_most`` locks how many
    a patient of the population has at most, whatever that number says.

    ``among`` is a stratum, or a cell of the confusion matrix (``{reference: malignant, answered: benign}``). There the
    map of the reference's label is judged, or with ``target_role: answered`` that of the label that was called instead.

    ``label``: each of the model's findings has to hold (``each``), some of them by name, or all of them ``pooled``.
    ``better_than`` names baselines, maps, or ``baselines``, all that the run has: each has to be beaten, by more than
    ``by``; with ``wins``, 0.5 or more, the share of a patient's studies that the map wins (a tie counts half) has to
    exceed that share, on average over patients. Below one half a map that equals the other would be called better.
    ``not_worse_than`` is ``readers``, whose agreement with each other is the bar, or a map; it and ``equivalent_to``
    need a ``margin``.

    A metric without an upper end has no test of its mean: ``within`` turns it into the share of patients whose score
    lies within that distance, ``statistic: median`` asks for the median, and ``cap`` counts no score beyond it, nor a
    difference of either sign: another mean, which has a test. ``any_of`` names a family of criteria of which
    one has to hold: its members are judged with Holm's correction.

    The claim is about the readers who marked the studies, unless ``readers`` is ``random``: then it is about readers
    like them, of whom there have to be three or more, and the rule is approximate.

    Studies of the population without a score count against the claim, whatever it is; where more than
    ``missing_at_most`` of them lack one the answer is INCONCLUSIVE. A bound on the wrong side of a metric, such as
    ``at_least`` where lower is better, is refused unless ``reversed`` says that it is meant. ``avoid:<region>`` is a
    map's share of evidence in the region that the manifest's column of that name marks; of it ``at_most`` alone can be
    claimed.
    """

    metric: str
    method: str | None = None
    among: Among = "reference_positive"
    target_role: TargetRole = "reference"
    label: Names = ("each",)
    unit: SamplingUnit = "patient"
    studies_at_most: Annotated[int, Field(ge=1)] | None = None
    at_least: float | None = None
    at_most: float | None = None
    within: Annotated[float, Field(gt=0)] | None = None
    statistic: Literal["mean", "median"] = "mean"
    better_than: Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(listed)] | None = None
    by: Annotated[float, Field(ge=0)] = 0.0
    wins: Annotated[float, Field(ge=0.5, lt=1)] | None = None
    cap: Annotated[float, Field(gt=0)] | None = None
    readers: Literal["these", "random"] = "these"
    not_worse_than: str | None = None
    equivalent_to: str | None = None
    margin: Annotated[float, Field(gt=0)] | None = None
    any_of: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]{0,62}$")] | None = None
    reversed: bool = False
    missing_at_most: Share = 0.1
    confidence: Annotated[float, Field(ge=0.9, lt=1)] = 0.95

    def stated(self) -> dict[str, Any]:
        """Return what a lock holds of it; keys that later versions added are left out while they say nothing."""
        added = {name for name, default in _ADDED_LATER if getattr(self, name) == default}
        return self.model_dump(mode="json", exclude=added)

    @property
    def opponents(self) -> tuple[str, ...]:
        """The maps that the method is held against."""
        other = self.not_worse_than or self.equivalent_to
        return self.better_than or (() if other is None else (other,))

    @model_validator(mode="after")
    def _check(self) -> Self:
        if sum(getattr(self, name) is not None for name in _CLAIMS) != 1:
            raise ValueError(f"give exactly one of {', '.join(_CLAIMS)}")
        if (self.margin is None) != (self.not_worse_than is None and self.equivalent_to is None):
            raise ValueError("margin goes with not_worse_than and equivalent_to, and both need one")
        if self.better_than is None and (self.by or self.wins is not None):
            raise ValueError("by and wins go with better_than")
        if self.by and self.wins is not None:
            raise ValueError("give by (how much better on average) or wins (in what share of patients), not both")
        if self.within is not None and (self.at_least is None or not 0 < self.at_least <= 1):
            raise ValueError("within needs at_least: the share of patients, above 0 and up to 1, who lie within it")
        if self.method is not None and self.method in (self.not_worse_than, self.equivalent_to):
            raise ValueError(f"{self.method} is as good as itself: name another map to hold it against")
        if self.statistic == "median" and (self.opponents or self.within is not None):
            raise ValueError("statistic: median goes with at_least and at_most of the metric itself")
        if self.cap is not None and (self.wins is not None or self.within is not None or self.statistic == "median"):
            raise ValueError("cap goes with a mean: of a metric without an upper end, or of differences")
        if self.readers == "random" and (
            self.method is None or self.unit == "study" or self.not_worse_than == "readers"
        ):
            raise ValueError(
                "readers: random goes with a map (method), by patient (unit), held against a bound or another map"
            )
        if self.studies_at_most is not None and self.unit == "patient":
            raise ValueError(
                "studies_at_most goes with unit: study; patients weigh alike however many studies they have"
            )
        if self.unit == "study" and self.method is None and self.metric == "auroc":
            raise ValueError("the rule of an auroc is by patient: leave unit out")
        if len(self.label) > 1 and {"each", "pooled"} & set(self.label):
            raise ValueError("label is each, pooled, or labels by name")
        self._check_cell()
        self._check_avoided()
        return self

    def _check_avoided(self) -> None:
        """Of a region that must not be leaned on only one thing can be claimed: that there is little evidence in it."""
        if not self.metric.startswith(AVOID):
            return
        if self.method is None:
            raise ValueError(f"{self.metric} is a share of a map's evidence: add method, the map to judge")
        if self.at_most is None:
            given = next(name for name in _CLAIMS if getattr(self, name) is not None)
            raise ValueError(f"evidence in a region to avoid is no merit, so {given} claims nothing: write at_most")

    def _check_cell(self) -> None:
        if not isinstance(self.among, ConfusionCell):
            if self.target_role != "reference":
                raise ValueError("target_role goes with a cell: among: {reference: LABEL, answered: LABEL}")
        elif self.label not in (("each",), ("pooled",), (self.among.reference,)):
            raise ValueError(f"label is that of the cell, {self.among.reference!r}: leave it out")
        elif self.target_role == "answered" and self.among.is_right:
            raise ValueError("target_role: answered goes with a wrong answer, and this cell's is right: leave it out")


class CheckCriterion(ConfigPart):
    """An acceptance criterion on a check of the family that does it: its rule is fixed, so it has no bound of its own.

    ``method`` is the map that is checked; a check of the model itself has none.
    """

    check: Check
    method: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_a_known_check(cls, value: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
        if not isinstance(value, dict):
            return value
        name = next((name for name in CHECKS if name == value.get("check")), None)
        if name is None:
            raise ValueError(f"check must be among {', '.join(CHECKS)}, not {value.get('check')!r:.80}")
        further = [key for key in value if key not in ("check", "method")]
        if further:
            raise ValueError(f"a check has a fixed rule: give check and method alone, not {further[0]!r:.80}")
        of_map = CHECKS[name].of_map
        if of_map != (value.get("method") is not None):
            raise ValueError(f"{name} {'needs method: the map to check' if of_map else 'is of the model: no method'}")
        return value

    def stated(self) -> dict[str, Any]:
        """Return what a lock holds of it."""
        return self.model_dump(mode="json")


def _kind_of_criterion(value: object) -> str:
    has_check = isinstance(value, CheckCriterion) or (isinstance(value, dict) and "check" in value)
    return "criterion-check" if has_check else "criterion-metric"


AnyCriterion = Annotated[
    Annotated[Criterion, Tag("criterion-metric")] | Annotated[CheckCriterion, Tag("criterion-check")],
    Discriminator(_kind_of_criterion),
]
"""A criterion on a metric, or on a check."""

_ADDED_LATER = (("cap", None), ("readers", "these"), ("target_role", "reference"), ("studies_at_most", None))

_CLAIMS = ("at_least", "at_most", "better_than", "not_worse_than", "equivalent_to")


def bound_fault(
    criterion: Criterion, span: tuple[float | None, float | None], better: Better
) -> tuple[str, str] | None:
    """Return the key of a criterion whose claim does not go with its metric's range and direction, and why; or None."""
    if criterion.within is not None:
        says = f"goes with a distance, and of {criterion.metric} {better} is better; give at_least alone"
        return ("within", says) if better == "higher" else None
    return (
        _cap_fault(criterion, span)
        or _open_end_fault(criterion, span)
        or _outside(criterion, span)
        or _wrong_side(criterion, better)
        or _empty_claim(criterion, span)
    )


def _cap_fault(criterion: Criterion, span: tuple[float | None, float | None]) -> tuple[str, str] | None:
    if criterion.cap is None:
        return None
    low, high = span
    if not criterion.opponents and (low is None or high is not None):
        return "cap", f"is for a metric without an upper end, and {criterion.metric} {_within(span)}; leave it out"
    if low is not None and criterion.cap <= (low if high is None else 0):
        return "cap", f"lies above the metric's lower end, {low:g}, not at {criterion.cap:g}"
    if low is not None and high is not None and criterion.cap >= high - low:
        return (
            "cap",
            f"is below {high - low:g}, the largest difference there can be, not {criterion.cap:g}; leave it out",
        )
    return None


def _empty_claim(criterion: Criterion, span: tuple[float | None, float | None]) -> tuple[str, str] | None:
    """Refuse what holds for any scores there can be, or nearly any: it would be MET by all, or nearly all."""
    low, high = span
    top = high if criterion.cap is None else criterion.cap
    width = criterion.cap if criterion.cap is not None else None if low is None or high is None else high - low
    if criterion.at_least is not None and criterion.within is None and criterion.at_least == low:
        return "at_least", f"{criterion.metric} {_within(span)}, so a bound of {low:g} always holds and claims nothing"
    if criterion.at_most is not None and top is not None and criterion.at_most >= top:
        return "at_most", f"no {criterion.metric} counts for more than {top:g}, so the bound always holds"
    if criterion.margin is not None and width is not None and criterion.margin >= width:
        return "margin", f"no difference is larger than {width:g}, so a margin of {criterion.margin:g} claims nothing"
    if criterion.margin is not None and criterion.cap is not None and 2 * criterion.margin > criterion.cap:
        wholly = f"{100 * criterion.margin / criterion.cap:.3g} % of the patients could be worse by any amount"
        return "margin", f"of {criterion.margin:g} beside a cap of {criterion.cap:g}, {wholly}; cap at twice it or more"
    if criterion.by and width is not None and criterion.by >= width:
        return "by", f"no difference is larger than {width:g}, so nothing is better by more than {criterion.by:g}"
    return None


def _open_end_fault(criterion: Criterion, span: tuple[float | None, float | None]) -> tuple[str, str] | None:
    """Refuse a mean of scores that have no end: no test of it is valid (Bahadur and Savage 1956)."""
    if None not in span or criterion.statistic == "median" or criterion.wins is not None or criterion.cap is not None:
        return None
    open_end = f"{criterion.metric} {_within(span)} and has no other end, so no test of its mean is valid"
    if criterion.better_than is not None:
        return "better_than", f"{open_end}; add wins: 0.5, the share of studies in which it has to be better, or a cap"
    if criterion.opponents:
        return "margin", f"{open_end}; add a cap, beyond which no difference counts"
    bound = "at_least" if criterion.at_least is not None else "at_most"
    return bound, f"{open_end}; add statistic: median, or a cap, or give within: and at_least:, a share of patients"


def _outside(criterion: Criterion, span: tuple[float | None, float | None]) -> tuple[str, str] | None:
    low, high = span
    for name in ("at_least", "at_most"):
        bound = getattr(criterion, name)
        if bound is not None and not (low is None or bound >= low) & (high is None or bound <= high):
            percent = f"; is {bound / 100:g} meant?" if span == (0.0, 1.0) and 1 < bound <= 100 else ""
            return name, f"{criterion.metric} {_within(span)}, not {bound:g}{percent}"
    return None


def _wrong_side(criterion: Criterion, better: Better) -> tuple[str, str] | None:
    given = "at_least" if criterion.at_least is not None else "at_most" if criterion.at_most is not None else None
    right = "at_least" if better == "higher" else "at_most"
    if given is None or given == right:
        return ("reversed", "goes with a bound on the wrong side only; leave it out") if criterion.reversed else None
    if criterion.reversed:
        return None
    asks = f"of {criterion.metric} {better} is better, so it would ask for a bad value"
    return given, f"{asks}; write {right}, or add reversed: true where that is meant"


def _within(span: tuple[float | None, float | None]) -> str:
    low, high = span
    if low is not None and high is not None:
        return f"lies within {low:g} and {high:g}"
    return f"is at least {low:g}" if low is not None else f"is at most {high:g}"
