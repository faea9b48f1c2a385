"""All maps of one image, each with the place where it lies."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cam.inputs.target_keys import TargetKey
from cam.inputs.targets import Target, Value
from cam.outcome.explanation import Explanation, MapKey
from camaudit.maps.images import PlacedImage
from camaudit.maps.placed_map import PlacedMap, laid_on
from camaudit.views import Overlay
from pipeline.errors import ConfigError
from pipeline.studies.geometry import Geometry, Resampling, cells, plan

if TYPE_CHECKING:
    from camaudit.maps.overlap import OverlapTable

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

    def show(self, mask: object = None, *, window: tuple[float, float] | None = None) -> Overlay:
        """Return all maps over the image as one picture; of a volume the plane of the first one's peak.

        ``mask`` and ``window`` are as in ``PlacedMap.show``.

        Raises:
            ConfigError: when there is no map.
            StudyError: when the mask cannot be read or lies on another grid.
        """
        from camaudit.maps.masks import MaskChoice, marked_on
        from camaudit.maps.picture import picture_of

        self._check_any("show")
        several_layers = len({layer for _, layer, _ in self.explanation.maps}) > 1
        titled = {_title(placed, with_layer=several_layers): placed.heatmap for placed in self}
        wanted = MaskChoice.of(next(iter(self)).target, None, None)
        marked = None if mask is None else marked_on(self.image, mask, wanted).marked
        return picture_of(self.image.volume, titled, marked, window)

    def overlap(
        self,
        mask: object,
        *,
        label: str | None = None,
        value: int | None = None,
        threshold: str | float = "otsu",
    ) -> "OverlapTable":
        """Return every registered metric of every map against one mask, which is read once: see ``PlacedMap.overlap``.

        Raises:
            ConfigError: when there is no map, or an argument is not what it has to be.
            StudyError: when the mask cannot be read or lies on another grid.
        """
        from camaudit.maps.masks import MaskChoice, marked_on
        from camaudit.maps.overlap import OverlapTable, overlap_of

        self._check_any("overlap")
        wanted = {placed.target: MaskChoice.of(placed.target, label, value) for placed in self}
        marked = {each: marked_on(self.image, mask, each) for each in dict.fromkeys(wanted.values())}
        return OverlapTable(
            {
                (placed.method, placed.target, placed.layer or ""): overlap_of(
                    placed.heatmap, marked[wanted[placed.target]], threshold
                )
                for placed in self
            }
        )

    def _check_any(self, what: str) -> None:
        if not len(self):
            raise ConfigError(f"{what}: there is no map, as there was no target")

    def _raw(self, key: MapKey) -> PlacedMap:
        method, layer, target = key
        values = self.explanation.maps[key][0].float().cpu().numpy()
        grid = cells(self.prepared, values.shape)
        return PlacedMap(
            array=values, grid=grid, method=method, target=self._name(target), layer=layer, image=self.image
        )

    def _name(self, key: TargetKey) -> str:
        """Return a target's name: a label's where the outputs' names are known, the predicted one's too."""
        explanation = self.explanation
        scalar = explanation.targets[explanation.target_keys.index(key)]
        asked = scalar.label if isinstance(scalar, Target) else scalar.index if isinstance(scalar, Value) else key
        label = asked[0] if isinstance(asked, tuple) and len(asked) == 1 else asked
        known = isinstance(label, int) and 0 <= label < len(explanation.labels)
        return explanation.labels[label] if known else str(label)  # type: ignore[index]

    def _repr_png_(self) -> bytes:
        return self.show()._repr_png_()

    def __repr__(self) -> str:
        names = ", ".join(repr(key[0]) for key in list(self.explanation.maps)[:6])
        return f"<PlacedMaps {len(self)} on an image of {self.image.grid.shape}: {names}>"


def _title(placed: PlacedMap, *, with_layer: bool) -> str:
    return f"{placed.method}, {placed.target}{f', {placed.layer}' if with_layer else ''}"
