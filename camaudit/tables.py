"""A run's records as Arrow tables: tidy, one observation a row."""

from collections.abc import Iterable, Sequence

import pyarrow as pa

from pipeline.findings.scores import MapScores, Score
from pipeline.findings.study_audit import StudyAudit

__all__ = ["scores_table", "studies_table"]

_TEXTS = pa.list_(pa.string())
_STUDY = pa.schema(
    [
        ("study", pa.string()),
        ("patient", pa.string()),
        ("status", pa.string()),
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("message", pa.string()),
        ("reference", _TEXTS),
        ("predicted", _TEXTS),
        ("masks", pa.int64()),
        ("masks_refused", pa.int64()),
    ]
)
_SCORE = pa.schema(
    [
        ("study", pa.string()),
        ("patient", pa.string()),
        ("target", pa.string()),
        ("in_reference", pa.bool_()),
        ("predicted", pa.bool_()),
        ("probability", pa.float64()),
        ("method", pa.string()),
        ("layer", pa.string()),
        ("reader", pa.string()),
        ("target_role", pa.string()),
        ("seen_share", pa.float64()),
        ("mask_share", pa.float64()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("chance", pa.float64()),
        ("reason", pa.string()),
    ]
)


def scores_table(audits: Sequence[StudyAudit]) -> pa.Table:
    """Return one row for each study, target, map, reader and metric.

    ``value`` is null where a score is undefined, ``reason`` says why. ``chance`` is the value to expect of a map that
    is placed at random, where there is one. ``in_reference`` is null where nobody said what is present. A row whose
    ``target_role`` is ``answered`` holds the map of a label that was called wrongly against the findings that are
    there: leave it out of a mean over the reference's labels. Each column of the manifest that makes subgroups is
    ``stratum_<name>``.
    """
    schema = _with_strata(_SCORE, audits)
    rows = (
        _score_row(audit, entry, score) for audit in audits for entry in audit.map_scores for score in entry.every_score
    )
    return _table(rows, schema)


def _score_row(audit: StudyAudit, entry: MapScores, score: Score) -> dict[str, object]:
    return {
        "study": audit.study,
        "patient": audit.patient,
        "target": entry.target,
        "in_reference": None if audit.reference is None else entry.target in audit.reference,
        "predicted": entry.target in audit.predicted,
        "probability": audit.probabilities.get(entry.target),
        "method": entry.method,
        "layer": entry.layer,
        "reader": entry.reader,
        "target_role": entry.target_role,
        "seen_share": entry.seen_share,
        "mask_share": entry.mask_share,
        "metric": score.name,
        "value": score.value,
        "chance": score.chance,
        "reason": score.reason,
        **_strata(audit),
    }


def studies_table(audits: Sequence[StudyAudit]) -> pa.Table:
    """Return one row for each study, those that were not analysed too."""
    kept = set(_STUDY.names) - {"masks_refused"}
    rows = (
        {
            **audit.model_dump(include=kept),
            "masks_refused": sum(fault.masks for fault in audit.mask_faults),
            **_strata(audit),
        }
        for audit in audits
    )
    return _table(rows, _with_strata(_STUDY, audits))


def _strata(audit: StudyAudit) -> dict[str, str]:
    return {f"stratum_{column}": value for column, value in audit.strata.items()}


def _with_strata(schema: pa.Schema, audits: Iterable[StudyAudit]) -> pa.Schema:
    names = dict.fromkeys(name for audit in audits for name in _strata(audit))
    return pa.schema([*schema, *((name, pa.string()) for name in names)])


def _table(rows: Iterable[dict[str, object]], schema: pa.Schema) -> pa.Table:
    columns: dict[str, list[object]] = {name: [] for name in schema.names}
    for row in rows:
        for name, values in columns.items():
            values.append(row.get(name))
    return pa.Table.from_pydict(columns, schema=schema)
