"""What a run must know of the model before the lock, found without showing it a study."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from cam import Capture, Cost, as_logits, estimate, explain
from pipeline.checks.layer_check import chosen_layers, layer_facts, layer_names
from pipeline.checks.output_check import check_outputs, output_notes
from pipeline.checks.steadiness import answers_alone
from pipeline.errors import ArchiveError, ConfigError, ModelError, StudyError
from pipeline.evidence.verdicts.criteria import check_criteria
from pipeline.findings.facts import LayerFacts
from pipeline.models.arithmetic import arithmetic
from pipeline.models.prepare import Prepared, StepError
from pipeline.studies.read_study import StudyRow
from pipeline.walk.auditor import Auditor
from pipeline.walk.map_plan import map_names
from pipeline.walk.own_targets import batch_targets
from pipeline.walk.reading import read_studies

__all__ = ["Probe", "check_model", "probe_model"]

_PREPARED_AT_MOST = 3  # a step that fails on three studies is at fault, not they
_READ_AT_MOST = 25
_VOXELS = 4096  # of a segmentation's outputs that are looked at


@dataclass(frozen=True)
class Probe:
    """What the model and the first study told: layers, the model's input, and what a map costs.

    ``shape`` (channels, ...) and the values are those of the first study's input. ``seconds`` goes from a method to the
    time of one map of one study, the model's forward, ``forward_seconds``, included. ``peak_bytes`` is the most memory
    that this process has held so far. ``costs`` are bounds for a target of one study. ``one_by_one``: the answer for
    one study depends on the others of its batch. ``notes`` are for the report.
    """

    layers: tuple[LayerFacts, ...]
    shape: tuple[int, ...]
    minimum: float
    mean: float
    maximum: float
    forward_seconds: float
    seconds: Mapping[str, float]
    peak_bytes: int
    costs: Mapping[str, Cost] = field(default_factory=dict)
    one_by_one: bool = False
    notes: tuple[str, ...] = ()


def _tell_nobody(costs: Mapping[str, Cost]) -> None:
    pass


OnCosts = Callable[[Mapping[str, Cost]], None]


def check_model(auditor: Auditor, rows: Sequence[StudyRow], on_costs: OnCosts = _tell_nobody) -> Probe:
    """Try the model, its layers, the methods and the transforms, and hold the criteria against the maps there will be.

    ``on_costs`` is told what each method costs at most before the first is tried.

    Raises:
        AuditError: as ``probe_model``; for a criterion about a map that there will not be.
    """
    probe = probe_model(auditor, rows, on_costs)
    layers = [layer.name for layer in probe.layers]
    maps = [*map_names(auditor.config, layers).values(), *auditor.config.baselines]
    check_criteria(auditor.config.criteria, maps, auditor.metrics)
    return probe


def probe_model(auditor: Auditor, rows: Sequence[StudyRow], on_costs: OnCosts = _tell_nobody) -> Probe:
    """Choose, check and measure the layers on noise of the shape of the first readable study; try every method once.

    Raises:
        ArchiveError: when no study can be read.
        ConfigError: when a transform fails on the first studies.
        ModelError: when a layer does not do, the model's outputs are not what the configuration says, or its answers
            change from call to call.
    """
    prepared = _first_prepared(auditor, rows)
    shape = tuple(prepared.x.shape)
    noise = torch.rand(1, *shape, generator=torch.Generator().manual_seed(auditor.config.run.seed)).to(auditor.device)
    layers, passed = chosen_layers(auditor, noise)
    model, network = auditor.config.model, auditor.network
    check_outputs(model, passed.logits, _of_all_sizes(auditor, noise))
    alone = answers_alone(network, noise, model.output_name)
    forward = _seconds(auditor, lambda: _forward(auditor, noise))
    costs = _costs(auditor, noise, layer_names(layers))
    on_costs(costs)
    return Probe(
        layers=layer_facts(auditor, noise, prepared, layers, passed),
        shape=shape,
        minimum=float(prepared.x.min()),
        mean=float(prepared.x.mean()),
        maximum=float(prepared.x.max()),
        forward_seconds=forward,
        seconds=_try_methods(auditor, noise, layer_names(layers), passed),
        peak_bytes=_peak_bytes(),
        costs=costs,
        one_by_one=not alone,
        notes=output_notes(model, passed.logits),
    )


def _of_all_sizes(auditor: Auditor, noise: Tensor) -> Tensor:
    """Return the outputs (sizes, K, ...) for noise of many sizes, of either sign; of a segmentation, of some voxels."""
    network, name = auditor.network, auditor.config.model.output_name
    with torch.no_grad():
        outputs = [as_logits(network(size * (noise - 0.5)), 1, name) for size in (1.0, -10.0, 100.0, -1000.0)]
        some = [output.flatten(2)[..., :: 1 + output[0, 0].numel() // _VOXELS] for output in outputs if output.ndim > 2]
    together = torch.cat(some or outputs)
    return together[torch.isfinite(together).flatten(1).all(dim=1)]


def _costs(auditor: Auditor, noise: Tensor, layers: Sequence[str]) -> dict[str, Cost]:
    """Return what each method costs a study of one target at most, beyond the forward that all share."""
    settings, model = auditor.config.explain, auditor.config.model
    try:
        costs = estimate(
            auditor.network,
            noise,
            methods=settings.methods,
            layers=layers,
            options=settings.options,
            grids=auditor.grids,
            output=model.output_name,
            memory=auditor.memory,
        )
    except ValueError as error:
        raise ModelError(f"explain: {error}") from error
    together: dict[str, Cost] = {}
    for (method, _), cost in costs.items():
        known = together.get(method, Cost(0, 0.0, 0))
        together[method] = Cost(known.images + cost.images, known.seconds + cost.seconds, max(known.bytes, cost.bytes))
    return together


def _try_methods(auditor: Auditor, noise: Tensor, layers: Sequence[str], passed: Capture) -> dict[str, float]:
    """Run every method once: one that this model does not allow is refused now, not study by study."""
    settings, model = auditor.config.explain, auditor.config.model
    returned = passed.logits.detach()
    targets = batch_targets([model.labels[:1]], model, returned if model.segmentation else None)
    seconds = {}
    for method in settings.methods:
        options = {name: given for name, given in settings.options.items() if name == method}
        call = partial(
            explain,
            auditor.network,
            noise,
            targets,
            methods=[method],
            layers=layers,
            options=options,
            grids=auditor.grids,
            output=model.output_name,
            output_kind=model.kind,
            memory=auditor.memory,
        )
        try:
            with arithmetic(auditor.config.run, auditor.device):
                seconds[method] = _seconds(auditor, call)
        except (ValueError, TypeError) as error:
            raise ModelError(f"explain.methods: {method}: {error}") from error
    return seconds


def _forward(auditor: Auditor, x: Tensor) -> None:
    with torch.no_grad(), arithmetic(auditor.config.run, auditor.device):
        auditor.network(x)


def _seconds(auditor: Auditor, call: Callable[[], object]) -> float:
    """Return how long a call takes, a device's queue emptied before and after it."""
    _wait(auditor.device)
    started = time.perf_counter()
    call()
    _wait(auditor.device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak_bytes() -> int:
    import resource  # there is none on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _first_prepared(auditor: Auditor, rows: Sequence[StudyRow]) -> Prepared:
    """Return the first study that can be read, prepared for the model. Few are tried, never the whole archive.

    Raises:
        ArchiveError: when none of the first studies can be read.
        ConfigError: when the transforms fail on studies that can be read; it names the step.
    """
    unreadable: list[StudyError] = []
    unprepared: list[StudyError] = []
    for row in rows:
        (study,) = read_studies(auditor, [row])
        try:
            if not isinstance(study, StudyError):
                return auditor.preparation(study.image)
            unreadable.append(study)
        except StudyError as fault:
            unprepared.append(fault)
        if len(unprepared) == _PREPARED_AT_MOST or len(unreadable) == _READ_AT_MOST:
            break
    if unprepared:
        first = unprepared[0]
        cause = f": {first.cause}" if isinstance(first, StepError) else ""
        where = "" if isinstance(first, StepError) else "prepare: "
        raise ConfigError(f"{where}{first}{cause} (on the first study that can be read)")
    tried = f"the first {len(unreadable)} of {len(rows)}" if len(unreadable) < len(rows) else f"the {len(rows)}"
    raise ArchiveError(f"none of {tried} studies can be read; the first: {unreadable[0]}")
