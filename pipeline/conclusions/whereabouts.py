"""Where a cohort's maps have their peaks, and which wrong answers the model gave, counted from the studies' records."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.findings.results import Whereabouts, WrongAnswer
from pipeline.findings.scores import MapPeak, MapScores
from pipeline.findings.study_audit import StudyAudit, map_name, methods_at_layers
from pipeline.vocabulary import BASELINES, PEAK_REGIONS, STRATA, STRATA_BY_PREDICTION, Stratum

__all__ = ["whereabouts", "wrong_answers"]

_REGIONS = tuple(PEAK_REGIONS)


@dataclass(frozen=True)
class _MapOfStudy:
    """One map of a study: its peak, seen from the reader in whose mask it lies best, None for a constant map."""

    study: str
    method: str
    strata: frozenset[Stratum]
    peak: MapPeak | None


def whereabouts(audits: Sequence[StudyAudit], *, calls_labels: bool = True) -> tuple[Whereabouts, ...]:
    """Count the maps' peaks by region and place, for each method and each stratum that holds a map of it."""
    maps = [shown for audit in audits for shown in _maps_of(audit, methods_at_layers(audits))]
    strata = [name for name in STRATA if calls_labels or name not in STRATA_BY_PREDICTION]
    return tuple(
        _counted(method, among, members)
        for among in strata
        for method in dict.fromkeys(shown.method for shown in maps)
        if (members := [shown for shown in maps if shown.method == method and among in shown.strata])
    )


def _counted(method: str, among: Stratum, maps: Sequence[_MapOfStudy]) -> Whereabouts:
    peaks = [shown.peak for shown in maps if shown.peak is not None]
    regions = Counter(peak.region for peak in peaks)
    places = Counter(peak.place for peak in peaks)
    return Whereabouts(
        method=method,
        among=among,
        maps=len(maps),
        studies=len({shown.study for shown in maps}),
        regions={region: regions[region] for region in _REGIONS if regions[region]},
        places=dict(sorted(places.items(), key=lambda pair: (-pair[1], pair[0]))),
        constant=len(maps) - len(peaks),
        axes=max((len(peak.normalised) for peak in peaks), default=2),
    )


def _maps_of(audit: StudyAudit, at_layers: Collection[str]) -> Iterator[_MapOfStudy]:
    """Yield a study's maps, each once, whatever the number of its readers; baselines are none."""
    groups: dict[tuple[str, str], list[MapScores]] = defaultdict(list)
    for entry in audit.map_scores:
        if entry.map is not None and entry.method not in BASELINES:
            groups[entry.target, map_name(entry, at_layers)].append(entry)
    for (target, method), entries in groups.items():
        peaks = [entry.peak for entry in entries if entry.peak is not None]
        if not peaks and not all(entry.degenerate for entry in entries):
            continue  # no reader's mask could be used: there is nothing to see it from
        masked = any(entry.reader is not None and (entry.peak is not None or entry.degenerate) for entry in entries)
        best = min(peaks, key=lambda peak: _REGIONS.index(peak.region), default=None)
        yield _MapOfStudy(audit.study, method, frozenset(_strata(audit, target, masked=masked)), best)


def _strata(audit: StudyAudit, target: str, *, masked: bool) -> Iterator[Stratum]:
    yield "all"
    if masked and target in (audit.reference or ()):
        yield "reference_positive"
        yield "true_positive" if target in audit.predicted else "false_negative"


def wrong_answers(audits: Iterable[StudyAudit]) -> tuple[WrongAnswer, ...]:
    """Return each kind of wrong answer with its studies, the most frequent first; of models that call labels."""
    kinds: dict[tuple[tuple[str, ...], tuple[str, ...]], list[StudyAudit]] = defaultdict(list)
    for audit in audits:
        known = audit.status == "analysed" and audit.reference is not None and not audit.values
        if known and set(audit.reference or ()) != set(audit.predicted):
            kinds[tuple(sorted(audit.reference or ())), tuple(sorted(audit.predicted))].append(audit)
    ordered = sorted(kinds.items(), key=lambda kind: (-len(kind[1]), kind[0]))
    return tuple(
        WrongAnswer(
            reference=reference,
            answered=answered,
            patients=len({audit.patient for audit in members}),
            studies=tuple(audit.study for audit in members),
        )
        for (reference, answered), members in ordered
    )
