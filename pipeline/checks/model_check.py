"""What a run must know of the model before the lock, found without showing it a study."""

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from cam import METHODS, Capture, capture, cell_shift, choose_layer, explain, squashing
from pipeline.config import AuditConfig
from pipeline.errors import ArchiveError, ConfigError, ModelError, StudyError
from pipeline.evidence.criteria import check_criteria
from pipeline.findings.facts import LayerFacts
from pipeline.models.prepare import Prepared, StepError
from pipeline.studies.geometry import Geometry, cells
from pipeline.studies.read_study import StudyRow
from pipeline.walk.auditor import Auditor
from pipeline.walk.reading import read_studies

__all__ = ["Probe", "check_model", "probe_model"]

_PREPARED_AT_MOST = 3  # a step that fails on three studies is at fault, not they
_READ_AT_MOST = 25

_ENOUGH = 4  # outputs, before their range says anything
_NEAR = 0.9  # how near to 1 a tanh comes


@dataclass(frozen=True)
class Probe:
    """What the model and the first study told: layers, the model's input, and what a map costs.

    ``shape`` (channels, ...) and the values are those of the first study's input. ``seconds`` goes from a method to the
    time of one map of one study, the model's forward, ``forward_seconds``, included. ``peak_bytes`` is the most memory
    that this process has held so far.
    """

    layers: tuple[LayerFacts, ...]
    shape: tuple[int, ...]
    minimum: float
    mean: float
    maximum: float
    forward_seconds: float
    seconds: Mapping[str, float]
    peak_bytes: int


def check_model(auditor: Auditor, rows: Sequence[StudyRow]) -> Probe:
    """Try the model, its layers, the methods and the transforms, and hold the criteria against the maps there will be.

    Raises:
        AuditError: as ``probe_model``; for a criterion about a map that there will not be.
    """
    probe = probe_model(auditor, rows)
    check_criteria(
        auditor.config.criteria, [*_map_names(auditor.config, probe.layers), *auditor.config.baselines], auditor.metrics
    )
    return probe


def _map_names(config: AuditConfig, layers: Sequence[LayerFacts]) -> list[str]:
    """Return what the run's maps are called: the method, with the place where it has several."""
    names: list[str] = []
    for method in config.explain.methods:
        places = METHODS[method].places([layer.name for layer in layers])
        names += [method] if len(places) < 2 else [f"{method}@{place}" for place in places]
    return names


def probe_model(auditor: Auditor, rows: Sequence[StudyRow]) -> Probe:
    """Choose, check and measure the layers on noise of the shape of the first readable study; try every method once.

    Raises:
        ArchiveError: when no study can be read.
        ConfigError: when a transform fails on the first studies.
        ModelError: when a layer does not do, or the model's outputs are not what the configuration says.
    """
    prepared = _first_prepared(auditor, rows)
    shape = tuple(prepared.x.shape)
    noise = torch.rand(1, *shape, generator=torch.Generator().manual_seed(auditor.config.run.seed)).to(auditor.device)
    names, passed = _passed(auditor, noise)
    _check_outputs(auditor.config, passed.logits)
    forward = _seconds(auditor, lambda: _forward(auditor.network, noise))
    return Probe(
        layers=_layer_facts(auditor, noise, prepared, names, passed),
        shape=shape,
        minimum=float(prepared.x.min()),
        mean=float(prepared.x.mean()),
        maximum=float(prepared.x.max()),
        forward_seconds=forward,
        seconds=_try_methods(auditor, noise, names),
        peak_bytes=_peak_bytes(),
    )


def _passed(auditor: Auditor, noise: Tensor) -> tuple[list[str], Capture]:
    network, requested = auditor.network, auditor.config.model.layers
    try:
        names = [choose_layer(network, noise, memory=auditor.memory) if name == "auto" else name for name in requested]
        return names, capture(network, noise, list(dict.fromkeys(names)))
    except ValueError as error:
        raise ModelError(f"model.layers: {error}") from error
    except RuntimeError as error:
        fault = str(error).splitlines()[0]
        shape = tuple(noise.shape[1:])
        raise ModelError(f"the model does not take an input of shape {shape} (channels, ...): {fault}") from error


def _layer_facts(
    auditor: Auditor, noise: Tensor, prepared: Prepared, names: Sequence[str], passed: Capture
) -> tuple[LayerFacts, ...]:
    return tuple(
        LayerFacts(
            name=name,
            requested=requested,
            shape=(layer := tuple(passed.activations[name].shape[2:])),
            cell_mm=cells(prepared.grid, layer).spacing,
            shift_mm=_shift_mm(auditor.network, name, noise, prepared.grid),
            unit=prepared.grid.unit,
        )
        for name, requested in dict(zip(names, auditor.config.model.layers, strict=True)).items()
    )


def _try_methods(auditor: Auditor, noise: Tensor, layers: Sequence[str]) -> dict[str, float]:
    """Run every method once: one that this model does not allow is refused now, not study by study."""
    settings = auditor.config.explain
    seconds = {}
    for method in settings.methods:
        options = {name: given for name, given in settings.options.items() if name == method}
        call = partial(
            explain,
            auditor.network,
            noise,
            [0],
            methods=[method],
            layers=layers,
            options=options,
            memory=auditor.memory,
        )
        try:
            seconds[method] = _seconds(auditor, call)
        except (ValueError, TypeError) as error:
            raise ModelError(f"explain.methods: {method}: {error}") from error
    return seconds


def _forward(network: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        network(x)


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


def _shift_mm(network: nn.Module, layer: str, probe: Tensor, grid: Geometry) -> tuple[float, ...] | None:
    shift = cell_shift(network, layer, probe)
    return tuple(map(math.prod, zip(shift, grid.spacing, strict=True))) if shift else None


def _check_outputs(config: AuditConfig, logits: Tensor) -> None:
    if logits.ndim != 2:
        raise ModelError(f"the model's output must have shape (batch, labels), not {tuple(logits.shape)}")
    outputs = logits.shape[1]
    expected = 1 if config.model.output == "single_logit" else len(config.model.labels)
    if outputs != expected:
        raise ModelError(
            f"model.labels: output {config.model.output!r} with {len(config.model.labels)} labels needs {expected} "
            f"output(s), but the model returns {outputs}"
        )
    _check_squashing(logits, config.model.output)


def _check_squashing(logits: Tensor, output: str) -> None:
    """Refuse probabilities taken for logits: a sigmoid would be taken of a sigmoid, and every study be positive."""
    named = squashing(logits) or ("" if logits.requires_grad else _range_of(logits))
    if named:
        raise ModelError(
            f"model.output: {output!r} says that the model returns logits, and it ends in a {named}: remove that "
            "from the network, since a map explains the logit before it"
        )


def _range_of(values: Tensor) -> str:
    """Name what numbers without autograd's record look squashed by; a few small ones may be logits after all."""
    if values.numel() < _ENOUGH or not bool(values.std() > 0):
        return ""
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        return "sigmoid (all outputs lie within 0 and 1)"
    return "tanh (all outputs lie within -1 and 1)" if low >= -1 and high <= 1 and max(-low, high) > _NEAR else ""
