"""One study of an audit: what the model said, what was measured, or where and why it stopped."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Self

from pydantic import model_validator

from pipeline.findings.frozen_model import FrozenModel
from pipeline.findings.localisation.lesions import MaskShape
from pipeline.findings.scores import MapScores, PairAgreement
from pipeline.vocabulary import Status

__all__ = ["InputFacts", "RefusedMask", "StudyAudit", "map_name", "methods_at_layers"]


class RefusedMask(FrozenModel):
    """A reader's mask of an analysed study that could not be used, and why.

    ``label`` is None where nothing tells which label it shows, or the model does not have it. ``masks`` is the number
    of masks that this stands for.
    """

    reader: str
    label: str | None
    reason: str
    message: str
    masks: int = 1


class InputFacts(FrozenModel):
    """What the model was shown of one study: the input's shape (channels, ...) and its values.

    ``sha256`` is the digest of shape and values, ``sketch`` the picture in a few hundred numbers, by which copies are
    known again ('': not taken, or a picture that is the same everywhere). A sketch stays in the rows.
    """

    shape: tuple[int, ...]
    minimum: float
    mean: float
    maximum: float
    deviation: float
    sha256: str = ""
    sketch: str = ""


class StudyAudit(FrozenModel):
    """One study: what the model said, what was measured, or where and why it stopped.

    ``facts`` holds allow-listed facts of the image (modality, how values were made); ``reference`` is None when
    nobody said what is present. ``masks`` counts the experts' masks that could be used, ``mask_faults`` tells of
    the others, ``avoid_faults`` of the regions to avoid that could not be used; of a study that was not analysed
    ``masks`` counts those that its archive names. ``model_input`` is None for a study that the model was not shown.
    ``values`` are the numbers of a regression, which has no ``probabilities`` and calls nothing. ``mask_shapes`` are
    the lesions of the masks that could be used.
    """

    study: str
    patient: str
    source_sha256: str
    status: Status
    stage: str | None = None
    reason: str | None = None
    message: str | None = None
    reference: tuple[str, ...] | None = None
    predicted: tuple[str, ...] = ()
    probabilities: Mapping[str, float] = {}
    values: Mapping[str, float] = {}
    strata: Mapping[str, str] = {}
    facts: Mapping[str, str] = {}
    masks: int = 0
    mask_faults: tuple[RefusedMask, ...] = ()
    avoid_faults: tuple[RefusedMask, ...] = ()
    model_input: InputFacts | None = None
    agreement: tuple[PairAgreement, ...] = ()
    mask_shapes: tuple[MaskShape, ...] = ()
    map_scores: tuple[MapScores, ...] = ()

    def may_show(self, label: str) -> bool:
        """Tell whether the reference says that a label is present, or has a label that nobody knows in its place."""
        return label in (self.reference or ()) or self.reason == "unknown_label"

    def may_lack(self, label: str) -> bool:
        """Tell whether the reference says that a label is not present, or has one that nobody knows."""
        return self.reference is not None and (label not in self.reference or self.reason == "unknown_label")

    @model_validator(mode="after")
    def _reason_when_not_analysed(self) -> Self:
        if (self.status == "analysed") != (self.reason is None):
            raise ValueError(f"a study that is {self.status!r} cannot have the reason {self.reason!r}")
        return self


def map_name(entry: MapScores, at_layers: Collection[str]) -> str:
    """Return what a map is called in tables: its method, with the layer for those of ``at_layers``."""
    return f"{entry.method}@{entry.layer}" if entry.method in at_layers else entry.method


def methods_at_layers(audits: Iterable[StudyAudit]) -> frozenset[str]:
    """Return the methods whose maps were taken at more than one layer."""
    places = {(entry.method, entry.layer) for audit in audits for entry in audit.map_scores}
    counts = Counter(method for method, _ in places)
    return frozenset(method for method, count in counts.items() if count > 1)
