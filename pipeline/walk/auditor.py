"""Everything that is the same for every study of a run: configuration, model, transforms, device, helpers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from cam import Memory, Slices, TokenGrid
from pipeline.config import AuditConfig, digest_of
from pipeline.evidence.baselines import CentrePriors
from pipeline.evidence.device.engine import engine_for
from pipeline.evidence.engine import MetricEngine, NumpyEngine
from pipeline.evidence.localisation.average_mask import AverageMasks
from pipeline.evidence.localisation.tuning import RegionRules, region_rules
from pipeline.evidence.metrics.declaration import Metric
from pipeline.evidence.metrics.map_evidence import MapOnGrid
from pipeline.evidence.metrics.plugins import load_metrics
from pipeline.evidence.metrics.registry import METRICS, measured_metrics
from pipeline.evidence.thresholds import ThresholdRule
from pipeline.models.arithmetic import laid_out
from pipeline.models.load import LoadedModel, choose_device, load_model
from pipeline.models.prepare import Preparation, build_transforms
from pipeline.models.prepared_studies import PreparedCache
from pipeline.program import library_versions, program_digest
from pipeline.studies.pseudonyms import Pseudonyms, load_key
from pipeline.studies.untrusted.workers import WorkerPool
from pipeline.walk.batch_size import BatchLimit
from pipeline.walk.installed_methods import load_methods
from pipeline.walk.sources import ArchiveReader

__all__ = ["Auditor", "open_auditor", "open_scorer"]


@dataclass(frozen=True)
class Auditor:
    """What studies are audited with. ``layers`` are names, ``auto`` resolved.

    ``pool`` is whose processes read the studies; without one, each call of ``read_studies`` has its own. ``model`` is
    None where maps are only scored again: nothing can be shown to it then. ``metrics`` are camaudit's own and those of
    installed packages, by name. ``one_by_one`` tells that the model is shown one study at a time, since its answer for
    one would depend on the others. ``shifts`` says by how many cells the maps of a layer are moved. ``average_masks``
    are those of the run's cohort, where it is to be compared with them. ``rules`` say how each map's region is drawn
    (None: as the configuration alone does). ``batch_limit`` is what is known of how many studies memory suffices for.
    """

    config: AuditConfig
    model: LoadedModel | None
    preparation: Preparation
    device: torch.device
    layers: tuple[str, ...]
    pseudonyms: Pseudonyms
    prepared_cache: PreparedCache | None = None
    pool: WorkerPool | None = None
    memory: Memory = field(default_factory=Memory)
    archive_reader: ArchiveReader = field(default_factory=ArchiveReader)
    metrics: Mapping[str, Metric] = field(default_factory=lambda: METRICS)
    one_by_one: bool = False
    centre_priors: CentrePriors = field(default_factory=CentrePriors)
    shifts: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    average_masks: AverageMasks | None = None
    engine: MetricEngine = field(default_factory=NumpyEngine)
    rules: RegionRules | None = None
    batch_limit: BatchLimit = field(default_factory=BatchLimit)

    def rule_for(self, patient: str, heatmap: MapOnGrid, target: str) -> ThresholdRule:
        """Return the rule by which a map's region is drawn for a target in a patient."""
        rules = self.rules or region_rules(self.config.overlap)
        return rules.rule_for(patient, target, (heatmap.method, heatmap.layer))

    @property
    def grids(self) -> dict[str, TokenGrid | Slices]:
        """Where layers' values lie in the model's input, as the configuration states it."""
        return {
            name: Slices(grid.slices, grid.samples_first)
            if grid.tokens is None
            else TokenGrid(grid.tokens, grid.prefix)
            for name, grid in self.config.model.grids.items()
        }

    @property
    def loaded(self) -> LoadedModel:
        """The model.

        Raises:
            RuntimeError: where none was loaded.
        """
        if self.model is None:
            raise RuntimeError("a map is to be computed, and this auditor was opened without the model")
        return self.model

    @property
    def network(self) -> nn.Module:
        """The model's network."""
        return self.loaded.network


def open_auditor(
    config: AuditConfig, folder: Path, *, layers: tuple[str, ...] | None = None, pool: WorkerPool | None = None
) -> Auditor:
    """Load transforms and model; ``folder`` is where a factory's module is looked for first.

    Studies are read by the processes of ``pool``, which is the caller's to open and to leave.

    Raises:
        AuditError: one line that says what is wrong.
    """
    load_methods(config)
    metrics = measured_metrics(config, load_metrics())  # before the model: its code may change where modules are found
    preparation = build_transforms(config.prepare)
    device = choose_device(config.run.device)
    model = load_model(config.model, folder, device)
    pseudonyms = Pseudonyms(load_key(config.run.output))
    cache = _prepared_cache(config)
    names = layers or config.model.layers
    engine = engine_for(config.run.scoring, device)
    laid_out(model.network, config.run.memory_format)
    return Auditor(config, model, preparation, device, names, pseudonyms, cache, pool, metrics=metrics, engine=engine)


def open_scorer(config: AuditConfig, layers: tuple[str, ...], pool: WorkerPool) -> Auditor:
    """Return an auditor that can score kept maps and cannot compute one: no model is loaded.

    Raises:
        AuditError: when the transforms cannot be built or the pseudonym key not be read.
    """
    load_methods(config)
    metrics = measured_metrics(config, load_metrics())
    preparation = build_transforms(config.prepare)
    pseudonyms = Pseudonyms(load_key(config.run.output))
    device = torch.device("cpu")
    engine = engine_for(config.run.scoring, device)
    return Auditor(config, None, preparation, device, layers, pseudonyms, pool=pool, metrics=metrics, engine=engine)


def _prepared_cache(config: AuditConfig) -> PreparedCache | None:
    if config.run.cache is None:
        return None
    recipe = digest_of([config.preparation(), config.model.labels, program_digest(), library_versions()])
    return PreparedCache(config.run.cache, int(config.run.cache_gib * 1024**3), recipe)
