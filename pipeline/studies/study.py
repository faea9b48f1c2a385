"""A study as it travels: pixels, masks, reference; nothing that identifies a patient."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.studies.volume import Mask, Volume

__all__ = ["Study"]


@dataclass(frozen=True)
class Study:
    """One image with what the experts said of it.

    ``identity`` and ``patient`` are keyed pseudonyms. ``reference`` holds the labels that are present (empty:
    none), or None when nobody said. Every mask lies on the image's own grid. ``header`` holds allow-listed
    facts only.
    """

    identity: str
    patient: str
    image: Volume
    masks: tuple[Mask, ...]
    reference: tuple[str, ...] | None
    strata: Mapping[str, str] = field(default_factory=dict)
    header: Mapping[str, str] = field(default_factory=dict)
