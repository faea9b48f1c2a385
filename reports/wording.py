"""The words for names that stand in the results: methods, metrics, strata, verdicts."""

from collections.abc import Iterable
from typing import Final

from pipeline.record import Estimate, Results, Stratum
from reports.layout import Chip
from reports.numbers import count, share
from reports.text import DASH

__all__ = [
    "BASELINES",
    "STRATA",
    "by",
    "chip",
    "interval_head",
    "intervals",
    "is_baseline",
    "measured",
    "method",
    "methods_in_order",
    "metric",
    "stratum",
    "undefined",
    "words",
]

BASELINES: Final = {"random_map": "Random map (baseline)", "centre_prior": "Centre prior (baseline)"}

STRATA: Final[dict[Stratum, str]] = {
    "all": "All studies",
    "reference_positive": "Reference positive",
    "true_positive": "True positive",
    "false_negative": "False negative",
}

_KIND: Final = {"MET": "good", "NOT MET": "bad", "INCONCLUSIVE": "open", "NOT EVALUATED": "none"}


def words(name: str) -> str:
    """Return a name from the results, ``out_of_memory``, as words: ``out of memory``."""
    return name.replace("_", " ")


def method(results: Results, name: str) -> str:
    """Return a method's, baseline's or classifier's title."""
    known = {facts.name: facts.title for facts in results.methods} | BASELINES
    return known.get(name, "Classifier" if name == "classifier" else name)


def metric(results: Results, name: str) -> str:
    """Return a metric's title; its name as words when the results do not describe it."""
    known = {facts.name: facts.title for facts in results.metrics}
    plain = words(name)
    return known.get(name, plain[:1].upper() + plain[1:])


def measured(results: Results, name: str) -> str:
    """Return a metric's title with its unit, ``Distance, mm``, where it has one."""
    unit = next((facts.unit for facts in results.metrics if facts.name == name), "")
    return metric(results, name) + ("" if unit in ("", "1", "share", "none") else f", {unit}")


def stratum(name: Stratum) -> str:
    """Return a stratum's title."""
    return STRATA[name]


def is_baseline(name: str) -> bool:
    """Return whether a map's name is a baseline's."""
    return name in BASELINES


def methods_in_order(results: Results, names: Iterable[str]) -> list[str]:
    """Return the distinct names: methods as the results list them, then others, baselines last."""
    known = [facts.name for facts in results.methods]
    unique = dict.fromkeys(names)
    return sorted(unique, key=lambda name: (is_baseline(name), known.index(name) if name in known else len(known)))


def chip(answer: str) -> Chip:
    """Return a verdict as a chip."""
    return Chip(answer, _KIND[answer])


def undefined(found: Estimate) -> str:
    """Return how many scores are missing and why: ``3 (empty mask 2, constant map 1)``."""
    total = sum(found.undefined.values())
    if not total:
        return "none"
    reasons = ", ".join(f"{words(why)} {many}" for why, many in sorted(found.undefined.items()))
    return f"{count(total)} ({reasons})"


def by(sizes: Iterable[object]) -> str:
    """Return sizes as ``8 × 8``; a dash when there are none."""
    return " \u00d7 ".join(map(str, sizes)) or DASH


def interval_head(estimates: Iterable[Estimate]) -> str:
    """Return the heading of a column of intervals: ``95 % CI``, or ``Interval`` when their confidence differs."""
    kinds = {one.confidence for one in estimates}
    return f"{share(kinds.pop())} CI" if len(kinds) == 1 else "Interval"


def intervals(estimates: Iterable[Estimate]) -> str:
    """Return one sentence on the intervals of the estimates: confidence and procedure."""
    kinds = sorted({(one.confidence, one.interval) for one in estimates if one.low is not None})
    if not kinds:
        return "No intervals: there are too few patients for any."
    return "Intervals: " + "; ".join(f"{share(confidence)}, {how}" for confidence, how in kinds) + "."
