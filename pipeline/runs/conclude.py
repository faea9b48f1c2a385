"""From a run's shards to its conclusions: cohort, verdicts, cases, ``results.json`` and ``per_study.csv``."""

import csv
import io
import platform
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from cam import METHODS
from pipeline.conclusions.cases import choose_cases, cut_panels, save_panels, withheld
from pipeline.conclusions.input_summary import summarised
from pipeline.config import AuditConfig
from pipeline.errors import OutputError, StudyError
from pipeline.evidence.cohort import (
    Bootstrap,
    Unit,
    agreements,
    classification,
    estimates,
    flow_of,
    map_name,
    methods_at_layers,
    units_of,
)
from pipeline.evidence.criteria import judge_all
from pipeline.evidence.equivalence import StudyMaps, equivalent_methods
from pipeline.evidence.metrics.declaration import Metric
from pipeline.evidence.metrics.map_evidence import MaskedEvidence
from pipeline.evidence.metrics.registry import directions
from pipeline.files import written
from pipeline.findings.ledger import Ledger
from pipeline.findings.record import (
    CaseEntry,
    Compared,
    InputSummary,
    LayerFacts,
    MethodFacts,
    ModelFacts,
    Provenance,
    Results,
    StudyAudit,
)
from pipeline.findings.shards import load_map, maps_by_study
from pipeline.program import camaudit_version
from pipeline.runs.repeatability import repeatability
from pipeline.runs.reuse import is_carried, run_answers
from pipeline.runs.run import LIBRARIES, RunFile, find_rows, library_versions, open_auditor, read_run
from pipeline.studies.geometry import plan
from pipeline.studies.study import Study
from pipeline.studies.untrusted.workers import WorkerPool
from pipeline.studies.volume import Heatmap, Volume
from pipeline.vocabulary import BETTER, CSV_COLUMNS
from pipeline.walk.map_plan import negative_label
from pipeline.walk.study_walk import Auditor, StudySource, read_studies

__all__ = ["finish"]

_INPUT_PICTURE = "model-input.npz"


def finish(
    folder: Path,
    config_path: Path,
    *,
    flow_run: str | None = None,
    engine: str = "local",
    pool: WorkerPool | None = None,
) -> Results:
    """Draw the conclusions of a run whose shards are done, and write them.

    Raises:
        OutputError: when a shard is missing or the folder cannot be written.
    """
    run, members = read_run(folder)
    auditor = open_auditor(config_path, run.overrides, layers=tuple(layer.name for layer in run.layers), pool=pool)
    by_study = run_answers(folder, {member.study: member.shard for member in members})
    missing = [member.study for member in members if member.study not in by_study]
    if missing:
        raise OutputError(f"{folder}: {len(missing)} of {len(members)} studies were never audited, first {missing[0]}")
    audits = [by_study[member.study] for member in members]
    sources = find_rows(auditor.config, auditor.pseudonyms)
    cases, case_rule = _cases(folder, auditor, audits, sources)
    computed = [member.study for member in members if member.shard is not None]
    repeat = repeatability(folder, audits, auditor, sources)
    ledger = Ledger(folder / "ledger.jsonl")
    ledger.append("inference.finished", studies=len(audits), computed=len(computed))
    provenance = _provenance(auditor.config, run, ledger, repeat).model_copy(
        update={"engine": engine, "flow_run": flow_run}
    )
    results = _results(auditor, run, audits, len(computed), provenance).model_copy(
        update={
            "cases": cases,
            "case_rule": case_rule,
            "equivalent_methods": _equivalent(folder, audits),
            "inputs": _inputs(folder, auditor, audits, sources),
        }
    )
    _write_csv(folder / "per_study.csv", audits, list(auditor.metrics.values()))
    with written(folder / "results.json") as file:
        file.write(results.model_dump_json(indent=1).encode())
    return results


def _results(
    auditor: Auditor, run: RunFile, audits: Sequence[StudyAudit], computed: int, provenance: Provenance
) -> Results:
    config = auditor.config
    bootstrap = Bootstrap(config.run.replicates, config.run.seed)
    units = units_of(audits, auditor.metrics)
    labels = [label for label in config.model.labels if label != negative_label(config)]
    pairs = {
        audit.study: (audit.patient, {(pair.label, *pair.readers): pair.scores for pair in audit.agreement})
        for audit in audits
    }
    return Results(
        audit=config.name,
        run=run.run,
        title=config.report.title,
        organisation=config.report.organisation,
        prepared_by=config.report.prepared_by,
        intended_use=config.report.intended_use,
        reference_standard=config.report.reference_standard,
        lock=run.lock,
        provenance=provenance,
        model=_model_facts(auditor, run, audits),
        preparation=auditor.preparation.steps,
        overlap_rule=_overlap_rule(config),
        methods=tuple(_method_facts(name) for name in config.explain.methods),
        metrics=tuple(metric.facts for metric in auditor.metrics.values()),
        flow=flow_of(audits, computed).model_copy(update=_map_counts(audits)),
        compared=_compared(audits),
        cohort_facts=_cohort_facts(audits, negative_label(config)),
        classification=classification(audits, labels, bootstrap),
        estimates=estimates(units, bootstrap),
        agreements=agreements(pairs, bootstrap),
        verdicts=judge_all(config.criteria, units, audits, labels, bootstrap, directions(auditor.metrics.values())),
        case_rule="",
        cases=(),
        lost_at_most=config.run.lost_at_most,
        not_analysed=tuple(audit for audit in audits if audit.status != "analysed"),
        mask_faults={audit.study: audit.mask_faults for audit in audits if audit.mask_faults},
    )


def _map_counts(audits: Sequence[StudyAudit]) -> dict[str, int]:
    """Count the run's maps, and those of them that were carried over."""
    maps = {entry.map: is_carried(entry) for audit in audits for entry in audit.map_scores if entry.map}
    return {"maps": len(maps), "maps_reused": sum(maps.values())}


def _inputs(
    folder: Path, auditor: Auditor, audits: Sequence[StudyAudit], sources: Mapping[str, StudySource]
) -> InputSummary | None:
    """Describe what the model was shown, and keep a plane of the first study's input where it may be shown."""
    first = next((audit for audit in audits if audit.model_input is not None), None)
    summary = summarised(audits)
    if first is None or summary is None:
        return None
    picture, note = _input_picture(folder, auditor, first, sources.get(first.study))
    return summary.model_copy(update={"picture": picture, "picture_note": note})


def _input_picture(
    folder: Path, auditor: Auditor, audit: StudyAudit, source: StudySource | None
) -> tuple[str | None, str | None]:
    """Cut the middle plane of the model's input, its first channel; return the file's name, or why there is none."""
    if source is None:
        return None, "the study is no longer in the archive, so it cannot be shown"
    why_not = withheld(audit.facts, auditor.config.report.pictures)
    if why_not is not None:
        return None, why_not
    (study,) = read_studies(auditor, [source.row])
    try:
        if isinstance(study, StudyError):
            raise study
        prepared = auditor.preparation(study.image)
    except StudyError as fault:
        return None, f"the study can no longer be read: {fault}"
    plane = Volume(prepared.x[0].numpy(), prepared.grid)
    save_panels(cut_panels(plane, [], {}, {}, study=audit.study), folder / _INPUT_PICTURE)
    return _INPUT_PICTURE, None


def _model_facts(auditor: Auditor, run: RunFile, audits: Sequence[StudyAudit]) -> ModelFacts:
    model = auditor.config.model
    return ModelFacts(
        name=model.name,
        version=model.version,
        source=auditor.model.source,
        architecture=auditor.model.architecture,
        parameters=auditor.model.parameters,
        sha256=auditor.model.sha256,
        labels=model.labels,
        output=model.output,
        threshold=model.threshold,
        layers=tuple(_with_range(layer, audits) for layer in run.layers),
        training_data=model.training_data,
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


def _method_facts(name: str) -> MethodFacts:
    method = METHODS[name]
    return MethodFacts(name=name, title=method.title, paper=method.paper, formula=method.formula, limits=method.limits)


def _overlap_rule(config: AuditConfig) -> str:
    if config.overlap.threshold == "otsu":
        return "a voxel belongs to the map's region when its positive part exceeds Otsu's threshold (256 bins)"
    return f"a voxel belongs to the map's region when it exceeds {config.overlap.threshold:g} of the map's maximum"


_REFERENCE, _MODALITY = "reference", "modality (image header)"


def _cohort_facts(audits: Sequence[StudyAudit], negative: str | None) -> dict[str, dict[str, int]]:
    """Count the analysed studies by reference, by the modality that their header states, and by the manifest's columns.

    ``negative`` is the label of a study whose reference names no finding; labels that are independent have none.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for audit in audits:
        if audit.status == "analysed":
            nothing = "not stated" if audit.reference is None else negative or "none of the labels"
            counts[_REFERENCE]["; ".join(audit.reference or ()) or nothing] += 1
            counts[_MODALITY][audit.facts.get("Modality", "not stated")] += 1
            for column, value in audit.strata.items():
                counts[_apart(column)][value or "not stated"] += 1
    return {column: dict(sorted(counter.items())) for column, counter in counts.items()}


def _apart(column: str) -> str:
    """Return what a column of the manifest is called beside what the audit counts itself."""
    taken = column.strip().casefold() in ("modality", _REFERENCE, _MODALITY)
    return f"{column} (manifest)" if taken else column


def _provenance(config: AuditConfig, run: RunFile, ledger: Ledger, determinism: str) -> Provenance:
    finished = datetime.now(UTC)
    return Provenance(
        camaudit=camaudit_version(),
        command=run.command,
        started_at=run.started_at,
        finished_at=finished.isoformat(timespec="seconds"),
        seconds=round((finished - datetime.fromisoformat(run.started_at)).total_seconds(), 1),
        device=run.device,
        platform=f"{platform.system()} {platform.machine()}",
        python=sys.version.split()[0],
        libraries=library_versions(LIBRARIES),
        seed=config.run.seed,
        replicates=config.run.replicates,
        determinism=determinism,
        previous_run=run.previous_run,
        ledger_head=ledger.head,
        ledger_length=ledger.length,
    )


def _cases(
    folder: Path, auditor: Auditor, audits: Sequence[StudyAudit], sources: Mapping[str, StudySource]
) -> tuple[tuple[CaseEntry, ...], str]:
    config = auditor.config
    name, method = _primary(config, list(auditor.metrics))
    metric = auditor.metrics[name]
    scores = _scores(units_of(audits, auditor.metrics), method, name)
    chosen, rule = choose_cases(audits, scores, config.report.cases, config.run.seed, metric.better)
    by_study = {audit.study: audit for audit in audits}
    entries = [_case(folder, auditor, by_study[study], why, sources.get(study)) for study, why in chosen]
    return tuple(entries), f"{rule}; overlap means {metric.title} of {_title(method)} ({BETTER[metric.better]})"


def _equivalent(folder: Path, audits: Sequence[StudyAudit]) -> tuple[tuple[str, ...], ...]:
    """Return the groups of maps that are one piece of evidence, from the run's stored maps."""
    at_layers = methods_at_layers(audits)
    mapped = [entry for audit in audits for entry in audit.map_scores if entry.map is not None]
    names = list(dict.fromkeys(map_name(entry, at_layers) for entry in mapped))

    def studies() -> Iterator[StudyMaps]:
        for audit, maps in maps_by_study(folder, audits):
            keys = {
                (map_name(entry, at_layers), entry.target): entry.map.partition("#")[2]
                for entry in audit.map_scores
                if entry.map is not None
            }
            yield {name: maps[key] for name, key in keys.items() if key in maps}

    return equivalent_methods(names, studies())


def _title(name: str) -> str:
    method, at, layer = name.partition("@")
    return f"{METHODS[method].title}{at}{layer}"


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


def _case(folder: Path, auditor: Auditor, audit: StudyAudit, why: str, source: StudySource | None) -> CaseEntry:
    entry = partial(CaseEntry, study=audit.study, rule=why, audit=audit)
    if source is None:
        return entry(panels=None, note="the study is no longer in the archive, so it cannot be shown")
    why_not = withheld(audit.facts, auditor.config.report.pictures)
    if why_not is not None:
        return entry(panels=None, note=why_not)
    (study,) = read_studies(auditor, [source.row])
    if isinstance(study, StudyError):
        return entry(panels=None, note=f"the study can no longer be read: {study}")
    target = audit.map_scores[0].target
    heatmaps = _heatmaps(folder, audit, target, study)
    thresholds = {
        name: MaskedEvidence(heatmap, auditor.config.overlap.threshold).threshold for name, heatmap in heatmaps.items()
    }
    panels = cut_panels(
        study.image,
        [mask for mask in study.masks if mask.label == target],
        heatmaps,
        thresholds,
        study=audit.study,
        window=auditor.config.report.window,
        unit="HU" if audit.facts.get("Modality") == "CT" else "",
    )
    name = f"cases/{audit.study}.npz"
    save_panels(panels, folder / name)
    others = sorted({entry.target for entry in audit.map_scores} - {target})
    return entry(panels=name, note=f"maps for {', '.join(others)} are in the record" if others else None)


def _heatmaps(folder: Path, audit: StudyAudit, target: str, study: Study) -> dict[str, Heatmap]:
    """Read a study's maps back and carry them to the image's grid, one for each map name.

    What is kept is signed; what is shown is the method's own map, rectified where its formula ends so.
    """
    map_scores = [entry for entry in audit.map_scores if entry.target == target and entry.map is not None]
    at_layers = methods_at_layers([audit])
    heatmaps: dict[str, Heatmap] = {}
    for entry in map_scores:
        name = map_name(entry, at_layers)
        if name not in heatmaps:
            values, affine = load_map(folder, str(entry.map))
            geometry = study.image.geometry
            resampling = plan(replace(geometry, shape=values.shape, affine=affine), geometry)
            field = resampling.apply(values)
            if METHODS[entry.method].rectified:
                field = np.maximum(field, 0)
            heatmaps[name] = Heatmap(field, geometry, resampling.seen, entry.method, str(entry.layer), target)
    return heatmaps


def _write_csv(path: Path, audits: Sequence[StudyAudit], measured: Sequence[Metric]) -> None:
    """Write one row for each study x target x method x reader; a study without a map has one row.

    An undefined score is empty and its reason stands in the column beside it; so it is for a mask that could not be
    used. A metric with a unit says so in its column's name. ``mask_faults`` counts all such masks of the study by
    reason.
    """
    strata = sorted({column for audit in audits for column in audit.strata})
    metrics = [name for metric in measured for name in (metric.name, f"{metric.name}_undefined")]
    heads = [name for metric in measured for name in (metric.column, f"{metric.name}_undefined")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*CSV_COLUMNS, *heads, *(f"stratum_{neutral(column)}" for column in strata)])
    for audit in audits:
        for row in _csv_rows(audit):
            cells = [row.get(column) for column in (*CSV_COLUMNS, *metrics)]
            writer.writerow([neutral(cell) for cell in (*cells, *(audit.strata.get(column) for column in strata))])
    with written(path) as file:
        file.write(text.getvalue().encode("utf-8"))


def _csv_rows(audit: StudyAudit) -> list[dict[str, object]]:
    study: dict[str, object] = audit.model_dump(include={"study", "patient", "status", "stage", "reason"})
    study["reference"] = None if audit.reference is None else ";".join(audit.reference)
    study["predicted"] = ";".join(audit.predicted)
    refused: Counter[str] = Counter()
    for fault in audit.mask_faults:
        refused[fault.reason] += fault.masks
    study["mask_faults"] = ";".join(f"{reason}={count}" for reason, count in sorted(refused.items()))
    rows = []
    for entry in audit.map_scores:
        facts = entry.model_dump(
            include={"target", "method", "layer", "reader", "degenerate", "seen_share", "mask_share"}
        )
        scores = {score.name: score.value for score in entry.scores}
        reasons = {f"{score.name}_undefined": score.reason for score in entry.scores}
        rows.append({**study, **facts, "probability": audit.probabilities.get(entry.target), **scores, **reasons})
    return rows or [study]


def neutral(cell: object) -> object:
    """Return a cell that no spreadsheet takes for a formula."""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{cell}"
    return cell
