"""A run's experiments held against its archive and its model: the choice of studies, and all rows computed again."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pipeline.experiments.bench import Bench
from pipeline.experiments.choosing import chosen_studies
from pipeline.experiments.registry import EXPERIMENTS
from pipeline.findings.experiments.bundle import experiment_file, read_experiments
from pipeline.findings.spec import SPEC_FILE
from pipeline.runs.run import Run
from pipeline.verify.failure import Failure, FailureKind
from pipeline.walk.auditor import Auditor

__all__ = ["chosen_otherwise", "tried_anew"]

_CLOSE = 0.02
"""Of a similarity or a logit: another machine rounds differently, and close ranks change places."""


def chosen_otherwise(run: Run) -> Iterator[Failure]:
    """Yield families whose studies are not those that the listing and the seed choose."""
    chosen = chosen_studies(run.config, list(run.sources.studies.values()))
    for family in run.config.experiments.families:
        if run.spec.experiments.get(family) != chosen[family]:
            sentence = f"{SPEC_FILE}: the studies of {family} are not those that the listing and the seed choose"
            yield Failure(FailureKind.ARCHIVE, sentence, SPEC_FILE)


def tried_anew(run: Run, auditor: Auditor) -> Iterator[Failure]:
    """Try every family on the model again and yield those whose rows come out otherwise."""
    families = tuple(run.config.experiments.families)
    kept = read_experiments(run.folder, families)
    for family in families:
        sources = tuple(run.sources.studies[study] for study in run.spec.experiments[family])
        bench = Bench(replace(auditor, prepared_cache=None), family, sources, run.spec.layers[0].shape)
        now = EXPERIMENTS[family](bench).model_dump(mode="json")
        place = _first_gap(getattr(kept, family).model_dump(mode="json"), now)
        if place is not None:
            name = experiment_file(family)
            yield Failure(FailureKind.RECOMPUTED, f"{name}: {place} comes out otherwise", name)


def _first_gap(then: object, now: object, place: str = "") -> str | None:
    """Return where rows first differ by more than rounding, such as ``rows.3.similarity``; None where they do not."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        if list(then) != list(now):
            return place or "its keys"
        pairs = [(key, value, now[key]) for key, value in then.items()]
    elif isinstance(then, list) and isinstance(now, list):
        if len(then) != len(now):
            return f"the length of {place}"
        pairs = [(number, value, now[number]) for number, value in enumerate(then)]
    elif isinstance(then, float) and isinstance(now, float):
        return None if abs(then - now) <= _CLOSE else place
    else:
        return None if then == now else place
    gaps = (_first_gap(value, other, f"{place}.{key}".lstrip(".")) for key, value, other in pairs)
    return next((gap for gap in gaps if gap is not None), None)
