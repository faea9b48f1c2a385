"""``camaudit status``: which runs there are, which are under way, and what they came to; also for Prometheus."""

import json
from collections import Counter
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from flows.commands.nights.metrics_file import write_metrics
from pipeline.runs.nights.night_log import nights_without_news
from pipeline.runs.nights.standing import RunStanding, audit_folder_of, standings_of
from pipeline.vocabulary import STATUSES

__all__ = ["show_status"]

_SHOWN = 20


def show_status(folder: Path, *, as_json: bool, prometheus: Path | None) -> None:
    """Print how far an audit's runs have come, the newest last; write the metrics file where one is asked for.

    Raises:
        OutputError: when the folder is neither an audit's nor a run's, or the file cannot be written.
    """
    standings = standings_of(folder)
    audits = audit_folder_of(folder)[0]
    nights = nights_without_news(audits)
    if prometheus is not None:
        write_metrics(prometheus, audits, standings, nights)
    if as_json:
        runs = [{**asdict(standing), "nothing_new": nights.get(standing.run, [])} for standing in standings]
        typer.echo(json.dumps({"audit": audits.name, "runs": runs}))
        return
    console = Console()
    console.print(_table(audits.name, standings, nights))
    for standing in standings:
        if standing.reason is not None:
            console.print(f"{standing.run}: {standing.reason}", markup=False, highlight=False, soft_wrap=True)
    console.print(_summary(standings), highlight=False)


def _table(audit: str, standings: tuple[RunStanding, ...], nights: dict[str, list[str]]) -> Table:
    shown = standings[-_SHOWN:]
    title = f"{audit}: {len(standings)} runs" + (f", the newest {_SHOWN}" if len(shown) < len(standings) else "")
    table = Table(title=title, title_justify="left")
    for name in ("run", "state", "studies", "shards", "answers", "nothing new"):
        is_number = name in ("studies", "shards", "nothing new")
        table.add_column(name, justify="right" if is_number else "left", no_wrap=name == "run", overflow="fold")
    for standing in shown:
        table.add_row(
            standing.run,
            _state(standing),
            _studies(standing),
            f"{standing.done} of {standing.shards}",
            _answers(standing),
            str(len(nights.get(standing.run, [])) or ""),
        )
    return table


def _state(standing: RunStanding) -> str:
    alive = [worker for worker in standing.workers if worker.alive]
    if alive:
        return f"running (process {alive[0].process} on {alive[0].host})"
    if standing.state == "finished" and not standing.has_report:
        return "finished, no report: camaudit report RUN"
    return standing.state


def _studies(standing: RunStanding) -> str:
    flow = standing.flow
    if flow is None:
        return str(standing.studies)
    lost = [f"{flow[outcome]} {outcome}" for outcome in STATUSES if outcome != "analysed" and flow[outcome]]
    return ", ".join([str(standing.studies), *lost])


def _answers(standing: RunStanding) -> str:
    words = [f"{count} {answer}" for answer, count in (standing.answers or {}).items()]
    return ", ".join([*words, *(["EXPLORATORY"] if standing.exploratory else [])])


def _summary(standings: tuple[RunStanding, ...]) -> str:
    states = Counter(standing.state for standing in standings)
    counted = ", ".join(f"{count} {state}" for state, count in states.items())
    ended = [standing.finished_at for standing in standings if standing.finished_at is not None]
    if not ended:
        return f"{counted}; none has finished"
    return f"{counted}; the last one ended {datetime.fromisoformat(max(ended)):%Y-%m-%d %H:%M} UTC"
