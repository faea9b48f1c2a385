"""What the data allow to be claimed: read off the bounds of the exact rule, in words that follow from the numbers."""

from pipeline.findings.estimates import Verdict
from pipeline.findings.results import Results, Whereabouts
from pipeline.vocabulary import CLASSIFIER, PEAK_REGIONS
from reports.numbers import number, plural
from reports.wording import better_of, is_baseline, method, on_metrics, range_of

__all__ = ["allowed", "main_method", "main_verdict", "peak_sentences", "refused", "why"]


def main_verdict(results: Results) -> Verdict | None:
    """Return the first criterion about a metric of a map, None where there is none."""
    return next((verdict for verdict in on_metrics(results) if verdict.method != CLASSIFIER), None)


def main_method(results: Results) -> str | None:
    """Return the map that the first criterion about one speaks of, else the first that was made."""
    verdict = main_verdict(results)
    if verdict is not None and not is_baseline(verdict.method):
        return verdict.method
    return next((counted.method for counted in results.whereabouts), None)


def allowed(results: Results, verdict: Verdict) -> str:
    """Return what the bounds allow to be claimed: ``at least 0.62, not above 0.81``.

    A bound at the end of what the metric can be, or that of a difference, says nothing: it is left out.
    """
    if verdict.check is not None:
        return "a fixed bound"
    if verdict.struck:
        return "nothing: the map is struck"
    low, high = verdict.estimate.low, verdict.estimate.high
    if low is None or high is None:
        return "nothing: there is no bound"
    digits = (low, high, verdict.estimate.value)
    floor, ceiling = range_of(results, verdict.metric) if verdict.against is None else (None, None)
    first, last = number(low, like=digits, more=1), number(high, like=digits, more=1)
    first = "" if floor is not None and first == number(floor, like=digits, more=1) else first
    last = "" if ceiling is not None and last == number(ceiling, like=digits, more=1) else last
    if better_of(results, verdict.metric) == "lower":
        parts = [f"at most {last}"] * bool(last) + [f"not below {first}"] * bool(first)
    else:
        parts = [f"at least {first}"] * bool(first) + [f"not above {last}"] * bool(last)
    return ", ".join(parts) or "nothing: any value is possible"


def refused(verdict: Verdict) -> str:
    """Return what may not be claimed, and why, from the answer alone."""
    if verdict.struck:
        return "Nothing may be claimed of the model: the map fails a check of whether it is evidence at all."
    return {
        "MET": "More than that may not be claimed.",
        "NOT MET": "What the criterion asks may not be claimed: the data rule it out.",
        "INCONCLUSIVE": "What the criterion asks may not be claimed, nor its contrary: the data rule out neither.",
        "NOT EVALUATED": "Nothing may be claimed: there was nothing to decide on.",
    }[verdict.answer]


def peak_sentences(results: Results, counted: Whereabouts) -> list[str]:
    """Return where a method's peaks lie in words, the most frequent region or place first."""
    whole = plural(counted.maps, "study", "studies") if counted.maps == counted.studies else plural(counted.maps, "map")
    regions = sorted(counted.regions.items(), key=lambda pair: -pair[1])
    sentences = []
    if regions:
        (region, often), *others = regions
        place, there = next(iter(counted.places.items()))
        first = f"{PEAK_REGIONS[region]}", often
        at = f"{_at(place)} of the {'picture' if counted.axes == 2 else 'patient'}", there
        by_place = region != "lesion" and there >= often
        leading = at if by_place else first
        sentences.append(f"In {leading[1]} of {whole} the peak of {method(results, counted.method)} lies {leading[0]}.")
        rest = [f"{PEAK_REGIONS[name]} in {many}" for name, many in (regions if by_place else others)]
        rest += [] if "lesion" in counted.regions else [f"{PEAK_REGIONS['lesion']} in none"]
        sentences += [f"It lies {'; '.join(rest)}."] if rest else []
        often_there = f"It lies {at[0]}." if counted.maps == 1 else f"Most often it lies {at[0]}: in {there}."
        sentences += [] if by_place else [often_there]
    if counted.constant:
        sentences.append(f"{plural(counted.constant, 'map points', 'maps point')} nowhere: the same everywhere.")
    return sentences


def _at(place: str) -> str:
    return "in the middle" if place == "middle" else f"at the {place}"


def why(verdict: Verdict) -> str:
    """Return why a criterion has its answer, from its probabilities; where there is none, the recorded reason."""
    met, not_met, alpha = verdict.p_met, verdict.p_not_met, number(verdict.alpha)
    if met is None or not_met is None or verdict.struck or verdict.answer == "NOT EVALUATED":
        return verdict.reason
    if verdict.answer == "MET":
        return f"{_p(met)} against the contrary, not above {alpha}"
    if verdict.answer == "NOT MET":
        return f"{_p(not_met)} against the claim, not above {alpha}"
    return f"{_p(met)} against the contrary and {_p(not_met)} against the claim, both above {alpha}"


def _p(value: float) -> str:
    text = number(value)
    return f"p {text}" if text.startswith("<") else f"p = {text}"
