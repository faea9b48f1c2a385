"""Two runs of one cohort, held against each other study by study: what changed, over the studies that both have."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from pipeline.errors import OutputError
from pipeline.evidence.cohort.classifier import classifier_population
from pipeline.evidence.cohort.estimating import Bootstrap
from pipeline.evidence.cohort.measures import MetricScale
from pipeline.evidence.cohort.units import UnitGatherer
from pipeline.evidence.columns.unit import NOT_ANALYSED
from pipeline.evidence.columns.unit_table import UnitTable
from pipeline.evidence.comparison.answering import answered
from pipeline.evidence.comparison.differing import differing, looked_at_again, not_compared, withheld_margin
from pipeline.evidence.comparison.figures import Asking, FigureName, figure_change
from pipeline.evidence.comparison.flips import flipped_calls, flipped_hits
from pipeline.evidence.comparison.paired_scores import AskedStudies, JoinedUnits, PairedScores
from pipeline.evidence.comparison.pairing import RunRecords, StudyPairs, paired_studies
from pipeline.evidence.comparison.shifts import peak_shifts
from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.context.changes import ChangeKind, FigureChange, FlippedStudy, RunChange
from pipeline.findings.facts import MetricFacts
from pipeline.findings.frozen_model import share_names_of_fields
from pipeline.findings.results import Results
from pipeline.packed.items import Keep, in_memory
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


def compare_runs(
    a: RunRecords, b: RunRecords, plan: ComparisonPlan | None = None, keep: Keep = in_memory
) -> RunComparison:
    """Compare two runs of one cohort: differences are b minus a. ``keep`` has what is too much for memory.

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
        looked_at_again(b.results) if plan.locked else None,
        withheld_margin(a, b),
    )
    studies = AskedStudies.of(a, b, pairs.asked)
    scored = list(_of_the_maps(a, b, plan, studies, asking, keep))
    figures = [*_of_the_classifier(a, b, studies, asking), *(figure for figure, _ in scored)]
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
        flips=tuple(chain(_calls(a, b, pairs), *(flips for _, flips in scored))),
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


# The classifier.


def _of_the_classifier(a: RunRecords, b: RunRecords, studies: AskedStudies, asking: Asking) -> Iterator[FigureChange]:
    if "regression" in (a.results.model.output, b.results.model.output):
        return
    labels = _shared_labels(a.results, b.results)
    wanted: list[tuple[str, str | None]] = []
    if frozenset(a.results.model.labels) == frozenset(b.results.model.labels):
        wanted.append(("accuracy", None))
    wanted += [(metric, label) for label in labels for metric in ("sensitivity", "specificity")]
    scale = MetricScale("", (0.0, 1.0), "higher")
    for metric, label in wanted:
        scores = _classifier_scores(metric, label, studies)
        shown = label if len(labels) > 1 else None
        name = FigureName(metric, CLASSIFIER, CLASSIFIER, shown, "all", "higher")
        if len(scores):
            yield figure_change(name, scores, scale, asking, asking.withheld)


def _classifier_scores(metric: str, label: str | None, studies: AskedStudies) -> PairedScores:
    """Join the studies that either run counts; one that a run lost, and one that counts without a value, has none."""
    counted, values = np.zeros((2, len(studies.b)), dtype=bool), np.full((2, len(studies.b)), np.nan)
    for run, audits in enumerate((studies.a, studies.b)):
        population = classifier_population(metric, audits, label)
        own = studies.numbers[run][population.study]
        counted[run, own], values[run, own] = True, population.value
    chosen = np.flatnonzero(counted.any(axis=0))
    none = np.zeros(len(chosen), dtype=np.intp)
    a, b = values[:, chosen]
    return PairedScores(chosen, studies.patient[chosen], none, a, b, none, (NOT_ANALYSED,))


def _calls(a: RunRecords, b: RunRecords, pairs: StudyPairs) -> Iterator[FlippedStudy]:
    alike = frozenset(a.results.model.labels) == frozenset(b.results.model.labels)
    return share_names_of_fields(flipped_calls(frozenset(pairs.paired), a.studies, b.studies, alike=alike))


# The maps.


def _of_the_maps(
    a: RunRecords, b: RunRecords, plan: ComparisonPlan, studies: AskedStudies, asking: Asking, keep: Keep
) -> Iterator[tuple[FigureChange, list[FlippedStudy]]]:
    """Yield each metric of each map, among the studies whose target the reference says is present."""
    units = _units(a, studies.a, keep), _units(b, studies.b, keep)
    joined = JoinedUnits.of(units, studies)
    for maps in _map_pairs(units, plan.maps):
        for facts in shared_metrics(a.results, b.results):
            yield from _of_a_map(joined, maps, facts, studies.b, asking)


def _of_a_map(
    joined: JoinedUnits, maps: tuple[str, str], facts: MetricFacts, studies: Sequence[StudyFacts], asking: Asking
) -> Iterator[tuple[FigureChange, list[FlippedStudy]]]:
    """Yield a metric of a map of each run: over all labels, and by label where a margin has to hold for each."""
    scale, labels = MetricScale(facts.name, facts.range, facts.better), joined.labels
    every = joined.scores(maps, scale)
    judged = facts.name in asking.margins and len(labels) > 1
    for label in (None, *labels) if judged else (None,):
        chosen = every if label is None else every.where(every.target == joined.targets.index(label))
        name = FigureName(facts.name, *maps, label, "reference_positive", facts.better)
        # a margin of several labels has to hold for each: it is not asked of all of them together
        asked = asking if label is not None or not judged else Asking(asking.bootstrap, 1.0, {})
        figure = figure_change(name, chosen, scale, asked, asking.withheld or asking.withheld_of_maps)
        with_hits = facts.name == _HITS and label is None
        flips = flipped_hits(chosen, maps[1], joined.targets, studies) if with_hits else ()
        yield figure, list(share_names_of_fields(flips))


def _units(run: RunRecords, studies: Sequence[StudyFacts], keep: Keep) -> UnitTable:
    """Return a run's units of ``studies`` in which the target is present."""
    metrics = [facts.name for facts in run.results.metrics]
    negative, asked = run.results.model.negative_label, frozenset(study.study for study in studies)
    labels = [label for label in run.results.model.labels if label != negative]
    gatherer = UnitGatherer(tuple(metrics), tuple(labels), by_reader=False, keep=keep)
    for audit in run.audits:
        if audit.study in asked:
            gatherer.add(audit)
    units = gatherer.table(studies)
    return units.where(units.positive)


def _map_pairs(units: Sequence[UnitTable], wanted: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """Return the pairs of maps to compare; a baseline knows nothing of either model.

    Raises:
        OutputError: when a map that is wanted is in neither run.
    """
    names = [table.map_names for table in units]
    for pair in wanted:
        for side, name, known in zip(("a", "b"), pair, names, strict=True):
            if name not in known:
                raise OutputError(f"maps: run_{side} has no map {name!r:.60}; it has {', '.join(known) or 'none'}")
    return wanted or [(name, name) for name in names[1] if name in names[0] and name not in BASELINES]


def _check_margins(margins: Mapping[str, float], figures: Sequence[FigureChange]) -> None:
    known = list(dict.fromkeys(figure.metric for figure in figures))
    for metric in margins:
        if metric not in known:
            listed = ", ".join(known) or "nothing"
            raise OutputError(f"margins: {metric!r:.60} is no figure of both runs, which have {listed}")
