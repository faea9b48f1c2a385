"""The state of an audit as a text file of Prometheus' node exporter (textfile collector); complete or absent."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from pipeline.files import written
from pipeline.runs.nights.figures import audit_history
from pipeline.runs.nights.standing import RunStanding, RunState
from pipeline.vocabulary import ANSWERS, STATUSES

__all__ = ["metrics_text", "write_metrics"]

_STATES: tuple[RunState, ...] = ("running", "finished", "interrupted", "unreadable")

_OF_A_POINT = {"value": "Estimates", "low": "Lower bounds", "high": "Upper bounds", "bound": "What is asked for"}

_Sample = tuple[Mapping[str, str], float]


def write_metrics(
    path: Path, audits: Path, standings: Sequence[RunStanding], nights: Mapping[str, Sequence[str]]
) -> None:
    """Write the metrics of an audit's runs; ``nights`` says by run when nothing was new since it.

    Raises:
        OutputError: when the file cannot be written.
    """
    text = metrics_text(audits, standings, nights)
    with written(path) as file:
        file.write(text.encode())


def metrics_text(audits: Path, standings: Sequence[RunStanding], nights: Mapping[str, Sequence[str]]) -> str:
    """Return the metrics in Prometheus' text format; nothing in them names a study."""
    audit = {"audit": audits.name}
    finished = [standing for standing in standings if standing.flow is not None]
    looks = [standing.finished_at for standing in finished if standing.finished_at is not None]
    looks += [time for times in nights.values() for time in times]
    states = Counter(standing.state for standing in standings)
    by_state: list[_Sample] = [({**audit, "state": state}, float(states[state])) for state in _STATES]
    lines = list(_metric("camaudit_runs", "Runs of the audit by state.", by_state))
    title = "When the audit last looked at everything."
    lines += _metric("camaudit_last_look_timestamp_seconds", title, _latest(audit, looks))
    if finished:
        lines += _of_the_newest(audits, audit, finished[-1])
    return "".join(f"{line}\n" for line in lines)


def _of_the_newest(audits: Path, audit: Mapping[str, str], newest: RunStanding) -> Iterator[str]:
    flow, answers = newest.flow or {}, newest.answers or {}
    ended = [newest.finished_at] if newest.finished_at is not None else []
    yield from _metric(
        "camaudit_last_run_finished_timestamp_seconds", "When the newest finished run ended.", _latest(audit, ended)
    )
    outcomes = [({**audit, "outcome": name}, flow[name]) for name in STATUSES]
    yield from _metric("camaudit_studies", "Studies of the newest finished run by outcome.", outcomes)
    yield from _metric(
        "camaudit_studies_computed", "Studies that it computed anew.", [(audit, float(flow["computed"]))]
    )
    counts = [({**audit, "answer": answer}, answers.get(answer, 0)) for answer in ANSWERS]
    yield from _metric("camaudit_verdicts", "Verdicts of the newest finished run.", counts)
    yield from _metric(
        "camaudit_exploratory", "1 where it was not locked beforehand.", [(audit, float(newest.exploratory))]
    )
    history = audit_history([audits / newest.run], audits.name)
    points = [point for row in history.rows for point in row.figures]
    for name, title in _OF_A_POINT.items():
        samples = [
            ({**audit, "figure": point.criterion}, float(getattr(point, name)))
            for point in points
            if getattr(point, name) is not None
        ]
        yield from _metric(f"camaudit_figure_{name}", f"{title} of the newest finished run's key figures.", samples)


def _latest(labels: Mapping[str, str], times: Iterable[str]) -> list[_Sample]:
    seconds = [datetime.fromisoformat(time).timestamp() for time in times]
    return [(labels, max(seconds))] if seconds else []


def _metric(name: str, title: str, samples: Sequence[_Sample]) -> Iterator[str]:
    if not samples:
        return
    yield f"# HELP {name} {title}"
    yield f"# TYPE {name} gauge"
    for labels, value in samples:
        named = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        yield f"{name}{{{named}}} {value:.10g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
