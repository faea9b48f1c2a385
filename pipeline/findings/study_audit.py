"""One study of an audit: what the model said, what was measured, or where and why it stopped."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, Protocol, Self

from pydantic import model_validator

from pipeline.findings.frozen_model import FrozenModel
from pipeline.findings.localisation.lesions import MaskShape
from pipeline.findings.scores import AnsweredPlacement, MapScores, PairAgreement, placed_maps
from pipeline.vocabulary import Status

__all__ = [
    "InputFacts", "MethodAtLayer", "NamedMap", "RefusedMask", "StudyAudit", "is_missing", "is_present", "map_name",
    "methods_at_layers",
]  # fmt: skip


class MethodAtLayer(NamedTuple):
    """A map's method and layer; a baseline has no layer."""

    method: str
    layer: str | None


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
        return is_present(label, self.reference, self.reason)

    def may_lack(self, label: str) -> bool:
        """Tell whether the reference says that a label is not present, or has one that nobody knows."""
        return is_missing(label, self.reference, self.reason)

    @property
    def places(self) -> tuple[MethodAtLayer, ...]:
        """The methods and layers of its scores, each once."""
        return tuple(dict.fromkeys(MethodAtLayer(entry.method, entry.layer) for entry in self.map_scores))

    @property
    def mapped(self) -> tuple[str, ...]:
        """The labels of which a map is kept, each once."""
        return tuple(dict.fromkeys(entry.target for entry in self.map_scores if entry.map))

    @property
    def largest_masks(self) -> dict[str, float]:
        """By label the size of its largest mask, in mm2 or mm3; labels without a physical size are left out."""
        sizes: dict[str, float] = {}
        for shape in self.mask_shapes:
            if shape.size:
                sizes[shape.label] = max(shape.size, sizes.get(shape.label, shape.size))
        return sizes

    @property
    def placed(self) -> tuple[AnsweredPlacement, ...]:
        """Where the maps of labels that were called wrongly lie."""
        return placed_maps(self.map_scores)

    @model_validator(mode="after")
    def _reason_when_not_analysed(self) -> Self:
        if (self.status == "analysed") != (self.reason is None):
            raise ValueError(f"a study that is {self.status!r} cannot have the reason {self.reason!r}")
        return self


def is_present(label: str, reference: tuple[str, ...] | None, reason: str | None) -> bool:
    """Tell whether a reference says that a label is present, or has a label that nobody knows in its place."""
    return label in (reference or ()) or reason == "unknown_label"


def is_missing(label: str, reference: tuple[str, ...] | None, reason: str | None) -> bool:
    """Tell whether a reference says that a label is not present, or has one that nobody knows."""
    return reference is not None and (label not in reference or reason == "unknown_label")


class NamedMap(Protocol):
    """What a map is named by."""

    @property
    def method(self) -> str:
        """The method."""

    @property
    def layer(self) -> str | None:
        """The layer; None for a baseline."""


class PlacesOfStudy(Protocol):
    """A study with the methods and layers of its scores."""

    @property
    def places(self) -> tuple[MethodAtLayer, ...]:
        """The methods and layers of its scores, each once."""


def map_name(entry: NamedMap, at_layers: Collection[str]) -> str:
    """Return what a map is called in tables: its method, with the layer for those of ``at_layers``."""
    return f"{entry.method}@{entry.layer}" if entry.method in at_layers else entry.method


def methods_at_layers(studies: Iterable[PlacesOfStudy]) -> frozenset[str]:
    """Return the methods whose maps were taken at more than one layer."""
    places = {place for study in studies for place in study.places}
    counts = Counter(method for method, _ in places)
    return frozenset(method for method, count in counts.items() if count > 1)
