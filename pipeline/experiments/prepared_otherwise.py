"""A study prepared with another spacing or interpolation: choices of the configuration that maps should survive."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from pipeline.errors import StudyError
from pipeline.experiments.bench import Bench, ChosenStudy
from pipeline.models.prepare import Prepared, build_transforms

__all__ = ["Choice", "other_steps", "prepared_otherwise"]

Choice = Literal["spacing", "interpolation"]
Steps = Sequence[Mapping[str, Any]]

_COARSER: Final = 1.1
_MODES: Final[Mapping[str, str]] = {"Spacing": "bilinear", "Resize": "area", "Zoom": "area", "Affine": "bilinear"}
"""MONAI's transforms that interpolate, with what they do unless told otherwise."""


def other_steps(choice: Choice, steps: Steps) -> list[dict[str, Any]] | str:
    """Return a configuration's ``prepare`` with one choice made otherwise, or why there is none.

    ``spacing``: voxels a tenth larger. ``interpolation``: the nearest voxel instead of a mean of neighbours, or the
    mean where it was the nearest.
    """
    change = {"spacing": _with_spacing, "interpolation": _with_interpolation}[choice]
    changed = [change(dict(step)) for step in steps]
    if changed == [dict(step) for step in steps]:
        return {
            "spacing": "no step of prepare sets a spacing",
            "interpolation": "no step of prepare interpolates",
        }[choice]
    return changed


def prepared_otherwise(bench: Bench, choice: Choice, studies: Sequence[ChosenStudy]) -> list[Prepared] | str:
    """Return the studies prepared otherwise, or why they cannot be."""
    steps = other_steps(choice, bench.config.prepare)
    if isinstance(steps, str):
        return steps
    preparation = build_transforms(steps)
    try:
        return [preparation(study.image) for study in studies]
    except StudyError as fault:
        return f"the studies cannot be prepared so: {fault.reason.value}"


def _name(step: Mapping[str, Any]) -> str:
    return str(step.get("_target_", "")).rpartition(".")[2]


def _with_spacing(step: dict[str, Any]) -> dict[str, Any]:
    if _name(step) != "Spacing" or "pixdim" not in step:
        return step
    given = step["pixdim"]
    sizes = given if isinstance(given, Sequence) else [given]
    larger = [_COARSER * size if isinstance(size, int | float) and size > 0 else size for size in sizes]
    return {**step, "pixdim": larger if isinstance(given, Sequence) else larger[0]}


def _with_interpolation(step: dict[str, Any]) -> dict[str, Any]:
    if _name(step) not in _MODES:
        return step
    mode = step.get("mode", _MODES[_name(step)])
    if mode in ("nearest", "nearest-exact", 0):
        return {**step, "mode": _MODES[_name(step)]}
    # these shift the picture by half a cell where they take the nearest value, but not in its exact form
    nearest = "nearest-exact" if _name(step) in ("Resize", "Zoom") else "nearest"
    return {**step, "mode": 0 if isinstance(mode, int) else nearest}
