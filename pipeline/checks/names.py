"""The names that a configuration may use, as a table: known without importing what computes them.

``python -m pipeline.checks.names`` writes the table anew from the registries; a test fails while it is not theirs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.extensions import names_of
from pipeline.vocabulary import BASELINES, CLASSIFIER_METRICS, Better

__all__ = ["TABLE", "KnownMetric", "KnownNames", "installed_metric_names", "known_names", "registered_names"]

TABLE = Path(__file__).with_name("names.json")


@dataclass(frozen=True)
class KnownMetric:
    """What a criterion's bound is held against: a metric's range (None: open) and which end is the good one.

    ``thresholded`` tells that it asks for the map's region, in which patients who tune thresholds do not count.
    """

    name: str
    range: tuple[float | None, float | None]
    better: Better
    thresholded: bool = False


@dataclass(frozen=True)
class KnownNames:
    """``methods``: each map's place and its options with their defaults. ``metrics``: camaudit's own."""

    methods: Mapping[str, Mapping[str, Any]]
    metrics: Mapping[str, KnownMetric]
    classifier_metrics: tuple[str, ...]
    baselines: tuple[str, ...]

    @cached_property
    def options(self) -> Mapping[str, Mapping[str, Any]]:
        """The options of each method, with their defaults."""
        return {name: facts["options"] for name, facts in self.methods.items()}


def known_names() -> KnownNames:
    """Return the names of methods, options, metrics and baselines; torch is not imported."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    return KnownNames(
        methods=table["methods"],
        metrics={
            name: KnownMetric(name, tuple(facts["range"]), facts["better"], facts["thresholded"])
            for name, facts in table["metrics"].items()
        },
        classifier_metrics=tuple(CLASSIFIER_METRICS),
        baselines=tuple(BASELINES),
    )


def installed_metric_names() -> tuple[str, ...]:
    """Return the names of the metrics that installed packages offer; none of them is imported."""
    return names_of("camaudit.metrics")


def registered_names() -> dict[str, Any]:
    """Return the table as the registries hold it now; this imports all of them."""
    from cam import METHODS
    from pipeline.evidence.metrics.registry import METRICS

    table = {
        "methods": {
            name: {"at": method.at, "options": dict(method.options)} for name, method in sorted(METHODS.items())
        },
        "metrics": {
            name: {"range": metric.range, "better": metric.better, "thresholded": metric.facts.thresholded}
            for name, metric in METRICS.items()
        },
    }
    content: dict[str, Any] = json.loads(json.dumps(table))
    return content


if __name__ == "__main__":
    TABLE.write_text(json.dumps(registered_names(), indent=1) + "\n", encoding="utf-8")
