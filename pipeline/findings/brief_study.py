"""What a cohort's statistics ask of a study beside its maps' scores: a record has it, and a row of few hundred bytes.

A record of a study with eight maps takes tens of kilobytes. Rows share what many studies say alike.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

from pipeline.findings.scores import AnsweredPlacement
from pipeline.findings.study_audit import MethodAtLayer, RefusedMask, StudyAudit, is_missing, is_present
from pipeline.vocabulary import Status

__all__ = ["BriefStudy", "RowMaker", "ShownInput", "StudyFacts"]

Value = TypeVar("Value")
Shared = TypeVar("Shared", bound=Hashable)


class ShownInput(Protocol):
    """What the model was shown of a study; see ``InputFacts``."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels and sizes."""

    @property
    def minimum(self) -> float:
        """The lowest value."""

    @property
    def mean(self) -> float:
        """The mean value."""

    @property
    def maximum(self) -> float:
        """The highest value."""

    @property
    def deviation(self) -> float:
        """The values' standard deviation."""

    @property
    def sha256(self) -> str:
        """The digest of shape and values."""

    @property
    def sketch(self) -> str:
        """The picture in a few hundred numbers."""


class StudyFacts(Protocol):
    """What statistics ask of a study; see ``StudyAudit``, whose properties these are too."""

    @property
    def study(self) -> str:
        """The pseudonym."""

    @property
    def patient(self) -> str:
        """The patient's pseudonym."""

    @property
    def source_sha256(self) -> str:
        """The hash of its files."""

    @property
    def status(self) -> Status:
        """What became of it."""

    @property
    def reason(self) -> str | None:
        """Why it was not analysed."""

    @property
    def reference(self) -> tuple[str, ...] | None:
        """The findings that the reference names; None: nobody said."""

    @property
    def predicted(self) -> tuple[str, ...]:
        """The labels that the model calls."""

    @property
    def probabilities(self) -> Mapping[str, float]:
        """The model's probabilities by label."""

    @property
    def values(self) -> Mapping[str, float]:
        """The numbers of a regression by label."""

    @property
    def strata(self) -> Mapping[str, str]:
        """The manifest's other columns."""

    @property
    def facts(self) -> Mapping[str, str]:
        """Allow-listed facts of the image."""

    @property
    def masks(self) -> int:
        """How many masks could be used."""

    @property
    def mask_faults(self) -> tuple[RefusedMask, ...]:
        """The masks that could not be used."""

    @property
    def model_input(self) -> ShownInput | None:
        """What the model was shown."""

    @property
    def places(self) -> tuple[MethodAtLayer, ...]:
        """The methods and layers of its scores, each once."""

    @property
    def mapped(self) -> tuple[str, ...]:
        """The labels of which a map is kept."""

    @property
    def largest_masks(self) -> Mapping[str, float]:
        """By label the size of its largest mask."""

    @property
    def placed(self) -> Sequence[AnsweredPlacement]:
        """Where the maps of labels that were called wrongly lie."""

    def may_show(self, label: str) -> bool:
        """Tell whether the reference says that a label is present, or has a label that nobody knows in its place."""

    def may_lack(self, label: str) -> bool:
        """Tell whether the reference says that a label is not present, or has one that nobody knows."""


class _Input(NamedTuple):
    shape: tuple[int, ...]
    minimum: float
    mean: float
    maximum: float
    deviation: float
    sha256: str
    sketch: str


class _SharedKeys(Mapping[str, Value]):
    """A mapping whose keys it shares with other studies' mappings."""

    __slots__ = ("_names", "_values")

    def __init__(self, names: tuple[str, ...], values: tuple[Value, ...]) -> None:
        self._names, self._values = names, values

    def __getitem__(self, name: str) -> Value:
        if name not in self._names:
            raise KeyError(name)
        return self._values[self._names.index(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __reduce__(self) -> "tuple[type[_SharedKeys[Value]], tuple[tuple[str, ...], tuple[Value, ...]]]":
        """Return what makes it again: read in a quarter of the time that its slots by name take."""
        return type(self), (self._names, self._values)


class BriefStudy(NamedTuple):
    """A study without its maps' scores, lesions and agreement; see ``StudyAudit``.

    A tuple, since rows of a large cohort are read back from bytes again and again, and nothing is read as quickly.
    """

    study: str
    patient: str
    source_sha256: str
    status: Status
    reason: str | None
    reference: tuple[str, ...] | None
    predicted: tuple[str, ...]
    probabilities: Mapping[str, float]
    values: Mapping[str, float]
    strata: Mapping[str, str]
    facts: Mapping[str, str]
    masks: int
    mask_faults: tuple[RefusedMask, ...]
    model_input: ShownInput | None
    places: tuple[MethodAtLayer, ...]
    mapped: tuple[str, ...]
    placed: Sequence[AnsweredPlacement]
    largest_masks: Mapping[str, float]

    def may_show(self, label: str) -> bool:
        """Tell whether the reference says that a label is present, or has a label that nobody knows in its place."""
        return is_present(label, self.reference, self.reason)

    def may_lack(self, label: str) -> bool:
        """Tell whether the reference says that a label is not present, or has one that nobody knows."""
        return is_missing(label, self.reference, self.reason)


@dataclass(frozen=True)
class RowMaker:
    """Makes rows that share what is equal: names, references, keys, values of columns."""

    _same: dict[Hashable, Hashable] = field(default_factory=dict)
    _mappings: dict[tuple[tuple[str, ...], tuple[str, ...]], Mapping[str, str]] = field(default_factory=dict)

    def row_of(self, audit: StudyAudit) -> BriefStudy:
        """Return a study's row."""
        return BriefStudy(
            study=audit.study,
            patient=self._shared(audit.patient),
            source_sha256=audit.source_sha256,
            status=audit.status,
            reason=self._shared(audit.reason),
            reference=self._shared(audit.reference),
            predicted=self._shared(audit.predicted),
            probabilities=self._numbers(audit.probabilities),
            values=self._numbers(audit.values),
            strata=self._texts(audit.strata),
            facts=self._texts(audit.facts),
            masks=audit.masks,
            mask_faults=audit.mask_faults,
            model_input=self._input(audit.model_input),
            places=self._shared(audit.places),
            mapped=self._shared(audit.mapped),
            placed=audit.placed,
            largest_masks=self._numbers(audit.largest_masks),
        )

    def _shared(self, value: Shared) -> Shared:
        kept = self._same.setdefault(value, value)
        assert isinstance(kept, type(value))
        return kept

    def _numbers(self, values: Mapping[str, float]) -> Mapping[str, float]:
        return _SharedKeys(self._shared(tuple(values)), tuple(values.values()))

    def _texts(self, values: Mapping[str, str]) -> Mapping[str, str]:
        texts = self._shared(tuple(values)), self._shared(tuple(map(self._shared, values.values())))
        return self._mappings.setdefault(texts, _SharedKeys(*texts))

    def _input(self, shown: ShownInput | None) -> ShownInput | None:
        if shown is None:
            return None
        return _Input(
            self._shared(shown.shape),
            shown.minimum,
            shown.mean,
            shown.maximum,
            shown.deviation,
            shown.sha256,
            shown.sketch,
        )
