"""What a run must know of the model before the lock, found without showing it a study."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cam import capture, cell_shift, choose_layer
from pipeline.audit import Auditor
from pipeline.config import AuditConfig
from pipeline.errors import ArchiveError, ModelError, StudyError
from pipeline.models.prepare import Prepared
from pipeline.record import LayerFacts
from pipeline.studies.archive import StudyRow, read_study
from pipeline.studies.geometry import Geometry, cells

__all__ = ["resolve_layers"]


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
        names = [choose_layer(network, probe) if name == "auto" else name for name in requested]
        passed = capture(network, probe, list(dict.fromkeys(names)))
    except ValueError as error:
        raise ModelError(f"model.layers: {error}") from error
    except RuntimeError as error:
        fault = str(error).splitlines()[0]
        raise ModelError(f"the model does not take an input of shape {shape} (channels, ...): {fault}") from error
    _check_outputs(auditor.config, passed.logits.detach())
    return tuple(
        LayerFacts(
            name=name,
            requested=asked,
            shape=(layer := tuple(passed.activations[name].shape[2:])),
            cell_mm=cells(prepared.grid, layer).spacing,
            shift_mm=_shift_mm(network, name, probe, prepared.grid),
        )
        for name, asked in dict(zip(names, requested, strict=True)).items()
    )


def _first_prepared(auditor: Auditor, rows: Sequence[StudyRow]) -> Prepared:
    faults = []
    for row in rows:
        try:
            return auditor.preparation(read_study(row, auditor.pseudonyms).image)
        except StudyError as fault:
            faults.append(fault)
    raise ArchiveError(f"none of the {len(rows)} studies can be read; the first: {faults[0]}")


def _shift_mm(network: nn.Module, layer: str, probe: Tensor, grid: Geometry) -> tuple[float, ...] | None:
    shift = cell_shift(network, layer, probe)
    return tuple(map(math.prod, zip(shift, grid.spacing, strict=True))) if shift else None


def _check_outputs(config: AuditConfig, logits: Tensor) -> None:
    outputs = logits.shape[1]
    expected = 1 if config.model.output == "single_logit" else len(config.model.labels)
    if outputs != expected:
        raise ModelError(
            f"model.labels: output {config.model.output!r} with {len(config.model.labels)} labels needs {expected} "
            f"output(s), but the model returns {outputs}"
        )
    if outputs > 1 and bool((logits >= 0).all()) and bool(torch.isclose(logits.sum(dim=1), logits.new_ones(1)).all()):
        raise ModelError("the model ends in a softmax; a map explains the logit before it: leave the softmax out")
