"""Maps of an image in whatever form a caller has it, prepared as the model was trained, back where the image lies."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cam import Memory
from cam.explain import explain as explain_tensor
from cam.inputs.arguments import Options
from cam.inputs.target_keys import TargetLike
from cam.layers.calls import Slices
from cam.layers.tokens import TokenGrid
from cam.network.outputs import Output, OutputKind
from camaudit.maps.images import ImageRequest, PlacedImage, place_image
from camaudit.maps.placed_maps import PlacedMaps
from pipeline.errors import ConfigError, StudyError
from pipeline.studies.geometry import Geometry

__all__ = ["explain"]

_CONVOLUTIONS = {nn.Conv2d: 2, nn.Conv3d: 3}


def explain(
    model: nn.Module,
    image: object,
    targets: "Sequence[TargetLike] | TargetLike | Tensor | None" = None,
    *,
    prepare: object = (),
    target: "TargetLike | Tensor | None" = None,
    methods: Sequence[str] | str = ("gradcam",),
    layers: Sequence[str | nn.Module] | str | nn.Module = ("auto",),
    labels: Sequence[str] | None = None,
    volume: int | None = None,
    options: Options | None = None,
    output: Output = None,
    output_kind: OutputKind | None = None,
    grids: Mapping[str, TokenGrid | Slices] | None = None,
    memory: Memory | None = None,
) -> PlacedMaps:
    """Explain ``model`` on one image; every map knows where it lies in the world.

    ``image`` is a path (NIfTI, NRRD, PNG, JPEG, DICOM, a folder of DICOM slices), a list of a series' files, a MONAI
    MetaTensor, a nibabel image, an array or tensor, or ``(array, affine)`` with the affine to RAS+ mm. Files are read
    by a process with limits, through the gates of an audit; ``volume`` chooses one of a file's several. Where nothing
    states a place, distances are in pixels.

    ``prepare`` is what the image goes through before the model: MONAI's transforms (objects, a ``Compose``, or
    ``{"_target_": ...}`` as in ``audit.yaml``). The maps come back through them. The prepared image becomes a batch of
    one on the model's device. The other arguments are those of ``cam.explain``, which takes batches of tensors.

    Raises:
        StudyError: when a file cannot be read, or a transform fails on this image.
        ConfigError: for an argument that is not what it has to be, in one sentence.
    """
    settings: dict[str, Any] = {
        "target": target,
        "methods": methods,
        "layers": layers,
        "labels": labels,
        "options": options,
        "output": output,
        "output_kind": output_kind,
        "grids": grids,
        "memory": memory,
    }
    if not isinstance(model, nn.Module):
        raise ConfigError(f"model: must be a torch.nn.Module, not {type(model).__name__}")
    placed = place_image(image, ImageRequest(*_input_of(model), volume))
    x, grid = _prepared(placed, prepare)
    try:
        explanation = explain_tensor(model, _at_home(x, model), targets, **settings, rectify=False)
    except ValueError as error:
        advice = _advice(model, x) if str(error).startswith("the model fails on x") else ""
        raise ConfigError(f"{error}{advice}") from error
    return PlacedMaps(explanation, placed, grid)


def _is_empty(prepare: object) -> bool:
    return prepare is None or (isinstance(prepare, Sequence) and not len(prepare))


def _input_of(model: nn.Module) -> tuple[int | None, int | None]:
    """Return the spatial axes and the channels that a model takes, by its first convolution; None where it has none."""
    for module in model.modules():
        for kind, axes in _CONVOLUTIONS.items():
            if isinstance(module, kind):
                return axes, module.in_channels
    return None, None


def _prepared(image: PlacedImage, prepare: object) -> tuple[Tensor, Geometry]:
    """Return the model's input (C, *S) and the grid of its voxels."""
    if _is_empty(prepare):
        return torch.from_numpy(image.channels.copy()), image.grid
    from pipeline.models.given_transforms import given_transforms
    from pipeline.models.prepare import StepError

    try:
        prepared = given_transforms(prepare).of_channels(image.channels, image.grid)
    except StepError as fault:
        raise StudyError(fault.stage, fault.reason, f"{fault}: {fault.cause}") from fault
    return prepared.x, prepared.grid


def _at_home(x: Tensor, model: nn.Module) -> Tensor:
    """Return a batch of one on the model's device, of its weights' precision."""
    first = next((value for value in model.parameters() if value.is_floating_point()), None)
    return x[None] if first is None else x[None].to(first.device, first.dtype)


def _advice(model: nn.Module, x: Tensor) -> str:
    """Say what is likely wrong where the model cannot take an image of these channels."""
    axes, channels = _input_of(model)
    if axes is not None and x.ndim != axes + 1:
        return f"; the model takes images of {axes} axes, and this one has {x.ndim - 1}"
    if channels is not None and len(x) != channels:
        repeat = f", RepeatChannel({channels}) in prepare repeats it" if len(x) == 1 else ""
        return f"; the model's first convolution takes {channels} channels, and the image has {len(x)}{repeat}"
    return ""
