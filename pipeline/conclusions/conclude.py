"""From a run's records to its results, in one pure function: a verification computes them again, without the model."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.conclusions.cohort_table import cohort_table
from pipeline.conclusions.experiments import experiment_findings, with_checks
from pipeline.conclusions.gathered import GatheredCohort, ListedAudits, MapCounts, Records, findings_of, gather
from pipeline.conclusions.input_summary import summarised
from pipeline.conclusions.needed_masks import with_overlap
from pipeline.conclusions.shown_cases.choose_cases import choose_cases
from pipeline.conclusions.shown_cases.picture_facts import CasePicture
from pipeline.conclusions.tuned import tuned_of
from pipeline.config import AuditConfig, TunedConfig
from pipeline.evidence.answers import why_answers_are_not_judged
from pipeline.evidence.cohort.classifier import classification
from pipeline.evidence.cohort.confusion import confusion_matrix
from pipeline.evidence.cohort.estimating import Bootstrap, StatedBounds
from pipeline.evidence.cohort.leakage import leakage
from pipeline.evidence.cohort.measures import MetricScale
from pipeline.evidence.cohort.reader_pairs import AGREEMENT_SCALES
from pipeline.evidence.cohort.summary import agreements, estimates, flow_of
from pipeline.evidence.columns.grouped import Groups, group_means
from pipeline.evidence.groups.answer_differences import answer_differences
from pipeline.evidence.groups.group_differences import group_differences
from pipeline.evidence.localisation.curves import size_curves_of, threshold_curves_of
from pipeline.evidence.localisation.lesion_strata import LesionCohort, lesion_estimates, lesion_trends
from pipeline.evidence.localisation.unaligned import unaligned_estimates
from pipeline.evidence.metrics.avoided import is_avoided
from pipeline.evidence.plotted.answer_kinds import AnswerKinds
from pipeline.evidence.plotted.avoided_shares import avoided_shares
from pipeline.evidence.plotted.froc import froc_curves_of
from pipeline.evidence.plotted.label_plots import CellMap, label_plots
from pipeline.evidence.plotted.region_shares import shares_of
from pipeline.evidence.verdicts.criteria import Cohort, judge_all
from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.context.changes import RunChange
from pipeline.findings.estimates import Estimate
from pipeline.findings.experiments.bundle import NO_ROWS, ExperimentFindings, ExperimentRows
from pipeline.findings.facts import InputSummary, LayerFacts, ModelFacts, Provenance
from pipeline.findings.plotted.classifier import LabelPlots
from pipeline.findings.plotted.differences import GroupDifference
from pipeline.findings.plotted.history import RunPoint
from pipeline.findings.results import CaseEntry, Compared, ConfusionMatrix, Results
from pipeline.findings.spec import Member, RunSpec
from pipeline.findings.study_audit import StudyAudit
from pipeline.vocabulary import ANSWERS, BETTER, CLASSIFIER, CLASSIFIER_METRICS, STATEMENTS, STRATA_BY_PREDICTION

__all__ = ["Shown", "chosen_cases", "conclude", "conclusions", "shown_in"]


@dataclass(frozen=True)
class Shown:
    """What conclusions do not follow from records alone: pictures, and how the run was done.

    ``cases`` goes from a study that was chosen to its panels' file, a note, and what the file says in numbers.
    ``picture`` is the file with a plane of the model's input and the note that stands in its place. ``stated`` are
    exact bounds that results state already, each of which is confirmed before it is used. ``changes`` follow from other
    runs too, and ``history`` is what earlier runs said of the criteria.
    """

    provenance: Provenance
    cases: Mapping[str, CasePicture]
    picture: tuple[str | None, str | None]
    equivalent: tuple[tuple[str, ...], ...]
    stated: StatedBounds = field(default_factory=StatedBounds)
    changes: tuple[RunChange, ...] = ()
    history: tuple[RunPoint, ...] = ()


def shown_in(results: Results) -> Shown:
    """Return what results say beside what can be computed from records."""
    inputs = results.inputs
    return Shown(
        provenance=results.provenance,
        cases={case.study: CasePicture(case.panels, case.note, case.picture, case.volume) for case in results.cases},
        picture=(inputs.picture, inputs.picture_note) if inputs else (None, None),
        equivalent=results.equivalent_methods,
        stated=StatedBounds.by(_with_bounds(results)),
        changes=results.changes,
        history=results.history,
    )


def _with_bounds(results: Results) -> Iterator[Estimate]:
    yield from results.estimates
    yield from results.classification
    yield from (agreement.estimate for agreement in results.agreements)
    for verdict in results.verdicts:
        yield verdict.estimate
        yield from (part.estimate for part in verdict.parts)
    for cell in results.confusion.cells if results.confusion else ():
        yield from (*cell.reference_map, *cell.answered_map, *cell.placement)


def conclude(
    spec: RunSpec,
    members: Sequence[Member],
    audits: Sequence[StudyAudit],
    shown: Shown,
    rows: ExperimentRows = NO_ROWS,
) -> Results:
    """Draw a run's conclusions from the records of all its studies, in the order of ``members``.

    ``rows`` are those of its experiments.

    Raises:
        ValueError: when records or rows hold what no run writes.
    """
    return conclusions(spec, members, gather(spec, members, audits), ListedAudits(audits), shown, rows)


def conclusions(
    spec: RunSpec,
    members: Sequence[Member],
    gathered: GatheredCohort,
    records: Records,
    shown: Shown,
    rows: ExperimentRows = NO_ROWS,
) -> Results:
    """Draw a run's conclusions from what was gathered of its studies; ``records`` are these, to be read again.

    Raises:
        ValueError: when records or rows hold what no run writes.
    """
    config = spec.config
    bootstrap = Bootstrap(config.run.replicates, config.run.seed, stated=shown.stated)
    scales = {facts.name: MetricScale.of(facts) for facts in spec.metrics}
    seen = {member.study: member.first_seen for member in members} if spec.lock.open_cohort else None
    studies, negative = gathered.studies, config.model.negative_label
    cohort = Cohort(gathered.units, studies, findings_of(config), scales, seen, config.baselines, negative)
    entries, rule = _cases(spec, gathered, records, shown)
    plots = () if config.model.kind == "regression" else _label_plots(config, cohort, entries, bootstrap)
    experiments = with_overlap(experiment_findings(spec, rows), records, [facts.name for facts in spec.metrics])
    fields: dict[str, object] = {
        **_stated(spec, shown),
        **_of_studies(spec, members, gathered, shown),
        **_of_classifier(config, cohort, bootstrap),
        **_of_maps(config, cohort, gathered, bootstrap),
        **_of_verdicts(config, cohort, experiments, bootstrap),
        "cases": entries,
        "case_rule": rule,
        "label_plots": plots,
        "avoided": avoided_shares(records) if gathered.parts.maps.any_avoided else (),
        "tuned": tuned_of(spec, members, gathered.tuning),
        "experiments": experiments,
    }
    return Results.model_validate(fields)


def _stated(spec: RunSpec, shown: Shown) -> dict[str, object]:
    """Return what the specification says, and how the run was done."""
    config = spec.config
    return {
        "audit": config.name,
        "run": spec.run,
        "title": config.report.title,
        "organisation": config.report.organisation,
        "prepared_by": config.report.prepared_by,
        "intended_use": config.report.intended_use,
        "reference_standard": config.report.reference_standard,
        "lock": spec.lock,
        "provenance": shown.provenance,
        "preparation": spec.preparation,
        "overlap_rule": _overlap_rule(config),
        "methods": spec.methods,
        "metrics": spec.metrics,
        "lost_at_most": config.run.lost_at_most,
        "frameworks": config.report.frameworks,
        "changes": shown.changes,
        "history": shown.history,
        "equivalent_methods": shown.equivalent,
        "margins": config.change.margins,
        "statements": {name: texts for name in STATEMENTS if (texts := getattr(config.statements, name))},
        "training_overlap": spec.training,
    }


def _of_studies(spec: RunSpec, members: Sequence[Member], gathered: GatheredCohort, shown: Shown) -> dict[str, object]:
    """Return what follows from the studies, whatever their maps score."""
    studies, config, maps = gathered.studies, spec.config, gathered.parts.maps
    calls_labels = config.model.kind != "regression"
    computed = sum(member.shard is not None for member in members)
    answers = AnswerKinds.of(studies)
    counts = {"maps": maps.maps, "maps_reused": maps.reused, **_tuning_counts(gathered.tuning)}
    return {
        "model": _model_facts(spec, config, maps),
        "inputs": _inputs(studies, shown),
        "flow": flow_of(studies, computed).model_copy(update=counts),
        "compared": Compared(mapped=maps.mapped, studies=maps.scored, patients=len(maps.patients_scored)),
        "cohort_facts": _cohort_facts(studies, config.model.negative_label),
        "cohort_table": cohort_table(studies),
        "leakage": leakage(studies),
        "answer_counts": answers.counts(),
        "whereabouts": gathered.parts.peaks.whereabouts(calls_labels=calls_labels),
        "wrong_answers": answers.wrong(),
        "not_analysed": gathered.not_analysed,
        "mask_faults": gathered.mask_faults,
    }


def _of_classifier(config: AuditConfig, cohort: Cohort, bootstrap: Bootstrap) -> dict[str, object]:
    """Return what the model's answers come to."""
    is_regression = config.model.kind == "regression"
    return {
        "classification": (
            _not_a_classifier() if is_regression else classification(cohort.audits, cohort.labels, bootstrap)
        ),
        "answer_differences": (
            () if is_regression else answer_differences(cohort.audits, cohort.labels, bootstrap.confidence)
        ),
        "confusion": _confusion(config, cohort, bootstrap),
    }


def _of_maps(config: AuditConfig, cohort: Cohort, gathered: GatheredCohort, bootstrap: Bootstrap) -> dict[str, object]:
    """Return what the maps score, and how the readers agree."""
    studies, parts, scales = gathered.studies, gathered.parts, cohort.scales
    lesions, unmoved = parts.lesions.cohort(), gathered.unmoved
    return {
        "group_differences": _group_differences(config, cohort, bootstrap),
        "estimates": _estimates(cohort, lesions, bootstrap, calls_labels=config.model.kind != "regression"),
        "curves": threshold_curves_of(parts.curves, studies, bootstrap),
        "size_curves": size_curves_of(parts.curves, studies, lesions, bootstrap),
        "froc_curves": froc_curves_of(parts.marks, studies, bootstrap),
        "region_shares": shares_of(parts.shares, studies),
        "unaligned": () if unmoved is None else unaligned_estimates(cohort.units, unmoved, scales, bootstrap),
        "lesion_strata": lesions.strata,
        "lesion_trends": lesion_trends(cohort.units, tuple(scales.values()), lesions, bootstrap),
        "agreements": agreements(parts.pairs.pairs, studies, AGREEMENT_SCALES, bootstrap),
    }


def _of_verdicts(
    config: AuditConfig, cohort: Cohort, experiments: ExperimentFindings, bootstrap: Bootstrap
) -> dict[str, object]:
    verdicts = with_checks(config, judge_all(config.metric_criteria, cohort, bootstrap), experiments)
    tally = Counter(verdict.answer for verdict in verdicts)
    return {"verdicts": verdicts, "answers": {answer: tally[answer] for answer in ANSWERS if tally[answer]}}


def _confusion(config: AuditConfig, cohort: Cohort, bootstrap: Bootstrap) -> ConfusionMatrix:
    """Return every answer by cell; of a model whose answers are not judged, why not."""
    reason = why_answers_are_not_judged(config.model)
    if reason is not None:
        return ConfusionMatrix(reason=reason)
    scales = tuple(cohort.scales.values())
    return confusion_matrix(cohort.audits, cohort.units, scales, config.model.labels, cohort.negative, bootstrap)


def _estimates(
    cohort: Cohort, lesions: LesionCohort, bootstrap: Bootstrap, *, calls_labels: bool
) -> tuple[Estimate, ...]:
    """Return the maps' estimates; a model that calls no label has no strata by what it called."""
    scales = tuple(cohort.scales.values())
    every = estimates(cohort.units, scales, bootstrap)
    every += lesion_estimates(cohort.units, scales, lesions, bootstrap)
    return tuple(part for part in every if calls_labels or part.among not in STRATA_BY_PREDICTION)


def _label_plots(
    config: AuditConfig, cohort: Cohort, cases: Sequence[CaseEntry], bootstrap: Bootstrap
) -> tuple[LabelPlots, ...]:
    """Return what is drawn of each label; its cells tell of the map of which hits are asked, or that ranks."""
    hits = [
        criterion.method for criterion in config.metric_criteria if criterion.metric == "hit_rate" and criterion.method
    ]
    method = [*hits, _primary(config, list(cohort.scales))[1]][0]
    shown = frozenset(case.study for case in cases if case.panels is not None)
    cell_map = CellMap(method, cohort.scales.get("hit_rate"), shown)
    return label_plots(cohort.audits, cohort.units, cohort.labels, cell_map, bootstrap)


def _group_differences(config: AuditConfig, cohort: Cohort, bootstrap: Bootstrap) -> tuple[GroupDifference, ...]:
    """Return subgroups' differences in what the criteria ask of maps; where they ask nothing, in what ranks the cases.

    Every further metric would be a further chance to see a difference where there is none.
    """
    asked = [
        (criterion.metric, criterion.method) for criterion in config.metric_criteria if criterion.method is not None
    ] or [_primary(config, list(cohort.scales))]
    pairs = [(method, cohort.scales[metric]) for metric, method in dict.fromkeys(asked)]
    return group_differences(cohort.units, pairs, bootstrap.confidence)


def _not_a_classifier() -> tuple[Estimate, ...]:
    """Return the classifier's figures of a model that is none."""
    return tuple(
        Estimate(
            metric=metric,
            method=CLASSIFIER,
            among="all",
            value=None,
            confidence=0.95,
            interval="none",
            patients=0,
            studies=0,
            reason="the model is a regression: it calls no label",
        )
        for metric in CLASSIFIER_METRICS
    )


def _tuning_counts(tuning: Sequence[StudyAudit]) -> dict[str, int]:
    own = [audit.patient for audit in tuning if audit.status == "analysed"]
    return {"tuning": len(own), "tuning_patients": len(set(own))}


def chosen_cases(spec: RunSpec, gathered: GatheredCohort) -> tuple[list[tuple[str, str]], str]:
    """Return the studies to show with why each is shown, and the rule in words."""
    config = spec.config
    measured, method = _primary(config, [facts.name for facts in spec.metrics])
    metric = next(facts for facts in spec.metrics if facts.name == measured)
    scores = _scores(gathered, method, measured)
    chosen, rule = choose_cases(gathered.studies, scores, config.report.cases, config.run.seed, metric.better)
    titles = {facts.name: facts.title for facts in spec.methods}
    name, at, layer = method.partition("@")
    return chosen, f"{rule}; overlap means {metric.title} of {titles[name]}{at}{layer} ({BETTER[metric.better]})"


def _cases(
    spec: RunSpec, gathered: GatheredCohort, records: Records, shown: Shown
) -> tuple[tuple[CaseEntry, ...], str]:
    chosen, rule = chosen_cases(spec, gathered)
    known, entries = records.of({study for study, _ in chosen}), []
    for study, why in chosen:
        picture = shown.cases.get(study, CasePicture())
        entry = CaseEntry(
            study=study,
            rule=why,
            panels=picture.panels,
            volume=picture.volume,
            note=picture.note,
            picture=picture.facts,
            audit=_without_sketch(known[study]),
        )
        entries.append(entry)
    return tuple(entries), rule


def _without_sketch(audit: StudyAudit) -> StudyAudit:
    """Return a study as results show it: what tells copies is a picture in small, and stays in the rows."""
    if audit.model_input is None:
        return audit
    return audit.model_copy(update={"model_input": audit.model_input.model_copy(update={"sketch": ""})})


def _inputs(studies: Sequence[StudyFacts], shown: Shown) -> InputSummary | None:
    """Describe what the model was shown."""
    summary = summarised(studies)
    picture, note = shown.picture
    return None if summary is None else summary.model_copy(update={"picture": picture, "picture_note": note})


def _model_facts(spec: RunSpec, config: AuditConfig, maps: MapCounts) -> ModelFacts:
    model = config.model
    return ModelFacts(
        name=model.name,
        version=model.version,
        source=spec.model.source,
        architecture=spec.model.architecture,
        parameters=spec.model.parameters,
        sha256=spec.model.sha256,
        labels=model.labels,
        output=model.output,
        threshold=model.threshold,
        layers=tuple(_with_range(layer, maps) for layer in spec.layers),
        training_data=model.training_data,
        multi_label=model.multi_label,
        segmentation=model.segmentation,
        one_by_one=spec.model.one_by_one,
        notes=spec.model.notes,
    )


def _with_range(layer: LayerFacts, maps: MapCounts) -> LayerFacts:
    """Add how large the layer's cells are over all studies; the first study's alone stand for no other."""
    extremes = tuple(maps.cells.get((layer.name, len(layer.cell_mm)), ()))
    return layer.model_copy(update={"cell_range": extremes or None})


_RULES = {
    "otsu": "a voxel belongs to the map's region when its positive part exceeds Otsu's threshold (256 bins)",
    "otsu-chexlocalize": "a pixel belongs to the map's region when its positive part, on 8 bits, exceeds Otsu's "
    "threshold, or a contour of more than one vertex encloses it (Saporta et al. 2022)",
}


def _overlap_rule(config: AuditConfig) -> str:
    overlap = config.overlap
    if isinstance(overlap.threshold, str) and overlap.threshold in _RULES:
        rule = _RULES[overlap.threshold]
    elif isinstance(overlap.threshold, TunedConfig):
        tuned = overlap.threshold.tuned
        rule = "a voxel belongs to the map's region when it exceeds the share of the map's maximum at which the mean "
        rule += f"{tuned} of other patients, who count in nothing that follows from it, was highest, label by label"
    elif isinstance(overlap.threshold, str):
        percent = overlap.threshold.removeprefix("percentile-")
        rule = f"a voxel belongs to the map's region when its positive part exceeds the {percent}th percentile"
    else:
        rule = f"a voxel belongs to the map's region when it exceeds {overlap.threshold:g} of the map's maximum"
    limits = [f"within {overlap.tolerance_mm:g} mm counts as at the mask"]
    if overlap.smallest_lesion:
        limits.append(f"lesions and marks count from {overlap.smallest_lesion:g} mm3 (in a picture mm2)")
    if overlap.align == "receptive_field":
        limits.append("maps lie where their layer's cells were measured to look")
    return "; ".join([rule, *limits])


_REFERENCE, _MODALITY, _CALLED = "reference", "modality (image header)", "called by the model"


def _cohort_facts(audits: Sequence[StudyFacts], negative: str | None) -> dict[str, dict[str, int]]:
    """Count the analysed studies by reference, by what the model calls, by modality, and by the manifest's columns.

    ``negative`` is the label of a study whose reference names no finding; labels that are independent have none.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for audit in audits:
        if audit.status == "analysed":
            nothing = "not stated" if audit.reference is None else negative or "none of the labels"
            counts[_REFERENCE]["; ".join(audit.reference or ()) or nothing] += 1
            if audit.probabilities:
                counts[_CALLED]["; ".join(audit.predicted) or negative or "none of the labels"] += 1
            counts[_MODALITY][audit.facts.get("Modality", "not stated")] += 1
            for column, value in audit.strata.items():
                counts[_apart(column)][value or "not stated"] += 1
    return {column: dict(sorted(counter.items())) for column, counter in counts.items()}


def _apart(column: str) -> str:
    """Return what a column of the manifest is called beside what the audit counts itself."""
    taken = column.strip().casefold() in ("modality", _REFERENCE, _MODALITY, _CALLED)
    return f"{column} (manifest)" if taken else column


def _primary(config: AuditConfig, measured: Sequence[str]) -> tuple[str, str]:
    """Return the metric and map that rank the cases: those of the first criterion about a map, or the first of each."""
    for criterion in config.metric_criteria:
        if criterion.method is not None and criterion.metric != "hit_rate" and not is_avoided(criterion.metric):
            return criterion.metric, criterion.method
    return next(name for name in measured if not is_avoided(name)), config.explain.methods[0]


def _scores(gathered: GatheredCohort, method: str, metric: str) -> NDArray[np.float64]:
    """Return (studies,) each study's score, the mean over its targets; NaN where there is none."""
    units = gathered.units.among("all")
    scored = units.recorded(method, metric)
    known = scored.codes == 0
    groups = Groups.of(units.study[known])
    scores = np.full(len(gathered.studies), np.nan)
    numbers, first = np.unique(groups.number, return_index=True)
    scores[units.study[known][first]] = group_means(groups.number, groups.count, scored.values[known])[numbers]
    return scores
