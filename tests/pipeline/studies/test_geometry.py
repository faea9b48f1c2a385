"""Where voxels lie: a marked voxel keeps its place in the patient through every step."""

import itertools

import numpy as np
import pytest
import SimpleITK
from scipy.ndimage import affine_transform

from pipeline.studies.geometry import (
    CORNER_TOLERANCE_MM,
    Geometry,
    GeometryError,
    cells,
    lps_to_ras,
    place_on,
    plan,
    same_grid,
)


def affine_of(spacing, *, rotation=None, shear=None, origin=(0, 0, 0)):
    """Write an affine from its parts; ``shear`` is added off the diagonal, in mm per voxel."""
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if rotation is None else rotation) @ (
        np.diag(spacing) + (0 if shear is None else shear)
    )
    affine[:3, 3] = origin
    return affine


def turned(seed):
    """Return an arbitrary rotation."""
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return turn * np.sign(np.linalg.det(turn))


AFFINES = {
    "anisotropic": affine_of((0.7, 0.9, 2.5), origin=(-80, 40, 12)),
    "flipped": affine_of((-0.7, -0.9, 2.5), origin=(80, 60, -500)),
    "permuted": affine_of((1, 1, 1), rotation=np.array([[0, 0, -1.1], [0.8, 0, 0], [0, -2, 0]]), origin=(5, 6, 7)),
    "oblique": affine_of((0.8, 1.2, 3.0), rotation=turned(0), origin=(-10, 200, 33)),
    "oblique-flipped": affine_of((0.8, -1.2, 3.0), rotation=turned(1), origin=(-10, 200, 33)),
    "sheared": affine_of((1, 1, 2), shear=np.array([[0, 0, 0.6], [0, 0, 0], [0, 0, 0]])),  # a tilted gantry
}


def blob_centre(field, geometry):
    """Return the weighted centroid of a non-negative field in mm, from the affine's definition."""
    total, weight = np.zeros(3), 0.0
    for index in np.argwhere(field > 0):
        position = geometry.affine @ [*index, *[0] * (3 - len(index)), 1]
        total += field[tuple(index)] * position[:3]
        weight += field[tuple(index)]
    return total / weight


def around(centre, rotation, spacing, shape):
    """Return a grid of ``shape`` whose middle lies at ``centre``."""
    affine = affine_of(spacing, rotation=rotation)
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Geometry(shape, affine)


# ---- the grid itself


def test_world_is_the_affine_applied_to_the_index():
    geometry = Geometry((4, 5, 6), [[0, -2, 0, 10], [3, 0, 0, 20], [0, 0, 4, 30], [0, 0, 0, 1]])
    assert geometry.world(np.array([[0, 0, 0], [1, 2, 3]])).tolist() == [[10, 20, 30], [6, 23, 42]]
    assert geometry.spacing == (3, 2, 4)
    assert geometry.corners.shape == (8, 3)
    assert [10 - 2 * 4, 20 + 3 * 3, 30 + 4 * 5] in geometry.corners.tolist()


def test_lps_to_ras_turns_the_first_two_world_axes_and_nothing_else():
    lps = np.array([[1.0, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [0, 0, 0, 1]])
    ras = [[-1, -2, -3, -4], [-5, -6, -7, -8], [9, 10, 11, 12], [0, 0, 0, 1]]
    assert lps_to_ras(lps).tolist() == ras
    assert lps_to_ras(lps_to_ras(lps)).tolist() == lps.tolist()


IMPOSSIBLE = [
    ((4, 4, 4), np.full((4, 4), np.nan), "affine must be a finite 4x4 matrix"),
    ((4, 4, 4), np.diag([1, np.inf, 1, 1]), "affine must be a finite 4x4 matrix"),
    ((4, 4, 4), np.eye(3), "affine must be a finite 4x4 matrix"),
    ((4, 4, 4), np.diag([1, 1, 1, 2]), "last row 0 0 0 1"),
    ((4, 4, 4), np.diag([1, 1, 0, 1]), "affine must not be singular"),
    (
        (4, 4, 4),
        affine_of((1, 1, 1e-9), shear=np.array([[0, 0, 1], [0, 0, 1], [0, 0, 0]])),
        "must not be singular",
    ),
    ((4,), np.eye(4), r"shape must have 2 or 3 positive axes, not \(4,\)"),
    ((4, 4, 4, 4), np.eye(4), "shape must have 2 or 3 positive axes"),
    ((4, 0, 4), np.eye(4), "shape must have 2 or 3 positive axes"),
]


@pytest.mark.parametrize(("shape", "affine", "message"), IMPOSSIBLE)
def test_an_impossible_grid_is_refused(shape, affine, message):
    with pytest.raises(GeometryError, match=message):
        Geometry(shape, affine)


def test_small_voxels_are_not_singular():
    assert Geometry((4, 4, 4), np.diag([1e-3, 1e-3, 1e-3, 1])).spacing == (1e-3,) * 3


def test_a_grid_cannot_be_changed_through_the_array_it_was_made_from():
    affine = np.eye(4)
    geometry = Geometry((2, 2, 2), affine)
    affine[0, 3] = 99
    assert geometry.affine[0, 3] == 0
    with pytest.raises(ValueError, match="read-only"):
        geometry.affine[0, 3] = 1


LETTERS = [
    (np.diag([1, 1, 1, 1]), "LR PA IS"),
    (np.diag([-1, -1, 1, 1]), "RL AP IS"),
    (lps_to_ras(np.eye(4)), "RL AP IS"),
    ([[0, 0, -1, 0], [0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]], "IS AP RL"),
    (affine_of((1, 1, 9), rotation=turned(0)), None),
    (
        [[7, 7, 0, 0], [7, -7, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
        "LR AP IS",
    ),  # 45 degrees: no axis named twice
]


@pytest.mark.parametrize(("affine", "expected"), LETTERS)
def test_letters_name_the_low_and_the_high_end_of_each_axis(affine, expected):
    letters = Geometry((4, 5, 6), affine).letters()
    assert expected is None or [low + high for low, high in letters] == expected.split()
    assert len({frozenset(pair) for pair in letters}) == 3


def test_letters_of_a_chest_film_and_of_an_unknown_one():
    film = np.array([[-1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    assert Geometry((9, 9), film).letters() == (("R", "L"), ("S", "I"))
    assert Geometry((9, 9), film, oriented=False).letters() == (("", ""), ("", ""))


def test_same_grid_holds_within_its_tolerance_and_not_beyond():
    grid = Geometry((10, 11, 12), AFFINES["oblique"])

    def moved(distance):
        affine = grid.affine.copy()
        affine[2, 3] += distance
        return Geometry(grid.shape, affine)

    assert same_grid(grid, moved(0.9 * CORNER_TOLERANCE_MM))
    assert not same_grid(grid, moved(1.1 * CORNER_TOLERANCE_MM))
    assert not same_grid(grid, Geometry((10, 11, 13), grid.affine))
    stretched = grid.affine @ np.diag([1 + CORNER_TOLERANCE_MM / 4, 1, 1, 1])  # the far corners drift apart
    assert not same_grid(grid, Geometry(grid.shape, stretched))


def test_half_a_pixel_of_a_mammogram_is_another_grid():
    fine = affine_of((0.05, 0.05, 1))
    assert not same_grid(Geometry((9, 9), fine), Geometry((9, 9), fine @ affine_of((1, 1, 1), origin=(0.5, 0, 0))))


# ---- the layer's grid


def test_cells_tile_the_field_of_view_edge_to_edge_by_hand():
    grid = Geometry((8, 6, 4), affine_of((1, 2, 3), origin=(100, 0, 0)), "1.2.3", oriented=False, scaled=False)
    layer = cells(grid, (2, 3, 4))
    assert layer.spacing == (4, 4, 3)
    assert layer.world(np.array([[0, 0, 0], [1, 2, 3]])).tolist() == [[101.5, 1, 0], [105.5, 9, 9]]
    assert (layer.frame_of_reference, layer.oriented, layer.unit) == ("1.2.3", False, "px")


@pytest.mark.parametrize("name", AFFINES)
def test_cells_and_grid_have_the_same_outer_edges(name):
    grid = Geometry((8, 9, 10), AFFINES[name])
    layer = cells(grid, (3, 2, 7))
    for end in itertools.product((0, 1), repeat=3):
        outer = [np.where(end, np.array(one.shape) - 0.5, -0.5)[None] for one in (grid, layer)]
        np.testing.assert_allclose(grid.world(outer[0]), layer.world(outer[1]), atol=1e-9)


def test_cells_of_another_number_of_axes_are_refused():
    with pytest.raises(GeometryError, match="a layer with 2 axes cannot tile a grid with 3"):
        cells(Geometry((4, 4, 4), np.eye(4)), (2, 2))


# ---- a map on the mask's grid


@pytest.mark.parametrize("target", ["image", "isotropic", "turned"])
@pytest.mark.parametrize("name", AFFINES)
def test_a_hot_cell_lands_in_its_place_in_the_patient(name, target):
    image = Geometry((24, 20, 16), AFFINES[name])
    layer = cells(image, (6, 5, 4))
    hot = (2, 3, 1)
    values = np.zeros(layer.shape)
    values[hot] = 1
    # the hot cell's middle, from its voxels: 2 * 4 .. 2 * 4 + 3 along each axis
    expected = (image.affine @ [*(4 * cell + 1.5 for cell in hot), 1])[:3]
    grid = {
        "image": image,
        "isotropic": around(expected, None, (0.9, 0.9, 0.9), (32, 32, 32)),
        "turned": around(expected, turned(5), (0.9, -0.8, 1.0), (33, 34, 35)),
    }[target]
    field = plan(layer, grid).apply(values)
    assert np.linalg.norm(blob_centre(field, grid) - expected) < 0.5 * min(image.spacing)
    peak = grid.affine @ [*np.unravel_index(field.argmax(), grid.shape), 1]
    inside = np.linalg.inv(layer.affine) @ peak
    assert np.rint(inside[:3]).astype(int).tolist() == list(hot)


def test_a_hot_cell_lands_in_its_place_in_2d():
    film = Geometry((12, 8), [[-0.5, 0, 0, 60], [0, 0, 1, 0], [0, -0.7, 0, 90], [0, 0, 0, 1]])
    on_its_side = Geometry((8, 12), film.affine[:, [1, 0, 2, 3]])
    values = np.zeros((3, 4))
    values[1, 2] = 1  # axis 0: pixels 4 to 7, axis 1: pixels 4 to 5
    for grid in (film, on_its_side):
        place = blob_centre(plan(cells(film, (3, 4)), grid).apply(values), grid)
        np.testing.assert_allclose(place, [60 - 0.5 * 5.5, 0, 90 - 0.7 * 4.5], atol=1e-6)


def pairs(count=12, *, sheared=True):
    """Yield seeded pairs of grids: any rotation, flips, anisotropy, a little shear, overlapping."""
    random = np.random.default_rng(7)
    for number in range(count):
        shape = tuple(int(size) for size in random.integers(3, 9, 3))
        spacing = random.uniform(0.5, 3, 3) * random.choice([-1, 1], 3)
        rotation = turned(100 + number) if number % 2 else np.eye(3)[:, random.permutation(3)]
        shear = np.triu(random.uniform(-0.3, 0.3, (3, 3)), 1) if sheared and number % 4 == 3 else None
        source = Geometry(shape, affine_of(spacing, rotation=rotation, shear=shear, origin=random.uniform(-50, 50, 3)))
        middle = source.corners.mean(axis=0) + random.uniform(-2, 2, 3)
        turn = turned(200 + number) if number % 3 == 1 else np.eye(3)[:, random.permutation(3)]
        yield (
            source,
            around(middle, turn, random.uniform(0.4, 1.5, 3) * random.choice([-1, 1], 3), (11, 9, 13)),
        )


@pytest.mark.parametrize(("source", "target"), list(pairs()))
def test_resampling_equals_scipy(source, target):
    values = np.random.default_rng(0).normal(size=source.shape)
    found = plan(source, target)
    step = np.linalg.inv(source.affine) @ target.affine
    expected = affine_transform(values, step[:3, :3], step[:3, 3], target.shape, order=1, mode="nearest")
    np.testing.assert_allclose(found.apply(values)[found.seen], expected[found.seen], atol=1e-5)
    assert not found.apply(values)[~found.seen].any()
    assert found.seen.any()


@pytest.mark.parametrize(("source", "target"), list(pairs(sheared=False)))
def test_resampling_equals_itk(source, target):
    """ITK speaks LPS, keeps arrays last axis first and has no shear; beyond the centres it gives NaN."""
    values = np.random.default_rng(1).normal(size=source.shape)

    def itk(grid):
        lps = np.array([-1, -1, 1])[:, None] * grid.affine[:3]
        return (lps[:, :3] / grid.spacing).ravel().tolist(), lps[:, 3].tolist(), list(grid.spacing)

    image = SimpleITK.GetImageFromArray(values.transpose(2, 1, 0))
    image.SetDirection(itk(source)[0])
    image.SetOrigin(itk(source)[1])
    image.SetSpacing(itk(source)[2])
    turn, origin, spacing = itk(target)
    moved = SimpleITK.Resample(
        image,
        target.shape,
        SimpleITK.Transform(),
        SimpleITK.sitkLinear,
        origin,
        spacing,
        turn,
        float("nan"),
        SimpleITK.sitkFloat64,
    )
    expected = SimpleITK.GetArrayFromImage(moved).transpose(2, 1, 0)
    inside = np.isfinite(expected)
    found = plan(source, target)
    assert inside.sum() > 20
    assert found.seen[inside].all()
    np.testing.assert_allclose(found.apply(values)[inside], expected[inside], atol=1e-5)


@pytest.mark.parametrize(("source", "target"), [pair for number, pair in enumerate(pairs(24)) if number % 6 in (0, 2)])
def test_the_separable_path_equals_the_general_one(source, target):
    found = plan(source, target)
    assert found.separable is not None
    values = np.random.default_rng(2).normal(size=source.shape)
    separable = found._separable(values, found.separable)
    np.testing.assert_allclose(separable, found._general(values), atol=1e-5)


def test_a_turned_grid_takes_the_general_path():
    grid = Geometry((6, 6, 6), np.eye(4))
    assert plan(cells(grid, (3, 3, 3)), around(np.full(3, 2.5), turned(3), (1, 1, 1), (6, 6, 6))).separable is None


def test_a_single_slice_and_a_single_cell_are_resampled():
    grid = Geometry((6, 5, 1), AFFINES["anisotropic"])
    field = plan(cells(grid, (3, 1, 1)), grid).apply(np.array([1.0, 2.0, 3.0]).reshape(3, 1, 1))
    assert field[:, 0, 0].tolist() == pytest.approx([1, 1.25, 1.75, 2.25, 2.75, 3])
    assert (field == field[:, :1]).all()


def test_what_was_seen_ends_at_the_edge_of_the_field_of_view():
    source = Geometry((2, 2, 2), np.diag([4, 4, 4, 1]))  # cells from -2 to 6 mm
    target = Geometry((21, 1, 1), affine_of((0.5, 1, 1), origin=(-3, 0, 0)))  # voxels at -3, -2.5 .. 7 mm
    found = plan(source, target)
    places = -3 + 0.5 * np.arange(21)
    assert found.seen[:, 0, 0].tolist() == ((places >= -2) & (places <= 6)).tolist()
    field = found.apply(np.array([1.0, 3.0]).repeat(4).reshape(2, 2, 2))[:, 0, 0]
    assert field.tolist() == np.where(found.seen[:, 0, 0], np.interp(places, [0, 4], [1, 3]), 0).tolist()


def test_a_map_stays_signed():
    grid = Geometry((4, 4, 4), np.eye(4))
    values = np.random.default_rng(0).normal(size=(4, 4, 4)).astype(np.float32)
    assert np.array_equal(plan(grid, grid).apply(values), values)


def test_resampling_leaves_its_input_alone():
    grid = Geometry((4, 4, 4), np.eye(4))
    values = np.ones((4, 4, 4), dtype=np.float32)
    plan(grid, around(np.full(3, 9.0), None, (1, 1, 1), (4, 4, 4))).apply(values)
    assert (values == 1).all()


PLANE = affine_of((1, 1, 1))
APART = [
    (
        Geometry((4, 4), PLANE),
        Geometry((4, 4, 4), PLANE),
        "a 2D grid cannot be read at the voxels of a 3D grid",
    ),
    (Geometry((4, 4, 4), PLANE, "1"), Geometry((4, 4, 4), PLANE, "2"), "different frames of reference"),
    (Geometry((4, 4, 4), PLANE, "1"), Geometry((4, 4, 4), PLANE), "different frames of reference"),
    (Geometry((4, 4), PLANE), Geometry((4, 4), affine_of((1, 1, 1), origin=(0, 0, 5))), "different planes"),
    (Geometry((4, 4), PLANE), Geometry((4, 4), PLANE[:, [0, 2, 1, 3]]), "different planes"),
]


@pytest.mark.parametrize(("source", "target", "message"), APART)
def test_grids_that_do_not_belong_together_are_refused(source, target, message):
    with pytest.raises(GeometryError, match=message):
        plan(source, target)


def test_values_of_another_shape_are_refused():
    grid = Geometry((4, 4, 4), np.eye(4))
    with pytest.raises(GeometryError, match=r"the plan's source shape \(4, 4, 4\), not \(4, 4\)"):
        plan(grid, grid).apply(np.zeros((4, 4)))


# ---- a mask on the image's grid


def reorderings(axes):
    """Yield every order of the axes with every choice of flips: 48 in 3D, 8 in 2D."""
    for order in itertools.permutations(range(axes)):
        for flips in itertools.product((False, True), repeat=axes):
            yield order, flips


def reordered(array, geometry, order, flips):
    """Return array and grid with axes in ``order``, some run backwards; every voxel stays where it is."""
    array = array.transpose(order)
    affine = geometry.affine.copy()
    for axis, (old, flipped) in enumerate(zip(order, flips, strict=True)):
        column = geometry.affine[:3, old]
        affine[:3, axis] = -column if flipped else column
        if flipped:
            array = np.flip(array, axis)
            affine[:3, 3] += column * (geometry.shape[old] - 1)
    return array, Geometry(array.shape, affine, geometry.frame_of_reference)


@pytest.mark.parametrize("name", AFFINES)
def test_every_reordering_of_a_mask_is_carried_back(name):
    image = Geometry((3, 4, 5), AFFINES[name], "1.2")
    mask = np.random.default_rng(0).random(image.shape) > 0.6
    for order, flips in reorderings(3):
        moved, grid = reordered(mask, image, order, flips)
        placed = place_on(moved, grid, image, partial=False)
        assert np.array_equal(placed, mask), (order, flips)
        assert not np.shares_memory(placed, moved)


def test_every_reordering_of_a_2d_mask_is_carried_back():
    image = Geometry((3, 4), affine_of((0.5, 0.7, 1), rotation=turned(4)))
    mask = np.random.default_rng(0).random(image.shape) > 0.6
    for order, flips in reorderings(2):
        moved, grid = reordered(mask, image, order, flips)
        assert np.array_equal(place_on(moved, grid, image, partial=False), mask)


IMAGE = Geometry((6, 7, 8), AFFINES["oblique-flipped"], "1.2")
MASK = np.random.default_rng(3).random(IMAGE.shape) > 0.5


def shifted(offset, shape=IMAGE.shape, scale=(1, 1, 1), frame="1.2"):
    return Geometry(shape, IMAGE.affine @ affine_of(scale, origin=offset), frame)


def test_a_part_of_the_image_is_filled_up_with_background():
    part = MASK[1:4, 2:6, 7:3:-1]
    affine = IMAGE.affine @ np.array([[1, 0, 0, 1], [0, 1, 0, 2], [0, 0, -1, 7], [0, 0, 0, 1]])
    placed = place_on(part, Geometry(part.shape, affine), IMAGE, partial=True)
    expected = np.zeros(IMAGE.shape, dtype=bool)
    expected[1:4, 2:6, 4:8] = MASK[1:4, 2:6, 4:8]
    assert np.array_equal(placed, expected)
    with pytest.raises(GeometryError, match=r"the mask's shape \(3, 4, 4\) is not the image's \(6, 7, 8\)"):
        place_on(part, Geometry(part.shape, affine), IMAGE, partial=False)


@pytest.mark.parametrize("beyond", [0, 9])
def test_empty_slices_beyond_the_image_do_no_harm_and_marked_ones_are_refused(beyond):
    wide = np.zeros((6, 7, 10), dtype=bool)
    wide[:, :, 1:9] = MASK
    assert np.array_equal(place_on(wide, shifted((0, 0, -1), wide.shape), IMAGE, partial=True), MASK)
    wide[0, 0, beyond] = True
    with pytest.raises(GeometryError, match="is shifted against the image's"):
        place_on(wide, shifted((0, 0, -1), wide.shape), IMAGE, partial=True)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize(
    ("shift", "message"), [(1, "is shifted against"), (-1, "is shifted"), (0.5, "is not the image's")]
)
def test_a_shifted_mask_is_refused(axis, shift, message):
    offset = np.eye(3)[axis] * shift
    with pytest.raises(GeometryError, match=message):
        place_on(MASK, shifted(offset), IMAGE, partial=False)


def test_an_empty_mask_that_is_shifted_is_refused_too():
    with pytest.raises(GeometryError, match="is shifted against the image's"):
        place_on(np.zeros(IMAGE.shape, dtype=bool), shifted((0, 1, 0)), IMAGE, partial=False)


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (shifted((0.5, 0, 0)), "is not the image's"),
        (shifted((0, 0, 0.2)), "is not the image's"),
        (shifted((0, 0, 0), scale=(2, 1, 1)), "is not the image's"),
        (shifted((0, 0, 0), scale=(1, 1, 1.02)), "is not the image's"),
        (Geometry(IMAGE.shape, AFFINES["oblique"], "1.2"), "is not the image's"),
        (shifted((0, 0, 0), frame="1.3"), "another frame of reference"),
        (Geometry((6, 7), IMAGE.affine), "the mask's array has shape"),
    ],
)
def test_a_mask_of_another_grid_is_refused(grid, message, partial):
    with pytest.raises(GeometryError, match=message):
        place_on(MASK, grid, IMAGE, partial=partial)


def test_a_flat_mask_is_refused_on_a_volume():
    with pytest.raises(GeometryError, match="the mask has 2 axes, the image 3"):
        place_on(MASK[0], Geometry((7, 8), IMAGE.affine), IMAGE, partial=True)


def test_half_a_voxel_is_refused_for_small_voxels_too():
    fine = Geometry((9, 9), affine_of((0.05, 0.05, 1)))
    moved = Geometry((9, 9), fine.affine @ affine_of((1, 1, 1), origin=(0.5, 0, 0)))
    with pytest.raises(GeometryError, match="is not the image's"):
        place_on(np.ones((9, 9), dtype=bool), moved, fine, partial=True)


def test_a_mask_without_a_frame_of_reference_is_placed_by_its_grid():
    assert np.array_equal(place_on(MASK, shifted((0, 0, 0), frame=None), IMAGE, partial=False), MASK)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5])  # none, few, many: few are carried over voxel by voxel
def test_a_mask_of_a_file_that_counts_columns_first_keeps_its_voxels_and_is_copied(share):
    stored = np.asfortranarray(np.random.default_rng(0).random((17, 9, 13)) < share)
    before = stored.copy()
    grid = Geometry(stored.shape, np.diag([1.0, 2.0, 3.0, 1.0]))
    placed = place_on(stored, grid, grid, partial=False)
    np.testing.assert_array_equal(placed, before)
    assert placed.flags.c_contiguous
    placed[:] = True
    np.testing.assert_array_equal(stored, before)


@pytest.mark.parametrize("finer", [(1, 1, 1), (1, 2, 1)])
def test_values_along_an_axis_that_both_grids_share_are_taken_over(finer):
    shape = (5, 4, 6)
    target = Geometry(shape, np.diag([1.0, 1.5, 2.0, 1.0]))
    source = cells(target, tuple(size // by for size, by in zip(shape, finer, strict=True)))
    values = np.random.default_rng(0).normal(size=source.shape).astype(np.float32)
    carried = plan(source, target).apply(values)
    expected = values
    for axis, weights in plan(source, target).separable:
        expected = np.moveaxis(np.tensordot(weights, expected, axes=(1, axis)), 0, axis)
    np.testing.assert_array_equal(carried, expected)
    before = values.copy()
    carried[:] = 0
    np.testing.assert_array_equal(values, before)
