"""The cover: what was audited, the verdicts, whether it was locked, what it is not, who signs."""

from pipeline.findings.facts import Amendment, Lock
from reports.numbers import bounds, moment, number, plural
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
from reports.page.text import Markup, bold, coloured, digest, joined
from reports.registry import Context, section
from reports.wording import asked_for, chip, interval_head, intervals, population, subject

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
        about = f"{population(verdict)}: {verdict.reason}"
        rows.append(
            (
                [bold(subject(results, verdict)), coloured(about, GREY)],
                asked_for(results, verdict),
                number(estimate.value, like=(estimate.low, estimate.high), more=1),
                bounds(estimate, more=1),
                f"{estimate.patients} / {estimate.studies}",
                chip(verdict.answer),
            )
        )
    explained = (
        intervals(verdict.estimate for verdict in results.verdicts),
        " A criterion is MET, or NOT MET, only when the whole interval lies on that side of the bound; an interval "
        "that reaches to both sides is INCONCLUSIVE; NOT EVALUATED means that there was nothing to decide on, or too "
        "few patients for an interval. For 'better than' the estimate is the mean difference within studies, not the "
        "metric itself, and its bound is 0: to be exceeded, or undercut where lower is better.",
    )
    return [*head, table(shape, rows), note(*explained)]


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
