"""The table of camaudit's metrics, from what each declares: ``python -m pipeline.evidence.metrics_table``.

Writes the table into ``docs/evidence.md`` between its two marks; a test fails while it is not the declarations'.
"""

from pathlib import Path

from pipeline.evidence.metrics.declaration import Metric
from pipeline.evidence.metrics.registry import METRICS
from pipeline.vocabulary import FIDELITY

__all__ = ["BEGIN", "END", "document", "table"]

BEGIN, END = "<!-- metrics: begin -->", "<!-- metrics: end -->"
DOCUMENT = Path(__file__).resolve().parents[2] / "docs/evidence.md"


def table() -> str:
    """Return the table in Markdown: one row a metric, and below it where each was published."""
    head = (
        "| name | definition | unit | better | range | chance | changes with none of | version |\n" + "|---" * 8 + "|\n"
    )
    rows = "".join(_row(metric) for metric in METRICS.values())
    sources = "".join(_source(metric) for metric in METRICS.values())
    return f"{head}{rows}\n| name | published | values |\n|---|---|---|\n{sources}"


def document(text: str) -> str:
    """Return a document with the table between its marks.

    Raises:
        ValueError: when it does not have both marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the document must hold the marks {BEGIN} and {END}")
    return f"{before}{begin}\n\n{table()}\n{end}{after}"


def _row(metric: Metric) -> str:
    low, high = metric.range
    span = f"{low:g} to {high:g}" if high is not None else f"from {low:g}"
    cells = (
        f"`{metric.name}`",
        metric.definition,
        metric.unit,
        metric.better,
        span,
        metric.chance_text,
        ", ".join(metric.invariant),
        str(metric.version),
    )
    return f"| {' | '.join(cells)} |\n"


def _source(metric: Metric) -> str:
    published = metric.source or "nowhere: it is this program's own"
    return f"| `{metric.name}` | {published} | {FIDELITY[metric.equals]} |\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
