"""What it takes to make the run again and to check that this is its report."""

import math

from pipeline.findings.arithmetic import ArithmeticCheck, MapLikeness
from pipeline.findings.facts import RegisterMark
from reports.numbers import moment, number, plural
from reports.page.layout import COLUMN, Flowable, facts, note, subheading
from reports.page.text import DASH, digest, joined
from reports.registry import Context, section


@section(150, "Reproducibility", in_columns=True)
def build(context: Context) -> list[Flowable]:
    """Return versions, settings, hashes and the ledger's head."""
    return [*_run(context), *_hashes(context)]


def _run(context: Context) -> list[Flowable]:
    made = context.results.provenance
    rows: list[tuple[str, object]] = [
        ("Command", f"{made.command} (camaudit {made.camaudit})"),
        ("Time", f"{moment(made.started_at)} to {moment(made.finished_at)} ({number(made.seconds)} s)"),
        ("Machine", f"{made.device}; {made.platform}, Python {made.python}"),
        ("Libraries", _libraries(context)),
        ("Seed", f"{made.seed}; {plural(made.replicates, 'bootstrap replicate')}"),
        ("Determinism", made.determinism),
        *([("Arithmetic", _arithmetic(made.arithmetic))] if made.arithmetic else ()),
        ("Engine", f"{made.engine}, flow run {made.flow_run}" if made.flow_run else made.engine),
        *([("Previous run", made.previous_run)] if made.previous_run else ()),
    ]
    return [*subheading("Run")[1:], facts(rows, width=COLUMN)]


def _arithmetic(check: ArithmeticCheck) -> str:
    """Say what the run computed in, and how alike its maps and answers are to those of float32."""
    kinds = "; ".join(_likeness(kind) for kind in check.maps) or "no map can be compared"
    gap = "" if check.probability_gap is None else f", probabilities differ by {number(check.probability_gap)} at most"
    failed = f" ({check.failed} more failed)" if check.failed else ""
    return (
        f"{check.arithmetic}. {plural(check.studies, 'study', 'studies')} explained again in float32{failed}: rank "
        f"correlation of the maps {kinds}; other labels called in {check.answers_changed}{gap}"
    )


def _likeness(kind: MapLikeness) -> str:
    place = f"{kind.method} at {kind.layer}" if kind.layer else kind.method
    flat = f", {kind.without_order} without order" if kind.without_order else ""
    if kind.lowest is None or kind.median is None:
        return f"{place} none{flat}"
    lowest, middle = (number(math.floor(value * 10_000) / 10_000, more=2) for value in (kind.lowest, kind.median))
    return f"{place} {lowest} at least, {middle} median of {kind.maps}{flat}"


def _hashes(context: Context) -> list[Flowable]:
    lock, made = context.results.lock, context.results.provenance
    rows: list[tuple[str, object]] = [
        ("Ledger head", _head(made.ledger_head, made.ledger_length)),
        *([("Register head", _register(lock.register_mark))] if lock.register_mark else ()),
        ("Site key", lock.site_key or DASH),
        *((name, digest(sha256)) for name, sha256 in context.hashes.items()),
    ]
    words = (
        "These files are embedded in this PDF. Each number is read from results.json and rounded for print; whole "
        "hashes stand there."
    )
    return [*subheading("Hashes (SHA-256)"), facts(rows, label=0.26, width=COLUMN), note(words)]


def _head(head: str | None, entries: int) -> object:
    """Return the hash of a chain's last entry, and how many there are."""
    return joined(digest(head), f" ({plural(entries, 'entry', 'entries')})") if head else DASH


def _register(mark: RegisterMark) -> object:
    return joined(_head(mark.head, mark.length), f", since {moment(mark.since)}")


def _libraries(context: Context) -> str:
    """Return the libraries with their versions in one line."""
    libraries = sorted(context.results.provenance.libraries.items(), key=lambda pair: pair[0].lower())
    return ", ".join(f"{name} {version}" for name, version in libraries) or "the results name none"
