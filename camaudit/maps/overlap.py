"""What the metrics say of one map against one mask: each a value with its unit, or the reason why it has none."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape

from pydantic import ValidationError

from pipeline.config import OverlapConfig
from pipeline.errors import ConfigError, closest
from pipeline.evidence.metrics.map_evidence import MarkedVoxels, RegionOverlap
from pipeline.evidence.metrics.plugins import load_metrics
from pipeline.evidence.metrics.registry import evidence_of, score_all
from pipeline.studies.readers import MaskFile
from pipeline.studies.volume import Heatmap
from pipeline.vocabulary import Better

__all__ = ["MapOverlap", "OverlapScore", "OverlapTable", "overlap_of"]


@dataclass(frozen=True)
class OverlapScore:
    """One metric: ``value`` in ``unit`` (``1``: none), or None and the ``reason``.

    ``chance`` is the value to expect of a map that is placed at random, where there is one.
    """

    name: str
    title: str
    value: float | None
    unit: str
    better: Better
    chance: float | None
    reason: str | None

    def __str__(self) -> str:
        return f"{self.title}: {' '.join(filter(None, self.texts))}"

    @property
    def texts(self) -> tuple[str, str]:
        """The value with its unit, or its reason; and what it is to be held against."""
        if self.value is None:
            return f"none ({self.reason})", ""
        unit = "" if self.unit == "1" else f" {self.unit}"
        chance = "" if self.chance is None else f", chance {self.chance:.3g}"
        return f"{self.value:.3g}{unit}", f"({self.better} is better{chance})"


@dataclass(frozen=True)
class MapOverlap:
    """Every registered metric of a map against a mask: ``overlap["iou"].value``.

    ``region_above`` is the value above which a voxel belongs to the map's region; None: the map has no region.
    ``seen_share`` is the share of the mask that lies in the model's field of view; None: the mask is empty. ``notes``
    tell what was taken for granted when the mask was read: that its only segment bears another name, say.
    """

    scores: tuple[OverlapScore, ...]
    region_above: float | None
    seen_share: float | None
    notes: Mapping[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[OverlapScore]:
        return iter(self.scores)

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, name: str) -> OverlapScore:
        """Return a metric's score.

        Raises:
            ConfigError: for a name that is no metric's.
        """
        by_name = {score.name: score for score in self.scores}
        if name not in by_name:
            raise ConfigError(f"overlap: there is no metric {name!r:.60}; {closest(str(name), by_name)}")
        return by_name[name]

    def __repr__(self) -> str:
        return "\n".join([*map(str, self.scores), *(f"({name}: {note})" for name, note in self.notes.items())])

    def _repr_html_(self) -> str:
        """Show the scores in a notebook."""
        rows = ("".join(f"<td>{escape(text)}</td>" for text in (score.title, *score.texts)) for score in self.scores)
        notes = "".join(f"<p>{escape(f'{name}: {note}')}</p>" for name, note in self.notes.items())
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>{notes}"


@dataclass(frozen=True)
class OverlapTable:
    """Several maps against one mask: ``table["gradcam"]``, or ``["gradcam", "lesion"]``, is a map's ``MapOverlap``."""

    rows: Mapping[tuple[str, ...], MapOverlap]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: str | tuple[str, ...]) -> MapOverlap:
        """Return the scores of the one map of these words: its method, and layer or target where there are several.

        Raises:
            ConfigError: when there is none, or more than one.
        """
        words = {key} if isinstance(key, str) else set(key)
        fitting = [names for names in self.rows if words <= set(names)]
        if len(fitting) != 1:
            known = "; ".join(", ".join(names) for names in self.rows)
            raise ConfigError(f"overlap: {len(fitting)} maps are called {key!r:.60}; there are {known}")
        return self.rows[fitting[0]]

    def __repr__(self) -> str:
        cells = [["map", *self._metrics()]] + [
            [", ".join(names), *self._values(row)] for names, row in self.rows.items()
        ]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        texts = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
        return "\n".join(text.rstrip() for text in texts)

    def _repr_html_(self) -> str:
        """Show the table in a notebook."""
        head = "".join(f"<th>{escape(text)}</th>" for text in ("map", *self._metrics()))
        rows = (
            "".join(f"<td>{escape(text)}</td>" for text in (", ".join(names), *self._values(row)))
            for names, row in self.rows.items()
        )
        return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"

    def _metrics(self) -> list[str]:
        return [score.title for score in next(iter(self.rows.values()), ())]

    def _values(self, row: MapOverlap) -> list[str]:
        return [score.texts[0] for score in row]


def overlap_of(heatmap: Heatmap, mask: MaskFile, threshold: str | float) -> MapOverlap:
    """Return the scores of a map against what is marked on its grid, by the functions that an audit scores with.

    Raises:
        ConfigError: for a threshold that no rule bears.
    """
    evidence = evidence_of(heatmap, _rule(threshold))
    overlap = RegionOverlap(evidence, MarkedVoxels(mask.marked, heatmap.geometry))
    metrics = load_metrics()
    return MapOverlap(
        tuple(
            OverlapScore(score.name, metric.title, score.value, metric.unit, metric.better, score.chance, score.reason)
            for score, metric in zip(score_all(overlap, metrics.values()), metrics.values(), strict=True)
        ),
        evidence.threshold,
        overlap.visible_voxels / overlap.mask_voxels if overlap.mask_voxels else None,
        mask.header,
    )


def _rule(threshold: str | float) -> OverlapConfig:
    """Return how a map becomes a region, as ``overlap:`` of audit.yaml says it."""
    try:
        return OverlapConfig.model_validate({"threshold": None if isinstance(threshold, bool) else threshold})
    except ValidationError:
        rules = "'otsu', 'percentile-95', 'otsu-chexlocalize' or a share of the maximum between 0 and 1"
        raise ConfigError(f"threshold: must be {rules}, not {threshold!r:.40}") from None
