"""What the first page answers, as text: written once, for the PDF and for the page in a browser."""

from typing import NamedTuple

from pipeline.findings.estimates import Verdict
from pipeline.findings.results import Results
from pipeline.vocabulary import Answer
from reports.claims import allowed, main_method, main_verdict, peak_sentences, refused
from reports.numbers import bounds, count, moment, number, plural
from reports.numbers import estimate as estimate_text
from reports.wording import asked_for, in_sentence, interval_head, metric, on_metrics, population, subject

__all__ = ["FirstAnswer", "VerdictRow", "first_answers", "identity", "interval_of", "lock_sentences", "verdict_rows"]


class VerdictRow(NamedTuple):
    """A criterion, whom its estimate speaks of, what was asked, the estimate, its bounds, what they allow."""

    criterion: str
    whom: str
    asked: str
    estimate: str
    bounds: str
    allowed: str
    answer: Answer


class FirstAnswer(NamedTuple):
    """An answer under its heading: the sentence that matters, and what follows it."""

    heading: str
    first: str
    rest: str = ""


def verdict_rows(results: Results) -> tuple[VerdictRow, ...]:
    """Return a row for each criterion, in their order; none where no criterion was stated."""
    return tuple(
        VerdictRow(
            subject(results, verdict),
            _whom(verdict),
            asked_for(results, verdict),
            number(verdict.estimate.value, like=(verdict.estimate.low, verdict.estimate.high), more=1),
            bounds(verdict.estimate, more=1),
            allowed(results, verdict),
            verdict.answer,
        )
        for verdict in results.verdicts
    )


def interval_of(results: Results) -> str:
    """Return the heading over the verdicts' bounds."""
    return interval_head(verdict.estimate for verdict in on_metrics(results))


def first_answers(results: Results) -> tuple[FirstAnswer, ...]:
    """Return where the maps look, what the model leans on, how the classifier does, and the strongest claim."""
    chosen = main_method(results)
    counted = next(
        (part for part in results.whereabouts if part.method == chosen and part.among == "reference_positive"), None
    )
    answers: list[FirstAnswer] = []
    if counted is not None:
        first, *rest = peak_sentences(results, counted) or [""]
        answers.append(FirstAnswer("Where the maps look", first, " ".join(rest)))
    leans_on = _leans_on(results)
    answers += [FirstAnswer("What it leans on", leans_on)] if leans_on else []
    classifier = _classifier(results)
    answers += [FirstAnswer("The classifier", classifier)] if classifier else []
    verdict = main_verdict(results)
    if verdict is not None:
        about = f"{subject(results, verdict)} among {population(verdict)}"
        claim = f"None of {in_sentence(about)}." if _nothing(verdict) else f"{about}: {allowed(results, verdict)}."
        answers.append(FirstAnswer("The strongest claim", claim, refused(verdict)))
    return tuple(answers)


def identity(results: Results) -> tuple[tuple[str, str], ...]:
    """Return what was audited, on whom, by whom and when, but for the model, whose hash is set apart."""
    flow = results.flow
    studies = f"{plural(flow.analysed, 'study', 'studies')} analysed of {count(flow.found)} found"
    patients = f"{plural(flow.patients, 'patient')} among those found"
    return (
        ("Cohort", f"{studies}; {patients}"),
        ("Organisation", results.organisation),
        ("Prepared by", results.prepared_by),
        ("Audit and run", f"{results.audit} · {results.run}, finished {moment(results.provenance.finished_at)}"),
    )


def lock_sentences(results: Results) -> tuple[str, str]:
    """Return whether and when criteria and cohort were fixed: the word that counts, and the sentence behind it."""
    lock = results.lock
    if lock.exploratory:
        return "EXPLORATORY.", "What follows was not fixed before the first inference, or not wholly:"
    return (
        f"LOCKED {moment(lock.locked_at)}.",
        "Criteria, cohort, model and recipe were fixed before the first inference.",
    )


def _whom(verdict: Verdict) -> str:
    estimate = verdict.estimate
    lost = estimate.missing_studies
    unscored = f"; {plural(lost, 'more has', 'more have')} no score" if lost else ""
    counted = f"{count(estimate.studies)} from {plural(estimate.patients, 'patient')}"
    return f"{population(verdict)}: {counted}{unscored}"


def _nothing(verdict: Verdict) -> bool:
    """Return whether there is no bound that a claim could be made of."""
    return verdict.check is None and None in (verdict.estimate.low, verdict.estimate.high)


def _leans_on(results: Results) -> str:
    """Return what was named besides the lesion, the largest effect of each label; nothing where nothing was."""
    tried = results.experiments.shortcuts
    labels = tried.labels if tried is not None else ()
    return " ".join(own.finding.sentences[0] for own in labels if own.finding.named)


def _classifier(results: Results) -> str:
    """Return the classifier's figures for the whole, or for its only label, in one sentence."""
    shown = [part for part in results.classification if part.value is not None]
    labels = dict.fromkeys(part.group for part in shown if part.group is not None)
    of_one = [part for part in shown if part.group is None or len(labels) == 1]
    parts = [f"{in_sentence(metric(results, part.metric))} {estimate_text(part)}" for part in of_one]
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""
