"""What a metric declares of itself; verdicts, tables, charts and the generic checks obey it."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Any, get_args

import numpy as np

from pipeline.evidence.metrics.map_evidence import MarkedVoxels, MaskedEvidence, RegionOverlap
from pipeline.evidence.thresholds import UNDEFINED_RULE
from pipeline.findings.facts import MetricFacts
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Heatmap
from pipeline.vocabulary import Better, Fidelity

__all__ = ["INVARIANCES", "Metric", "metric"]

Measure = Callable[[RegionOverlap], float]
"""From one map's evidence beside one mask to a number; raises ``Undefined`` with a reason code where there is none."""

INVARIANCES = {
    "scale": "a positive factor on the map changes nothing",
    "monotone": "a rising function of the map's positive part changes nothing: only the order of its values counts",
    "flip": "mirroring map and mask together along an axis changes nothing",
    "permutation": "exchanging axes of map, mask and grid together changes nothing",
    "shift": "moving map and mask together through empty space changes nothing",
    "shuffle": "where a voxel lies does not count, only what map and mask hold there",
    "spacing": "the size of a voxel does not count",
}
"""What a metric may declare; each is held against the metric by one generic check."""

_NAME, _UNIT = re.compile(r"[a-z][a-z0-9_]{1,39}"), re.compile(r"1|[A-Za-z][A-Za-z0-9/]{0,9}")
_TITLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ()-]{0,39}")  # no letter that only looks like another metric's
_ASKED = "region_asked_for"
_PROSE = 400  # the most characters


@dataclass(frozen=True)
class Metric:
    """A metric and what it declares.

    ``range`` is the lowest and the highest value (None: open), in ``unit`` (``1``: none). ``chance`` gives the value to
    expect of a map that is placed at random; None where there is none, and ``chance_text`` says why, or what it is.
    ``invariant`` are names of ``INVARIANCES``. ``version`` rises when a score changes. ``package`` and
    ``package_version`` name the distribution of a metric that is not camaudit's own, ``source_sha256`` its code.
    ``source`` names where it was published ('': nowhere), ``equals`` what of that it is equal to on ordinary inputs.
    """

    name: str
    title: str
    definition: str
    unit: str
    better: Better
    range: tuple[float | None, float | None]
    chance: Measure | None
    chance_text: str
    invariant: tuple[str, ...]
    version: int
    function: Measure
    source: str = ""
    equals: Fidelity = "neither"
    package: str | None = None
    package_version: str | None = None
    source_sha256: str | None = None

    def __call__(self, overlap: RegionOverlap) -> float:
        """Return the metric's value."""
        return self.function(overlap)

    @property
    def bounds(self) -> tuple[float, float]:
        """The range as numbers; infinite where it is open."""
        low, high = self.range
        return -inf if low is None else low, inf if high is None else high

    @property
    def identity(self) -> list[str | int | None]:
        """What its scores follow from, besides the map and the mask."""
        return [self.name, self.version, self.package, self.package_version, self.source_sha256]

    @property
    def facts(self) -> MetricFacts:
        """What a reader of the results must know of it."""
        return MetricFacts(
            name=self.name,
            title=self.title,
            definition=self.definition,
            better=self.better,
            unit=self.unit,
            range=self.range,
            chance=self.chance_text,
            version=self.version,
            source=self.source,
            equals=self.equals,
            package=self.package,
            package_version=self.package_version,
            source_sha256=self.source_sha256,
            thresholded=asks_for_region(self.function),
        )


def asks_for_region(function: Measure) -> bool:
    """Tell whether a metric looks at the map's region, on a scene that has none; true of one that breaks there."""
    values = np.zeros((4, 4, 4), np.float32)
    values[1, 2, 3], values[2, 2, 2] = 1.0, 0.5
    geometry = Geometry(values.shape, np.eye(4))
    heatmap = Heatmap(values, geometry, np.ones(values.shape, bool), "", "", "")
    evidence = MaskedEvidence(heatmap, f"{UNDEFINED_RULE}{_ASKED}")
    try:
        function(RegionOverlap(evidence, MarkedVoxels(values == 0.5, geometry)))
    except Exception:  # noqa: BLE001 - a third party's function may raise anything
        return True
    return False


def metric(
    name: str,
    *,
    title: str,
    definition: str,
    unit: str,
    better: Better,
    range: tuple[float | None, float | None],
    chance: Measure | str,
    invariant: Iterable[str],
    version: int,
    source: str = "",
    equals: Fidelity = "neither",
) -> Callable[[Measure], Metric]:
    """Declare a function of a ``RegionOverlap`` as a metric.

    ``definition`` says in words what it is and when it is undefined. ``chance`` is a function of the same
    ``RegionOverlap``, whose docstring begins with what it is; or, where there is no such level, the reason in words.
    ``source`` names the publication, in one line; ``equals`` says whether the values are the paper's, its code's, both
    or neither.

    Raises:
        ValueError: naming the part of the declaration that is not valid.
    """

    def declare(function: Measure) -> Metric:
        level = chance if callable(chance) else None
        said = (inspect.getdoc(level) or "").partition("\n")[0] if level is not None else chance
        declared = Metric(
            name,
            title,
            definition,
            unit,
            better,
            range,
            level,
            str(said),
            tuple(invariant),
            version,
            function,
            source,
            equals,
        )
        fault = next(_faults(declared), None)
        if fault is not None:
            raise ValueError(f"metric {name!r:.60}: {fault}")
        return declared

    return declare


def _faults(declared: Metric) -> Iterator[str]:
    if not _matches(_NAME, declared.name) or declared.name.endswith("_undefined"):
        yield "name must be of a-z, 0-9 and _, from 2 to 40 characters, not ending in _undefined"
    if not _matches(_TITLE, declared.title):
        yield f"title must be 1 to 40 plain characters (letters, digits, space, brackets), not {declared.title!r:.60}"
    for part, text in (
        ("definition", declared.definition),
        ("chance, as a reason or a docstring,", declared.chance_text),
    ):
        if not _printable(text):
            yield f"{part} must be one printable line of 1 to {_PROSE} characters, not {text!r:.60}"
    if not _matches(_UNIT, declared.unit):
        yield f"unit must be '1' or such as 'mm' or 'mm3', not {declared.unit!r:.60}"
    if declared.better not in get_args(Better):
        yield f"better must be 'higher' or 'lower', not {declared.better!r:.60}"
    if not _is_range(declared.range):
        yield f"range must be (low, high) with low below high, None where open, not {declared.range!r:.60}"
    unknown = [name for name in declared.invariant if name not in INVARIANCES]
    if unknown:
        yield f"invariant must be among {', '.join(INVARIANCES)}, not {unknown[0]!r:.60}"
    if isinstance(declared.version, bool) or not isinstance(declared.version, int) or declared.version < 1:
        yield f"version must be a whole number from 1, not {declared.version!r:.60}"
    if declared.source != "" and not _printable(declared.source):
        yield f"source must be one printable line of at most {_PROSE} characters, not {declared.source!r:.60}"
    if declared.equals not in get_args(Fidelity):
        yield f"equals must be among {', '.join(get_args(Fidelity))}, not {declared.equals!r:.60}"
    if not callable(declared.function):
        yield "must be declared on a function"


def _matches(pattern: re.Pattern[str], text: Any) -> bool:  # noqa: ANN401 - whatever a third party wrote
    return isinstance(text, str) and pattern.fullmatch(text) is not None


def _printable(text: Any) -> bool:  # noqa: ANN401 - whatever a third party wrote
    return isinstance(text, str) and len(text.strip()) > 0 and len(text) <= _PROSE and text.isprintable()


def _is_range(span: Any) -> bool:  # noqa: ANN401 - whatever a third party wrote
    if not isinstance(span, tuple) or len(span) != 2:
        return False
    ends = [end for end in span if end is not None]
    numbers = all(isinstance(end, (int, float)) and not isinstance(end, bool) and -inf < end < inf for end in ends)
    return numbers and (len(ends) < 2 or ends[0] < ends[1])
