"""What the ledger tells of persons' decisions, held against the run that it is the ledger of."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from pipeline.errors import ConfigError
from pipeline.findings.custody.ledger import LedgerEntry
from pipeline.findings.results import Results
from pipeline.findings.reviews import require_review_of
from pipeline.findings.signed.decisions import (
    SUPERSEDED,
    RunDecision,
    decisions_in,
    read_review,
    review_heads,
    reviewed_maps,
)
from pipeline.findings.signed.signatures import SIGNED_REPORT
from pipeline.findings.spec import LEDGER_FILE
from pipeline.verify.failure import Failure, FailureKind
from pipeline.verify.run_folder import RunFolder

__all__ = ["check_decisions"]

_REPORT = "report.pdf"


def check_decisions(run: RunFolder) -> Iterator[Failure]:
    """Yield decisions that are not of this run, of no report of it, or rest on a review that is not of it.

    Only where a report was superseded may its signed copy be taken away.
    """
    for entry in run.entries or ():
        removed = entry.body.get("removed", [])
        if removed and (entry.event != SUPERSEDED or removed != [SIGNED_REPORT]):
            yield _failure(f"{LEDGER_FILE} tells of a file that was removed, and none may be")
    if run.entries is None or run.spec is None:
        return
    for entry, decision in decisions_in(run.entries):
        if decision is None:
            yield _failure(f"entry {entry.sequence + 1} of {LEDGER_FILE} is no decision of this version")
        else:
            yield from _contradictions(run, run.spec.run, entry, decision)


def _contradictions(run: RunFolder, name: str, entry: LedgerEntry, decision: RunDecision) -> Iterator[Failure]:
    what, entries = f"the decision of entry {entry.sequence + 1}", run.entries or ()
    if decision.run != name:
        yield _failure(f"{what} is about another run")
    if decision.report not in _reports(entries[: entry.sequence]):
        yield _failure(f"{what} is about a report that the run had not rendered by then")
    if decision.review is None:
        return
    if decision.review not in run.recorded:
        yield _failure(f"{what} rests on a review that the ledger does not tell of")
        return
    try:
        review = read_review(run.path / decision.review)
        heads = review_heads(entries[: entry.sequence])
        require_review_of(review, name, heads, _maps(run.results))
    except ConfigError:
        yield _failure(f"{what} rests on a review that is none, or not of this run", decision.review)


def _maps(results: Results | None) -> Mapping[str, Collection[str]]:
    return {} if results is None else reviewed_maps(results)


def _reports(entries: Sequence[LedgerEntry]) -> set[str]:
    """Return the hashes of all reports that these entries tell of."""
    files = [entry.body.get("files") for entry in entries]
    return {str(each[_REPORT]) for each in files if isinstance(each, dict) and _REPORT in each}


def _failure(sentence: str, file: str = LEDGER_FILE) -> Failure:
    return Failure(FailureKind.DECISION, sentence, file)
