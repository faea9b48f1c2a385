"""All models of a self-test, in this process or in several, taken up again where one was interrupted."""

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flows.selftest.plan import ModelPlan
from flows.selftest.trial import run_trial
from pipeline.files import written
from pipeline.findings.experiments.selftest import AuditedModel
from pipeline.program import program_digest

__all__ = ["SelftestRun", "audited_models"]


@dataclass(frozen=True)
class SelftestRun:
    """What a self-test does.

    ``folder`` keeps each audited model for a later call with the same seed, plan and program; None keeps nothing.
    """

    plans: tuple[ModelPlan, ...]
    seed: int
    workers: int = 1
    folder: Path | None = None


def audited_models(run: SelftestRun, on_model: Callable[[], None] = lambda: None) -> tuple[AuditedModel, ...]:
    """Train and audit every model; ``on_model`` is called after each.

    Raises:
        OutputError: the folder cannot be written.
    """
    digest = _sources_digest() if run.folder else ""
    places = [None if run.folder is None else run.folder / _file_name(run, number, digest) for number in _numbers(run)]
    models = []
    with _mapping(run.workers) as mapped:
        for model in mapped(partial(_audited, run.seed), [*zip(_numbers(run), run.plans, places, strict=True)]):
            models.append(model)
            on_model()
    return tuple(models)


def _numbers(run: SelftestRun) -> range:
    return range(len(run.plans))


_Task = tuple[int, ModelPlan, Path | None]
_Mapping = Callable[[Callable[[_Task], AuditedModel], Sequence[_Task]], Iterator[AuditedModel]]


@contextmanager
def _mapping(workers: int) -> Iterator[_Mapping]:
    """Yield what maps a function over tasks in their order: here, or in new processes that end with the block."""
    if workers <= 1:
        yield map
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield pool.map
        finally:
            pool.shutdown(cancel_futures=True)


def _audited(seed: int, task: _Task) -> AuditedModel:
    """Return one model from the file that keeps it, or audit it and keep it."""
    number, plan, place = task
    if place is not None and place.is_file():
        return AuditedModel.model_validate_json(place.read_text(encoding="utf-8"))
    model = run_trial(plan, number, seed)
    if place is not None:
        with written(place) as file:
            file.write(model.model_dump_json().encode())
    return model


def _file_name(run: SelftestRun, number: int, digest: str) -> str:
    said = json.dumps([digest, run.seed, number, repr(run.plans[number])])
    return f"{run.seed}-{number:03d}-{hashlib.sha256(said.encode()).hexdigest()[:12]}.json"


def _sources_digest() -> str:
    """Return the digest of what makes a record: the program that audits, and the phantoms, networks and trainings."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(
        b"".join([program_digest().encode(), *(source.read_bytes() for source in sources)])
    ).hexdigest()
