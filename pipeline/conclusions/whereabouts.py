"""Where a cohort's maps have their peaks, counted from the studies' records."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pipeline.evidence.cohort.units import names_of_places
from pipeline.findings.results import Whereabouts
from pipeline.findings.scores import MapPeak, MapScores
from pipeline.findings.study_audit import MethodAtLayer, StudyAudit, map_name
from pipeline.vocabulary import BASELINES, PEAK_REGIONS, STRATA, STRATA_BY_PREDICTION, PeakRegion, Stratum

__all__ = ["PeakCounts", "whereabouts"]

_REGIONS = tuple(PEAK_REGIONS)


def whereabouts(audits: Iterable[StudyAudit], *, calls_labels: bool = True) -> tuple[Whereabouts, ...]:
    """Count the maps' peaks by region and place, for each method and each stratum that holds a map of it."""
    counts = PeakCounts()
    for audit in audits:
        counts.add(audit)
    return counts.whereabouts(calls_labels=calls_labels)


@dataclass
class _Peaks:
    """How many maps of a method a stratum holds, of how many studies, and where their peaks lie."""

    maps: int = 0
    studies: int = 0
    regions: Counter[PeakRegion] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)
    axes: int | None = None

    def put(self, peak: MapPeak | None) -> None:
        """Count a map by its peak, seen from the reader in whose mask it lies best; None for a constant map."""
        self.maps += 1
        if peak is not None:
            self.regions[peak.region] += 1
            self.places[peak.place] += 1
            self.axes = max(self.axes or 0, len(peak.normalised))


@dataclass(frozen=True)
class PeakCounts:
    """The peaks of a cohort's maps, counted study by study."""

    _places: dict[MethodAtLayer, None] = field(default_factory=dict)
    _peaks: dict[tuple[Stratum, str], _Peaks] = field(default_factory=dict)
    _maps: dict[str, None] = field(default_factory=dict)

    def add(self, audit: StudyAudit) -> None:
        """Count the maps of a study, each once, whatever the number of its readers; baselines are none."""
        self._places.update(dict.fromkeys(audit.places))
        seen: set[tuple[Stratum, str]] = set()
        for name, strata, peak in _maps_of(audit):
            self._maps.setdefault(name)
            for stratum in strata:
                self._peaks.setdefault((stratum, name), _Peaks()).put(peak)
                seen.add((stratum, name))
        for key in seen:
            self._peaks[key].studies += 1

    def whereabouts(self, *, calls_labels: bool = True) -> tuple[Whereabouts, ...]:
        """Return what was counted."""
        names = names_of_places(self._places)
        return tuple(
            _counted(names[place], among, self._peaks[among, place])
            for among in STRATA
            if calls_labels or among not in STRATA_BY_PREDICTION
            for place in self._maps
            if (among, place) in self._peaks
        )


def _counted(method: str, among: Stratum, peaks: _Peaks) -> Whereabouts:
    regions, places = peaks.regions, peaks.places
    return Whereabouts(
        method=method,
        among=among,
        maps=peaks.maps,
        studies=peaks.studies,
        regions={region: regions[region] for region in _REGIONS if regions[region]},
        places=dict(sorted(places.items(), key=lambda pair: (-pair[1], pair[0]))),
        constant=peaks.maps - regions.total(),
        axes=2 if peaks.axes is None else peaks.axes,
    )


def _maps_of(audit: StudyAudit) -> Iterator[tuple[str, frozenset[Stratum], MapPeak | None]]:
    """Yield a study's maps: what each is called with its layer, the strata that hold it, and its peak."""
    groups: dict[tuple[str, str], list[MapScores]] = defaultdict(list)
    for entry in audit.map_scores:
        if entry.map is not None and entry.method not in BASELINES:
            groups[entry.target, map_name(entry, (entry.method,))].append(entry)
    for (target, name), entries in groups.items():
        peaks = [entry.peak for entry in entries if entry.peak is not None]
        if not peaks and not all(entry.degenerate for entry in entries):
            continue  # no reader's mask could be used: there is nothing to see it from
        masked = any(entry.reader is not None and (entry.peak is not None or entry.degenerate) for entry in entries)
        best = min(peaks, key=lambda peak: _REGIONS.index(peak.region), default=None)
        yield name, frozenset(_strata(audit, target, masked=masked)), best


def _strata(audit: StudyAudit, target: str, *, masked: bool) -> Iterator[Stratum]:
    yield "all"
    if masked and target in (audit.reference or ()):
        yield "reference_positive"
        yield "true_positive" if target in audit.predicted else "false_negative"
