"""The model of a run that was fixed already: it has to be the one that the run began with."""

from dataclasses import replace
from pathlib import Path

from pipeline.config import AuditConfig
from pipeline.errors import ConfigError
from pipeline.findings.spec import RunSpec
from pipeline.studies.untrusted.workers import WorkerPool
from pipeline.walk.alignment import with_layers
from pipeline.walk.auditor import Auditor, open_auditor, open_scorer

__all__ = ["auditor_of", "scorer_of"]


def auditor_of(run: Path, spec: RunSpec, config: AuditConfig, modules: Path) -> Auditor:
    """Load the model of the run in folder ``run``; ``modules`` is where a factory's module is looked for first.

    Raises:
        ConfigError: when the model or a package's metric is no longer what the run began with.
        AuditError: when the model cannot be loaded.
    """
    opened = open_auditor(config, modules, layers=_layer_names(spec))
    auditor = with_layers(_with_same_metrics(run, spec, opened), spec.layers)
    if (auditor.loaded.sha256, auditor.loaded.code_sha256) != (spec.model.sha256, spec.model.code_sha256):
        raise ConfigError(
            f"{run}: the model was changed while the run was under way, or is another one on this machine; "
            "give every machine the one that the run began with, or start the run again"
        )
    return replace(auditor, one_by_one=spec.model.one_by_one)


def scorer_of(run: Path, spec: RunSpec, config: AuditConfig, pool: WorkerPool) -> Auditor:
    """Return what the kept maps of a run are scored again with; no model is loaded.

    Raises:
        ConfigError: when a package's metric is no longer what the run began with.
        AuditError: when the transforms cannot be built.
    """
    return with_layers(_with_same_metrics(run, spec, open_scorer(config, _layer_names(spec), pool)), spec.layers)


def _layer_names(spec: RunSpec) -> tuple[str, ...]:
    return tuple(layer.name for layer in spec.layers)


def _with_same_metrics(run: Path, spec: RunSpec, auditor: Auditor) -> Auditor:
    if tuple(metric.facts for metric in auditor.metrics.values()) != spec.metrics:
        raise ConfigError(f"{run}: a package's metric was changed while the run was under way; run it again")
    return auditor
