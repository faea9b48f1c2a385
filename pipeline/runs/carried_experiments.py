"""What an earlier night has tried on the model: its rows are taken over where nothing that they follow from changed."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cam import METHODS
from pipeline.config import digest_of
from pipeline.findings.experiments.bundle import FamilyRows, experiment_file, read_experiments
from pipeline.findings.spec import RunSpec
from pipeline.packed.texts import TextMap
from pipeline.runs.reuse import EarlierRuns, stated_by
from pipeline.studies.study import PASSING
from pipeline.vocabulary import Family

__all__ = ["carried_experiments", "experiment_recipe"]

Hashes = Mapping[str, str]
"""A study's pseudonym to the hash of its files."""


def carried_experiments(
    runs: Iterable[Path], trust: EarlierRuns, spec: RunSpec, hashes: Hashes
) -> dict[Family, tuple[str, FamilyRows]]:
    """Return the rows of families that runs, newest first, hold as this one would compute them, with the run's name.

    A family of which a map failed, or a study for a reason that passes, is tried again.
    """
    wanted = {family: experiment_recipe(spec, family, hashes) for family in spec.config.experiments.families}
    carried: dict[Family, tuple[str, FamilyRows]] = {}
    for run in runs:
        missing = {family: recipe for family, recipe in wanted.items() if family not in carried}
        if not missing:
            break
        carried |= {family: (run.name, rows) for family, rows in _held(run, trust, spec, missing)}
    return carried


def experiment_recipe(spec: RunSpec, family: Family, hashes: Hashes) -> str:
    """Return the digest of what a family's rows follow from.

    That is its settings, the chosen studies with their files' hashes, model, program, preparation and seed (the study's
    recipe), how masks are read, and the maps with their options and layers.
    """
    settings = spec.config.experiments.families[family].model_dump(mode="json")
    maps = [[made.method, made.layer, made.map] for made in spec.maps if made.method in METHODS]
    layers = [layer.model_dump(mode="json") for layer in spec.layers]
    chosen = [[study, hashes[study]] for study in spec.experiments[family]]
    made_of = [spec.study_recipe, spec.masks_recipe, maps, layers, spec.model.one_by_one]
    return digest_of([family, settings, chosen, *made_of])


def _held(
    run: Path, trust: EarlierRuns, spec: RunSpec, wanted: Mapping[Family, str]
) -> Iterator[tuple[Family, FamilyRows]]:
    """Yield the families of one run whose recipes are these, and whose rows its signed ledger tells of."""
    if not _may_hold(stated_by(run), spec, wanted):
        return
    earlier, members = trust.specification(run), trust.members(run)
    if earlier is None or members is None or earlier.study_recipe != spec.study_recipe:
        return
    hashes = TextMap((member.study, member.source_sha256) for member in members)
    for family, recipe in wanted.items():
        if family in earlier.experiments and experiment_recipe(earlier, family, hashes) == recipe:
            rows = _rows(run, trust, family)
            if rows is not None and not _may_have_been_the_machine(rows):
                yield family, rows


def _may_hold(stated: Mapping[str, Any], spec: RunSpec, wanted: Collection[Family]) -> bool:
    """Tell by what a run says, which is not proved yet, whether its list of studies is worth reading."""
    tried = stated.get("experiments")
    return stated.get("study_recipe") == spec.study_recipe and any(
        isinstance(tried, Mapping) and tried.get(family) == list(spec.experiments[family]) for family in wanted
    )


def _may_have_been_the_machine(rows: FamilyRows) -> bool:
    """Tell whether something failed that may do now: a map, or a study for a reason that passes."""
    return bool(rows.not_done) or not {reason.value for reason in PASSING}.isdisjoint(rows.failures.values())


def _rows(run: Path, trust: EarlierRuns, family: Family) -> FamilyRows | None:
    """Return a family's rows; None where the run was interrupted before them, or they are not what it wrote."""
    if not (run / experiment_file(family)).exists() or not trust.holds(run, experiment_file(family)):
        return None
    rows: FamilyRows | None = getattr(read_experiments(run, [family]), family)
    return rows
