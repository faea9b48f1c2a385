"""A class activation map with the place where it lies in the patient."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.studies.geometry import Geometry, GeometryError, Resampling, plan
from pipeline.studies.volume import Heatmap

if TYPE_CHECKING:
    from camaudit.maps.images import PlacedImage
    from camaudit.maps.overlap import MapOverlap
    from camaudit.views import Overlay
    from pipeline.studies.readers import MaskFile

__all__ = ["PlacedMap", "laid_on"]

Point = tuple[float, ...]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class PlacedMap:
    """A map on a grid in the patient.

    ``array`` (2 or 3 axes, float32, read-only) lies on ``grid``: an image's own, or the cells of the layer that it was
    made at. On an image's grid it is the method's own map, 0 where the model saw nothing (``seen``). At the cells it is
    raw: kept before the ReLU that may end the method's formula, so that it can be carried on and rectified there.
    ``image`` is what it lies on, ``study`` the pseudonym of an audit's.
    """

    array: NDArray[np.float32]
    grid: Geometry
    method: str
    target: str
    layer: str | None
    study: str = ""
    seen: NDArray[np.bool_] | None = None
    image: "PlacedImage | None" = None
    source: "PlacedMap | None" = field(default=None)

    def __post_init__(self) -> None:
        array = np.asarray(self.array, dtype=np.float32).view()
        array.setflags(write=False)
        object.__setattr__(self, "array", array)

    @property
    def affine(self) -> NDArray[np.float64]:
        """From an index to RAS+ mm, (4, 4); to pixels where nothing states a physical size (``grid.unit``)."""
        return self.grid.affine

    @property
    def cells(self) -> "PlacedMap":
        """The raw map at its layer's own resolution."""
        return self.source or self

    @property
    def peak(self) -> tuple[int, ...] | None:
        """The index of the largest value that was seen; None for a map that is the same everywhere: it has none."""
        values = self.array if self.seen is None else np.where(self.seen, self.array, -np.inf)
        place = np.unravel_index(int(np.argmax(values)), values.shape)
        seen = self.array if self.seen is None else self.array[self.seen]
        if not seen.size or seen.min() == seen.max():
            return None
        return tuple(int(index) for index in place)

    @property
    def peak_mm(self) -> Point | None:
        """Where the largest value lies, (x, y, z) in RAS+ mm (``grid.unit``); None where there is no peak."""
        return None if self.peak is None else _point(self.grid.world(np.array([self.peak]))[0])

    def at_mm(self, point: Point) -> float | None:
        """Return the value at (x, y, z) in RAS+ mm, linear between the layer's cells; None where the model saw nothing.

        Raises:
            ConfigError: when the point is not three numbers.
        """
        place = np.asarray(point)
        if place.shape != (3,) or place.dtype.kind not in "iuf" or not np.isfinite(place).all():
            raise ConfigError(f"at_mm: must be a point (x, y, z) in mm, not {point!r:.60}")
        affine = self.grid.affine.copy()
        affine[:3, 3] = place
        spot = Geometry((1,) * len(self.grid.shape), affine, self.cells.grid.frame_of_reference)
        try:
            resampling = plan(self.cells.grid, spot)
        except GeometryError:  # beside the plane of a picture
            return None
        value = _rectified(self.method, resampling.apply(self.cells.array)).item()
        return float(value) if resampling.seen.all() else None

    def on(self, image: object, *, volume: int | None = None) -> "PlacedMap":
        """Return the map on the grid of an image (anything that ``camaudit.explain`` takes, or another map's).

        It is carried from the layer's cells by the affines alone, linear between them, whatever transforms lie between
        the two images; where the model saw nothing it is 0, and ``seen`` is False.

        Raises:
            ConfigError: when nothing tells how the two lie to each other, or they lie apart.
            StudyError: when a file cannot be read.
        """
        from camaudit.maps.images import ImageRequest, PlacedImage, place_image

        own = getattr(image, "image", None)  # of another map, or of all maps of an image
        onto = place_image(
            own if isinstance(own, PlacedImage) else image, ImageRequest(axes=len(self.grid.shape), volume=volume)
        )
        self._check_together(onto.grid)
        cells = self.cells
        try:
            resampling = plan(replace(cells.grid, frame_of_reference=onto.grid.frame_of_reference), onto.grid)
        except GeometryError as error:
            raise ConfigError(f"on: {error}") from error
        if not resampling.seen.any():
            raise ConfigError("on: nothing of the image lies in the model's field of view; are both of one patient?")
        return laid_on(cells, onto, resampling)

    def overlap(
        self,
        mask: object,
        *,
        label: str | None = None,
        value: int | None = None,
        threshold: str | float = "otsu",
    ) -> "MapOverlap":
        """Return every registered metric of the map against an expert's mask on the same grid, as an audit does.

        ``mask`` is a path (any format of ``docs/formats.md``), an array on the image's grid, or an array with an
        affine. ``label`` or ``value`` chooses among several that it holds. The mask is never resampled: of one on
        another grid, carry the map to it first, ``map.on(mask).overlap(mask)``.

        Raises:
            ConfigError: when the map does not lie on an image yet, or an argument is not what it has to be.
            StudyError: when the mask cannot be read or lies on another grid.
        """
        from camaudit.maps.overlap import overlap_of

        return overlap_of(self.heatmap, self._marked(mask, label, value), threshold)

    def _marked(self, mask: object, label: str | None, value: int | None) -> "MaskFile":
        from camaudit.maps.masks import MaskChoice, marked_on

        if self.image is None or self.source is None:
            raise ConfigError("mask: needs the map on the image that the mask was drawn on: map.on(image)")
        return marked_on(self.image, mask, MaskChoice.of(self.target, label, value))

    def show(self, mask: object = None, *, window: tuple[float, float] | None = None) -> "Overlay":
        """Return the map over its image as a picture: of a volume the plane of its peak, in the clinic's orientation.

        ``mask`` is outlined (whatever ``overlap`` takes), in the plane where it is largest too. ``window`` is the
        display window (low, high) in the image's values.

        Raises:
            ConfigError: when there is a mask, and the map does not lie on an image.
            StudyError: when the mask cannot be read or lies on another grid.
        """
        from camaudit.maps.picture import picture_of

        under = self.image.volume if self.image and self.source else None
        marked = None if mask is None else self._marked(mask, None, None).marked
        return picture_of(under, {f"{self.method}, {self.target}": self.heatmap}, marked, window)

    def save(self, path: str | Path) -> Path:
        """Write the map on its grid (``.nii``, ``.nii.gz`` or ``.nrrd``; two axes get a third of one); return the path.

        Raises:
            OutputError: for another ending, or when the file cannot be written.
        """
        from camaudit.maps.map_files import save_map

        return save_map(self.array, self.grid, Path(path))

    @property
    def heatmap(self) -> Heatmap:
        """The map as metrics and pictures take it."""
        seen = np.ones(self.grid.shape, bool) if self.seen is None else self.seen
        return Heatmap(self.array, self.grid, seen, self.method, self.layer or "", self.target)

    def _check_together(self, onto: Geometry) -> None:
        """Refuse to lay two images on each other of which nothing tells how they lie."""
        own = self.image.grid if self.image else self.grid
        frames = (own.frame_of_reference, onto.frame_of_reference)
        if None not in frames and frames[0] != frames[1]:
            raise ConfigError("on: the image lies in another frame of reference; register the two first")
        if len(own.shape) != len(onto.shape):
            raise ConfigError(f"on: a map of {len(own.shape)} axes cannot lie on an image of {len(onto.shape)}")
        if own.scaled and own.oriented and onto.scaled and onto.oriented:
            return
        same = own.shape == onto.shape and np.allclose(own.spacing, onto.spacing)
        if self.image is not None and not same:
            raise ConfigError(
                "on: nothing states where in the patient both lie (a picture, an array without an affine), and they "
                f"differ in size: {own.shape} and {onto.shape}"
            )

    def _repr_png_(self) -> bytes:
        return self.show()._repr_png_()

    def __repr__(self) -> str:
        place = " x ".join(f"{step:.3g}" for step in self.grid.spacing)
        at = f" at {self.layer}" if self.layer else ""
        return f"<PlacedMap {self.method} for {self.target}{at}: {self.array.shape}, {place} {self.grid.unit}>"


def laid_on(cells: PlacedMap, image: "PlacedImage", resampling: Resampling) -> PlacedMap:
    """Return a raw map on an image's grid, by a plan from its cells to that grid."""
    array = _rectified(cells.method, resampling.apply(cells.array))
    return replace(cells, array=array, grid=image.grid, seen=resampling.seen, image=image, source=cells)


def _rectified(method: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values with the ReLU that ends the method's formula, where one does."""
    from cam import METHODS

    known = METHODS.get(method)
    return np.maximum(values, 0) if known is not None and known.rectified else values


def _point(place: NDArray[np.float64]) -> Point:
    return tuple(float(part) for part in place)
