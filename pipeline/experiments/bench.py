"""What an experiment is given: the model, the chosen studies ready to be shown to it, and maps of whatever is shown."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cam import METHODS
from cam.out_of_memory import is_out_of_memory
from cam.procedures.perturb import Build
from pipeline.config import AuditConfig, ModelConfig, digest_of
from pipeline.config_experiments import FamilyConfig
from pipeline.errors import Reason, StudyError
from pipeline.experiments.rescoring import rescored_by
from pipeline.faults import internal_error, log_fault
from pipeline.findings.recipes import Place
from pipeline.models.outputs import answers_of
from pipeline.progress import Progress, silent
from pipeline.studies.geometry import Geometry
from pipeline.studies.study import Study
from pipeline.studies.volume import Mask, Volume
from pipeline.vocabulary import Family
from pipeline.walk.auditor import Auditor
from pipeline.walk.batch_size import usual_batch
from pipeline.walk.device_copies import on_device
from pipeline.walk.explaining import RawMaps, maps_of_labels, returned_by
from pipeline.walk.fault_origin import origin_of
from pipeline.walk.map_plan import map_names
from pipeline.walk.reading import check_reference, read_studies
from pipeline.walk.sources import StudySource, bound

__all__ = ["Bench", "ChosenStudy", "ModelAnswer", "explained_label"]

Settings = TypeVar("Settings", bound=FamilyConfig)
Outcome = TypeVar("Outcome")
MapArray = NDArray[np.float32]
_SMALLEST = 1e-12  # a probability below it is taken for it: its logit would be infinite


@dataclass(frozen=True)
class ChosenStudy:
    """A study of an experiment, read and prepared as for the audit.

    ``x`` (C, *S) is what the model is shown, on the processor, and ``grid`` where it lies. ``label`` is the one that is
    explained, ``label_index`` its number among the model's. ``avoid`` are the regions that must not be leaned on, on
    the image's own grid as ``masks`` are, by name (their label).
    """

    study: str
    patient: str
    x: Tensor
    label: str
    label_index: int
    reference: tuple[str, ...] | None
    image: Volume
    masks: tuple[Mask, ...]
    grid: Geometry
    avoid: tuple[Mask, ...] = ()


@dataclass(frozen=True)
class ModelAnswer:
    """What the model says to one picture: a logit for each label, and which labels it calls.

    The logit of a probability is its logarithm, or the logarithm of its odds where each label is called by itself; of
    a segmentation it is the highest of all voxels, of a regression the number itself.
    """

    logits: NDArray[np.float64]
    predicted: tuple[str, ...]
    probabilities: Mapping[str, float] = field(default_factory=dict)


def explained_label(model: ModelConfig, reference: Sequence[str] | None) -> str:
    """Return the label that an experiment explains of a study: its first finding, else the model's first."""
    findings = [label for label in model.labels if label != model.negative_label]
    return next((label for label in reference or () if label in findings), findings[0])


@dataclass(frozen=True)
class Bench:
    """One family's experiment on one model. ``sources`` are the chosen studies, ``cells`` the first layer's grid.

    ``calls`` counts the maps that were computed, by their names, and ``shown`` the pictures that the model was asked
    about without a map. ``failures`` go from a study that could not be read or prepared to the reason.
    """

    auditor: Auditor
    family: Family
    sources: tuple[StudySource, ...]
    cells: tuple[int, ...]
    on_maps: Progress = silent
    failures: dict[str, str] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)

    @property
    def config(self) -> AuditConfig:
        """The run's configuration."""
        return self.auditor.config

    @property
    def network(self) -> nn.Module:
        """The model's network, in evaluation mode; it has to be left as it came."""
        return self.auditor.network

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return self.auditor.device

    @property
    def forwards(self) -> int:
        """How many pictures the model was asked about without a map."""
        return self.shown.total()

    @property
    def map_names(self) -> dict[Place, str]:
        """What the run's maps are called."""
        return map_names(self.config, self.auditor.layers)

    def settings(self, kind: type[Settings]) -> Settings:
        """Return the family's own settings.

        Raises:
            TypeError: when they are another family's.
        """
        given = self.config.experiments.families[self.family]
        if not isinstance(given, kind):
            raise TypeError(f"{self.family} has the settings {type(given).__name__}, not {kind.__name__}")
        return given

    def generator(self, *names: object) -> np.random.Generator:
        """Return a generator of random numbers that follows from the run's seed, the family and these names."""
        return np.random.default_rng(int(digest_of([self.config.run.seed, self.family, *map(str, names)])[:16], 16))

    def chance(self, study: ChosenStudy) -> tuple[int, str]:
        """Return the run's seed and the digest of what a study is read from, which no other pseudonym changes."""
        digests = {source.study: source.sha256 for source in self.sources}
        return self.config.run.seed, digests.get(study.study, study.study)

    def studies(self) -> Iterator[ChosenStudy]:
        """Yield the chosen studies in order; one that cannot be read or prepared stands in ``failures`` instead."""
        read = read_studies(self.auditor, [source.row for source in self.sources])
        for source, study in zip(self.sources, read, strict=True):
            try:
                ready = self._ready(source, bound(study, source.sha256))
            except StudyError as fault:
                self.failures[source.study] = fault.reason.value
                continue
            yield ready

    def _ready(self, source: StudySource, study: Study | StudyError) -> ChosenStudy:
        if isinstance(study, StudyError):
            raise study
        check_reference(study, self.config)
        prepared, model = self.auditor.preparation(study.image), self.config.model
        label = explained_label(model, study.reference)
        return ChosenStudy(
            study=source.study,
            patient=source.patient,
            x=prepared.x,
            label=label,
            label_index=model.labels.index(label),
            reference=study.reference,
            image=study.image,
            masks=study.masks,
            grid=prepared.grid,
            avoid=study.avoid,
        )

    def maps(
        self, pictures: Iterable[Tensor], labels: Sequence[str], methods: Sequence[str] | None = None
    ) -> list[dict[str, MapArray]]:
        """Return each picture's maps of its own label by their names, each as its method returns it.

        ``pictures`` are (C, *S), or one tensor (B, C, *S); ``methods`` are maps' names, all of the run's unless given.

        Raises:
            StudyError: when the model or a map fails.
        """
        names = {place: name for place, name in self.map_names.items() if methods is None or name in methods}
        shown = list(pictures)
        self.on_maps(0, len(shown) * len(names))
        maps: list[dict[str, MapArray]] = []

        def explained(samples: list[int]) -> list[RawMaps]:
            own = [labels[sample] for sample in samples]
            return maps_of_labels(self.auditor, self._shown(shown, samples), own, list(names), _ignore)

        for samples in self._batches(shown):
            raw = self._halving(explained, samples)
            maps += [_named(study, labels[sample], names) for study, sample in zip(raw, samples, strict=True)]
            self.on_maps(len(samples) * len(names))
        self.calls.update({name: len(shown) for name in names.values()})
        return maps

    def answers(self, pictures: Iterable[Tensor]) -> list[ModelAnswer]:
        """Return what the model says to pictures (C, *S), or to one tensor of them (B, C, *S).

        Raises:
            StudyError: when the model fails.
        """
        shown = list(pictures)

        def answered(samples: list[int]) -> list[ModelAnswer]:
            returned = returned_by(self.auditor, self._shown(shown, samples))
            called = answers_of(returned, self.config.model, as_returned=True)
            return [
                ModelAnswer(row, answer.predicted, answer.probabilities)
                for row, answer in zip(_logits(returned, self.config.model), called, strict=True)
            ]

        said = [answer for samples in self._batches(shown) for answer in self._halving(answered, samples)]
        self.shown["pictures"] += len(shown)
        return said

    def logits(self, pictures: Iterable[Tensor]) -> NDArray[np.float64]:
        """Return the labels' logits (B, labels) of pictures, as in ``ModelAnswer``.

        Raises:
            StudyError: when the model fails.
        """
        return np.stack([answer.logits for answer in self.answers(pictures)])

    def rescored(self, study: ChosenStudy, samples: Tensor, build: Build) -> Tensor:
        """Return the scores (1, rows) that the study's label has in the changed inputs that ``build`` makes.

        Raises:
            StudyError: when the model fails.
        """
        self.shown["pictures"] += len(samples)
        x = self._shown([study.x], [0])
        return self._guarded(partial(rescored_by, self.auditor, x, study.label, samples, build))

    def _batches(self, pictures: Sequence[Tensor]) -> Iterator[list[int]]:
        """Yield the numbers of neighbours of one shape, as many as the model is shown at once."""
        usual = 1 if self.auditor.one_by_one else usual_batch(self.config.run.batch_size)
        size = self.auditor.batch_limit.within(usual)
        for _, group in groupby(range(len(pictures)), key=lambda number: pictures[number].shape):
            numbers = list(group)
            yield from (numbers[start : start + size] for start in range(0, len(numbers), size))

    def _shown(self, pictures: Sequence[Tensor], samples: Iterable[int]) -> Tensor:
        """Return some of the pictures together, where the network lies."""
        return on_device([pictures[sample] for sample in samples], self.device, self.config.run.memory_format)

    def _halving(self, work: Callable[[list[int]], list[Outcome]], samples: list[int]) -> list[Outcome]:
        """Return what comes of the samples together, or of halves of them where memory does not suffice."""
        try:
            return self._guarded(partial(work, samples))
        except StudyError as fault:
            if fault.reason != Reason.OUT_OF_MEMORY or len(samples) == 1:
                raise
        # outside the handler: the exception's frames would keep what did not fit
        self.auditor.batch_limit.ran_out(len(samples))
        parts = self.auditor.batch_limit.parts(samples)
        return [outcome for part in parts for outcome in self._halving(work, list(part))]

    def _guarded(self, work: Callable[[], Outcome]) -> Outcome:
        """Do what the model may fail in; its fault is one of the experiment, ours ends the run."""
        try:
            return work()
        except Exception as error:
            origin = origin_of(error, self.network)
            if origin.ours:
                log_fault(error, origin.stage, [source.study for source in self.sources])
                raise internal_error(error) from error
            reason = Reason.OUT_OF_MEMORY if is_out_of_memory(error) else Reason.MODEL_FAILED
            raise StudyError(origin.stage, reason, f"the model or a map raised {type(error).__name__}") from error


def _ignore(_: int) -> None:
    pass


def _named(raw: RawMaps, label: str, names: dict[Place, str]) -> dict[str, MapArray]:
    maps = {}
    for (method, layer), name in names.items():
        values = raw[label, method, layer]
        maps[name] = np.maximum(values, 0) if METHODS[method].rectified else values
    return maps


def _logits(returned: Tensor, model: ModelConfig) -> list[NDArray[np.float64]]:
    values = returned.detach().double().cpu()
    values = values.flatten(2).amax(dim=2) if values.ndim > 2 else values
    if model.kind == "probability":
        shares = values.clamp(_SMALLEST, 1 - _SMALLEST)
        values = torch.logit(shares) if model.has_independent_labels or shares.shape[1] == 1 else shares.log()
    if values.shape[1] == 1 and len(model.labels) == 2:
        values = torch.cat([-values, values], dim=1)
    return [row.numpy() for row in values]
