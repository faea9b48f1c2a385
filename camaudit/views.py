"""What a notebook shows of a run: escaped, without any resource from elsewhere."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import OutputError, closest
from pipeline.files import written
from pipeline.findings.context.changes import FigureChange, RunChange
from pipeline.findings.estimates import Estimate, Verdict
from pipeline.findings.facts import Lock
from pipeline.findings.pictures.panels import CasePanels
from pipeline.findings.results import Results
from reports import numbers, wording
from reports.page import draw

__all__ = ["EstimateTable", "Overlay", "comparison_html", "estimate_table", "overlay", "run_html"]

_COLOURS = {"MET": "#1b6e3c", "NOT MET": "#a32020", "INCONCLUSIVE": "#8a5a00", "NOT EVALUATED": "#555555"}


@dataclass(frozen=True, eq=False)
class Overlay:
    """A map over its image: ``array`` (H, W, 3) in RGB, rows from the top; ``caption`` says what it shows."""

    array: NDArray[np.uint8]
    caption: str

    def save(self, path: str | Path) -> Path:
        """Write the picture as PNG and return its path.

        Raises:
            OutputError: for another ending, or when the file cannot be written.
        """
        target = Path(path)
        if target.suffix.lower() != ".png":
            raise OutputError(f"path: a picture is saved as .png, not as {target.name!r}; name such a file")
        with written(target) as file:
            file.write(self._repr_png_())
        return target

    def _repr_png_(self) -> bytes:
        """Show the picture in a notebook."""
        content = io.BytesIO()
        Image.fromarray(self.array).save(content, "PNG")
        return content.getvalue()


def overlay(case: CasePanels, method: str, number: int = 0) -> Overlay:
    """Draw a method's map over the image in a case's view.

    Raises:
        OutputError: when the case shows no such method, or has no such view.
    """
    if method not in case.ranges:
        raise OutputError(f"method: case {case.study} shows no {method!r}; {closest(method, case.ranges)}")
    if not 0 <= number < len(case.views):
        raise OutputError(f"view: case {case.study} has the views 0 to {len(case.views) - 1}, not {number}")
    view = case.views[number]
    if method not in view.maps:
        shown = ", ".join(view.maps) or "none"
        raise OutputError(f"method: view {number} of case {case.study} shows {shown}, not {method}; take another view")
    over = draw.map_over(
        draw.grey(view.image, case.window), view.maps[method], draw.Range(*case.ranges[method]), view.seen
    )
    picture = draw.fit(over, view.pixel_mm, ~view.seen)
    return Overlay(np.asarray(picture), f"{case.study}: {method} for {case.target}, {view.caption}")


@dataclass(frozen=True)
class EstimateTable:
    """What the cohort says of a metric: ``header``, and a row of texts for each map and stratum."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def _repr_html_(self) -> str:
        """Show the table in a notebook."""
        return f"<p><b>{escape(self.title)}</b></p>{_table(self.header, (map(escape, row) for row in self.rows))}"

    def __str__(self) -> str:
        lines = [self.header, *self.rows]
        widths = [max(len(row[column]) for row in lines) for column in range(len(self.header))]
        texts = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in lines)
        return "\n".join([self.title, *(text.rstrip() for text in texts)])


def estimate_table(results: Results, metric: str) -> EstimateTable:
    """Return the estimates of a metric over all studies of each stratum; subgroups are left to the report."""
    chosen = [estimate for estimate in results.estimates if estimate.metric == metric and estimate.group is None]
    rows = tuple(
        (
            wording.method(results, estimate.method),
            wording.stratum(estimate.among),
            *_cells(estimate),
            numbers.number(estimate.chance) if estimate.chance is not None else "",
        )
        for estimate in chosen
    )
    better = next((facts.better for facts in results.metrics if facts.name == metric), "higher")
    title = f"{wording.measured(results, metric)} ({better} is better)"
    return EstimateTable(title, ("Map", "Among", "Value", "Interval", "Studies", "Patients", "Chance"), rows)


def _cells(estimate: Estimate) -> tuple[str, str, str, str]:
    """Return value, interval and the numbers of studies and patients; a missing value by its reason."""
    if estimate.value is None:
        return f"none: {wording.words(estimate.reason or 'undefined')}", "", "0", "0"
    return numbers.estimate(estimate), numbers.bounds(estimate), str(estimate.studies), str(estimate.patients)


def run_html(results: Results) -> str:
    """Return a run's verdicts, counts and lock as HTML."""
    flow = results.flow
    lost = sum(flow.excluded.values()) + sum(flow.failed.values())
    counts = f"{flow.found} studies: {flow.analysed} analysed, {lost} excluded or failed; {flow.patients} patients"
    parts = [
        f"<p><b>{escape(results.title)}</b><br>{escape(f'{results.audit}/{results.run}')}<br>{escape(counts)}</p>",
        _stamp(results.lock),
        _verdicts(results),
    ]
    return f"<div>{''.join(parts)}</div>"


def _stamp(lock: Lock) -> str:
    """Say whether the criteria stood before the first look, and how they were changed since."""
    amended = [f"AMENDED on {entry.amended_at[:10]}: {entry.reason}" for entry in lock.amendments]
    changes = "".join(f"<p><b>{escape(text)}</b></p>" for text in amended)
    if not lock.exploratory:
        return f"<p>Locked before the first inference.</p>{changes}"
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in lock.exploratory)
    return f'<p style="color:#a32020"><b>EXPLORATORY</b></p><ul>{reasons}</ul>{changes}'


def _verdicts(results: Results) -> str:
    if not results.verdicts:
        return "<p>No criterion was set.</p>"
    rows = (_verdict(results, verdict) for verdict in results.verdicts)
    return _table(("Answer", "What", "Among", "Asked for", "Value", "Interval", "Studies", "Patients", "Why"), rows)


def _verdict(results: Results, verdict: Verdict) -> list[str]:
    answer = f'<b style="color:{_COLOURS[verdict.answer]}">{escape(verdict.answer)}</b>'
    texts = (
        wording.subject(results, verdict),
        wording.population(verdict),
        wording.asked_for(results, verdict),
        *_cells(verdict.estimate),
        verdict.reason,
    )
    return [answer, *map(escape, texts)]


def comparison_html(change: RunChange, lines: Iterable[str]) -> str:
    """Return what changed between two runs as HTML, ``lines`` above the table."""
    listed = "".join(f"<li>{escape(line)}</li>" for line in lines)
    header = ("Metric", "Map", "Among", "Difference", "Interval", "Studies", "Patients")
    rows = (
        map(escape, (_compared_title(figure), figure.estimate.method, _among(figure), *_cells(figure.estimate)))
        for figure in change.figures
    )
    title = f"{change.run_b} minus {change.run_a}"
    return f"<div><p><b>{escape(title)}</b></p><ul>{listed}</ul>{_table(header, rows)}</div>"


def _compared_title(figure: FigureChange) -> str:
    return f"{wording.words(figure.metric)} ({figure.better} is better)"


def _among(figure: FigureChange) -> str:
    among = wording.stratum(figure.estimate.among)
    return among if figure.label is None else f"{among}, {figure.label}"


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table; headings are escaped here, cells by who made them."""
    head = "".join(f"<th>{escape(text)}</th>" for text in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
