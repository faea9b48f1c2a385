"""Each voxel's region, held against one that is counted voxel by voxel, however the two grids lie to each other."""

import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes, distance_transform_edt, label

from pipeline.evidence.shown_body import SURFACE_MM, ShownBody, bright_piece
from pipeline.studies.geometry import Geometry

NAMES = ("border", "body", "surface", "outside")


def grid(shape, spacing, order=None, flips=(), turn=0.0, origin=(3.0, -7.0, 11.0)):
    """Return a grid whose axes are permuted, flipped and turned about the third world axis by ``turn`` radians."""
    axes = len(shape)
    order = order or tuple(range(axes))
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, world in enumerate(order):
        affine[world, axis] = -spacing[axis] if axis in flips else spacing[axis]
    if axes == 2:
        affine[2, 2] = 1
    turned = np.eye(4)
    turned[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    centre = affine[:3, :axes] @ ((np.array(shape) - 1) / 2)
    affine[:3, 3] = -centre
    affine = turned @ affine
    affine[:3, 3] += origin[:axes] + (0.0,) * (3 - axes)
    return Geometry(shape, affine)


def shown(geometry, seed=0):
    """Return a body with a cavity in it and a bright speck beside it, at places in mm that hold for any grid."""
    axes = len(geometry.shape)
    index = np.stack(np.indices(geometry.shape), axis=-1).reshape(-1, axes)
    away = geometry.world(index) - [3.0, -7.0, 11.0 if axes == 3 else 0.0]
    radius = np.sqrt(np.square(away / [1.0, 0.8, 1.2]).sum(axis=1)).reshape(geometry.shape)
    speck = np.linalg.norm(away - [52.0, 44.0, 0.0], axis=1).reshape(geometry.shape) < 6
    image = ((radius < 38) & (radius > 14)) | speck
    noise = 0.05 * np.random.default_rng(seed).random(geometry.shape)
    return ShownBody((image + noise).astype(np.float32)[None], geometry)


def voxels_of_a_cell(own):
    """Return how many voxels along each axis are one cell: few enough cells, or as many as 2 mm hold."""
    most, fewest = {2: (256, 256), 3: (96, 32)}[len(own.shape)]
    cells = []
    for size, spacing in zip(own.shape, own.spacing, strict=True):
        voxels = 1
        while voxels * most < size or ((voxels + 1) * spacing < 2.000001 and (voxels + 1) * fewest <= size):
            voxels += 1
        cells.append(voxels)
    return cells


def counted(body, geometry, steps):
    """Return the regions as places in NAMES: world positions of all voxels, distances over the whole picture."""
    inside, axes = body.inside, body.inside.ndim
    apart = voxels_of_a_cell(body.grid)
    spacing = np.array(body.grid.spacing) * apart
    reach = max(SURFACE_MM, 1.5 * spacing.max()) * (1 + 1e-6)
    regions = np.where(inside, NAMES.index("body"), NAMES.index("outside"))
    for side in (inside, ~inside):
        if not side.all():
            regions[side & (distance_transform_edt(side, sampling=spacing) <= reach)] = NAMES.index("surface")
    every = [np.arange(0, size, step) for size, step in zip(geometry.shape, steps, strict=True)]
    index = np.stack(np.meshgrid(*every, indexing="ij"), axis=-1)
    world = geometry.world(index.reshape(-1, axes))
    cells = (np.c_[world, np.ones(len(world))] @ np.linalg.inv(body.grid.affine).T)[:, :axes] / apart
    nearest = np.clip(np.ceil(cells - 0.5 - 1e-6), 0, np.array(inside.shape) - 1).astype(int)
    return regions[tuple(nearest.T)].reshape(index.shape[:-1])


SHOWN_3D = grid((50, 44, 31), (2.0, 2.5, 4.0))
SHOWN_2D = grid((90, 70), (1.5, 2.0))


@pytest.mark.parametrize(
    ("own", "other", "steps"),
    [
        (SHOWN_3D, SHOWN_3D, (1, 1, 1)),
        (SHOWN_3D, SHOWN_3D, (3, 2, 1)),
        (SHOWN_3D, grid((31, 50, 44), (4.0, 2.0, 2.5), (2, 0, 1), flips=(0, 2)), (1, 1, 1)),
        (SHOWN_3D, grid((44, 31, 50), (2.5, 4.0, 2.0), (1, 2, 0), flips=(1,)), (1, 2, 3)),
        (SHOWN_3D, grid((60, 25, 70), (1.0, 5.0, 1.3), (0, 1, 2), origin=(9.0, -3.0, 5.0)), (2, 1, 2)),  # beyond it too
        (SHOWN_3D, grid((40, 44, 33), (2.0, 2.0, 3.0), (0, 1, 2), flips=(0, 1), turn=0.4), (2, 1, 1)),  # oblique to it
        (grid((50, 44, 31), (2.0, 2.5, 4.0), turn=0.7), grid((31, 60, 44), (4, 2, 2), (2, 0, 1), turn=0.7), (1, 1, 1)),
        (grid((130, 20, 200), (1.0, 5.0, 0.7)), grid((65, 40, 90), (2.0, 2.5, 1.6)), (1, 1, 1)),  # cells of 2 and 3
        (grid((70, 96, 40), (1.0, 0.6, 2.0)), grid((70, 48, 40), (1.0, 1.2, 2.0)), (1, 1, 1)),  # cells of 2 mm
        (SHOWN_2D, SHOWN_2D, (1, 1)),
        (SHOWN_2D, grid((140, 90), (1.0, 1.5), (1, 0), flips=(1,)), (2, 1)),
        (SHOWN_2D, grid((90, 70), (1.5, 2.0), turn=0.3), (1, 2)),
        (grid((600, 300), (0.25, 0.5)), grid((300, 300), (0.5, 0.5), flips=(0,)), (3, 1)),
    ],
)
def test_each_voxels_region_is_that_of_the_nearest_cell(own, other, steps):
    body = shown(own)
    numbers = body.numbers_on(other, steps, NAMES)
    assert numbers.dtype == np.uint8
    np.testing.assert_array_equal(numbers, counted(body, other, steps))
    assert set(np.unique(numbers)) == {1, 2, 3}, "the body, its surface and what is outside are all there"


@pytest.mark.parametrize(
    "own", [SHOWN_3D, SHOWN_2D, grid((130, 20, 200), (1.0, 5.0, 0.7), turn=0.4), grid((600, 300), (0.25, 0.5))]
)
def test_a_place_at_a_cells_centre_has_the_cells_region(own):
    body = shown(own)
    steps = voxels_of_a_cell(own)
    numbers = counted(body, own, steps)
    generator, seen = np.random.default_rng(1), set()
    for cell in np.stack([generator.integers(0, size, 120) for size in numbers.shape], axis=1):
        region = body.region(own.world((cell * steps)[None])[0])
        assert region == NAMES[numbers[tuple(cell)]], cell
        seen.add(region)
    assert seen == {"body", "surface", "outside"}


@pytest.mark.parametrize("own", [SHOWN_3D, SHOWN_2D])
def test_a_body_of_the_whole_picture_has_no_surface(own):
    x = np.ones(own.shape, np.float32)
    x[(0,) * x.ndim] = 0  # the darkest cell, so that there is a threshold
    numbers = ShownBody(x[None], own).numbers_on(own, (1,) * x.ndim, NAMES)
    corner = np.zeros(own.shape, bool)
    corner[(0,) * x.ndim] = True
    near = distance_transform_edt(~corner, sampling=own.spacing) <= SURFACE_MM
    np.testing.assert_array_equal(numbers == NAMES.index("surface"), near)
    assert set(np.unique(numbers)) == {NAMES.index("body"), NAMES.index("surface")}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shape", [(40, 33), (14, 17, 12)])
def test_what_the_largest_piece_encloses_in_a_plane_is_of_the_body(shape, seed):
    generator = np.random.default_rng(seed)
    bright = generator.random(shape) < (0.62 if len(shape) == 2 else 0.45)
    own = grid(shape, (1.0,) * len(shape))
    pieces, count = label(bright, np.ones((3,) * len(shape)))
    largest = pieces == 1 + np.argmax(np.bincount(pieces.ravel(), minlength=count + 1)[1:])
    filled = largest.copy()
    if len(shape) == 2:
        filled |= binary_fill_holes(largest)
    else:
        for axis in range(3):
            planes = [binary_fill_holes(plane) for plane in np.moveaxis(largest, axis, 0)]
            filled |= np.moveaxis(np.array(planes), 0, axis)
    np.testing.assert_array_equal(ShownBody(bright.astype(np.float32)[None], own).inside, filled)
    assert filled.sum() > largest.sum(), "something is enclosed"


def test_of_pieces_that_are_equally_large_the_first_is_the_body():
    """By its first cell, row by row; the library looks at two rows at once and numbers the other one first."""
    bright = np.zeros((1, 4, 14), np.float32)
    bright[0, 0, 10:12] = bright[0, 1, 0:2] = 1
    np.testing.assert_array_equal(np.argwhere(bright_piece(bright)), [[0, 10], [0, 11]])


def test_the_body_is_bright_in_the_mean_of_the_channels():
    """Beside it lies a larger part that is as bright in one channel, and dark in the other."""
    x = np.zeros((2, 10, 10), np.float32)
    x[:, :5, :5] = 4
    x[0, 6:, 3:], x[1, 6:, 3:] = 4, -2
    expected = np.zeros((10, 10), np.bool_)
    expected[:5, :5] = True
    np.testing.assert_array_equal(bright_piece(x), expected)


def test_what_is_as_bright_as_the_threshold_is_not_of_the_body():
    """Of 0 and 256 the threshold is the middle of the first of 256 bins."""
    x = np.zeros((1, 6, 6), np.float32)
    x[0, 1:4, 1:4] = 256
    expected = x[0] > 0
    x[0, 4, 1] = 0.5
    np.testing.assert_array_equal(bright_piece(x), expected)


def test_an_image_scaled_to_both_sides_of_zero_has_a_body():
    """From -1 to 1 a bin of the histogram begins at 0, between float32 numbers that float64 sums cannot tell apart."""
    box = np.zeros((1, 12, 14, 16), np.bool_)
    box[:, 3:9, 4:9, 5:12] = True
    np.testing.assert_array_equal(bright_piece(np.where(box, np.float32(1), np.float32(-1))), box[0])


def test_where_there_is_no_body_all_is_outside():
    own = grid((12, 10), (1.0, 1.0))
    numbers = ShownBody(np.ones((1, 12, 10), np.float32), own).numbers_on(own, (2, 3), NAMES)
    np.testing.assert_array_equal(numbers, np.full((6, 4), NAMES.index("outside")))


def test_a_small_body_far_from_the_borders_is_outlined_as_in_its_box():
    own = grid((64, 64, 64), (1.0, 1.0, 2.0))
    x = np.zeros(own.shape, np.float32)
    x[30:38, 2:9, 40:44] = 1
    body = ShownBody(x[None], own)
    np.testing.assert_array_equal(body.numbers_on(own, (1, 1, 1), NAMES), counted(body, own, (1, 1, 1)))


@pytest.mark.parametrize(
    ("shape", "spacing", "voxels"),
    [
        ((64, 96, 200), (1.0, 0.9, 0.7), [2, 2, 3]),  # 2 mm, less than 3 voxels of 0.9, 96 cells at most
        ((64, 63, 31), (1.0, 1.0, 0.1), [2, 1, 1]),  # 32 cells at least
        ((256, 64, 96), (0.02, 0.7, 2.1), [8, 2, 1]),
        ((96, 96, 96), (1.0000001, 0.5, 0.4), [2, 3, 3]),
        ((256, 512), (0.1, 0.1), [1, 2]),
        ((224, 600), (1.0, 1.0), [1, 3]),
    ],
)
def test_cells_are_no_finer_than_a_fifth_of_the_band_and_no_fewer_than_tell_a_small_body(shape, spacing, voxels):
    own = grid(shape, spacing)
    assert voxels_of_a_cell(own) == voxels
    x = np.zeros(shape, np.float32)
    x[tuple(slice(size // 4, size // 2) for size in shape)] = 1
    cells = tuple(-(-size // step) for size, step in zip(shape, voxels, strict=True))
    assert ShownBody(x[None], own).inside.shape == cells


def test_what_lies_at_the_bands_end_but_for_rounding_is_at_the_surface():
    own = grid((40, 200), (1.0, 2 / 15))  # 75 of these are 10.000001 mm in float32
    x = np.zeros(own.shape, np.float32)
    x[:, :100] = 1
    numbers = ShownBody(x[None], own).numbers_on(own, (1, 1), NAMES)
    assert [NAMES[number] for number in numbers[20, [24, 25, 174, 175]]] == ["body", "surface", "surface", "outside"]
