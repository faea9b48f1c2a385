"""What the data allow to be claimed: read off the bounds of the exact rule, in words that follow from the numbers."""

from pipeline.findings.estimates import Verdict
from pipeline.findings.results import Results, Whereabouts
from pipeline.vocabulary import CLASSIFIER, PEAK_REGIONS
from reports.numbers import number, plural
from reports.wording import better_of, is_baseline, method

__all__ = ["allowed", "main_method", "main_verdict", "peak_sentences", "refused"]


def main_verdict(results: Results) -> Verdict | None:
    """Return the first criterion about a map, None where there is none."""
    return next((verdict for verdict in results.verdicts if verdict.method != CLASSIFIER), None)


def main_method(results: Results) -> str | None:
    """Return the map that the first criterion about one speaks of, else the first that was made."""
    verdict = main_verdict(results)
    if verdict is not None and not is_baseline(verdict.method):
        return verdict.method
    return next((counted.method for counted in results.whereabouts), None)


def allowed(results: Results, verdict: Verdict) -> str:
    """Return the strongest claim that the bounds allow: ``at least 0.62, at most 0.81``."""
    low, high = verdict.estimate.low, verdict.estimate.high
    if low is None or high is None:
        return "none: there is no bound"
    digits = (low, high, verdict.estimate.value)
    first, last = number(low, like=digits, more=1), number(high, like=digits, more=1)
    lower = better_of(results, verdict.metric) == "lower"
    return f"at most {last}, not below {first}" if lower else f"at least {first}, not above {last}"


def refused(verdict: Verdict) -> str:
    """Return what may not be claimed, and why, from the answer alone."""
    return {
        "MET": "More than that may not be claimed.",
        "NOT MET": "What the criterion asks may not be claimed: the data rule it out.",
        "INCONCLUSIVE": "What the criterion asks may not be claimed, nor its contrary: the data rule out neither.",
        "NOT EVALUATED": "Nothing may be claimed: there was nothing to decide on.",
    }[verdict.answer]


def peak_sentences(results: Results, counted: Whereabouts) -> list[str]:
    """Return where a method's peaks lie in words: by region, the most frequent first, and the most frequent place."""
    whole = plural(counted.maps, "study", "studies") if counted.maps == counted.studies else plural(counted.maps, "map")
    regions = sorted(counted.regions.items(), key=lambda pair: -pair[1])
    title = method(results, counted.method)
    sentences = []
    if regions:
        (region, many), *others = regions
        sentences.append(f"In {many} of {whole} the peak of {title} lies {PEAK_REGIONS[region]}.")
        rest = [f"{PEAK_REGIONS[name]} in {count}" for name, count in others]
        rest += [] if "lesion" in counted.regions else [f"{PEAK_REGIONS['lesion']} in none"]
        sentences.append(f"It lies {'; '.join(rest)}." if rest else "It lies nowhere else.")
        place, many = next(iter(counted.places.items()))
        whose = "picture" if counted.axes == 2 else "patient"
        sentences.append(f"In {many} of {counted.maps} it is {_at(place)} of the {whose}.")
    if counted.constant:
        sentences.append(f"{plural(counted.constant, 'map is', 'maps are')} the same everywhere and point nowhere.")
    return sentences


def _at(place: str) -> str:
    return "in the middle" if place == "middle" else f"at the {place}"
