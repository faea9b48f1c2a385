"""What a run must know of the model before the lock, found without showing it a study."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cam import capture, cell_shift, choose_layer, explain, squashing
from pipeline.audit import Auditor, read_studies
from pipeline.config import AuditConfig
from pipeline.errors import ArchiveError, ModelError, StudyError
from pipeline.models.prepare import Prepared
from pipeline.record import LayerFacts
from pipeline.studies.archive import StudyRow
from pipeline.studies.geometry import Geometry, cells

__all__ = ["resolve_layers"]

_ENOUGH = 4  # outputs, before their range says anything
_NEAR = 0.9  # how near to 1 a tanh comes


def resolve_layers(auditor: Auditor, rows: Sequence[StudyRow]) -> tuple[LayerFacts, ...]:
    """Choose, check and measure the layers on noise of the shape of the first readable study.

    Raises:
        ArchiveError: when no study can be read.
        ModelError: when a layer does not do, or the model's outputs are not what the configuration says.
    """
    prepared = _first_prepared(auditor, rows)
    shape = tuple(prepared.x.shape)
    probe = torch.rand(1, *shape, generator=torch.Generator().manual_seed(auditor.config.run.seed)).to(auditor.device)
    network = auditor.model.network
    requested = auditor.config.model.layers
    try:
        names = [choose_layer(network, probe, memory=auditor.memory) if name == "auto" else name for name in requested]
        passed = capture(network, probe, list(dict.fromkeys(names)))
    except ValueError as error:
        raise ModelError(f"model.layers: {error}") from error
    except RuntimeError as error:
        fault = str(error).splitlines()[0]
        raise ModelError(f"the model does not take an input of shape {shape} (channels, ...): {fault}") from error
    _check_outputs(auditor.config, passed.logits)
    _try_methods(auditor, probe, names)
    return tuple(
        LayerFacts(
            name=name,
            requested=asked,
            shape=(layer := tuple(passed.activations[name].shape[2:])),
            cell_mm=cells(prepared.grid, layer).spacing,
            shift_mm=_shift_mm(network, name, probe, prepared.grid),
            unit=prepared.grid.unit,
        )
        for name, asked in dict(zip(names, requested, strict=True)).items()
    )


def _try_methods(auditor: Auditor, probe: Tensor, layers: Sequence[str]) -> None:
    """Run every method once: one that this model does not allow is refused now, not study by study."""
    asked = auditor.config.explain
    for method in asked.methods:
        options = {name: given for name, given in asked.options.items() if name == method}
        try:
            explain(auditor.model.network, probe, [0], methods=[method], layers=layers, options=options)
        except (ValueError, TypeError) as error:
            raise ModelError(f"explain.methods: {method}: {error}") from error


def _first_prepared(auditor: Auditor, rows: Sequence[StudyRow]) -> Prepared:
    faults = []
    for row in rows:
        (study,) = read_studies(auditor, [row])
        try:
            if not isinstance(study, StudyError):
                return auditor.preparation(study.image)
            faults.append(study)
        except StudyError as fault:
            faults.append(fault)
    raise ArchiveError(f"none of the {len(rows)} studies can be read; the first: {faults[0]}")


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
            f"model.output: {output!r} says that the model returns logits, and it ends in a {named}: leave that out of "
            "the network, for a map explains the logit before it"
        )


def _range_of(values: Tensor) -> str:
    """Name what numbers without autograd's record look squashed by; a few small ones may be logits after all."""
    if values.numel() < _ENOUGH or not bool(values.std() > 0):
        return ""
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        return "sigmoid (all outputs lie within 0 and 1)"
    return "tanh (all outputs lie within -1 and 1)" if low >= -1 and high <= 1 and max(-low, high) > _NEAR else ""
