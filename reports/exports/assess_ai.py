"""What a registry of clinical AI asks of each examination, as CSV: study, AI result, demographics, reference.

The registry (ACR's Assess-AI) takes four kinds of data: of the study, the AI's result, the patient, and the report. A
run has the first three, in part; what it does not know stays empty, to be joined at the site by its own link table.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.files import written
from pipeline.findings.results import Results
from pipeline.findings.study_audit import StudyAudit

__all__ = ["COLUMNS", "registry_rows", "write_registry"]

COLUMNS = (
    *("study", "patient", "modality", "body_part", "manufacturer", "site", "sex", "age"),
    *("ai_product", "ai_version", "ai_weights_sha256", "use_case", "ai_output", "ai_threshold", "ai_result"),
    *("reference", "concordance", "status", "reason", "report_text"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
Row = dict[str, str]


def write_registry(results: Results, audits: Iterable[StudyAudit], path: Path) -> Path:
    """Write a row for each study and label, those that were not analysed among them.

    Raises:
        OutputError: when the file cannot be written, or a record not be read.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(row for audit in audits for row in registry_rows(results, audit))
    with written(path) as file:
        file.write(text.getvalue().encode())
    return path


def registry_rows(results: Results, audit: StudyAudit) -> Iterator[Row]:
    """Yield a study's rows, one for each label that means a finding; cells begin no formula."""
    model = results.model
    for label in model.labels:
        if label == model.negative_label:
            continue
        row = {**_of_study(audit), **_of_model(results), "use_case": label, **_of_answer(audit, label)}
        yield {name: _plain(row.get(name, "")) for name in COLUMNS}


def _of_study(audit: StudyAudit) -> Row:
    facts = audit.facts
    return {
        "study": audit.study,
        "patient": audit.patient,
        "modality": facts.get("Modality", ""),
        "body_part": facts.get("BodyPartExamined", ""),
        "manufacturer": facts.get("Manufacturer", ""),
        "site": audit.strata.get("site", ""),
        "sex": facts.get("PatientSex", ""),
        "age": facts.get("PatientAge", ""),
        "status": audit.status,
        "reason": audit.reason or "",
    }


def _of_model(results: Results) -> Row:
    model = results.model
    return {
        "ai_product": model.name,
        "ai_version": model.version,
        "ai_weights_sha256": model.sha256,
        "ai_threshold": repr(model.threshold) if model.has_independent_labels else "",
    }


def _of_answer(audit: StudyAudit, label: str) -> Row:
    """Return the model's answer for a label beside the reference; nothing of a study without an answer."""
    reference = "" if audit.reference is None else _sign(label in audit.reference)
    if audit.status != "analysed":
        return {"reference": reference}
    output = audit.probabilities.get(label, audit.values.get(label))
    result = "" if audit.values else _sign(label in audit.predicted)
    agree = "" if not (reference and result) else "concordant" if reference == result else "discordant"
    return {
        "ai_output": "" if output is None else repr(float(output)),
        "ai_result": result,
        "reference": reference,
        "concordance": agree,
    }


def _sign(present: bool) -> str:
    return "positive" if present else "negative"


def _plain(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
