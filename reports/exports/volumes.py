"""What a study has as arrays on its image's grid: maps, their regions, experts' masks, each with its facts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.findings.exported.study import ExportedMap, ExportedStudy
from pipeline.findings.results import Results

__all__ = ["Volume3", "VolumePart", "plain_name", "volume_parts"]

PartKind = Literal["map", "region", "mask"]
Volume3 = NDArray[np.float32] | NDArray[np.uint8]

_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, eq=False)
class VolumePart:
    """An array on the image's grid: a map's values (float32), its region or a reader's mask (uint8, 0 and 1).

    ``words`` are what tells it from the others: method, layer and label, or reader and label. ``facts`` is what its
    file's companion says.
    """

    kind: PartKind
    words: tuple[str, ...]
    array: Volume3 = field(repr=False)
    facts: dict[str, object]

    @property
    def text(self) -> str:
        """All that tells it from the others, in one line."""
        return "_".join((self.kind, *self.words))

    @property
    def label(self) -> str:
        """The label that it is about."""
        return self.words[-1]


def volume_parts(study: ExportedStudy, results: Results) -> Iterator[VolumePart]:
    """Yield a study's arrays, one map in memory at a time."""
    for exported in study.maps:
        yield from _map_parts(exported, results)
    for mask in study.masks:
        facts: dict[str, object] = {"reader": mask.reader, "label": mask.label, "computed": mask.computed}
        yield VolumePart("mask", (mask.reader, mask.label or "unlabelled"), mask.array.astype(np.uint8), facts)


def _map_parts(exported: ExportedMap, results: Results) -> Iterator[VolumePart]:
    placed = exported.on_image()
    words = (exported.method, exported.layer or "input", exported.target)
    facts: dict[str, object] = {
        "run": results.run,
        "method": exported.method,
        "layer": exported.layer,
        "label": exported.target,
        "model": results.model.name,
        "weights_sha256": results.model.sha256,
        "map_sha256": exported.sha256,
        "values": "signed and raw, interpolated to the image's grid; 0 where the model saw nothing",
        "seen_share": float(placed.seen.mean()),
        "not_for_diagnosis": True,
    }
    yield VolumePart("map", words, np.asarray(placed.values, dtype=np.float32), facts)
    rule = {"threshold_rule": placed.rule, "threshold": placed.threshold}
    if placed.region is not None and placed.region.any():
        facts = {key: fact for key, fact in facts.items() if key != "values"}
        yield VolumePart("region", words, placed.region.astype(np.uint8), {**facts, **rule})


def plain_name(text: str) -> str:
    """Return a text as a file's name of plain letters, digits, points, dashes and underscores."""
    return _NOT_PLAIN.sub("-", text).strip("-.") or "x"
