"""A threshold that was tuned for one label and map, with all that it follows from."""

from pipeline.findings.frozen_model import FrozenModel

__all__ = ["TunedThreshold"]


class TunedThreshold(FrozenModel):
    """The share of a map's maximum at which ``metric`` was highest on the tuning patients; None with a ``reason``.

    ``values`` is its course over the grid of all curves (``CURVE_SHARES``), as means over the tuning patients in whom
    the label is present and marked; of equal ones the lowest threshold is taken. ``at_edge`` tells that it lies at an
    end of the grid, beyond which a better one may lie.
    """

    label: str
    method: str
    layer: str | None
    metric: str
    share: float | None
    value: float | None = None
    at_edge: bool = False
    values: tuple[float, ...] = ()
    patients: int
    studies: int
    reason: str | None = None
