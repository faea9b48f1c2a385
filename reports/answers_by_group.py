"""Where the model answers better or worse: its AUROC and its probabilities in each group, and what differs."""

from collections.abc import Mapping, Sequence

from pipeline.findings.plotted.differences import GroupDifference
from pipeline.findings.results import Results
from reports.numbers import count, number, plural
from reports.page.layout import Flowable, columns, note, small, subheading, table
from reports.page.text import DASH, fitted_at_both_ends
from reports.wording import metric, words

__all__ = ["answers_by_group"]

_MOST = 30
"""Rows of a table of groups; what differs least is left to results.json."""

_RATED = ("auroc", "calibration")
_TITLES = {"calibration": "Probability minus reference"}

_GROUPED = (
    "Groups: what archive and image headers state, thirds of the lesions' size and of the model's confidence; each is "
    "compared with all others of the same column, of two groups only the first. p is adjusted (Holm) for all "
    "comparisons, intervals (the exact rule for two groups) are not. Small groups that only a header names are put "
    "together. A difference that is not shown is not shown to be absent."
)

_LONGEST = 200.0
"""Points of a group's name, in two or three lines of its column."""

Key = tuple[str | None, str]
Pair = Mapping[str, GroupDifference]


def answers_by_group(results: Results) -> list[Flowable]:
    """Return AUROC and calibration of each group beside those of the rest, and all answers that differ."""
    compared = [part for part in results.answer_differences if part.p_adjusted is not None]
    rated, left_out = _rated(results)
    if not compared and not rated:
        return []
    return [
        *subheading("Where the model answers better or worse"),
        *rated,
        *_differing(results, compared),
        note(left_out, _GROUPED),
    ]


def _rated(results: Results) -> tuple[list[Flowable], str]:
    """Return the table of AUROC and calibration, and in words what it leaves out."""
    pairs: dict[Key, dict[str, GroupDifference]] = {}
    for part in results.answer_differences:
        if part.metric in _RATED and part.own is not None:
            pairs.setdefault((part.label, part.group), {})[part.metric] = part
    known = {key: pair for key, pair in pairs.items() if any(part.value is not None for part in pair.values())}
    shown = sorted(known.values(), key=lambda pair: min(_p(part) for part in pair.values()))[:_MOST]
    small_ = [part for part in results.answer_differences if part.metric == "auroc" and part.value is None]
    words_ = (
        [f"{plural(len(known) - len(shown), 'further group')}: see results.json. "] if len(known) > len(shown) else []
    )
    bare = [part for pair in shown for part in pair.values() if part.value is not None and part.low is None]
    words_ += [f"No interval: {_reasons(bare)}. "] if bare else []
    words_ += [f"AUROC is not compared in {plural(len(small_), 'group')}: {_reasons(small_)}. "] if small_ else []
    return ([_rated_table(results, shown)] if shown else []), "".join(words_)


def _reasons(parts: Sequence[GroupDifference]) -> str:
    return "; ".join(sorted({part.reason or "no reason is stated" for part in parts}))


def _rated_table(results: Results, pairs: Sequence[Pair]) -> Flowable:
    several = len(results.label_plots) > 1
    shape = columns(
        ("Group", 32), *((("Label", 20),) if several else ()), ("Patients", 13, True), ("AUROC", 12, True),
        ("minus the rest's", 32, True), (_TITLES["calibration"], 37, True), ("minus the rest's", 32, True),
    )  # fmt: skip
    rows = []
    for pair in pairs:
        first = next(iter(pair.values()))
        own = (_group(first), *((first.label,) if several else ()), count(max(part.patients for part in pair.values())))
        rows.append((*own, *(cell for name in _RATED for cell in _cells(pair.get(name)))))
    return table(shape, rows, compact=True)


def _cells(part: GroupDifference | None) -> tuple[str, str]:
    """Return a group's own value, and its difference to the rest with the interval."""
    if part is None or part.own is None:
        return DASH, DASH
    own = number(part.own, like=(1.0,))
    if part.value is None:
        return own, DASH
    ends = (
        " (no interval)"
        if part.low is None
        else (f" [{number(part.low, like=(1.0,))}, {number(part.high, like=(1.0,))}]")
    )
    return own, f"{number(part.value, like=(1.0,))}{ends}"


def _differing(results: Results, compared: Sequence[GroupDifference]) -> list[Flowable]:
    """Return the answers that differ between groups after the correction, or that none does."""
    if not compared:
        return []
    differ = [part for part in compared if _p(part) <= 1 - part.confidence]
    if not differ:
        least = number(min(_p(part) for part in compared))
        said = f"None of {plural(len(compared), 'comparison')} differs (the least p after Holm's correction is {least})"
        return [small(f"{said}; all stand in results.json.")]
    shown = sorted(differ, key=lambda part: (_p(part), part.p or 0.0))[:_MOST]
    left = len(compared) - len(shown)
    more = [small(f"{plural(left, 'further comparison')}: see results.json.")] if left else []
    return [_differing_table(results, shown), *more]


def _differing_table(results: Results, shown: Sequence[GroupDifference]) -> Flowable:
    shape = columns(
        ("Group", 44), ("", 28), ("Minus the rest", 18, True), ("Interval", 26, True), ("p (Holm)", 14, True),
        ("Patients", 14, True), ("of the rest", 16, True),
    )  # fmt: skip
    rows = [
        (
            _group(part),
            _TITLES.get(part.metric, metric(results, part.metric))
            + (f", {part.label}" if len(results.label_plots) > 1 and part.label else ""),
            number(part.value),
            f"{number(part.low)} to {number(part.high)}",
            number(part.p_adjusted),
            count(part.patients),
            count(part.patients_rest),
        )
        for part in shown
    ]
    return table(shape, rows, compact=True)


def _group(part: GroupDifference) -> str:
    """Return a group in words; of a long one the ends, by which it is told from others."""
    return fitted_at_both_ends(words(part.group.replace("=", ": ", 1)), _LONGEST, 7)


def _p(part: GroupDifference) -> float:
    return 1.0 if part.p_adjusted is None else part.p_adjusted
