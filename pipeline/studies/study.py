"""A study as it travels: pixels, masks, reference; nothing that identifies a patient."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.errors import Reason
from pipeline.studies.volume import Mask, Volume

__all__ = ["PASSING", "MaskFault", "Study", "faults_of"]

PASSING = frozenset({Reason.NOT_FETCHED, Reason.TIMEOUT, Reason.OUT_OF_MEMORY, Reason.CRASHED, Reason.UNEXPECTED})
"""Reasons that another try may not meet: they follow from the machine as much as from the file."""


@dataclass(frozen=True)
class MaskFault:
    """A reader's mask that cannot be used, and why; the study is analysed without it.

    ``label`` is None where nothing tells which label the mask shows, or the model does not have it. ``message`` holds
    nothing that identifies a patient. ``masks`` is the number of masks that this stands for.
    """

    reader: str
    label: str | None
    reason: Reason
    message: str
    masks: int = 1


@dataclass(frozen=True)
class Study:
    """One image with what the experts said of it.

    ``identity`` and ``patient`` are keyed pseudonyms. ``reference`` holds the labels that are present (empty:
    none), or None when nobody said. Every mask lies on the image's own grid; those that could not be used are
    ``mask_faults``. ``avoid`` are the regions that must not be leaned on, by name (their ``label``); ``avoid_faults``
    those that could not be used. ``header`` holds allow-listed facts only. ``source_sha256`` is the digest of the files
    that this was decoded from (see ``source_digest``), taken by the process that decoded them; '' where nothing was
    read.
    """

    identity: str
    patient: str
    image: Volume
    masks: tuple[Mask, ...]
    reference: tuple[str, ...] | None
    strata: Mapping[str, str] = field(default_factory=dict)
    header: Mapping[str, str] = field(default_factory=dict)
    mask_faults: tuple[MaskFault, ...] = ()
    source_sha256: str = ""
    avoid: tuple[Mask, ...] = ()
    avoid_faults: tuple[MaskFault, ...] = ()


def faults_of(label: str, masks: Iterable[Mask], faults: Sequence[MaskFault]) -> tuple[MaskFault, ...]:
    """Return the faults that concern a label, one for each reader.

    A mask that nobody can tell the label of may show any: it concerns each that its reader has no other mask of.
    """
    drawn = {mask.reader for mask in masks if mask.label == label}
    unnamed = [fault for fault in faults if fault.label is None and fault.reader not in drawn]
    named = [fault for fault in faults if fault.label == label]
    return tuple({fault.reader: fault for fault in reversed([*named, *unnamed])}.values())[::-1]
