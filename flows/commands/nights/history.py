"""``camaudit history``: the finished runs of an audit, and how its key figures went, as a table and as a picture."""

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from pipeline.errors import OutputError
from pipeline.findings.frozen_model import FrozenModel
from pipeline.findings.plotted.history import RunPoint
from pipeline.runs.nights.figures import AuditHistory, HistoryRow, audit_history
from pipeline.runs.nights.night_log import REMOVED, nights_without_news, read_nights
from pipeline.runs.nights.standing import audit_folder_of
from reports.trend import check_plot_path, control_words, write_trend

__all__ = ["show_history"]


def show_history(folder: Path, *, last: int, as_json: bool, plot: Path | None) -> None:
    """Print the finished runs of an audit, oldest first, with their key figures; draw them where ``plot`` says.

    Raises:
        ConfigError: when the plot's file cannot be of that kind.
        OutputError: when the folder holds no finished run, or a file cannot be read or written.
    """
    if plot is not None:
        check_plot_path(plot)
    audits, runs = audit_folder_of(folder)
    history = audit_history(runs[-last:], audits.name)
    if not history.rows:
        why = f": {history.unread[0][1]}" if history.unread else ""
        raise OutputError(f"{folder}: holds no finished run that this version reads{why}")
    nights = nights_without_news(audits)
    removed = sum(len(entry.body["runs"]) for entry in read_nights(audits) if entry.event == REMOVED)
    if plot is not None:
        write_trend(history.series(), plot, history.control)
    if as_json:
        answer = {**asdict(history), "nothing_new": nights, "removed": removed}
        typer.echo(json.dumps(answer, default=FrozenModel.model_dump))
        return
    _print(Console(), history, nights, removed)
    if plot is not None:
        typer.echo(plot)


def _print(console: Console, history: AuditHistory, nights: dict[str, list[str]], removed: int) -> None:
    table = Table(title=f"{history.audit}: finished runs, oldest first", title_justify="left")
    for name in ("run", "ended", "studies", "lost", "computed", "locked", "nothing new"):
        table.add_column(name, justify="left" if name in ("run", "ended", "locked") else "right", no_wrap=name == "run")
    for row in history.rows:
        table.add_row(*_cells(row), str(len(nights.get(row.run, [])) or ""))
    console.print(table)
    for name, points in history.series().items():
        console.print(_figure(name, points))
        if name in history.control:
            for sentence in control_words(history.control[name]):
                console.print(sentence, markup=False, highlight=False, soft_wrap=True)
    for run, why in history.unread:
        console.print(f"left out: {run}: {why}", markup=False, highlight=False, soft_wrap=True)
    if removed:
        was = "run was" if removed == 1 else "runs were"
        console.print(f"{removed} earlier {was} removed by camaudit prune", highlight=False)


def _cells(row: HistoryRow) -> tuple[str, ...]:
    ended = f"{datetime.fromisoformat(row.finished_at):%Y-%m-%d %H:%M}"
    locked = "no" if row.exploratory else "yes"
    return row.run, ended, str(row.found), str(row.lost), str(row.computed), locked


def _figure(name: str, points: tuple[RunPoint, ...]) -> Table:
    table = Table(title=name, title_justify="left")
    for column in ("run", "value", "low", "high", "asked", "patients", "answer"):
        table.add_column(column, justify="left" if column in ("run", "answer") else "right", no_wrap=column == "run")
    for point in points:
        numbers = (point.value, point.low, point.high, point.bound)
        shown = ["-" if number is None else f"{number:.3f}" for number in numbers]
        table.add_row(point.run, *shown, str(point.patients), point.answer)
    return table
