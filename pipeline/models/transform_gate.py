"""Which of MONAI's transforms may prepare an image: those that give the same every time and record what they move.

What is refused here was found by sending world coordinates through each transform as an image, in 2D and 3D (MONAI
1.6.1), and comparing what arrives with what the affine says.
"""

from collections.abc import Iterator

from monai.transforms import (
    Affine,
    Compose,
    LoadImage,
    MapTransform,
    OneOf,
    Randomizable,
    RandomizableTrait,
    RandomOrder,
    SomeOf,
    Transform,
)

from pipeline.errors import ConfigError

__all__ = ["check_transform", "parts_of"]

_LOSES_THE_GRID = frozenset(
    {"Transpose", "Lambda", "SqueezeDim", "AsChannelLast", "GridDistortion", "GridPatch", "GridSplit"}
)
"""Transforms that can move voxels without changing the affine."""

_SHIFTED_BY_NEAREST = frozenset({"Resize", "Zoom"})
"""With mode ``nearest`` these sample half a cell beside what their affine says; ``nearest-exact`` does not."""

_RANDOM_ORDER = (OneOf, RandomOrder, SomeOf)


def check_transform(where: str, transform: object) -> None:
    """Refuse a transform after which no map could be placed on the image; ``where`` names it in the message.

    Raises:
        ConfigError: when it, or one that it holds, is random, is not MONAI's, puts its work off, or moves voxels
            otherwise than its affine says.
    """
    if isinstance(transform, type):
        raise ConfigError(
            f"{where}: {transform.__name__} is the class of a transform; make one: {transform.__name__}(...)"
        )
    if getattr(transform, "lazy", False) and not isinstance(transform, Compose):  # a Compose ends what it has put off
        name = type(transform).__name__
        raise ConfigError(f"{where}: {name} with lazy=True puts its work off, and nothing would end it; use lazy=False")
    for part in parts_of(transform):
        name = type(part).__name__
        if isinstance(part, Randomizable | RandomizableTrait):
            raise ConfigError(f"{where}: {name} is random; a map needs transforms that give the same result every time")
        if isinstance(part, LoadImage):
            raise ConfigError(f"{where}: {name} reads a file, and the image has been read by then; leave it out")
        _check_grid(where, name.removesuffix("d") if isinstance(part, MapTransform) else name, part)
        if not isinstance(part, Transform) or not type(part).__module__.startswith("monai.transforms."):
            raise ConfigError(
                f"{where}: {name} is not a transform of MONAI; only those are known to record changes of the grid"
            )


def parts_of(transform: object) -> Iterator[object]:
    """Yield a transform and those that it holds; of a ``Compose`` what it composes, as it is random by inheritance."""
    if isinstance(transform, Compose) and not isinstance(transform, _RANDOM_ORDER):
        for part in transform.transforms:
            yield from parts_of(part)
    else:
        yield transform
        for held in vars(transform).values() if isinstance(transform, Transform) else ():
            if Transform in type(held).__mro__:  # isinstance asks hundreds of subclasses for each other type
                yield from parts_of(held)


def _check_grid(where: str, name: str, part: object) -> None:
    if name in _LOSES_THE_GRID:
        raise ConfigError(
            f"{where}: {name} moves voxels without recording how, so "
            "no map could be placed on the image; use another transform"
        )
    mode = getattr(part, "mode", None)
    if name in _SHIFTED_BY_NEAREST and "nearest" in ([mode] if isinstance(mode, str) else mode or ()):
        raise ConfigError(f"{where}: {name} with mode 'nearest' shifts the image by half a cell; use 'nearest-exact'")
    if name == "Spacing" and getattr(part, "recompute_affine", False):
        raise ConfigError(
            f"{where}: Spacing with recompute_affine=True records another place than it samples; leave it out"
        )
    if isinstance(part, Affine) and (part.resampler.align_corners or not part.resampler.norm_coords):
        raise ConfigError(
            f"{where}: Affine with align_corners or normalized set to True records another place than it samples; "
            "leave them out"
        )
