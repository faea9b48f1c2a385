"""Metrics of installed packages: found by their entry point, tried like camaudit's own, or refused with the reason."""

import hashlib
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType

from pipeline.errors import ConfigError
from pipeline.evidence.metrics.checks import metric_fault
from pipeline.evidence.metrics.declaration import Metric
from pipeline.evidence.metrics.registry import METRICS
from pipeline.vocabulary import CLASSIFIER_METRICS, CSV_COLUMNS

__all__ = ["load_metrics"]

_GROUP = "camaudit.metrics"


def load_metrics(entries: Iterable[EntryPoint] | None = None) -> Mapping[str, Metric]:
    """Return camaudit's metrics and behind them those of installed packages, by name; call it once, at a run's start.

    ``entries`` are the entry points to load: those of the environment unless given.

    Raises:
        ConfigError: for a package whose metric cannot be loaded, lacks its declaration, has a name that is taken or
            does not keep what it declares.
    """
    metrics = dict(METRICS)
    given = entry_points(group=_GROUP) if entries is None else entries
    for entry in sorted(given, key=lambda entry: (entry.name, _package(entry), entry.value)):
        fault, metric = _loaded(entry, metrics)
        if metric is None:
            raise ConfigError(
                f"the metric {entry.name!r:.60} of the installed package {_package(entry)} is refused: {fault}; "
                "correct the package, or uninstall it"
            )
        metrics[metric.name] = metric
    return MappingProxyType(metrics)


def _loaded(entry: EntryPoint, known: Mapping[str, Metric]) -> tuple[str, Metric | None]:
    """Return the metric of an entry point, or what is wrong with it."""
    try:
        loaded = entry.load()
    except Exception as error:  # noqa: BLE001 - whatever the package's code raises while it is imported
        return (
            f"{entry.value!r:.80} cannot be imported ({type(error).__name__}: {' '.join(str(error).split())[:160]})",
            None,
        )
    if isinstance(loaded, Metric):
        if loaded.name != entry.name:
            return f"its entry point is called otherwise than the metric, {loaded.name!r}", None
        taken = _taken(loaded, known)
        if taken is not None:
            return taken, None
    fault = metric_fault(loaded)
    if fault is not None:
        return fault, None
    name, version = (entry.dist.name, entry.dist.version) if entry.dist else (None, None)
    return "", replace(loaded, package=name, package_version=version, source_sha256=_source(loaded))


def _taken(metric: Metric, known: Mapping[str, Metric]) -> str | None:
    owners = {name: other.package or "camaudit" for name, other in known.items()}
    owners |= dict.fromkeys((*CLASSIFIER_METRICS, *CSV_COLUMNS), "camaudit")
    columns = {other.facts.column: owners[name] for name, other in known.items()}
    titles = {_plain(other.title): owners[name] for name, other in known.items()}
    titles |= {_plain(title): "camaudit" for title in CLASSIFIER_METRICS.values()}
    owner = owners.get(metric.name) or columns.get(metric.facts.column)
    if owner is not None:
        return f"the name {metric.name!r} is taken by {owner}"
    owner = titles.get(_plain(metric.title))
    return None if owner is None else f"the title {metric.title!r} is taken by {owner}"


def _plain(title: str) -> str:
    """Return a title as a reader may take it for another."""
    return "".join(character for character in title.casefold() if character.isalnum())


def _source(metric: Metric) -> str | None:
    """Return the digest of the file that defines a metric: a package that is edited in place keeps its version."""
    try:
        path = inspect.getsourcefile(metric.function)
        return None if path is None else hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except (TypeError, OSError):
        return None


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "without a name"
