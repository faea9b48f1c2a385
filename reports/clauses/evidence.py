"""Whether the results hold what a clause asks for: for each kind of evidence the reason why it lacks, or None."""

from collections.abc import Callable, Mapping
from typing import Final

from pipeline.findings.results import Results
from pipeline.vocabulary import BASELINES, CLASSIFIER

__all__ = ["EVIDENCE"]

Lack = Callable[[Results], str | None]


def _unless(holds: Callable[[Results], object], reason: str) -> Lack:
    return lambda results: None if holds(results) else reason


def _stated(field: str, reason: str) -> Lack:
    return _unless(lambda results: getattr(results, field).strip() not in ("", "not stated"), reason)


def _family(field: str, reason: str) -> Lack:
    """Ask for a family of experiments by its name: that a check of it came to an answer.

    A run that was not asked for it, and a version without the family, tried none.
    """

    def was_tried(results: Results) -> bool:
        findings = getattr(results.experiments, field, None)
        return findings is not None and any(check.answer != "INCONCLUSIVE" for check in findings.checks)

    return _unless(was_tried, reason)


def _locked(results: Results) -> str | None:
    return None if not results.lock.exploratory else "nothing was locked beforehand: the run is exploratory"


def _independence(results: Results) -> str | None:
    overlap = results.training_overlap
    if overlap is None:
        return "independence from the training data was not checked by hashes"
    if overlap.studies:
        return f"the model was trained on files of {len(overlap.studies)} studies of the cohort"
    return None if overlap.checked else "no file could be held against the training data's hashes"


def _margins(results: Results) -> str | None:
    if not results.margins:
        return "no margin of a change was set"
    return None if not results.lock.exploratory else "the margins of a change were not locked beforehand"


def _has_map_scores(results: Results) -> bool:
    return any(part.value is not None and part.method not in BASELINES for part in results.estimates)


def _has_subgroups(results: Results) -> bool:
    groups = (part.group for part in results.estimates if part.value is not None)
    return any(group is not None and not group.startswith("label=") for group in groups)


EVIDENCE: Final[Mapping[str, Lack]] = {
    "always": lambda results: None,  # noqa: ARG005 - a section that every report has
    "criteria": _unless(lambda results: results.verdicts, "no criterion was set"),
    "locked": _locked,
    "overlap": _unless(_has_map_scores, "no map was compared with a mask"),
    "maps": _unless(lambda results: results.methods, "no map was made"),
    "bounds": _unless(
        lambda results: any(part.low is not None for part in (*results.estimates, *results.classification)),
        "no figure has an interval",
    ),
    "classifier": _unless(
        lambda results: any(part.value is not None and part.method == CLASSIFIER for part in results.classification),
        "the classifier could not be judged",
    ),
    "baselines": _unless(
        lambda results: any(part.method in BASELINES for part in results.estimates), "no baseline was measured"
    ),
    "subgroups": _unless(_has_subgroups, "no subgroup was evaluated"),
    "readers": _unless(
        lambda results: any(part.estimate.value is not None for part in results.agreements),
        "agreement between readers is not known",
    ),
    "cases": _unless(lambda results: results.cases, "no case is shown"),
    "flow": _unless(lambda results: results.flow.found, "the cohort is empty"),
    "preparation": _unless(lambda results: results.preparation, "no step of preparation is listed"),
    "environment": _unless(lambda results: results.provenance.libraries, "no library is named"),
    "repeatability": _unless(lambda results: results.provenance.determinism, "repeatability was not looked at"),
    "ledger": _unless(lambda results: results.provenance.ledger_head, "no ledger was kept"),
    "time_stamp": _unless(lambda results: results.lock.time_stamp, "no authority stamped the lock"),
    "intended_use": _stated("intended_use", "the intended use is not stated"),
    "reference_standard": _unless(
        lambda results: {"readers", "protocol"} <= set(results.statements), "readers and protocol are not stated"
    ),
    "responsible": _unless(lambda results: "responsible" in results.statements, "no responsible person is named"),
    "acquisition": _unless(
        lambda results: any(row.median is None for row in results.cohort_table),
        "headers tell nothing of patients and scanners",
    ),
    "independence": _independence,
    "known_risks": _unless(lambda results: "known_risks" in results.statements, "known risks are not stated"),
    "change": _unless(
        lambda results: any(change.refused is None for change in results.changes), "no other run was compared"
    ),
    "margins": _margins,
    "sanity": _family("sanity", "no sanity check was run"),
    "faithfulness": _family("faithfulness", "no test of faithfulness was run"),
    "stability": _family("stability", "no test of stability was run"),
    "shortcuts": _family("shortcuts", "no test of shortcuts was run"),
}
"""The kinds of evidence by name; each says in half a sentence why a run has none."""
