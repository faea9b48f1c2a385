"""``per_study.csv``: one row for each study, target, method and reader, for spreadsheets."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.facts import MetricFacts
from pipeline.findings.scores import MapScores
from pipeline.findings.study_audit import StudyAudit
from pipeline.vocabulary import CSV_COLUMNS

__all__ = ["CSV_FILE", "columns_of", "neutral", "per_study_csv"]

CSV_FILE = "per_study.csv"


def per_study_csv(
    audits: Iterable[StudyAudit], metrics: Sequence[MetricFacts], strata: Sequence[str]
) -> Iterator[bytes]:
    """Yield the table's lines: one row for each study x target x method x reader; a study without a map has one row.

    An undefined score is empty and its reason stands in the column beside it; so it is for a mask that could not be
    used. A metric with a unit says so in its column's name. ``mask_faults`` counts all such masks of the study by
    reason. ``strata`` are the columns of the manifest (``columns_of``); the records are gone through once.
    """
    scores = [column for facts in metrics for column in (facts.name, f"{facts.name}_undefined")]
    heads = [column for facts in metrics for column in (facts.column, f"{facts.name}_undefined")]
    yield _line([*CSV_COLUMNS, *heads, *(f"stratum_{neutral(column)}" for column in strata)])
    for audit in audits:
        for row in _csv_rows(audit):
            cells = [row.get(column) for column in (*CSV_COLUMNS, *scores)]
            yield _line([neutral(cell) for cell in (*cells, *(audit.strata.get(column) for column in strata))])


def columns_of(studies: Iterable[StudyFacts]) -> list[str]:
    """Return the columns of the manifest that any study has, sorted."""
    return sorted({column for study in studies for column in study.strata})


def _line(cells: Sequence[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8")


def _csv_rows(audit: StudyAudit) -> list[dict[str, object]]:
    study: dict[str, object] = audit.model_dump(include={"study", "patient", "status", "stage", "reason"})
    study["reference"] = None if audit.reference is None else ";".join(audit.reference)
    study["predicted"] = ";".join(audit.predicted)
    refused: Counter[str] = Counter()
    for fault in audit.mask_faults:
        refused[fault.reason] += fault.masks
    study["mask_faults"] = ";".join(f"{reason}={count}" for reason, count in sorted(refused.items()))
    rows = []
    for entry in audit.map_scores:
        facts = entry.model_dump(
            include={"target", "method", "layer", "reader", "target_role", "degenerate", "seen_share", "mask_share"}
        )
        facts |= _placement(entry)
        scores = {score.name: score.value for score in entry.every_score}
        reasons = {f"{score.name}_undefined": score.reason for score in entry.every_score}
        said: dict[str, object] = {
            "probability": audit.probabilities.get(entry.target),
            "value": audit.values.get(entry.target),
        }
        if entry.peak is not None:
            said |= {"peak_region": entry.peak.region, "peak_place": entry.peak.place}
        rows.append({**study, **facts, **said, **scores, **reasons})
    return rows or [study]


def _placement(entry: MapScores) -> dict[str, object]:
    """Return where the map of a label that was called wrongly lies; its peak as shares of the way along each axis."""
    if entry.placement is None:
        return {}
    facts = entry.placement.model_dump(include={"energy_in_body", "peak_in_body", "body_share"})
    return {**facts, "peak": ";".join(f"{share:.4f}" for share in entry.placement.peak or ())}


def neutral(cell: object) -> object:
    """Return a cell that no spreadsheet takes for a formula."""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{cell}"
    return cell
