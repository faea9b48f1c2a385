"""What persons decided about a finished run: events of its ledger, each with the reviewer's file that it took."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, StringConstraints, ValidationError

from pipeline.errors import ConfigError, OutputError
from pipeline.findings.custody.ledger import LedgerEntry, LedgerError, read_ledger
from pipeline.findings.frozen_model import FrozenModel
from pipeline.findings.results import CaseEntry, Results
from pipeline.findings.reviews import REVIEW_BYTES, Review, parse_review
from pipeline.findings.spec import LEDGER_FILE
from pipeline.findings.study_audit import map_name, methods_at_layers
from pipeline.vocabulary import BASELINES

__all__ = [
    "DECIDED",
    "DECISIONS",
    "DECISIONS_FOLDER",
    "SUPERSEDED",
    "SUPERSEDED_FOLDER",
    "DecisionWord",
    "RecordedDecision",
    "RunDecision",
    "decisions_in",
    "maps_of_case",
    "read_decisions",
    "read_review",
    "review_heads",
    "reviewed_maps",
]

DECIDED, SUPERSEDED = "decision.recorded", "report.superseded"
DECISIONS_FOLDER, SUPERSEDED_FOLDER = "decisions", "superseded"
_WRITTEN = "results.written"

DecisionWord = Literal["approve", "reject", "needs-review"]
DECISIONS: tuple[DecisionWord, ...] = ("approve", "reject", "needs-review")
"""What can be decided about a report."""


def _one_line(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise ValueError("must be printable, in one line, and say something")
    return text


_Line = Annotated[str, StringConstraints(max_length=120), AfterValidator(_one_line)]
_Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class RunDecision(FrozenModel):
    """One decision: ``report`` is the SHA-256 of the report that it is about.

    ``review`` is the reviewer's file that it took, by its name in the run's folder.
    """

    decision: DecisionWord
    run: _Line
    report: _Digest
    name: _Line
    role: _Line
    reason: Annotated[str, StringConstraints(max_length=2000), AfterValidator(_one_line)]
    review: Annotated[str, StringConstraints(pattern=rf"^{DECISIONS_FOLDER}/review-[0-9a-f]{{12}}\.json$")] | None = (
        None
    )


@dataclass(frozen=True)
class RecordedDecision:
    """A decision with its time in the ledger, and the review that it took; None where it took none."""

    time: datetime
    decision: RunDecision
    review: Review | None


def decisions_in(entries: Iterable[LedgerEntry]) -> tuple[tuple[LedgerEntry, RunDecision | None], ...]:
    """Return the entries that tell of decisions; None beside one that is not written as a decision is."""
    return tuple((entry, _decision(entry)) for entry in entries if entry.event == DECIDED)


def _decision(entry: LedgerEntry) -> RunDecision | None:
    facts = {name: value for name, value in entry.body.items() if name not in ("files", "clock")}
    try:
        return RunDecision.model_validate(facts)
    except ValidationError:
        return None


def read_decisions(run: Path) -> tuple[RecordedDecision, ...]:
    """Read the decisions about a run, the oldest first; none where its ledger is missing or does not hold.

    A file that cannot be read as a review is left out: that it is not what was written is for a verification to say.
    """
    if not (run / LEDGER_FILE).is_file():
        return ()
    try:
        recorded = decisions_in(read_ledger(run / LEDGER_FILE))
    except LedgerError:
        return ()
    return tuple(
        RecordedDecision(entry.time, decision, _review(run, decision)) for entry, decision in recorded if decision
    )


def _review(run: Path, decision: RunDecision) -> Review | None:
    if decision.review is None:
        return None
    try:
        return read_review(run / decision.review)
    except (ConfigError, OutputError):
        return None


def read_review(path: Path, name: str = "review") -> Review:
    """Read a reviewer's file; ``name`` is what a refusal calls it.

    Raises:
        ConfigError: when it cannot be read, or is none.
    """
    try:
        with path.open("rb") as file:
            return parse_review(file.read(REVIEW_BYTES + 1), name=name)
    except OSError as error:
        raise ConfigError(f"{name}: {path} cannot be read: {error.strerror}") from error


def reviewed_maps(results: Results) -> Mapping[str, Collection[str]]:
    """Return the studies that a report shows, each with the names of its maps as its pictures name them."""
    return {case.study: maps_of_case(case) for case in results.cases}


def maps_of_case(case: CaseEntry) -> tuple[str, ...]:
    """Return the names of a case's maps as its pictures name them, without baselines."""
    if case.picture is not None:
        return tuple(case.picture.ranges)
    at_layers = methods_at_layers([case.audit])
    kept = (entry for entry in case.audit.map_scores if entry.method not in BASELINES)
    return tuple(dict.fromkeys(map_name(entry, at_layers) for entry in kept))


def review_heads(entries: Iterable[LedgerEntry]) -> frozenset[str]:
    """Return the hashes of a run's events from the one that tells of its results on."""
    known = tuple(entries)
    first = next((place for place, entry in enumerate(known) if entry.event == _WRITTEN), len(known))
    return frozenset(entry.hash for entry in known[first:])
