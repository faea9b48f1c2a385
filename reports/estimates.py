"""Tables of estimates: the same columns wherever estimates stand, and a label's where they are about several."""

from collections.abc import Iterable, Mapping, Sequence

from pipeline.findings.estimates import Agreement, Estimate
from pipeline.findings.results import Results
from pipeline.vocabulary import CONSENSUS
from reports.numbers import bounds, count, ends, limits, number, plural
from reports.page.layout import GREY, Column, Flowable, columns, note, table
from reports.page.text import bold, coloured, joined
from reports.wording import (
    headed,
    interval_head,
    is_baseline,
    label_of,
    measured,
    method,
    methods_in_order,
    undefined,
)

__all__ = ["among_rows", "estimate_columns", "matrix", "no_interval"]


def estimate_columns(estimates: Sequence[Estimate], *, by_method: bool = True) -> list[Column]:
    """Return the columns that ``among_rows`` fills."""
    shape: list[tuple[str, float] | tuple[str, float, bool]] = [("Metric", 20)]
    shape += [("Map", 25)] if by_method else []
    shape += [("Label", 20)] if _by_label(estimates) else []
    shape += [("Estimate", 13, True), (interval_head(estimates), 17, True), ("Chance", 11, True)]
    shape += [("Patients", 12, True), ("Studies", 11, True), ("Undefined", 21)]
    return columns(*shape)


def among_rows(
    results: Results, estimates: Sequence[Estimate], *, by_method: bool = True
) -> tuple[list[tuple[object, ...]], list[int]]:
    """Return rows grouped by metric, methods before baselines, and the rows that end a group."""
    order = {facts.name: place for place, facts in enumerate(results.metrics)}
    methods = methods_in_order(results, (estimate.method for estimate in estimates))
    metrics = sorted(
        dict.fromkeys(estimate.metric for estimate in estimates), key=lambda name: order.get(name, len(order))
    )
    rows: list[tuple[object, ...]] = []
    rules: list[int] = []
    for name in metrics:
        group = [estimate for estimate in estimates if estimate.metric == name]
        group.sort(key=lambda estimate: methods.index(estimate.method))
        like = tuple(edge for estimate in group for edge in limits(estimate))
        for place, member in enumerate(group):
            lead: tuple[object, ...] = (bold(headed(results, name)) if place == 0 else "",)
            lead += (_map(results, member),) if by_method else ()
            lead += (label_of(member) or member.group or "all",) if _by_label(estimates) else ()
            rows.append((*lead, *_numbers(member, like)))
        rules.append(len(rows) - 1)
    return rows, rules


_ACROSS = 5
"""Metrics that stand beside each other; more of them take further tables."""


def matrix(results: Results, estimates: Sequence[Estimate], experts: Sequence[Agreement] = ()) -> list[list[Flowable]]:
    """Return tables with a row for each map and a column for each metric, notes below.

    Baselines are grey. The last rows are chance, and how well two of the ``experts`` agree with each other by the
    same metrics.
    """
    order = {facts.name: place for place, facts in enumerate(results.metrics)}
    named = dict.fromkeys([*(part.metric for part in estimates), *(part.metric for part in experts)])
    names = sorted(named, key=lambda name: order.get(name, len(order)))
    across = -(-len(names) // -(-len(names) // _ACROSS))  # as many in each table
    parts = [names[start : start + across] for start in range(0, len(names), across)]
    return [
        _matrix(
            results,
            [member for member in estimates if member.metric in part],
            [pair for pair in experts if pair.metric in part],
            part,
        )
        for part in parts
    ]


def _matrix(
    results: Results, members: Sequence[Estimate], experts: Sequence[Agreement], names: Sequence[str]
) -> list[Flowable]:
    every = [*members, *(pair.estimate for pair in experts)]
    like = {name: tuple(edge for part in every if part.metric == name for edge in limits(part)) for name in names}
    rows: list[tuple[object, ...]] = []
    for title in methods_in_order(results, (member.method for member in members)):
        own = {member.metric: member for member in members if member.method == title}
        numbers = (_cell(own.get(name), like[name]) for name in names)
        rows.append((_short(results, title), *numbers, _counts(own.values())))
    chances = [_chance([member for member in members if member.metric == name], like[name]) for name in names]
    if any(member.chance is not None for member in members):
        rows.append((coloured("Chance", GREY), *chances, ""))
    rows += _agreements(experts, names, like)
    heads = [(headed(results, name), 23, True) for name in names]
    shape = columns(("Map", 27), *heads, ("Patients (studies)", 21 if len(heads) < 5 else 14, True))
    remarks = list(dict.fromkeys(remark for member in members for remark in _remarks(results, member)))
    remarks += [
        f"{measured(results, pair.metric)} of {' and '.join(pair.readers)}: undefined {undefined(pair.estimate)}"
        for pair in experts
        if pair.estimate.undefined and len({part.readers for part in experts}) <= _MOST_PAIRS
    ]
    return [table(shape, rows, compact=True), *([note("; ".join(remarks), ".")] if remarks else [])]


_MOST_PAIRS = 6
"""Pairs of experts that have a row each; of more the lowest and the highest stand in one."""


def _agreements(
    experts: Sequence[Agreement], names: Sequence[str], like: Mapping[str, tuple[float | None, ...]]
) -> list[tuple[object, ...]]:
    """Return a row for each pair of experts; of many pairs one for experts, and one for each kind of consensus."""
    pairs = list(dict.fromkeys(part.readers for part in experts))
    if len(pairs) <= _MOST_PAIRS:
        return [_agreement(pair, experts, names, like) for pair in pairs]
    kinds: dict[str, list[Agreement]] = {}
    for part in experts:
        kinds.setdefault(next((_expert(name) for name in part.readers if name.startswith(CONSENSUS)), ""), []).append(
            part
        )
    return [_range_of_pairs(kind, members, names, like) for kind, members in kinds.items()]


def _range_of_pairs(
    kind: str, members: Sequence[Agreement], names: Sequence[str], like: Mapping[str, tuple[float | None, ...]]
) -> tuple[object, ...]:
    """Return the lowest and the highest estimate of many pairs, metric by metric."""
    cells = []
    for name in names:
        values = sorted(
            part.estimate.value for part in members if part.metric == name and part.estimate.value is not None
        )
        ends_ = dict.fromkeys(number(value, like=like[name]) for value in (*values[:1], *values[-1:]))
        cells.append(" to ".join(ends_))
    pairs = plural(len({part.readers for part in members}), "pair")
    title = f"One expert and {kind} ({pairs})" if kind else f"Two experts ({pairs})"
    return (coloured(title, GREY), *cells, _counts(part.estimate for part in members))


def _expert(name: str) -> str:
    """Return an expert's name, or in words which consensus it is."""
    return f"the {name.removeprefix(CONSENSUS)}" if name.startswith(CONSENSUS) else name


def _agreement(
    readers: tuple[str, ...],
    experts: Sequence[Agreement],
    names: Sequence[str],
    like: Mapping[str, tuple[float | None, ...]],
) -> tuple[object, ...]:
    """Return how well two experts agree; nothing under a metric that does not ask it."""
    own = {pair.metric: pair.estimate for pair in experts if pair.readers == readers}
    numbers = (_cell(own[name], like[name]) if name in own else "" for name in names)
    counts = _counts(own.values())
    name = "Between experts" if len({pair.readers for pair in experts}) == 1 else " and ".join(map(_expert, readers))
    return (coloured(name, GREY), *numbers, counts)


def _chance(members: Sequence[Estimate], like: tuple[float | None, ...]) -> str:
    """Return the level of chance; maps that are defined on other studies have another."""
    values = sorted(member.chance for member in members if member.chance is not None)
    ends_ = dict.fromkeys(number(value, like=like) for value in (*values[:1], *values[-1:]))
    return "\u2013".join(ends_) or "none stated"


def _cell(member: Estimate | None, like: tuple[float | None, ...]) -> str:
    """Return a number with its interval, or why there is none."""
    if member is None:
        return "not measured"
    if member.value is None:
        return member.reason or "undefined"
    if why := no_interval(member):
        return f"{number(member.value, like=like)} ({why})"
    return f"{number(member.value, like=like)} {bounds(member, like=like)}"


def _short(results: Results, name: str) -> object:
    """Return a map's title; a baseline's in grey, which says what it is."""
    title = method(results, name)
    return coloured(title.removesuffix(" (baseline)"), GREY) if is_baseline(name) else title


def _counts(members: Iterable[Estimate]) -> str:
    listed = list(members)
    return f"{span(part.patients for part in listed)} ({span(part.studies for part in listed)})"


def no_interval(estimate: Estimate) -> str:
    """Return why a number has no interval; nothing where it has one, or where there is no number."""
    if estimate.value is None or ends(estimate) != (None, None):
        return ""
    return f"no interval: {plural(estimate.patients, 'patient')}"


def span(counts: Iterable[int]) -> str:
    """Return the count behind a row's numbers; metrics that are undefined in some studies rest on fewer."""
    several = sorted(set(counts))
    return count(several[0]) if len(several) == 1 else f"{count(several[0])}\u2013{count(several[-1])}"


def _remarks(results: Results, member: Estimate) -> list[str]:
    """Return what is undefined of a map's metric, and why."""
    missing = undefined(member)
    if missing == "none":
        return []
    return [f"{measured(results, member.metric)} of {method(results, member.method)}: undefined {missing}"]


def _by_label(estimates: Sequence[Estimate]) -> bool:
    return any(estimate.group is not None for estimate in estimates)


def _map(results: Results, estimate: Estimate) -> object:
    title = method(results, estimate.method)
    return coloured(title, GREY) if is_baseline(estimate.method) else title


def _numbers(estimate: Estimate, like: tuple[float | None, ...]) -> tuple[object, ...]:
    missing = undefined(estimate)
    # the reason stands where a reader looks for it: in the row whose number is missing
    parts = [estimate.reason] if estimate.reason is not None else []
    parts += [no_interval(estimate)] if no_interval(estimate) else []
    why = joined(*parts, *([f"undefined: {missing}"] if missing != "none" else []), by="; ") if parts else missing
    return (
        number(estimate.value, like=like),
        bounds(estimate, like=like),
        number(estimate.chance, like=like),
        f"{estimate.patients}",
        f"{estimate.studies}",
        why,
    )
