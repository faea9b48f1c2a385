"""How a known case is tried: whatever goes wrong in it is its result, and the other cases are tried all the same."""

from collections.abc import Callable

from pipeline.findings.signed.qualification import KnownCase

__all__ = ["compared", "tried"]


def tried(
    area: str, key: str, what: str, expected: str, measure: Callable[[], str], tolerance: str = "exact"
) -> KnownCase:
    """Return the case of what ``measure`` gives; it agrees where that is ``expected``, to the letter."""
    measured = _measured(measure)
    return KnownCase(
        key=key,
        area=area,
        what=what,
        expected=expected,
        measured=measured,
        tolerance=tolerance,
        agrees=measured == expected,
    )


def compared(
    area: str, key: str, what: str, expected: float, measure: Callable[[], float], tolerance: float
) -> KnownCase:
    """Return the case of a number; it agrees where it lies within ``tolerance`` of the expected one."""
    measured: list[float] = []

    def shown() -> str:
        measured.append(float(measure()))
        return f"{measured[0]:.6g}"

    words = _measured(shown)
    agrees = bool(measured) and abs(measured[0] - expected) <= tolerance
    return KnownCase(
        key=key,
        area=area,
        what=what,
        expected=f"{expected:.6g}",
        measured=words,
        tolerance=f"{tolerance:g}",
        agrees=agrees,
    )


def _measured(measure: Callable[[], str]) -> str:
    try:
        return measure()
    except Exception as error:  # noqa: BLE001 - that it fails is what was measured
        return f"failed ({type(error).__name__})"
