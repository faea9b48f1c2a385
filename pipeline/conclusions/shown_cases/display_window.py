"""With which window an image is shown: as somebody asked for it, as its header says, or by modality and anatomy.

What a window hides, a reader cannot find, so the report prints it with its reason. It changes no number.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["DisplayWindow", "display_window"]


class DisplayWindow(NamedTuple):
    """The values shown black and white, and why these."""

    low: float
    high: float
    rule: str


_CT_BY_ANATOMY: tuple[tuple[str, tuple[float, float], frozenset[str]], ...] = (
    ("chest", (-1000.0, 400.0), frozenset({"CHEST", "LUNG", "THORAX", "BRONCHUS", "RIB", "STERNUM"})),
    ("head", (0.0, 80.0), frozenset({"HEAD", "BRAIN", "CEREBELLUM"})),
    (
        "abdomen and pelvis",
        (-160.0, 240.0),
        frozenset(
            {"ABDOMEN", "ABDOMENPELVIS", "ADRENAL", "BLADDER", "COLON", "GALLBLADDER", "KIDNEY", "LIVER", "PANCREAS"}
            | {"PELVIS", "PROSTATE", "STOMACH", "UTERUS", "NECK", "HEADNECK", "HEART", "MEDIASTINUM", "THYROID"}
        ),
    ),
    (
        "bone",
        (-500.0, 1300.0),
        frozenset(
            {"SPINE", "CSPINE", "TSPINE", "LSPINE", "SSPINE", "LSSPINE", "TLSPINE", "SKULL", "FEMUR", "HIP", "KNEE"}
            | {"ANKLE", "FOOT", "HAND", "WRIST", "ELBOW", "SHOULDER", "TIBIA", "SCAPULA", "CLAVICLE", "JAW", "MANDIBLE"}
        ),
    ),
)
_CT_DEFAULT = (-1000.0, 400.0)
_WINDOWED = frozenset({"CT", "CR", "DX", "DR", "MG", "MR", "XA", "RF"})
"""Modalities whose header speaks of the values that are read; of a PET they are turned into uptake."""

_AIR, _TISSUE = -900.0, 100.0


def display_window(
    values: NDArray[np.float32], facts: Mapping[str, str], given: tuple[float, float] | None = None
) -> DisplayWindow:
    """Return the window of an image with these values and header facts; ``given`` is the configuration's."""
    if given is not None:
        return DisplayWindow(*given, "set in the configuration")
    header = _of_header(values, facts)
    if header is not None:
        return DisplayWindow(*header, "the image header's")
    if facts.get("Modality") == "CT":
        part = facts.get("BodyPartExamined", "")
        for name, window, parts in _CT_BY_ANATOMY:
            if part in parts:
                return DisplayWindow(*window, f"the usual one for CT of this region ({name})")
        return DisplayWindow(*_CT_DEFAULT, "the usual one for CT whose region is not stated")
    if "Modality" not in facts and _looks_like_ct(values):
        return DisplayWindow(*_CT_DEFAULT, "the usual one for CT, which the values look like")
    low, high = (float(value) for value in np.percentile(values, (0.5, 99.5)))
    return DisplayWindow(low, max(high, low + 1e-6), "the image's own values but for the most extreme")


def _of_header(values: NDArray[np.float32], facts: Mapping[str, str]) -> tuple[float, float] | None:
    """Return the header's window, None where it states none, speaks of other values, or would show nothing of these."""
    centre, width = facts.get("WindowCenter"), facts.get("WindowWidth")
    turned = (
        facts.get("PhotometricInterpretation") == "MONOCHROME1" or facts.get("voi lut", "not applied") != "not applied"
    )
    if centre is None or width is None or turned or facts.get("Modality") not in _WINDOWED:
        return None
    low, high = float(centre) - float(width) / 2, float(centre) + float(width) / 2
    lowest, highest = float(values.min()), float(values.max())
    return (low, high) if low < high and low < highest and high > lowest else None


def _looks_like_ct(values: NDArray[np.float32]) -> bool:
    """Tell whether values look like Hounsfield units: much air, some tissue, and both far apart."""
    share = np.percentile(values[tuple(slice(None, None, max(1, size // 64)) for size in values.shape)], (5, 99))
    return values.ndim == 3 and bool(share[0] <= _AIR) and bool(share[1] >= -_TISSUE)
