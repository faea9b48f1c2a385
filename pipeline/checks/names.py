"""The names that a configuration may use, as a table: told without importing what computes them.

``python -m pipeline.checks.names`` writes the table anew from the registries; a test fails while it is not theirs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

__all__ = ["TABLE", "KnownNames", "known_names", "registered_names"]

TABLE = Path(__file__).with_name("names.json")


@dataclass(frozen=True)
class KnownNames:
    """``methods``: each map's place and its options with their defaults. ``metrics``: each metric's range of values."""

    methods: Mapping[str, Mapping[str, Any]]
    metrics: Mapping[str, tuple[float, float]]
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
        metrics={name: (low, high) for name, (low, high) in table["metrics"].items()},
        classifier_metrics=tuple(table["classifier_metrics"]),
        baselines=tuple(table["baselines"]),
    )


def registered_names() -> dict[str, Any]:
    """Return the table as the registries hold it now; this imports all of them."""
    from cam import METHODS
    from pipeline.evidence.baselines import BASELINES
    from pipeline.evidence.cohort import CLASSIFIER_METRICS
    from pipeline.evidence.localisation import METRICS

    table = {
        "methods": {
            name: {"at": method.at, "options": dict(method.options)} for name, method in sorted(METHODS.items())
        },
        "metrics": {name: list(metric.range) for name, metric in METRICS.items()},
        "classifier_metrics": list(CLASSIFIER_METRICS),
        "baselines": list(BASELINES),
    }
    content: dict[str, Any] = json.loads(json.dumps(table))
    return content


if __name__ == "__main__":
    TABLE.write_text(json.dumps(registered_names(), indent=1) + "\n", encoding="utf-8")
