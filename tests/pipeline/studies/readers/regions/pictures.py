"""A small picture to draw on, and rasterisers that know nothing of ours."""

import json

import numpy as np
from skimage.measure import points_in_poly

from pipeline.studies.geometry import Geometry
from pipeline.studies.readers import MaskRequest, read_mask
from pipeline.studies.readers.shared.base import ImageFile
from pipeline.studies.volume import Volume

SHAPE = (6, 9)


def picture(shape=SHAPE):
    return ImageFile(Volume(np.zeros(shape, np.float32), Geometry(shape, np.eye(4))))


def centres(shape):
    """Return the pixels' centres (rows x columns, 2) as (x, y), the first at 0.5."""
    rows, columns = np.indices(shape)
    return np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)


def in_outline(points, shape):
    """Return the pixels whose centres scikit-image calls inside an outline of (x, y)."""
    return points_in_poly(centres(shape), np.asarray(points)).reshape(shape)


def in_circle(x, y, radius, shape):
    return (np.hypot(*(centres(shape) - (x, y)).T) <= radius).reshape(shape)


def star(rng, shape, points=17):
    """Return an outline of (x, y) that may cross itself and touches no centre."""
    return rng.uniform(0, 1, (points, 2)) * (shape[1], shape[0])


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def read(path, label="nodule", key="a", shape=SHAPE, **how):
    return read_mask(path, picture(shape), MaskRequest(label, key=key, **how))


def rows_of(mask):
    """Return a mask as text, a row a line."""
    return ["".join(".#"[int(pixel)] for pixel in row) for row in mask]
