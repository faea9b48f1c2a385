"""Tables of estimates: the same columns wherever estimates stand, and a label's where they are about several."""

from collections.abc import Sequence

from pipeline.record import Estimate, Results
from reports.layout import GREY, Column, columns
from reports.numbers import bounds, limits, number
from reports.text import bold, coloured, joined
from reports.wording import interval_head, is_baseline, label_of, measured, method, methods_in_order, undefined

__all__ = ["among_rows", "estimate_columns"]


def estimate_columns(found: Sequence[Estimate], *, by_method: bool = True) -> list[Column]:
    """Return the columns that ``among_rows`` fills."""
    shape: list[tuple[str, float] | tuple[str, float, bool]] = [("Metric", 20)]
    shape += [("Map", 25)] if by_method else []
    shape += [("Label", 20)] if _by_label(found) else []
    shape += [("Estimate", 13, True), (interval_head(found), 17, True), ("Chance", 11, True)]
    shape += [("Patients", 12, True), ("Studies", 11, True), ("Undefined", 21)]
    return columns(*shape)


def among_rows(
    results: Results, found: Sequence[Estimate], *, by_method: bool = True
) -> tuple[list[tuple[object, ...]], list[int]]:
    """Return rows grouped by metric, methods before baselines, and the rows that end a group."""
    order = {facts.name: place for place, facts in enumerate(results.metrics)}
    methods = methods_in_order(results, (one.method for one in found))
    metrics = sorted(dict.fromkeys(one.metric for one in found), key=lambda name: order.get(name, len(order)))
    rows: list[tuple[object, ...]] = []
    rules: list[int] = []
    for name in metrics:
        group = [one for one in found if one.metric == name]
        group.sort(key=lambda one: methods.index(one.method))
        like = tuple(edge for one in group for edge in limits(one))
        for place, one in enumerate(group):
            lead: tuple[object, ...] = (bold(measured(results, name)) if place == 0 else "",)
            lead += (_map(results, one),) if by_method else ()
            lead += (label_of(one) or one.group or "all",) if _by_label(found) else ()
            rows.append((*lead, *_numbers(one, like)))
        rules.append(len(rows) - 1)
    return rows, rules


def _by_label(found: Sequence[Estimate]) -> bool:
    return any(one.group is not None for one in found)


def _map(results: Results, found: Estimate) -> object:
    title = method(results, found.method)
    return coloured(title, GREY) if is_baseline(found.method) else title


def _numbers(found: Estimate, like: tuple[float | None, ...]) -> tuple[object, ...]:
    missing = undefined(found)
    # the reason stands where a reader looks for it: in the row whose number is missing
    why = missing if found.reason is None else found.reason
    if found.reason is not None and missing != "none":
        why = joined(found.reason, "; undefined: ", missing)
    return (
        number(found.value, like=like),
        bounds(found, like=like),
        number(found.chance, like=like),
        f"{found.patients}",
        f"{found.studies}",
        why,
    )
