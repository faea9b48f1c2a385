"""The cohort as a table: a row for each study, read from ``per_study.csv``."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.errors import OutputError
from pipeline.findings.results import Results
from reports.claims import main_method, main_verdict
from reports.numbers import number
from reports.wording import method, metric, nothing_called, words

__all__ = ["cohort_table"]

_STRATUM = "stratum_"


def cohort_table(results: Results, content: bytes) -> dict[str, Any]:
    """Return the table's heads, its groups (columns of the manifest) and its rows, in the file's order of studies.

    The score is that of the first criterion about a map, by expert; a filter by score asks the lowest.

    Raises:
        OutputError: when the file is no such table.
    """
    try:
        return _table(results, content)
    except (ValueError, KeyError, csv.Error) as error:
        raise OutputError("per_study.csv: is no table that a run writes; verify the run, and audit again") from error


def _table(results: Results, content: bytes) -> dict[str, Any]:
    lines = list(csv.DictReader(io.StringIO(content.decode("utf-8"))))
    by_study: dict[str, list[Mapping[str, str]]] = {}
    for line in lines:
        by_study.setdefault(line["study"], []).append(line)
    groups = [name.removeprefix(_STRATUM) for name in (lines[0] if lines else {}) if name.startswith(_STRATUM)]
    chosen, measured = main_method(results), _measured(results)
    return {
        "score": f"{metric(results, measured)} of {method(results, chosen)}" if measured and chosen else "",
        "groups": groups,
        "rows": [_row(results, study, own, groups, (chosen, measured)) for study, own in by_study.items()],
    }


def _measured(results: Results) -> str | None:
    verdict = main_verdict(results)
    return verdict.metric if verdict is not None else next((facts.name for facts in results.metrics), None)


def _row(
    results: Results,
    study: str,
    lines: Sequence[Mapping[str, str]],
    groups: Iterable[str],
    chosen: tuple[str | None, str | None],
) -> dict[str, Any]:
    first = lines[0]
    scores = _scores(results, lines, *chosen)
    analysed = first["status"] == "analysed"
    return {
        "study": study,
        "answer": _answer(first) if analysed else f"{first['status']}: {words(first['reason'])}",
        "cell": _cell(results, first) if analysed else "",
        "groups": [first.get(f"{_STRATUM}{name}", "") for name in groups],
        "score": min(scores) if scores else None,
        "scores": " / ".join(number(score, like=(1.0,)) for score in scores),
    }


def _scores(
    results: Results, lines: Iterable[Mapping[str, str]], chosen: str | None, measured: str | None
) -> list[float]:
    """Return a study's scores of one metric and map, one for each expert, against the reference's labels."""
    column = next((facts.column for facts in results.metrics if facts.name == measured), None)
    if chosen is None or column is None:
        return []
    name, _, layer = chosen.partition("@")
    own = [
        line
        for line in lines
        if line["method"] == name and layer in ("", line["layer"]) and line["target_role"] == "reference"
    ]
    scores = [float(line[column]) for line in own if line.get(column)]
    if not all(map(math.isfinite, scores)):
        raise ValueError("a score that is not finite")
    return scores


def _answer(line: Mapping[str, str]) -> str:
    if not line["reference"] and not line["predicted"] and line.get("value"):
        return "no label called"
    return "right" if _labels(line["reference"]) == _labels(line["predicted"]) else "wrong"


def _labels(cell: str) -> frozenset[str]:
    return frozenset(cell.split(";")) - {""}


def _cell(results: Results, line: Mapping[str, str]) -> str:
    """Return what the reference says and what was called, as the confusion matrix names it."""
    nothing = nothing_called(results)
    reference, predicted = (line[name].replace(";", " and ") or nothing for name in ("reference", "predicted"))
    return f"{reference} called {predicted}"
