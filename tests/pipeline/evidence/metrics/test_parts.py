"""Parts of a grid."""

import numpy as np
import pytest

from pipeline.evidence.metrics.parts import bounding_box


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(7, 9, 11), (1, 5, 1), (6, 8)])
def test_the_smallest_box_begins_and_ends_where_something_is_marked(shape, order):
    generator = np.random.default_rng(0)
    for marked in (1, 2, 5):
        part = np.zeros(shape, bool, order=order)
        part.flat[generator.choice(part.size, marked, replace=False)] = True
        places = np.argwhere(part)
        ends = zip(places.min(axis=0).tolist(), places.max(axis=0).tolist(), strict=True)
        assert bounding_box(part) == tuple(slice(low, high + 1) for low, high in ends)
