"""From a volume to the model's input, with the grid on which that input lies.

The transforms are MONAI's, named in the configuration in MONAI's own ``_target_`` syntax. They work on one
channel-first image that carries its affine; the affine that comes out is what brings a map back to the patient.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import monai.transforms
import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import MapTransform
from numpy.typing import NDArray
from torch import Tensor

from cam.finite import all_finite
from pipeline.errors import ConfigError, Reason, Stage, StudyError
from pipeline.models.transform_gate import check_transform, parts_of
from pipeline.studies.geometry import Affine, Geometry, GeometryError
from pipeline.studies.volume import Volume

__all__ = ["Preparation", "Prepared", "StepError", "build_transforms", "built_transform"]


_SLAB = 8  # places along the last axis

_EVERY_MODULE = ("monai",)  # what MONAI's search for bare names leaves out: nothing is left to be searched


@dataclass(frozen=True)
class Prepared:
    """A model input of shape (C, *S), float32, and the grid of its S voxels in the patient."""

    x: Tensor
    grid: Geometry


class StepError(StudyError):
    """A transform raised on an image. ``cause`` is its text, for the console alone: it can quote the image."""

    def __init__(self, number: int, step: str, error: Exception) -> None:
        name = step.partition("(")[0]
        message = f"prepare.{number}: {name} raised {type(error).__name__}"
        super().__init__(Stage.PREPARE, Reason.PREPARATION_FAILED, message)
        self.cause = _innermost(error)


@dataclass(frozen=True)
class Preparation:
    """The configured transforms. ``steps`` describes each as a reader of the report sees it."""

    transforms: tuple[Callable[[Any], Any], ...]
    steps: tuple[str, ...]

    def __call__(self, image: Volume) -> Prepared:
        """Prepare one image.

        Raises:
            StudyError: when a transform fails on this image, loses its affine or its spatial axes, or leaves NaN; a
                ``StepError`` where one step of the configuration is at fault.
        """
        return self.of_channels(image.array[None], image.geometry)

    def of_channels(self, channels: NDArray[np.floating], source: Geometry) -> Prepared:
        """Prepare an image of several channels (C, *S), all on one grid.

        Raises:
            StudyError: as for an image of one.
        """
        plane = _plane(source)
        # a copy: the volume is read-only and some transforms write in place
        tensor = torch.from_numpy(channels.astype(np.float32, copy=True))
        meta = {"original_channel_dim": 0}  # what EnsureChannelFirst asks
        result: Any = MetaTensor(tensor, affine=torch.from_numpy(plane.copy()), meta=meta)
        for number, transform in enumerate(self.transforms):
            try:
                with torch.no_grad():
                    result = transform(result)
            except Exception as error:
                raise StepError(number, self.steps[number], error) from error
        if not isinstance(result, MetaTensor) or result.ndim != len(source.shape) + 1:
            raise _failed(f"the transforms must return one image of {len(source.shape)} spatial axes with its affine")
        x = _in_rows(result.as_tensor().to(torch.float32))
        if not x.numel():
            raise _failed("the transforms leave no voxel of the image; check those that crop")
        if not all_finite(x):
            raise _failed("the prepared image holds NaN or infinity; check the transforms that scale values")
        world = source.affine @ np.linalg.inv(plane) @ _affine_of(result)
        try:
            grid = replace(source, shape=tuple(x.shape[1:]), affine=world)
        except GeometryError as error:
            raise _failed(f"the transforms return an affine that is no image grid: {error}") from error
        return Prepared(x, grid)


def _in_rows(x: Tensor) -> Tensor:
    """Return values (C, *S) with the last axis contiguous.

    Those of NIfTI have the first one so. They are copied in slabs whose lines stay in the processor's cache until they
    are whole: in less than half the time.
    """
    if x.is_contiguous() or x.stride(1) >= x.stride(-1):
        return x.contiguous()
    rows = torch.empty(x.shape, dtype=x.dtype)
    for slab, source in zip(torch.split(rows, _SLAB, -1), torch.split(x, _SLAB, -1), strict=True):
        slab.copy_(source)
    return rows


def build_transforms(prepare: Sequence[dict[str, Any]]) -> Preparation:
    """Build the transforms of the configuration's ``prepare``.

    Raises:
        ConfigError: when one does not exist, is random, works on dictionaries, or loses the image's grid.
    """
    steps = []
    for number, step in enumerate(prepare):
        transform = built_transform(f"prepare.{number}", step)
        _check(f"prepare.{number}", transform)
        steps.append((transform, _describe(_name(step), step)))
    return Preparation(tuple(transform for transform, _ in steps), tuple(text for _, text in steps))


def built_transform(where: str, step: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Build one transform from its configuration in MONAI's ``_target_`` syntax; ``where`` names it in the message.

    Raises:
        ConfigError: when it names no transform, or cannot be built.
    """
    if not _name(step):
        raise ConfigError(f"{where}: must name a MONAI transform as _target_, not {dict(step)!r:.80}")
    try:
        with warnings.catch_warnings():  # MONAI announces changed defaults at every construction
            warnings.simplefilter("ignore", FutureWarning)
            whole = {**step, "_target_": _whole_name(str(step["_target_"]))}
            parser = ConfigParser({"step": whole}, excludes=None if _has_bare_name(whole) else _EVERY_MODULE)
            transform: Callable[[Any], Any] = parser.get_parsed_content("step")
    except Exception as error:  # MONAI raises many kinds here, chained; the innermost names the cause
        raise ConfigError(f"{where}: {_name(step)} cannot be built: {_innermost(error)}") from error
    return transform


def _has_bare_name(step: object) -> bool:
    """Tell whether MONAI has to look through all of its modules for what a configuration's ``_target_`` names."""
    if isinstance(step, Mapping):
        return "." not in str(step.get("_target_", ".")) or any(map(_has_bare_name, step.values()))
    return isinstance(step, Sequence) and not isinstance(step, str) and any(map(_has_bare_name, step))


def _whole_name(target: str) -> str:
    """Return a transform's name with its module: some bare names (``Affine``) are of other things in MONAI too."""
    return f"monai.transforms.{target}" if "." not in target and hasattr(monai.transforms, target) else target


def _name(step: Mapping[str, Any]) -> str:
    return str(step.get("_target_", "")).rpartition(".")[2]


def _check(where: str, transform: object) -> None:
    check_transform(where, transform)
    for part in parts_of(transform):
        if isinstance(part, MapTransform):
            name = type(part).__name__
            raise ConfigError(
                f"{where}: {name} is the dictionary form of a transform; use the array form, {name.removesuffix('d')!r}"
            )


def _plane(geometry: Geometry) -> Affine:
    """Return the affine that MONAI sees: the patient's own in 3D, millimetres in the plane in 2D.

    MONAI cuts a 2D image's affine down to two world axes, which a plane in the patient does not have.
    """
    if len(geometry.shape) == 3:
        return np.array(geometry.affine)
    return np.diag([*geometry.spacing, 1.0, 1.0])


def _affine_of(image: MetaTensor) -> Affine:
    affine = np.asarray(image.affine, dtype=np.float64)
    if affine.shape == (4, 4):
        return affine
    full = np.eye(4)  # some 2D transforms answer with a 3x3 affine
    full[:2, :2], full[:2, 3] = affine[:2, :2], affine[:2, 2]
    return full


def _describe(name: str, step: dict[str, Any]) -> str:
    arguments = ", ".join(f"{key}={value}" for key, value in step.items() if key != "_target_")
    return f"{name}({arguments})"


def _innermost(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:200]


def _failed(message: str) -> StudyError:
    return StudyError(Stage.PREPARE, Reason.PREPARATION_FAILED, message)
