"""What a test sees of the page's canvases, and where on them a voxel has to be, computed without the page."""

import numpy as np

from pipeline.evidence.planes import PlaneCut, plane_at, projection
from pipeline.studies.geometry import Geometry

LETTERS_PX = 26
"""The canvas's border in which the letters stand."""


def cuts_of(geometry: Geometry, voxel) -> dict[str, PlaneCut]:
    """Return the report's planes through a voxel by their names."""
    if len(geometry.shape) == 2:
        return {"projection": projection(geometry)}
    cuts = [plane_at(geometry, axis, voxel[axis]) for axis in range(3)]
    return {cut.name: cut for cut in cuts}


def pixel_of(cut: PlaneCut, shape, voxel, size, *, mirrored=False) -> tuple[float, float]:
    """Return the middle of a voxel on a canvas (width, height) that shows the whole plane as large as it fits."""
    row, column = cut.place(np.array(voxel), shape)
    rows, columns = (shape[axis] for axis in cut.order)
    column = columns - 1 - column if mirrored else column
    high, wide = cut.pixel_mm
    scale = min(size[0] / (columns * wide), size[1] / (rows * high))
    left, top = (size[0] - columns * wide * scale) / 2, (size[1] - rows * high * scale) / 2
    return left + (column + 0.5) * wide * scale, top + (row + 0.5) * high * scale


def pixels(page, plane: str):
    """Return a plane's canvas as an array (rows, columns, 4)."""
    canvas = f"canvas[data-plane='{plane}']"
    width, height = page.eval_on_selector(canvas, "canvas => [canvas.width, canvas.height]")
    text = page.eval_on_selector(canvas, _PIXELS)
    return np.frombuffer(text.encode("latin-1"), np.uint8).reshape(height, width, 4)


_PIXELS = """canvas => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let text = '';
  for (let at = 0; at < data.length; at += 8192) text += String.fromCharCode(...data.subarray(at, at + 8192));
  return text;
}"""


def bare(page) -> None:
    """Show the image alone: no map, no outlines, no cross."""
    for setting in ("mapShown", "outlinesShown", "crossShown"):
        page.uncheck(f"input[data-setting='{setting}']")


def white_middle(array) -> tuple[float, float]:
    """Return the middle (x, y) of what is wholly white inside the border of letters."""
    inner = array[LETTERS_PX:-LETTERS_PX, LETTERS_PX:-LETTERS_PX, :3]
    places = np.argwhere((inner == 255).all(axis=-1))
    assert len(places) > 0
    assert (np.ptp(places, axis=0) < 100).all()
    y, x = places.mean(axis=0) + LETTERS_PX + 0.5
    return float(x), float(y)


def hover(page, plane: str, place) -> str:
    """Move the mouse to a place on a plane's canvas and return what the page says of it."""
    box = page.locator(f"canvas[data-plane='{plane}']").bounding_box()
    page.mouse.move(box["x"] + place[0], box["y"] + place[1])
    return page.inner_text(".readout .value")
