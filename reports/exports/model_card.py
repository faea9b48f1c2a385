"""A model card: Markdown to read and JSON beside it, both of what the run says; what nobody stated says so."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.files import written
from pipeline.findings.estimates import Estimate
from pipeline.findings.results import Results
from pipeline.vocabulary import STATEMENTS

__all__ = ["card_of", "write_model_card"]

NOT_STATED = "Not stated"
_UNSTATED = frozenset({"", "not stated", "not disclosed", "unknown"})
Card = Mapping[str, Mapping[str, object]]


def write_model_card(results: Results, path: Path) -> tuple[Path, Path]:
    """Write the card, and its fields as JSON under the same name.

    Raises:
        OutputError: when a file cannot be written.
    """
    card, fields = card_of(results), path.with_suffix(".json")
    with written(path) as file:
        file.write(_markdown(card, results).encode())
    with written(fields) as file:
        file.write(json.dumps(card, indent=1, ensure_ascii=False, allow_nan=False).encode())
    return path, fields


def card_of(results: Results) -> Card:
    """Return the card's sections, each a table from a field's name to its value."""
    model, flow = results.model, results.flow
    return {
        "Model": {
            "Name": _stated(model.name),
            "Version": _stated(model.version),
            "Architecture": _stated(model.architecture),
            "Parameters": model.parameters,
            "Weights (SHA-256)": model.sha256,
            "Labels": ", ".join(model.labels),
            "Output": model.output,
            "Decision threshold": model.threshold,
            "Training data": _stated(model.training_data),
        },
        "Intended use": {
            "Intended use": _stated(results.intended_use),
            **{title: _stated("; ".join(results.statements.get(key, ()))) for key, title in STATEMENTS.items()},
        },
        "Evaluation data": {
            "Studies": f"{flow.found} in = {flow.analysed} analysed + {sum(flow.excluded.values())} excluded "
            f"+ {sum(flow.failed.values())} failed",
            "Patients": flow.patients,
            "Reference standard": _stated(results.reference_standard),
            "Overlap with training data": _overlap(results),
            **{f"Cohort: {name}": _counts(counts) for name, counts in results.cohort_facts.items()},
        },
        "Classification": _figures(results.classification),
        "Explanation maps against experts' masks": _figures(results.estimates),
        "Criteria": {verdict.criterion: f"{verdict.answer}: {verdict.reason}" for verdict in results.verdicts},
        "Provenance": {
            "Audit run": results.run,
            "Prepared by": _stated(results.prepared_by),
            "Organisation": _stated(results.organisation),
            "Finished": results.provenance.finished_at,
            "Locked before inference": results.lock.locked_at or "No: exploratory",
            "camaudit": results.provenance.camaudit,
        },
    }


def _stated(text: str) -> str:
    return NOT_STATED if text.strip().lower() in _UNSTATED else text


def _overlap(results: Results) -> str:
    overlap = results.training_overlap
    if overlap is None:
        return NOT_STATED
    return f"{len(overlap.studies)} of {overlap.checked} studies that were looked up"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items()) or NOT_STATED


def _figures(estimates: Iterable[Estimate]) -> dict[str, object]:
    """Return estimates over the whole cohort, with their bounds or the reason why there is no number."""
    rows: dict[str, object] = {}
    for estimate in estimates:
        if estimate.group is None and isinstance(estimate.among, str) and estimate.target_role == "reference":
            rows[f"{estimate.metric}, {estimate.method}, {estimate.among}"] = _in_words(estimate)
    return rows


def _in_words(estimate: Estimate) -> str:
    if estimate.value is None:
        return f"undefined: {estimate.reason}"
    size = f"{estimate.patients} patient{'' if estimate.patients == 1 else 's'}"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f} ({size}; no bounds)"
    bounds = f"{100 * estimate.confidence:g} % bounds {estimate.low:.3f} to {estimate.high:.3f}"
    return f"{estimate.value:.3f} ({bounds}; {size})"


def _markdown(card: Card, results: Results) -> str:
    lines = [
        f"# Model card: {_cell(_stated(results.model.name))}",
        "",
        f"Written by camaudit from audit run {results.run}. It is evidence about a model, not its approval. "
        "A map that overlaps with a mask is no proof of why a model answered.",
    ]
    for title, rows in card.items():
        lines += ["", f"## {title}", ""]
        if not rows:
            lines.append(f"{NOT_STATED}.")
            continue
        lines += ["| | |", "|---|---|", *(f"| {_cell(name)} | {_cell(str(value))} |" for name, value in rows.items())]
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    """Return a text as a table's cell: of one line, and no markup of its own."""
    line = " ".join(text.split())
    for mark in "\\`*_[]<>|":
        line = line.replace(mark, f"\\{mark}")
    return line
