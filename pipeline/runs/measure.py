"""A run's maps scored again under another threshold, criteria or consensus of readers: no model, no forward pass."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.checks.config_checks import check_content
from pipeline.config import resolved
from pipeline.config_file import Document, LoadedConfig, overridden
from pipeline.errors import ConfigError, OutputError
from pipeline.evidence.columns.store import ColumnStore
from pipeline.findings.carried import Carried
from pipeline.findings.custody.recorded_files import check_file, files_told_by
from pipeline.findings.custody.site_key import load_site_key
from pipeline.findings.experiments.bundle import FamilyRows, experiment_file, read_experiments
from pipeline.findings.lock import read_lock
from pipeline.findings.recipes import Recipes
from pipeline.findings.spec import LEDGER_FILE, SPEC_FILE
from pipeline.packed.by_name import MappedByName
from pipeline.packed.items import Keep, PackedItems
from pipeline.packed.texts import TextMap
from pipeline.runs.first_pass import dependent_on_cohort, split_of
from pipeline.runs.locking import compare, known_looks, subject_of
from pipeline.runs.reuse import EarlierRuns, changed_since, earlier_answers, earlier_runs, first_seen
from pipeline.runs.run import Run
from pipeline.runs.start import (
    CarriedStudies,
    Start,
    map_recipes,
    run_name,
    scoring_of,
    this_program,
    write_start,
)
from pipeline.runs.start_watch import SILENT, StartWatch, alone_in
from pipeline.studies.untrusted.workers import WorkerPool
from pipeline.walk.alignment import with_layers
from pipeline.walk.auditor import Auditor, open_scorer
from pipeline.walk.map_plan import in_order, missing_maps, score_recipes

__all__ = ["measure_run"]

_MEASURABLE = (
    ("overlap",),
    ("criteria",),
    ("change",),
    ("report",),
    ("run", "replicates"),
    ("run", "lost_at_most"),
    ("archive", "consensus"),
    ("archive", "contours"),
    ("archive", "regrid"),
)
"""The keys that leave every map as it is."""


def measure_run(folder: Path, command: str, overrides: Sequence[str], *, watch: StartWatch = SILENT) -> Run:
    """Create a run that scores the maps of a finished one again; work and finish it like any other.

    It is EXPLORATORY unless a lock that was set before anybody looked says the same.

    Raises:
        ConfigError: when an override is faulty, or would change a map.
        OutputError: when the run is not finished, does not verify, or its maps are not here.
    """
    earlier = Run.open(folder)
    loaded = _with_overrides(earlier, overrides)
    layers = tuple(layer.name for layer in earlier.spec.layers)
    with ExitStack() as stack:
        stack.enter_context(alone_in(folder.resolve().parent, watch.say))
        pool = watch.pool or stack.enter_context(WorkerPool())
        scorer = with_layers(open_scorer(loaded.config, layers, pool), earlier.spec.layers)
        with ColumnStore(folder.resolve().parent) as store:
            start = _start(earlier, loaded, command, scorer, store.keep)
            created, spec, members = write_start(start)
        return Run(created, spec, members, pool, stack.pop_all())


def _with_overrides(earlier: Run, overrides: Sequence[str]) -> LoadedConfig:
    document = Document(earlier.folder / SPEC_FILE, dict(earlier.spec.given), {})
    for override in overrides:
        document = overridden(document, override)
    config = check_content(document)
    changed = list(_changed(earlier.spec.config.model_dump(mode="json"), config.model_dump(mode="json")))
    for key in changed:
        if not any(key[: len(allowed)] == allowed for allowed in _MEASURABLE):
            raise ConfigError(
                f"--set {'.'.join(key)}: changes what the model says or its maps, which cannot be scored again from "
                "maps that are kept; change the configuration and use camaudit run"
            )
    return LoadedConfig(resolved(config, earlier.sources.folder), document)


def _changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the keys that differ: a section's own, one level down, or the section where it has none."""
    for section, values in now.items():
        if isinstance(values, dict) and isinstance(then[section], dict):
            yield from ((section, key) for key, value in values.items() if value != then[section][key])
        elif values != then[section]:
            yield (section,)


def _start(earlier: Run, loaded: LoadedConfig, command: str, auditor: Auditor, keep: Keep) -> Start:
    key, config, private = load_site_key(), loaded.config, earlier.sources
    program = this_program(auditor.device)
    made = earlier.spec.recipes
    scores = score_recipes(config, made.maps, scoring_of(auditor, program))
    recipes = Recipes(made.study, config.mask_reading(), made.maps, scores)
    trust = EarlierRuns(key.public)
    sources = PackedItems(private.studies[member.study] for member in earlier.members)
    tuning = split_of(config, sources)
    carried = _carried(earlier, auditor, recipes, trust, tuning, keep)
    subject = subject_of(config, earlier.spec.model, sources)
    locked = read_lock(private.configuration)
    runs = earlier_runs(config.run.output / config.name)
    known = known_looks(locked)
    lock = compare(locked, subject, key, known, changed_since(runs, trust, locked, subject.studies))
    started = datetime.now(UTC)
    spec = earlier.spec.model_copy(
        update={
            "run": run_name(started, lock.recipe),
            "command": command,
            "started_at": started.isoformat(timespec="seconds"),
            "configuration": loaded.values,
            "given": loaded.given,
            "lock": lock,
            "masks_recipe": recipes.masks,
            "maps": map_recipes(recipes),
            "metrics": tuple(metric.facts for metric in auditor.metrics.values()),
            "program": program,
            "previous_run": earlier.spec.run,
            "measured": earlier.spec.run,
        }
    )
    return Start(
        auditor,
        spec,
        subject,
        sources,
        carried,
        private.configuration,
        key,
        lock=locked,
        first_seen=first_seen(runs, trust, lock, known.seen, sources),
        under_lock=known.seen,
        tuning=tuning,
        experiments=_experiments(earlier),
    )


def _experiments(earlier: Run) -> tuple[FamilyRows, ...]:
    """Return the rows of the run's experiments, as its ledger knows them: no map is another now."""
    recorded = files_told_by(earlier.folder / LEDGER_FILE)
    families = tuple(earlier.spec.config.experiments.families)
    for family in families:
        check_file(earlier.folder, experiment_file(family), recorded)
    rows = read_experiments(earlier.folder, families)
    return tuple(getattr(rows, family) for family in families)


def _carried(
    earlier: Run, auditor: Auditor, recipes: Recipes, trust: EarlierRuns, tuning: Collection[str], keep: Keep
) -> CarriedStudies:
    """Take every answer of the run: what was analysed with its maps, and what failed or was excluded as it is."""
    hashes = TextMap((member.study, member.source_sha256) for member in earlier.members)

    def is_whole(carried: Carried) -> bool:
        return carried.holds

    def ready(carried: Carried) -> Carried:
        if missing_maps(carried.audit, auditor.config, auditor.layers):
            raise OutputError(f"{earlier.folder}: a map of {carried.audit.study} is not kept; use camaudit run")
        answer = replace(carried, audit=in_order(carried.audit, auditor.config, auditor.layers))
        return dependent_on_cohort(auditor.config, tuning, answer)

    kept = earlier_answers([earlier.folder], trust, recipes, hashes, is_whole, keep)
    if trust.refused:
        raise OutputError(f"{earlier.folder}: cannot be scored again: {trust.refused[0]}")
    for audit in earlier.records():
        if audit.status != "analysed" or audit.study not in kept:
            kept.put(audit.study, Carried(audit))
    answers = MappedByName(ready, kept)
    whole = frozenset(study for study, carried in answers.items() if carried.holds)
    return CarriedStudies(answers, whole)
