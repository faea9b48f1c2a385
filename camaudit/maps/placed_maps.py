"""All maps of one image, each with the place where it lies."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from cam.inputs.target_keys import TargetKey
from cam.outcome.explanation import Explanation, MapKey
from camaudit.maps.images import PlacedImage
from camaudit.maps.placed_map import PlacedMap, laid_on
from camaudit.views import Overlay
from pipeline.errors import ConfigError
from pipeline.studies.geometry import Geometry, Resampling, cells, plan

__all__ = ["PlacedMaps"]


@dataclass(frozen=True, eq=False, repr=False)
class PlacedMaps:
    """The maps of one image: ``maps["gradcam"]``, or ``["gradcam", "layer4", 1]`` where there are several.

    ``explanation`` holds them raw, with logits and notes (a batch of one); ``image`` is what they lie on; ``prepared``
    is the grid of what the model was shown.
    """

    explanation: Explanation
    image: PlacedImage
    prepared: Geometry
    _carried: dict[MapKey, PlacedMap] = field(default_factory=dict)
    _plans: dict[tuple[int, ...], Resampling] = field(default_factory=dict)

    def __getitem__(self, key: object) -> PlacedMap:
        """Return a map on the image's own grid; ``.cells`` of it is the raw one.

        Raises:
            NoSuchMapError: when there is no such map, or more than one.
        """
        whole = self.explanation.whole_key(key)
        if whole not in self._carried:
            raw = self._raw(whole)
            if raw.grid.shape not in self._plans:
                self._plans[raw.grid.shape] = plan(raw.grid, self.image.grid)
            self._carried[whole] = laid_on(raw, self.image, self._plans[raw.grid.shape])
        return self._carried[whole]

    def __iter__(self) -> Iterator[PlacedMap]:
        return (self[key] for key in self.explanation.maps)

    def __len__(self) -> int:
        return len(self.explanation)

    def __contains__(self, key: object) -> bool:
        return key in self.explanation

    def show(self, *, window: tuple[float, float] | None = None) -> Overlay:
        """Return all maps over the image as one picture; of a volume the plane of the first one's peak.

        Raises:
            ConfigError: when there is no map.
        """
        from camaudit.maps.picture import picture_of

        if not len(self):
            raise ConfigError("show: there is no map, as there was no target")
        several_layers = len({layer for _, layer, _ in self.explanation.maps}) > 1
        titled = {_title(placed, with_layer=several_layers): placed.heatmap for placed in self}
        return picture_of(self.image.volume, titled, window)

    def _raw(self, key: MapKey) -> PlacedMap:
        method, layer, target = key
        values = self.explanation.maps[key][0].float().cpu().numpy()
        grid = cells(self.prepared, values.shape)
        return PlacedMap(
            array=values, grid=grid, method=method, target=self._name(target), layer=layer, image=self.image
        )

    def _name(self, target: TargetKey) -> str:
        labels = self.explanation.labels
        return labels[target] if isinstance(target, int) and 0 <= target < len(labels) else str(target)

    def _repr_png_(self) -> bytes:
        return self.show()._repr_png_()

    def __repr__(self) -> str:
        names = ", ".join(repr(key[0]) for key in list(self.explanation.maps)[:6])
        return f"<PlacedMaps {len(self)} on an image of {self.image.grid.shape}: {names}>"


def _title(placed: PlacedMap, *, with_layer: bool) -> str:
    return f"{placed.method}, {placed.target}{f', {placed.layer}' if with_layer else ''}"
