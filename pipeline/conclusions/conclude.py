"""From a run's records to its results, in one pure function: a verification computes them again, without the model."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.conclusions.choose_cases import choose_cases
from pipeline.conclusions.input_summary import summarised
from pipeline.conclusions.tuned import tuned_of, who_tunes
from pipeline.config import AuditConfig, TunedConfig
from pipeline.evidence.cohort.classifier import classification
from pipeline.evidence.cohort.estimating import Bootstrap
from pipeline.evidence.cohort.measures import MetricScale
from pipeline.evidence.cohort.summary import agreements, estimates, flow_of
from pipeline.evidence.cohort.units import Unit, units_of
from pipeline.evidence.experts import AGREEMENT_SCALES
from pipeline.evidence.localisation.curves import threshold_curves
from pipeline.evidence.localisation.lesion_strata import (
    LesionCohort,
    lesion_cohort,
    lesion_estimates,
    lesion_trends,
)
from pipeline.evidence.localisation.unaligned import unaligned_estimates
from pipeline.evidence.verdicts.criteria import Cohort, judge_all
from pipeline.findings.estimates import Estimate
from pipeline.findings.facts import InputSummary, LayerFacts, ModelFacts, Provenance
from pipeline.findings.results import CaseEntry, Compared, Results
from pipeline.findings.spec import Member, RunSpec
from pipeline.findings.study_audit import StudyAudit
from pipeline.vocabulary import BETTER, CLASSIFIER, CLASSIFIER_METRICS, STRATA_BY_PREDICTION

__all__ = ["Shown", "chosen_cases", "conclude", "shown_in"]


@dataclass(frozen=True)
class Shown:
    """What conclusions do not follow from records alone: pictures, and how the run was done.

    ``cases`` goes from a study that was chosen to its panels' file and a note. ``picture`` is the file with a plane of
    the model's input and the note that stands in its place.
    """

    provenance: Provenance
    cases: Mapping[str, tuple[str | None, str | None]]
    picture: tuple[str | None, str | None]
    equivalent: tuple[tuple[str, ...], ...]


def shown_in(results: Results) -> Shown:
    """Return what results say beside what can be computed from records."""
    inputs = results.inputs
    return Shown(
        provenance=results.provenance,
        cases={case.study: (case.panels, case.note) for case in results.cases},
        picture=(inputs.picture, inputs.picture_note) if inputs else (None, None),
        equivalent=results.equivalent_methods,
    )


def conclude(spec: RunSpec, members: Sequence[Member], audits: Sequence[StudyAudit], shown: Shown) -> Results:
    """Draw a run's conclusions from the records of all its studies, in the order of ``members``."""
    config = spec.config
    bootstrap = Bootstrap(config.run.replicates, config.run.seed)
    negative = config.model.negative_label
    labels = [label for label in config.model.labels if label != negative]
    scales = {facts.name: MetricScale(facts.name, facts.range, facts.better) for facts in spec.metrics}
    seen = {member.study: member.first_seen for member in members} if spec.lock.open_cohort else None
    tuning = who_tunes(members)
    judged = [audit for audit in audits if audit.patient not in tuning]
    cohort = Cohort(
        units_of(audits, tuple(scales), labels, _tuning(spec, members)), audits, labels, scales, seen, config.baselines
    )
    pairs = {
        audit.study: (audit.patient, {(pair.label, *pair.readers): pair.scores for pair in audit.agreement})
        for audit in audits
    }
    computed = sum(member.shard is not None for member in members)
    cases, rule = _cases(spec, members, audits, shown)
    is_regression = config.model.kind == "regression"
    lesions = lesion_cohort(audits, labels)
    return Results(
        audit=config.name,
        run=spec.run,
        title=config.report.title,
        organisation=config.report.organisation,
        prepared_by=config.report.prepared_by,
        intended_use=config.report.intended_use,
        reference_standard=config.report.reference_standard,
        lock=spec.lock,
        provenance=shown.provenance,
        model=_model_facts(spec, config, audits),
        preparation=spec.preparation,
        inputs=_inputs(audits, shown),
        overlap_rule=_overlap_rule(config),
        methods=spec.methods,
        metrics=spec.metrics,
        flow=flow_of(audits, computed).model_copy(update={**_map_counts(audits), **_tuning_counts(audits, tuning)}),
        compared=_compared(audits),
        cohort_facts=_cohort_facts(audits, negative),
        classification=_not_a_classifier() if is_regression else classification(audits, labels, bootstrap),
        estimates=_estimates(cohort, lesions, bootstrap, calls_labels=not is_regression),
        curves=threshold_curves(judged, labels, bootstrap),
        tuned=tuned_of(spec, members, audits),
        unaligned=unaligned_estimates(audits, labels, _tuning(spec, members), scales, bootstrap),
        lesion_strata=lesions.strata,
        lesion_trends=lesion_trends(cohort.units, tuple(scales.values()), lesions, bootstrap),
        agreements=agreements(pairs, AGREEMENT_SCALES, bootstrap),
        equivalent_methods=shown.equivalent,
        verdicts=judge_all(config.criteria, cohort, bootstrap),
        case_rule=rule,
        cases=cases,
        lost_at_most=config.run.lost_at_most,
        not_analysed=tuple(audit for audit in audits if audit.status != "analysed"),
        mask_faults={audit.study: audit.mask_faults for audit in audits if audit.mask_faults},
    )


def _estimates(
    cohort: Cohort, lesions: LesionCohort, bootstrap: Bootstrap, *, calls_labels: bool
) -> tuple[Estimate, ...]:
    """Return the maps' estimates; a model that calls no label has no strata by what it called."""
    scales = tuple(cohort.scales.values())
    every = estimates(cohort.units, scales, bootstrap)
    every += lesion_estimates(cohort.units, scales, lesions, bootstrap)
    return tuple(part for part in every if calls_labels or part.among not in STRATA_BY_PREDICTION)


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


def _tuning(spec: RunSpec, members: Sequence[Member]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the patients on whom thresholds were tuned, and the metrics that these have a part in."""
    return who_tunes(members), tuple(facts.name for facts in spec.metrics if facts.thresholded)


def _tuning_counts(audits: Sequence[StudyAudit], tuning: Collection[str]) -> dict[str, int]:
    own = [audit.patient for audit in audits if audit.status == "analysed" and audit.patient in tuning]
    return {"tuning": len(own), "tuning_patients": len(set(own))}


def chosen_cases(
    spec: RunSpec, members: Sequence[Member], audits: Sequence[StudyAudit]
) -> tuple[list[tuple[str, str]], str]:
    """Return the studies to show with why each is shown, and the rule in words."""
    config = spec.config
    measured, method = _primary(config, [facts.name for facts in spec.metrics])
    metric = next(facts for facts in spec.metrics if facts.name == measured)
    names = [facts.name for facts in spec.metrics]
    scores = _scores(units_of(audits, names, tuning=_tuning(spec, members)), method, measured)
    chosen, rule = choose_cases(audits, scores, config.report.cases, config.run.seed, metric.better)
    titles = {facts.name: facts.title for facts in spec.methods}
    name, at, layer = method.partition("@")
    return chosen, f"{rule}; overlap means {metric.title} of {titles[name]}{at}{layer} ({BETTER[metric.better]})"


def _cases(
    spec: RunSpec, members: Sequence[Member], audits: Sequence[StudyAudit], shown: Shown
) -> tuple[tuple[CaseEntry, ...], str]:
    chosen, rule = chosen_cases(spec, members, audits)
    by_study = {audit.study: audit for audit in audits}
    entries = []
    for study, why in chosen:
        panels, note = shown.cases.get(study, (None, None))
        entries.append(CaseEntry(study=study, rule=why, panels=panels, note=note, audit=by_study[study]))
    return tuple(entries), rule


def _inputs(audits: Sequence[StudyAudit], shown: Shown) -> InputSummary | None:
    """Describe what the model was shown."""
    summary = summarised(audits)
    picture, note = shown.picture
    return None if summary is None else summary.model_copy(update={"picture": picture, "picture_note": note})


def _map_counts(audits: Sequence[StudyAudit]) -> dict[str, int]:
    """Count the run's maps, and those of them that an earlier run computed."""
    maps = {entry.map for audit in audits for entry in audit.map_scores if entry.map}
    return {"maps": len(maps), "maps_reused": sum(reference.startswith("../") for reference in maps)}


def _model_facts(spec: RunSpec, config: AuditConfig, audits: Sequence[StudyAudit]) -> ModelFacts:
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
        layers=tuple(_with_range(layer, audits) for layer in spec.layers),
        training_data=model.training_data,
        multi_label=model.multi_label,
        segmentation=model.segmentation,
        one_by_one=spec.model.one_by_one,
        notes=spec.model.notes,
    )


def _with_range(layer: LayerFacts, audits: Sequence[StudyAudit]) -> LayerFacts:
    """Add how large the layer's cells are over all studies; the first study's alone stand for no other."""
    sizes = [
        entry.cell_mm
        for audit in audits
        for entry in audit.map_scores
        if entry.layer == layer.name and entry.cell_mm is not None and len(entry.cell_mm) == len(layer.cell_mm)
    ]
    extremes = tuple((min(axis), max(axis)) for axis in zip(*sizes, strict=True))
    return layer.model_copy(update={"cell_range": extremes or None})


def _compared(audits: Sequence[StudyAudit]) -> Compared:
    mapped = [audit for audit in audits if any(entry.map is not None for entry in audit.map_scores)]
    scored = [
        audit
        for audit in mapped
        if any(
            entry.map is not None and any(score.value is not None for score in entry.scores)
            for entry in audit.map_scores
        )
    ]
    return Compared(mapped=len(mapped), studies=len(scored), patients=len({audit.patient for audit in scored}))


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


def _cohort_facts(audits: Sequence[StudyAudit], negative: str | None) -> dict[str, dict[str, int]]:
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
    for criterion in config.criteria:
        if criterion.method is not None and criterion.metric != "hit_rate":
            return criterion.metric, criterion.method
    return measured[0], config.explain.methods[0]


def _scores(units: Sequence[Unit], method: str, metric: str) -> dict[str, float]:
    by_study: dict[str, list[float]] = defaultdict(list)
    for unit in units:
        value = unit.scores.get((method, metric))
        if isinstance(value, float):
            by_study[unit.study].append(value)
    return {study: float(np.mean(values)) for study, values in by_study.items()}
