"""The exact rule against values that are known without it: Clopper's and Pearson's interval, and closed forms."""

from collections.abc import Iterator
from functools import partial

from flows.qualification.known import compared, tried
from pipeline.evidence.exact.means import best_reachable, exact_interval, smallest_cohort
from pipeline.findings.signed.qualification import KnownCase

__all__ = ["rule_cases"]

_AREA = "Rule"
# hits, patients, confidence; bounds of Clopper and Pearson from tables of the binomial distribution
_TABLE = (
    (9, 10, 0.95, 0.554984, 0.997471),
    (0, 12, 0.95, 0.0, 0.264648),
    (15, 20, 0.95, 0.508954, 0.913428),
    (27, 30, 0.9, 0.761402, 0.972184),
)


def rule_cases() -> Iterator[KnownCase]:
    """Yield bounds of the table, and what follows in closed form."""
    for hits, patients, confidence, low, high in _TABLE:
        scores = [1.0] * hits + [0.0] * (patients - hits)
        for side, bound in (("lower", low), ("upper", high)):
            yield compared(
                _AREA,
                f"{side}.{hits}_of_{patients}",
                f"{side} {confidence:.0%} bound of {hits} hits of {patients} patients",
                bound,
                partial(_bound, scores, confidence, side),
                2e-6,
            )
    yield compared(
        _AREA,
        "best",
        "largest lower bound that 20 patients can show",
        0.025**0.05,
        lambda: best_reachable(20, 0.95),
        1e-9,
    )
    yield tried(_AREA, "smallest", "patients needed to show 0.8", "17", lambda: str(smallest_cohort(0.8, 0.95)))


def _bound(scores: list[float], confidence: float, side: str) -> float:
    low, high = exact_interval(scores, confidence)
    return low if side == "lower" else high
