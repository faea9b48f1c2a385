"""Which of the patient's axes a grid's run along: held against nibabel's answer."""

import numpy as np
from nibabel.orientations import io_orientation

from pipeline.evidence.planes import patient_axes
from pipeline.evidence.ranks import mean_ranks


def test_axes_are_those_of_nibabel_for_turned_sheared_and_flat_grids():
    generator = np.random.default_rng(5)
    grids = [np.eye(4), np.diag([-1.0, 1, -2, 1])[[1, 0, 2, 3]], np.eye(4)[[2, 0, 1, 3]]]
    for _ in range(300):
        grid = np.eye(4)
        grid[:3, :3] = generator.normal(size=(3, 3)) * generator.uniform(0.2, 8, 3)
        grids.append(grid)
    for grid in grids:
        for affine in (grid, grid[:, [0, 1, 3]]):
            assert np.array_equal(patient_axes(affine), io_orientation(affine))


def test_ranks_are_those_of_scipy():
    from scipy.stats import rankdata

    values = np.random.default_rng(1).integers(0, 9, (40, 3)).astype(float)
    assert np.array_equal(mean_ranks(values), rankdata(values))
