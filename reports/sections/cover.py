"""The cover: what was audited, the verdicts, whether it was locked, what it is not, who signs."""

from pipeline.findings.estimates import Verdict
from pipeline.findings.facts import Amendment, Lock
from pipeline.vocabulary import OTHER_READERS
from reports.numbers import bounds, moment, number, plural
from reports.numbers import estimate as estimate_text
from reports.page.layout import (
    GREY,
    Flowable,
    bullets,
    callout,
    columns,
    facts,
    gap,
    note,
    paragraph,
    small,
    subheading,
    table,
    title,
    together,
)
from reports.page.text import DASH, Markup, bold, coloured, digest, joined
from reports.registry import Context, section
from reports.wording import asked_for, chip, interval_head, intervals, method, metric, population, subject

_SHORT = 12
_MOST_REASONS = 8
_WARNING = "#9a1b1b"

_NOT = (
    "It is technical evidence on one model version, one preparation and one cohort. It is not clinical evidence, "
    "and it does not say that the model is safe, effective or fit for a purpose.",
    "It is no statement of conformity with a law or a standard.",
    "It does not explain single decisions: overlap with an expert's mask neither shows why a model decided nor that "
    "it decided rightly.",
    "It is not for the care of the patients whose studies appear in it.",
)


@section(0, "")
def build(context: Context) -> list[Flowable]:
    """Return the first page or two."""
    return [*_identity(context), *_altered(context), *_verdicts(context), *_lock(context), *_not(), *_sign_off()]


def _identity(context: Context) -> list[Flowable]:
    results = context.results
    flow = results.flow
    studies = f"{plural(flow.analysed, 'study', 'studies')} analysed of {flow.found} found"
    patients = f"{plural(flow.patients, 'patient')} among those found"
    return [
        gap(2),
        title(results.title),
        facts(
            [
                ("Organisation", results.organisation),
                ("Prepared by", results.prepared_by),
                ("Audit and run", f"{results.audit} · {results.run}"),
                ("Run finished", moment(results.provenance.finished_at)),
                (
                    "Model",
                    joined(
                        bold(results.model.name),
                        f", version {results.model.version}, weights SHA-256 ",
                        digest(results.model.sha256, _SHORT),
                        " …",
                    ),
                ),
                ("Cohort", f"{studies}; {patients}"),
            ],
            label=0.18,
        ),
    ]


def _verdicts(context: Context) -> list[Flowable]:
    results = context.results
    head = subheading("Verdicts on the acceptance criteria")
    if not results.verdicts:
        return [*head, paragraph("No acceptance criterion was stated, so there is no verdict.")]
    interval = interval_head(verdict.estimate for verdict in results.verdicts)
    shape = columns(
        ("Criterion", 34), ("Rule", 17), ("Estimate", 11, True), (interval, 17, True),
        ("Patients / studies", 13, True), ("Verdict", 22),
    )  # fmt: skip
    rows = []
    for verdict in results.verdicts:
        estimate = verdict.estimate
        rows.append(
            (
                [bold(subject(results, verdict)), coloured(_about(verdict), GREY)],
                asked_for(results, verdict),
                number(estimate.value, like=(estimate.low, estimate.high), more=1),
                bounds(estimate, more=1),
                f"{estimate.patients} / {estimate.studies}",
                chip(verdict.answer),
            )
        )
    of_readers = _OTHER_READERS if any(verdict.rule.endswith(OTHER_READERS) for verdict in results.verdicts) else ""
    explained = (intervals(verdict.estimate for verdict in results.verdicts), " ", _RULE, of_readers)
    return [*head, table(shape, rows), note(*explained), *_by_label(context)]


_RULE = (
    "A criterion is MET only where the data rule out, at the stated level, that its claim is wrong, NOT MET only where "
    "they rule out that it is right, and INCONCLUSIVE where they rule out neither. The test is exact for any "
    "distribution of scores; it assumes that patients are independent. For rates it is the exact binomial test "
    "(Clopper and Pearson). A map that shows nothing counts as a miss; what has no score counts against either answer. "
    "Of a difference the bound is 0, or the margin that was locked."
)

_OTHER_READERS = (
    f" Where a rule ends in \u201c{OTHER_READERS}\u201d readers and patients both vary: that test is approximate, and "
    "takes the readers for a sample of others like them."
)

_SMALL = 20


def _about(verdict: Verdict) -> str:
    """Return of whom a verdict speaks, why it is what it is, and what a cohort of this size can show at all."""
    estimate = verdict.estimate
    sentences = [f"{population(verdict)}: {verdict.reason}"]
    if estimate.missing_studies:
        missing = plural(estimate.missing_studies, "study without a score counts", "studies without a score count")
        sentences.append(f"{missing} against the claim")
    sentences += _other_means(verdict)
    patients = estimate.patients + estimate.missing_patients
    if patients < _SMALL and verdict.best_reachable is not None and estimate.value is not None:
        sentences.append(
            f"with perfect scores {plural(patients, 'patient')} could at best have shown "
            f"{number(verdict.best_reachable)}"
        )
    if verdict.smallest_cohort is not None and patients < verdict.smallest_cohort:
        sentences.append(f"MET needs {verdict.smallest_cohort} patients at least")
    if verdict.any_of is not None:
        sentences.append(f"one of the criteria of {verdict.any_of!r} has to hold")
    return "; ".join(sentences)


def _other_means(verdict: Verdict) -> list[str]:
    """Return the mean over the other unit, and that without maps that show nothing, where they are not the same."""
    estimate = verdict.estimate
    by_patient = verdict.unit == "patient"
    other = estimate.per_study if by_patient else estimate.per_patient
    means = [(other, f"over {'studies' if by_patient else 'patients'} the mean is")]
    means += [(estimate.complete_case, "without maps that show nothing it is")]
    as_printed = number(estimate.value)
    return [f"{words} {number(value)}" for value, words in means if value is not None and number(value) != as_printed]


def _by_label(context: Context) -> list[Flowable]:
    """Return the parts of each criterion that has several: all of them have to hold."""
    results = context.results
    several = [verdict for verdict in results.verdicts if verdict.parts]
    if not several:
        return []
    shape = columns(
        ("Criterion", 30), ("For", 18), ("Against", 18), ("Estimate and interval", 22, True), ("Answer", 20),
    )  # fmt: skip
    rows = [
        (
            bold(f"{metric(results, verdict.metric)}, {verdict.rule}") if place == 0 else "",
            part.label or "all labels",
            DASH if part.against is None else method(results, part.against),
            estimate_text(part.estimate),
            chip(part.answer),
        )
        for verdict in several
        for place, part in enumerate(verdict.parts)
    ]
    return [*subheading("Where each of several has to hold"), table(shape, rows)]


def _altered(context: Context) -> list[Flowable]:
    """Say what does not hold, before any verdict: the first reasons, and how many there are."""
    if not context.altered:
        return []
    shown, more = context.altered[:_MOST_REASONS], len(context.altered) - _MOST_REASONS
    words = "ALTERED. The run's folder is not what its run wrote, so no number of this report can be relied on:"
    reasons = [*shown, *([f"and {more} more, which camaudit verify names"] if more > 0 else [])]
    return [together([callout(paragraph(bold(words)), *bullets(reasons), colour=_WARNING)])]


def _lock(context: Context) -> list[Flowable]:
    lock = context.results.lock
    hashes = joined(
        *(
            joined(f"{name} ", digest(value, _SHORT))
            for name, value in (
                ("criteria", lock.criteria), ("cohort", lock.cohort),
                ("recipe", lock.recipe), ("model", lock.model),
            )
        ),
        by=" · ",
    )  # fmt: skip
    about = small("SHA-256, first 12 digits: ", hashes, ". ", _register(lock), *_time_stamp(lock), colour=GREY)
    amended = [
        paragraph(bold(f"AMENDED {moment(amendment.amended_at)}: "), amendment.reason, _amendment(amendment))
        for amendment in lock.amendments
    ]
    if lock.exploratory:
        words = "EXPLORATORY. What follows was not fixed before the first inference, or not wholly:"
        content = [paragraph(bold(words)), *bullets(lock.exploratory), *amended, about]
        return [together([callout(*content, colour=_WARNING)])]
    words = f"LOCKED {moment(lock.locked_at)}."
    locked = paragraph(bold(words), " Criteria, cohort, model and recipe were fixed before the first inference.")
    return [together([callout(locked, *amended, about)])]


def _amendment(amendment: Amendment) -> str:
    """Return what an amendment changed, and what had been seen by then."""
    changed = "; ".join(amendment.changed) or "nothing that counts changed"
    seen = f"{plural(len(amendment.seen), 'run')} had been looked at" if amendment.seen else "no run had been looked at"
    return f" ({changed}; {seen} since the first lock; it was locked before on {moment(amendment.previous_locked_at)})"


def _register(lock: Lock) -> Markup:
    """Return since when looks are registered, and whose key signs: what a reader compares with what was sent away."""
    mark = lock.register_mark
    entries = plural(mark.length, "entry", "entries") if mark else ""
    since = f"Looks are registered since {moment(mark.since)}: {entries}, head " if mark else ""
    looks = [since, digest(mark.head, _SHORT)] if mark else []
    return joined(*looks, f" · signed by the site key {lock.site_key}" if lock.site_key else "")


def _time_stamp(lock: Lock) -> list[str]:
    """Return what an authority says of the lock, by the lock; who that authority is, only a verification can tell."""
    stamp = lock.time_stamp
    checked = "(so it calls itself: camaudit verify --trust-authority)"
    return [f" · Time stamp: {moment(stamp.time)} by {stamp.authority} {checked}"] if stamp else []


def _not() -> list[Flowable]:
    return [together([*subheading("What this report is not")[1:], *bullets(_NOT)])]


def _sign_off() -> list[Flowable]:
    shape = columns(("Name", 24), ("Role", 20), ("Meaning", 20), ("Date and time", 18), ("Signature", 28))
    rows = [("", "", small(meaning, colour=GREY), gap(9), "") for meaning in ("Author", "Review", "Approval")]
    return [together([*subheading("Sign-off")[1:], table(shape, rows)])]
