"""Two runs of one cohort, held against each other study by study: what changed, over the studies that both have."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.errors import OutputError
from pipeline.evidence.cohort.classifier import classifier_population
from pipeline.evidence.cohort.estimating import Bootstrap
from pipeline.evidence.cohort.measures import MetricScale, of_map
from pipeline.evidence.cohort.population import is_outside
from pipeline.evidence.cohort.units import UnitGatherer
from pipeline.evidence.columns.unit import NOT_ANALYSED, NOT_EXPLAINED
from pipeline.evidence.columns.unit_table import UnitTable
from pipeline.evidence.comparison.answering import answered
from pipeline.evidence.comparison.differing import differing, not_compared, withheld_margin
from pipeline.evidence.comparison.figures import Asking, FigureName, PairedScore, figure_change
from pipeline.evidence.comparison.flips import flipped_calls, flipped_hits
from pipeline.evidence.comparison.pairing import RunRecords, StudyPairs, paired_studies
from pipeline.evidence.comparison.shifts import peak_shifts
from pipeline.findings.brief_study import BriefStudy, StudyFacts
from pipeline.findings.context.changes import ChangeKind, FigureChange, FlippedStudy, RunChange
from pipeline.findings.facts import MetricFacts
from pipeline.findings.results import Results
from pipeline.packed.items import PackedItems
from pipeline.packed.texts import TextMap
from pipeline.vocabulary import BASELINES, CLASSIFIER

__all__ = ["ComparisonPlan", "RunComparison", "compare_runs", "shared_metrics"]

_HITS = "hit_rate"


@dataclass(frozen=True)
class ComparisonPlan:
    """What is asked of two runs.

    ``margins`` go from a metric to by how much less is still not worse; ``locked`` tells whether they were locked
    before b's first inference. ``maps`` are pairs of a map of a and one of b; without them each map of both is compared
    with itself. ``matched_by`` says how a's studies got the names that they have.
    """

    kind: ChangeKind = "named"
    margins: Mapping[str, float] = field(default_factory=dict)
    locked: bool = False
    confidence: float = 0.95
    missing_at_most: float = 0.1
    maps: tuple[tuple[str, str], ...] = ()
    relinked: bool = False


@dataclass(frozen=True)
class RunComparison:
    """What is kept of a comparison, and the studies by name, which are not; ``metrics`` are those that are compared."""

    change: RunChange
    studies: StudyPairs
    metrics: tuple[MetricFacts, ...]


def compare_runs(a: RunRecords, b: RunRecords, plan: ComparisonPlan | None = None) -> RunComparison:
    """Compare two runs of one cohort: differences are b minus a.

    Raises:
        OutputError: when they share no study, or a map or a margin that the plan names is of neither.
    """
    plan = plan or ComparisonPlan()
    shared = _shared_labels(a.results, b.results)
    pairs = paired_studies(a.studies, b.studies, [*shared, *_negatives(a.results, b.results)])
    if not (pairs.asked or pairs.changed):
        raise OutputError(
            f"run_b: {b.name} shares no study with {a.name}; compare runs of one archive, under one pseudonym key or "
            "with both keys at hand"
        )
    asking = Asking(
        Bootstrap(b.results.provenance.replicates, b.results.provenance.seed, plan.confidence),
        plan.missing_at_most,
        plan.margins,
        withheld_margin(a, b),
    )
    scored = list(_of_the_maps(a, b, plan, pairs, asking))
    figures = [*_of_the_classifier(a, b, pairs, asking), *(figure for figure, _ in scored)]
    _check_margins(plan.margins, figures)
    answer, reason = answered(figures, pairs, plan)
    change = RunChange(
        kind=plan.kind,
        run_a=a.name,
        run_b=b.name,
        results_sha256=a.results_sha256 or None,
        matched_by="names under two keys" if plan.relinked else "pseudonyms",
        studies=pairs.counts,
        differs=differing(a, b),
        not_compared=not_compared(a.results, b.results),
        confidence=plan.confidence,
        locked=plan.locked,
        figures=tuple(figures),
        flips=(*_calls(a, b, pairs), *(flip for _, flips in scored for flip in flips)),
        shifts=peak_shifts(a.audits, b.audits, pairs.paired),
        answer=answer,
        reason=reason,
    )
    return RunComparison(change, pairs, tuple(shared_metrics(a.results, b.results)))


def shared_metrics(a: Results, b: Results) -> list[MetricFacts]:
    """Return the metrics that both runs define alike, version and all."""
    return [facts for facts in b.metrics if facts in a.metrics]


def _shared_labels(a: Results, b: Results) -> list[str]:
    """Return the labels that count as findings in both models."""
    return [
        label
        for label in b.model.labels
        if label in a.model.labels and label not in (a.model.negative_label, b.model.negative_label)
    ]


def _negatives(a: Results, b: Results) -> list[str]:
    """Return the label that means that nothing is present, where both models have the same."""
    same = a.model.negative_label == b.model.negative_label
    return [a.model.negative_label] if same and a.model.negative_label is not None else []


def _asked(run: RunRecords, asked: frozenset[str]) -> Sequence[BriefStudy]:
    return PackedItems(study for study in run.studies if study.study in asked)


# The classifier.


def _of_the_classifier(a: RunRecords, b: RunRecords, pairs: StudyPairs, asking: Asking) -> Iterator[FigureChange]:
    if "regression" in (a.results.model.output, b.results.model.output):
        return
    labels = _shared_labels(a.results, b.results)
    wanted: list[tuple[str, str | None]] = []
    if frozenset(a.results.model.labels) == frozenset(b.results.model.labels):
        wanted.append(("accuracy", None))
    wanted += [(metric, label) for label in labels for metric in ("sensitivity", "specificity")]
    scale = MetricScale("", (0.0, 1.0), "higher")
    runs = [_asked(run, pairs.asked) for run in (a, b)]
    for metric, label in wanted:
        scores = _classifier_scores(metric, label, runs)
        shown = label if len(labels) > 1 else None
        name = FigureName(metric, CLASSIFIER, CLASSIFIER, shown, "all", "higher")
        if scores:
            yield figure_change(name, scores, scale, asking)


def _classifier_scores(metric: str, label: str | None, runs: Sequence[Sequence[StudyFacts]]) -> list[PairedScore]:
    """Join the studies that either run counts; one that a run lost has no score there."""
    by_run = [_classifier_values(metric, label, audits) for audits in runs]
    patients = {audit.study: audit.patient for audit in runs[1]}
    sides = [(study, patient, [by_study.get(study) for by_study in by_run]) for study, patient in patients.items()]
    return [
        PairedScore(study, patient, _value(a), _value(b), NOT_ANALYSED)
        for study, patient, (a, b) in sides
        if a is not None or b is not None
    ]


def _classifier_values(metric: str, label: str | None, audits: Sequence[StudyFacts]) -> dict[str, float]:
    """Return what counts of each study; NaN where a study that counts has no value."""
    population = classifier_population(metric, audits, label)
    numbers, values = population.study.tolist(), population.value.tolist()
    return {audits[number].study: value for number, value in zip(numbers, values, strict=True)}


def _value(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def _calls(a: RunRecords, b: RunRecords, pairs: StudyPairs) -> Iterator[FlippedStudy]:
    alike = frozenset(a.results.model.labels) == frozenset(b.results.model.labels)
    return flipped_calls(frozenset(pairs.paired), a.studies, b.studies, alike=alike)


# The maps.


def _of_the_maps(
    a: RunRecords, b: RunRecords, plan: ComparisonPlan, pairs: StudyPairs, asking: Asking
) -> Iterator[tuple[FigureChange, list[FlippedStudy]]]:
    """Yield each metric of each map, among the studies whose target the reference says is present."""
    metrics = shared_metrics(a.results, b.results)
    sides = [_units(run, pairs.asked) for run in (a, b)]
    patients = TextMap((study.study, study.patient) for study in b.studies)
    keys = list(dict.fromkeys(key for side in reversed(sides) for key in side.rows))
    labels = list(dict.fromkeys(target for _, target in keys))
    for map_a, map_b in _map_pairs(sides, plan.maps):
        for facts in metrics:
            scale = MetricScale(facts.name, facts.range, facts.better)
            scores = [side.scores(name, scale) for side, name in zip(sides, (map_a, map_b), strict=True)]
            pairs_of = {key: _pair(scores, key, patients) for key in keys}
            every = {key: score for key, score in pairs_of.items() if score is not None}
            judged = facts.name in plan.margins and len(labels) > 1
            for label in (None, *labels) if judged else (None,):
                chosen = {key: score for key, score in every.items() if label in (None, key[1])}
                name = FigureName(facts.name, map_a, map_b, label, "reference_positive", facts.better)
                # a margin of several labels has to hold for each: it is not asked of all of them together
                asked = asking if label is not None or not judged else Asking(asking.bootstrap, 1.0, {})
                figure = figure_change(name, list(chosen.values()), scale, asked, asking.withheld)
                with_hits = facts.name == _HITS and label is None
                targets = [target for _, target in chosen]
                flips = list(flipped_hits(list(chosen.values()), map_b, targets)) if with_hits else []
                yield figure, flips


_Key = tuple[str, str]  # a study and a target


@dataclass(frozen=True, eq=False)
class _Side:
    """A run's units in which the target is present; ``rows`` are their numbers."""

    units: UnitTable
    rows: Mapping[_Key, int]

    def scores(self, name: str, scale: MetricScale) -> dict[_Key, float | str | None]:
        """Return a map's scores or the reasons why there are none; None where nobody said what to hold it against."""
        scored = of_map(name, scale).score(self.units)
        said: dict[_Key, float | str | None] = {}
        for key, row in self.rows.items():
            code = int(scored.codes[row])
            reason = self.units.reasons[code]
            said[key] = float(scored.values[row]) if not code else None if is_outside(reason, positive=True) else reason
        return said


def _units(run: RunRecords, asked: frozenset[str]) -> _Side:
    metrics = [facts.name for facts in run.results.metrics]
    negative = run.results.model.negative_label
    labels = [label for label in run.results.model.labels if label != negative]
    gatherer = UnitGatherer(tuple(metrics), tuple(labels))
    for audit in run.audits:
        if audit.study in asked:
            gatherer.add(audit)
    units = gatherer.table(_asked(run, asked))
    positive = units.where(units.positive)
    names = [study.study for study in positive.columns.studies]
    targets = (positive.columns.targets[number] for number in positive.columns.target[positive.rows].tolist())
    keys = zip((names[number] for number in positive.study.tolist()), targets, strict=True)
    return _Side(positive, {key: row for row, key in enumerate(keys)})


def _map_pairs(sides: Sequence[_Side], wanted: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """Return the pairs of maps to compare; a baseline knows nothing of either model.

    Raises:
        OutputError: when a map that is wanted is in neither run.
    """
    names = [side.units.map_names for side in sides]
    for pair in wanted:
        for side, name, known in zip(("a", "b"), pair, names, strict=True):
            if name not in known:
                raise OutputError(f"maps: run_{side} has no map {name!r:.60}; it has {', '.join(known) or 'none'}")
    return wanted or [(name, name) for name in names[1] if name in names[0] and name not in BASELINES]


def _pair(
    scores: Sequence[Mapping[_Key, float | str | None]], key: _Key, patients: Mapping[str, str]
) -> PairedScore | None:
    """Return both runs' scores of a study and target; None where nobody said what they could be held against."""
    said = [side.get(key, NOT_EXPLAINED) for side in scores]
    if None in said:
        return None
    a, b = (None if isinstance(score, str) else score for score in said)
    reason = next((score for score in said if isinstance(score, str)), None)
    return PairedScore(key[0], patients[key[0]], a, b, reason)


def _check_margins(margins: Mapping[str, float], figures: Sequence[FigureChange]) -> None:
    known = list(dict.fromkeys(figure.metric for figure in figures))
    for metric in margins:
        if metric not in known:
            listed = ", ".join(known) or "nothing"
            raise OutputError(f"margins: {metric!r:.60} is no figure of both runs, which have {listed}")
