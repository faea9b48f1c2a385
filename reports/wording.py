"""The words for names that stand in the results: methods, metrics, strata, verdicts."""

from collections.abc import Iterable, Mapping
from typing import Final

from pipeline.findings.estimates import Estimate, Verdict
from pipeline.findings.facts import LayerFacts
from pipeline.findings.results import Results
from pipeline.findings.scores import MapPeak, MapScores
from pipeline.vocabulary import (
    BASELINES,
    BETTER,
    CHECKS,
    CLASSIFIER,
    CLASSIFIER_METRICS,
    PEAK_REGIONS,
    STRATA,
    Better,
    ConfusionCell,
    Stratum,
)
from reports.numbers import MARK, count, number, share
from reports.page.layout import Chip
from reports.page.text import DASH

__all__ = [
    "GLANCE",
    "STRUCK",
    "arrow_note",
    "asked_for",
    "best_peak",
    "better_of",
    "by",
    "cells",
    "chip",
    "headed",
    "in_sentence",
    "interval_head",
    "intervals",
    "intervals_again",
    "is_baseline",
    "label_of",
    "lies",
    "measured",
    "method",
    "methods_in_order",
    "metric",
    "nothing_called",
    "on_metrics",
    "population",
    "range_of",
    "stratum",
    "subject",
    "undefined",
    "unit_of",
    "words",
]

GLANCE: Final = "The criteria at a glance"
"""The section that tells how intervals are made; later ones refer to it."""

STRUCK: Final = " (struck)"
"""What follows the name of a map that is no evidence of what the model looks at."""

_LABEL: Final = "label="

_OF_STUDIES: Final = " of a patient's studies"

_KIND: Final[Mapping[str, str]] = {"MET": "good", "NOT MET": "bad", "INCONCLUSIVE": "open", "NOT EVALUATED": "none"}


_POWERS: Final = str.maketrans("23", "\u00b2\u00b3")


def unit_of(name: str) -> str:
    """Return a unit as people write it: ``mm\u00b2`` of ``mm2``."""
    return name.translate(_POWERS) if name in ("mm2", "mm3") else name


def lies(peak: MapPeak) -> str:
    """Return where a peak lies: in which region, and on whose side: a patient's left is a picture's right."""
    whose = "picture's" if len(peak.normalised) == 2 else "patient's"
    place = f"in the {whose} middle" if peak.place == "middle" else f"at the {whose} {peak.place}"
    return f"{PEAK_REGIONS[peak.region]}, {place}"


def words(name: str) -> str:
    """Return a name from the results, ``out_of_memory``, as words: ``out of memory``."""
    return name.replace("_", " ")


def method(results: Results, name: str) -> str:
    """Return a method's, baseline's or classifier's title; with its layer where maps were taken at several.

    A map that fails a check of its sanity is marked wherever it is named, above its pictures too.
    """
    known = {facts.name: facts.title for facts in results.methods} | dict(BASELINES) | {CLASSIFIER: "Classifier"}
    plain, bracket, label = name.partition(" (")
    if bracket:  # of another label than the case's own
        return f"{method(results, plain)}{bracket}{label}"
    base, at, layer = name.partition("@")
    struck = STRUCK if name in results.experiments.struck() else ""
    return f"{known.get(base, base)} at {layer}{struck}" if at else f"{known.get(name, name)}{struck}"


def metric(results: Results, name: str) -> str:
    """Return a metric's title; its name as words when the results do not describe it."""
    known = {facts.name: facts.title for facts in results.metrics} | {name: CHECKS[name].title for name in CHECKS}
    plain = words(name)
    return known.get(name, CLASSIFIER_METRICS.get(name, plain[:1].upper() + plain[1:]))


def measured(results: Results, name: str) -> str:
    """Return a metric's title with its unit, ``Distance, mm``, where it has one."""
    unit = _unit(results, name)
    return metric(results, name) + (f", {unit}" if unit else "")


def headed(results: Results, name: str) -> str:
    """Return a metric's title and unit for the head of a table; an arrow where lower is better."""
    return measured(results, name) + (" \u2193" if better_of(results, name) == "lower" else "")


def arrow_note(results: Results) -> str:
    """Return what the arrow of ``headed`` means, to follow other sentences; empty where no metric has it."""
    return f" \u2193: {BETTER['lower']}." if any(facts.better == "lower" for facts in results.metrics) else ""


def _unit(results: Results, name: str) -> str:
    """Return a metric's unit, empty where it has none."""
    unit = next((facts.unit for facts in results.metrics if facts.name == name), "")
    return "" if unit in ("", "1", "share", "none") else unit_of(unit)


def better_of(results: Results, name: str) -> Better | None:
    """Return which end of a metric's scale is the good one; None for a name that the results do not describe."""
    if name in CLASSIFIER_METRICS:
        return "higher"
    return next((facts.better for facts in results.metrics if facts.name == name), None)


def range_of(results: Results, name: str) -> tuple[float | None, float | None]:
    """Return the lowest and the highest value of a metric; None where open, or not stated."""
    if name in CLASSIFIER_METRICS:
        return 0.0, 1.0
    return next((facts.range for facts in results.metrics if facts.name == name), (None, None))


def stratum(name: Stratum | ConfusionCell) -> str:
    """Return a stratum's title, ``True positive studies``, or a cell's: ``Studies: malignant called benign``."""
    return f"Studies: {name.words}" if isinstance(name, ConfusionCell) else STRATA[name]


def in_sentence(title: str) -> str:
    """Return a title as it stands within a sentence: ``Hit rate`` in small letters, ``IoU`` as it is."""
    return title if title[1:] != title[1:].lower() else title.lower()


def population(verdict: Verdict) -> str:
    """Return the studies that a verdict speaks of, within a sentence."""
    if verdict.check is not None:
        return "the studies chosen for it"
    if verdict.method == CLASSIFIER:
        return "all studies with a reference"
    return in_sentence(stratum(verdict.among))


def subject(results: Results, verdict: Verdict) -> str:
    """Return what a verdict's estimate is: a map's metric, its difference to another map's, or the classifier's own."""
    title = metric(results, verdict.metric)
    of_label = f" for {verdict.label} (the label that decides)" if verdict.label is not None and verdict.parts else ""
    if verdict.method == CLASSIFIER:
        return f"{title} of the {'classifier' if verdict.check is None else 'model'}{of_label}"
    answered = " (the answered label's map)" if verdict.target_role == "answered" else ""
    whole = f"{title} of {method(results, verdict.method)}{answered}"
    if verdict.rule.startswith(_OF_PATIENTS):
        return f"Share of patients by {in_sentence(title)} of {method(results, verdict.method)}{of_label}"
    if verdict.against is None:
        return f"{whole}{of_label}"
    if verdict.rule.partition(", ")[0].endswith(" of patients"):
        return f"Share of patients in whom {in_sentence(title)} of {_beats(results, verdict)}{of_label}"
    return f"{whole} minus {_bar(results, verdict.against)}{of_label}"


_OF_PATIENTS: Final = ("within ", "median ")


def _beats(results: Results, verdict: Verdict) -> str:
    return f"{method(results, verdict.method)} beats {in_sentence(method(results, str(verdict.against)))}"


def _bar(results: Results, against: str) -> str:
    if against == "readers":
        return "the readers' agreement with each other"
    return f"that of {in_sentence(method(results, against))}"


def asked_for(results: Results, verdict: Verdict) -> str:
    """Return a verdict's rule in words, on the scale of its estimate: of a difference, a bound of the difference."""
    lower = better_of(results, verdict.metric) == "lower"
    unit = _unit(results, verdict.metric)
    rule, comma, purpose = verdict.rule.partition(", ")
    if verdict.against is not None:
        return f"{_of_difference(rule, lower=lower)}{comma}{purpose}"
    median = rule.startswith("median ")
    text = rule.removeprefix("median ")
    if rule.startswith("within "):
        bound, _, share_asked = rule.partition(" in ")
        return f"{bound}{f' {unit}' if unit else ''} in {share_asked}"
    text = text if not unit or text.endswith(f" {unit}") else f"{text} {unit}"
    return f"{'median ' if median else ''}{text}{comma}{purpose}"


def _of_difference(rule: str, *, lower: bool) -> str:
    """Return what is asked of a difference, or of the share of a patient's studies with a better score."""
    if rule.endswith(_OF_STUDIES):
        return f"more than {rule.rpartition('more than ')[2].removesuffix(_OF_STUDIES)}"
    number_asked = rule.rpartition(" ")[2]
    if rule.startswith("equivalent"):
        return f"a difference within {number_asked}"
    minus = "\u2212"
    if rule.startswith("not worse"):
        return f"a difference below {number_asked}" if lower else f"a difference above {minus}{number_asked}"
    by_more = " by more than " in rule
    if by_more:
        return f"a difference below {minus}{number_asked}" if lower else f"a difference above {number_asked}"
    return f"a difference {'below' if lower else 'above'} 0"


def best_peak(entries: Iterable[MapScores]) -> MapPeak | None:
    """Return a map's peak as seen from the expert in whose outline it lies best; None where it has none."""
    order = list(PEAK_REGIONS)
    peaks = [entry.peak for entry in entries if entry.peak is not None]
    return min(peaks, key=lambda peak: order.index(peak.region), default=None)


def label_of(estimate: Estimate) -> str | None:
    """Return the label that an estimate of the classifier is about, or None when it is about all."""
    return estimate.group.removeprefix(_LABEL) if estimate.group and estimate.group.startswith(_LABEL) else None


def nothing_called(results: Results) -> str:
    """Return what a study without a finding is called: the model's own negative label, where it has one."""
    return results.model.negative_label or "none of the labels"


def is_baseline(name: str) -> bool:
    """Return whether a map's name is a baseline's."""
    return name in BASELINES


def methods_in_order(results: Results, names: Iterable[str]) -> list[str]:
    """Return the distinct names: methods as the results list them, then others, baselines last."""
    known = {facts.name: place for place, facts in enumerate(results.methods)}
    unique = dict.fromkeys(names)
    return sorted(unique, key=lambda name: (is_baseline(name), known.get(name.partition("@")[0], len(known))))


def chip(answer: str) -> Chip:
    """Return a verdict as a chip."""
    return Chip(answer, _KIND[answer])


def undefined(estimate: Estimate) -> str:
    """Return how many scores are missing and why: ``3 (empty mask 2, constant map 1)``."""
    total = sum(estimate.undefined.values())
    if not total:
        return "none"
    reasons = ", ".join(f"{words(why)} {many}" for why, many in sorted(estimate.undefined.items()))
    return f"{count(total)} ({reasons})"


def by(sizes: Iterable[object]) -> str:
    """Return sizes as ``8 × 8``; a dash when there are none."""
    return " \u00d7 ".join(map(str, sizes)) or DASH


def cells(layer: LayerFacts) -> str:
    """Return the size of a layer's cells over all studies, ``11.2 x 11.2 mm`` or ``9.8-12.1 x 9.8-12.1 mm``."""
    ranges = layer.cell_range or tuple((size, size) for size in layer.cell_mm)
    ends = [(number(low, like=(high,)), number(high, like=(low,))) for low, high in ranges]
    return by(low if low == high else f"{low}\u2013{high}" for low, high in ends) + f" {layer.unit}"


def on_metrics(results: Results) -> tuple[Verdict, ...]:
    """Return the verdicts on metrics, which have intervals; those on checks have fixed bounds."""
    return tuple(verdict for verdict in results.verdicts if verdict.check is None)


def interval_head(estimates: Iterable[Estimate]) -> str:
    """Return the heading of a column of intervals: ``95 % CI``, or ``Interval`` when their confidence differs."""
    kinds = {estimate.confidence for estimate in estimates}
    return f"{share(kinds.pop())} CI" if len(kinds) == 1 else "Interval"


def intervals(estimates: Iterable[Estimate]) -> str:
    """Return one sentence on the intervals of the estimates: confidence and procedure."""
    listed = list(estimates)
    kinds = sorted({(estimate.confidence, estimate.interval) for estimate in listed if estimate.low is not None})
    described = sorted({estimate.described.how for estimate in listed if estimate.low is None and estimate.described})
    if not kinds and not described:
        some = any(estimate.value is not None for estimate in listed)
        return f"No intervals: {'there are too few patients for any' if some else 'nothing could be estimated'}."
    sentences = ["Intervals: " + "; ".join(f"{share(confidence)}, {how}" for confidence, how in kinds) + "."] * bool(
        kinds
    )
    if described:
        sentences.append(f"{MARK}: describes, and decides nothing: {'; '.join(described)}; the metric has an open end.")
    return " ".join(sentences)


def intervals_again(results: Results, estimates: Iterable[Estimate]) -> str:
    """Return ``intervals`` of the estimates, or a short reference where the criteria's section says the same."""
    listed = list(estimates)
    here, there = _kinds(listed), _kinds(verdict.estimate for verdict in on_metrics(results))
    described = any(estimate.low is None and estimate.described is not None for estimate in listed)
    if described or not here or not here <= there:
        return intervals(listed)
    return f"Intervals: {', '.join(sorted({share(kind[0]) for kind in here}))}, as under \u201c{GLANCE}\u201d."


def _kinds(estimates: Iterable[Estimate]) -> set[tuple[float, str]]:
    return {(estimate.confidence, estimate.interval) for estimate in estimates if estimate.low is not None}
