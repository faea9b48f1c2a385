"""Maps to look at: laid over their images, or side by side as one picture. Pictures alone are scaled."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from cam.resize import resize

__all__ = ["Heatmap", "grid_of"]

_GAP = 2  # pixels between the pictures of a grid


class Heatmap(Tensor):
    """The raw maps of one method, layer and target, (B, *S): a tensor that can be drawn.

    What is computed from it is a plain tensor.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment] # noqa: SLF001 - as nn.Parameter does: results are plain

    @classmethod
    def of(cls, maps: Tensor) -> Self:
        """Return these maps as a heatmap; it shares their memory."""
        return maps.detach().as_subclass(cls)

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return memo.setdefault(id(self), self.of(self.as_subclass(Tensor).clone()))  # type: ignore[return-value]

    def overlay(self, image: Tensor, *, strength: float = 0.6) -> Tensor:
        """Return the maps laid over their images, in colours of 0..1: (B, 3, *S), S the image's own.

        ``image`` is (B, C, *S), or (C, *S) or S of one sample; it is shown from its darkest to its brightest value,
        sample by sample, its three channels as colours where there are three of a 2D image, else their mean as grey.
        A map is resized to the image, linear, and scaled by its own largest magnitude: evidence for the target is red
        to yellow, evidence against it blue to cyan, each as opaque as it is strong, at most ``strength``. Where a map
        is 0 the image is as it was; so is all of it under an empty map.

        Raises:
            ValueError: when the image does not fit the maps, or the strength does not lie within 0 and 1.
        """
        maps = self.as_subclass(Tensor)
        images = _fitting(image, maps).to(maps.device)
        if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0 <= strength <= 1:
            raise ValueError(f"overlay.strength must lie within 0 and 1, not {strength!r}")
        scaled = resize(_to_peak(maps), tuple(images.shape[2:]))[:, None]
        opacity = strength * scaled.abs()
        heat = torch.stack([(scaled[:, 0] > 0).to(scaled), scaled[:, 0].abs(), (scaled[:, 0] < 0).to(scaled)], dim=1)
        return (1 - opacity) * _in_colours(images) + opacity * heat

    def to_image_grid(self, image: Tensor | None = None, *, columns: int | None = None) -> Tensor:
        """Return all samples as one picture (3, height, width), colours of 0..1, row by row.

        With ``image`` the maps lie over it, else over black at their own resolution. Of a volume the plane along the
        first axis is shown in which the map is largest in magnitude. ``columns`` is the number of pictures in a row;
        by default as many as there are samples.

        Raises:
            ValueError: as ``overlay``, or when there is no column.
        """
        pictures = self.planes(image)
        if columns is not None and (isinstance(columns, bool) or not isinstance(columns, int) or columns < 1):
            raise ValueError(f"to_image_grid.columns must be a whole number of at least 1, not {columns!r}")
        width = columns or len(pictures)
        return grid_of([pictures[start : start + width] for start in range(0, len(pictures), width)])

    def planes(self, image: Tensor | None = None) -> Tensor:
        """Return a picture (B, 3, height, width) of every sample; of a volume the plane where its map is largest."""
        maps = self.as_subclass(Tensor)
        over = torch.zeros_like(maps)[:, None] if image is None else image
        pictures = self.overlay(over, strength=1.0 if image is None else 0.6)
        if maps.ndim == 3:
            return pictures
        size = pictures.shape[2]
        peaks = resize(maps.double().abs(), (size, *maps.shape[2:])).flatten(2).amax(dim=2).argmax(dim=1)
        return pictures[torch.arange(len(maps), device=maps.device), :, peaks]


def grid_of(rows: Sequence[Tensor]) -> Tensor:
    """Return rows of pictures (n, 3, height, width), each of its own size, as one (3, height, width) on white."""
    sizes = [tuple(picture.shape[1:]) for row in rows for picture in row]
    height, width = max(size[0] for size in sizes), max(size[1] for size in sizes)
    most = max(len(row) for row in rows)
    first = rows[0]
    page = first.new_ones(3, len(rows) * (height + _GAP) - _GAP, most * (width + _GAP) - _GAP)
    for line, row in enumerate(rows):
        for column, picture in enumerate(row):
            top, left = line * (height + _GAP), column * (width + _GAP)
            page[:, top : top + picture.shape[1], left : left + picture.shape[2]] = picture
    return page


def _fitting(image: Tensor, maps: Tensor) -> Tensor:
    """Return the image as (B, C, *S), float."""
    axes = maps.ndim - 1
    if not isinstance(image, Tensor) or image.is_complex():
        raise ValueError(f"overlay.image must be a tensor (batch, channels, ...), not {type(image).__name__}")
    images = image.detach().as_subclass(Tensor)
    images = images[None, None] if images.ndim == axes else images[None] if images.ndim == axes + 1 else images
    if images.ndim != axes + 2 or len(images) != len(maps) or not images.numel():
        raise ValueError(
            f"overlay.image must have shape ({len(maps)}, channels, {axes} spatial axes) for maps of shape "
            f"{tuple(maps.shape)}, not {tuple(image.shape)}"
        )
    images = images.to(maps.dtype if maps.element_size() > 2 else torch.float32)
    return torch.nan_to_num(images, nan=0.0, posinf=0.0, neginf=0.0)


def _to_peak(maps: Tensor) -> Tensor:
    maps = maps.float() if maps.element_size() < 4 else maps
    peak = maps.flatten(1).abs().amax(dim=1).view(-1, *[1] * (maps.ndim - 1))
    return maps / torch.where(peak > 0, peak, 1)


def _in_colours(images: Tensor) -> Tensor:
    colours = images if images.shape[1] == 3 and images.ndim == 4 else images.mean(dim=1, keepdim=True)
    flat = colours.flatten(1)
    low, high = (edge.view(-1, *[1] * (colours.ndim - 1)) for edge in (flat.amin(dim=1), flat.amax(dim=1)))
    grey = (colours - low) / torch.where(high > low, high - low, 1)
    return grey if grey.shape[1] == 3 else grey.expand(-1, 3, *[-1] * (grey.ndim - 2))
