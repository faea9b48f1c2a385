"""A run's experiments held against its archive and its model: the choice of studies, and all rows computed again."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pipeline.experiments.bench import Bench
from pipeline.experiments.choosing import chosen_studies
from pipeline.experiments.registry import EXPERIMENTS
from pipeline.findings.experiments.bundle import experiment_file, read_experiments
from pipeline.findings.spec import SPEC_FILE, RunSpec
from pipeline.verify.failure import Failure, FailureKind
from pipeline.walk.auditor import Auditor
from pipeline.walk.sources import StudySource

__all__ = ["chosen_otherwise", "tried_anew"]

_CLOSE = 0.02
"""Of a similarity or a logit, of a large one as a share: another machine rounds differently, and close ranks change
places."""


def chosen_otherwise(spec: RunSpec, sources: Iterable[StudySource]) -> Iterator[Failure]:
    """Yield families whose studies are not those that the listing (all ``sources``) and the seed choose."""
    for family, studies in chosen_studies(spec.config, sources).items():
        if spec.experiments.get(family) != studies:
            sentence = f"{SPEC_FILE}: the studies of {family} are not those that the listing and the seed choose"
            yield Failure(FailureKind.ARCHIVE, sentence, SPEC_FILE)


def tried_anew(folder: Path, spec: RunSpec, sources: Mapping[str, StudySource], auditor: Auditor) -> Iterator[Failure]:
    """Try every family of a run's folder on the model again and yield those whose rows come out otherwise.

    Raises:
        OutputError: when the rows cannot be read.
    """
    families = tuple(spec.config.experiments.families)
    kept = read_experiments(folder, families)
    for family in families:
        chosen = tuple(sources[study] for study in spec.experiments[family])
        bench = Bench(replace(auditor, prepared_cache=None), family, chosen, spec.layers[0].shape)
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
        return None if abs(then - now) <= _CLOSE * max(1.0, abs(then)) else place
    else:
        return None if then == now else place
    gaps = (_first_gap(value, other, f"{place}.{key}".lstrip(".")) for key, value, other in pairs)
    return next((gap for gap in gaps if gap is not None), None)
