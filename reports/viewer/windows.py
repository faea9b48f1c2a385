"""The windows that a reader can choose: the report's, the usual ones of the modality, and all values."""

from collections.abc import Mapping
from typing import Final

__all__ = ["window_presets"]

_CT: Final[Mapping[str, tuple[float, float]]] = {
    "lung": (-1350.0, 150.0),
    "soft tissue": (-160.0, 240.0),
    "mediastinum": (-125.0, 225.0),
    "liver": (-45.0, 105.0),
    "bone": (-500.0, 1300.0),
    "brain": (0.0, 80.0),
}


def window_presets(
    window: tuple[float, float], rule: str, unit: str, facts: Mapping[str, str]
) -> list[tuple[str, float, float]]:
    """Return the windows by name, the report's first; a CT's others are those of its values, in HU."""
    presets = [(f"as in the report ({rule})" if rule else "as in the report", *window)]
    header = _of_header(facts)
    presets += [("image header", *header)] if header is not None and header != window else []
    if unit == "HU":
        presets += [(name, low, high) for name, (low, high) in _CT.items() if (low, high) != window]
    return presets


def _of_header(facts: Mapping[str, str]) -> tuple[float, float] | None:
    try:
        centre, width = float(facts["WindowCenter"]), float(facts["WindowWidth"])
    except (KeyError, ValueError):
        return None
    return (centre - width / 2, centre + width / 2) if width > 0 else None
