"""Tables of estimates: the same columns wherever estimates stand, and a label's where they are about several."""

from collections.abc import Sequence

from pipeline.findings.estimates import Estimate
from pipeline.findings.results import Results
from reports.numbers import bounds, limits, number
from reports.page.layout import GREY, Column, columns
from reports.page.text import bold, coloured, joined
from reports.wording import (
    headed,
    interval_head,
    is_baseline,
    label_of,
    method,
    methods_in_order,
    undefined,
)

__all__ = ["among_rows", "estimate_columns"]


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


def _by_label(estimates: Sequence[Estimate]) -> bool:
    return any(estimate.group is not None for estimate in estimates)


def _map(results: Results, estimate: Estimate) -> object:
    title = method(results, estimate.method)
    return coloured(title, GREY) if is_baseline(estimate.method) else title


def _numbers(estimate: Estimate, like: tuple[float | None, ...]) -> tuple[object, ...]:
    missing = undefined(estimate)
    # the reason stands where a reader looks for it: in the row whose number is missing
    why = missing if estimate.reason is None else estimate.reason
    if estimate.reason is not None and missing != "none":
        why = joined(estimate.reason, "; undefined: ", missing)
    return (
        number(estimate.value, like=like),
        bounds(estimate, like=like),
        number(estimate.chance, like=like),
        f"{estimate.patients}",
        f"{estimate.studies}",
        why,
    )
