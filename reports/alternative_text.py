"""What a picture or a plot shows, in words made from its data: what is read where it cannot be seen."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pipeline.findings.estimates import Estimate
from pipeline.findings.panels import CasePanels, View
from pipeline.findings.results import Flow
from reports.numbers import count, number
from reports.numbers import estimate as estimate_text
from reports.page import draw
from reports.page.text import clean
from reports.wording import words

__all__ = ["flow_in_words", "image_in_words", "map_in_words", "outlines_in_words", "overlap_in_words", "plot_in_words"]


def image_in_words(case: CasePanels, view: View) -> str:
    """Return which plane of which study is shown, and between which values grey runs from black to white."""
    window = " to ".join(number(value, like=case.window) for value in case.window)
    return clean(f"{case.study}, {view.caption}, in grey from {window} {case.unit}".rstrip())


def outlines_in_words(view: View) -> str:
    """Return how many pixels each expert marked in the plane."""
    marked = [f"{count(int(mask.sum()))} pixels by {reader}" for reader, mask in view.masks.items()]
    return clean(f"outlined: {', '.join(marked)}" if marked else "no expert's mask")


def map_in_words(case: CasePanels, view: View, method: str, title: str) -> str:
    """Return a map's range, and where in this plane it is highest."""
    low, high = case.ranges[method]
    if low == high:
        return clean(f"{title}: constant, {number(low)} everywhere")
    span = f"raw values from {number(low, like=(low, high))} to {number(high, like=(low, high))}"
    if not view.seen.any():
        return clean(f"{title}: {span}; the model saw no pixel of this plane")
    values = np.where(view.seen, view.maps[method], -np.inf)
    row, column = (int(place) for place in np.unravel_index(int(values.argmax()), values.shape))
    peak = number(float(values[row, column]), like=(low, high))
    right, down = (
        number((place + 0.5) * length, like=(1.0,))
        for place, length in ((column, view.pixel_mm[1]), (row, view.pixel_mm[0]))
    )
    inside = [reader for reader, mask in view.masks.items() if mask[row, column]]
    where = f"inside the outline of {' and '.join(inside)}" if inside else "outside every outline"
    where = where if view.masks else "no outline to compare"
    unit = case.length_unit
    place = f"{right} {unit} from the left and {down} {unit} from the top"
    return clean(f"{title}: {span}; in this plane highest, {peak}, {place}, {where}")


def overlap_in_words(case: CasePanels, view: View, method: str, title: str, reader: str | None) -> str:
    """Return how many pixels of a plane lie in the map's region only, in the expert's mask only, and in both."""
    threshold = case.thresholds.get(method)
    if threshold is None:
        return clean(f"{title} has no region")
    mask = None if reader is None else view.masks[reader]
    categories = draw.overlap(view.maps[method], threshold, mask, view.seen)
    parts = [
        f"{count(int((categories == category).sum()))} pixels {name}" for category, (name, _) in draw.CATEGORIES.items()
    ]
    return clean(f"region of {title} above {number(threshold)} against {reader or 'no expert'}: {', '.join(parts)}")


def flow_in_words(flow: Flow) -> str:
    """Return n in = n analysed + n excluded + n failed, with the reasons."""

    def reasons(title: str, why: Mapping[str, int]) -> str:
        listed = [f"{words(reason)} {count(many)}" for reason, many in sorted(why.items())]
        return f"{title} {count(sum(why.values()))}{f' ({chr(59).join(listed)})' if listed else ''}"

    parts = [f"found {count(flow.found)}", f"analysed {count(flow.analysed)}"]
    parts += [reasons("excluded", flow.excluded), reasons("failed", flow.failed)]
    return clean(f"Flow of studies: {', '.join(parts)}.")


def plot_in_words(title: str, estimates: Sequence[Estimate], named: Callable[[Estimate], str]) -> str:
    """Return a plot's estimates with their intervals, each by its name."""
    points = "; ".join(f"{named(estimate)} {estimate_text(estimate)}" for estimate in estimates)
    return clean(f"Plot of {title}: {points}.")
