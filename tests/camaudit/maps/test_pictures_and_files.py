"""What is saved lies in the world where the map lies, for every program that reads it; what is shown is upright."""

import io

import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from camaudit import AuditError, PlacedMap, explain
from pipeline.studies.geometry import Geometry, lps_to_ras
from pipeline.studies.readers import read_image
from tests.camaudit.maps.blob import PICTURE, SHAPE, SPOT, blob, network, oblique

SHEARED = np.array([[1, 0, 0, 0], [0, 1, 0.6, 3], [0, 0, 2, 4], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def placed():
    return explain(network(cell=2), (blob(), oblique()), target=1)["gradcam"]


def as_nibabel(path):
    image = nibabel.load(path)
    index = np.unravel_index(np.asarray(image.dataobj).argmax(), image.shape)
    return (image.affine @ [*index, 1])[:3]


def as_qform(path):
    image = nibabel.load(path)
    index = np.unravel_index(np.asarray(image.dataobj).argmax(), image.shape)
    return (image.get_qform() @ [*index, 1])[:3]


def as_simpleitk(path):
    image = SimpleITK.ReadImage(str(path))
    array = SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0)
    index = [int(part) for part in np.unravel_index(array.argmax(), array.shape)]
    return np.array(image.TransformIndexToPhysicalPoint(index)) * [-1, -1, 1]


def as_pynrrd(path):
    array, header = nrrd.read(str(path))
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = header["space directions"].T, header["space origin"]
    return (lps_to_ras(affine) @ [*np.unravel_index(array.argmax(), array.shape), 1])[:3]


def as_our_reader(path):
    volume = read_image(path).volume
    return volume.geometry.world(np.array([np.unravel_index(volume.array.argmax(), volume.array.shape)]))[0]


@pytest.mark.parametrize(
    ("ending", "read"),
    [
        *((ending, read) for ending in (".nii", ".nii.gz") for read in (as_nibabel, as_qform)),
        *((ending, read) for ending in (".nii", ".nii.gz", ".nrrd") for read in (as_simpleitk, as_our_reader)),
        (".nrrd", as_pynrrd),
    ],
)
@pytest.mark.parametrize("at_cells", [False, True])
def test_every_program_finds_the_peak_where_it_lies(placed, ending, read, at_cells, tmp_path):
    chosen = placed.cells if at_cells else placed
    path = chosen.save(tmp_path / f"map{ending}")
    np.testing.assert_allclose(read(path), chosen.peak_mm, atol=1e-4)


def test_a_sheared_grid_is_told_by_its_sform_alone(tmp_path):
    placed = explain(network(), (blob(), SHEARED), target=1)["gradcam"]
    path = placed.save(tmp_path / "map.nii")
    assert int(nibabel.load(path).header["qform_code"]) == 0
    np.testing.assert_allclose(as_nibabel(path), placed.peak_mm, atol=1e-4)
    np.testing.assert_allclose(as_our_reader(path), placed.peak_mm, atol=1e-4)


def test_the_same_map_is_the_same_bytes(placed, tmp_path):
    for ending in (".nii", ".nii.gz", ".nrrd"):
        first, again = (placed.save(tmp_path / f"{name}{ending}").read_bytes() for name in "ab")
        assert first == again
    with pytest.raises(AuditError, match=r"a map is saved as \.nii\.gz, \.nii, \.nrrd, not as 'map\.mha'"):
        placed.save(tmp_path / "map.mha")


def hottest(picture):
    """Return where a picture is most coloured, as shares of its height and width."""
    array = picture.array.astype(int)
    colour = array.max(axis=2) - array.min(axis=2)
    row, column = np.unravel_index(colour.argmax(), colour.shape)
    return row / colour.shape[0], column / colour.shape[1]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, 1)])
def test_the_patients_right_is_on_the_left_and_in_front_is_on_top(order, signs):
    """The blob lies to the right, in front; the array's axes run in whatever order and direction."""
    affine = np.eye(4)
    for axis, direction in enumerate(order):
        affine[:3, axis] = 0
        affine[direction, axis] = signs[axis] * (3.0 if direction == 2 else 1.0)
    shape = tuple(12 if direction == 2 else 30 for direction in order)
    wanted = {0: 0.8, 1: 0.8, 2: 0.5}  # of the way to the patient's right, to the front, to the head
    centre = [
        round((wanted[direction] if signs[axis] > 0 else 1 - wanted[direction]) * (shape[axis] - 1))
        for axis, direction in enumerate(order)
    ]
    placed = explain(network(), (blob(shape, centre), affine), target=1)["gradcam"]
    row, column = hottest(placed.show())
    assert row < 0.45
    assert column < 0.45


def test_a_pixel_is_as_wide_as_it_is_in_the_patient():
    affine = np.diag([1.0, 2.0, 5.0, 1.0])  # 30 mm from side to side, 60 mm from front to back
    placed = explain(network(), (blob((30, 30, 8), (15, 15, 4)), affine), target=1)["gradcam"]
    array = placed.show().array
    paper = (array == 255).all(axis=2)
    rows, columns = np.flatnonzero(paper.mean(axis=1) < 0.3), np.flatnonzero(paper.mean(axis=0) < 0.3)
    assert (rows[-1] - rows[0]) / (columns[-1] - columns[0]) == pytest.approx(2, rel=0.05)


def test_a_picture_is_shown_as_it_is_stored():
    placed = explain(network(2), blob(PICTURE, SPOT), target=1)["gradcam"]
    row, column = hottest(placed.show())
    assert (row < 0.5, column > 0.5) == (SPOT[0] < PICTURE[0] / 2, SPOT[1] > PICTURE[1] / 2)


def test_several_maps_are_one_picture_and_one_is_another(placed, tmp_path):
    maps = explain(network(cell=2), (blob(), oblique()), targets=[0, 1], methods=["gradcam", "hirescam", "layercam"])
    grid = maps.show()
    assert grid.array.shape[1] > 3 * 120
    assert all(name in grid.caption for name in ("gradcam, 0", "layercam, 1"))
    assert Image.open(grid.save(tmp_path / "grid.png")).size == grid.array.shape[1::-1]
    for shown in (maps, placed, placed.cells):
        assert Image.open(io.BytesIO(shown._repr_png_())).format == "PNG"
    for window in ((1, 0), 3, (1, 1)):
        with pytest.raises(AuditError, match="window: must be"):
            placed.show(window=window)
    assert not np.array_equal(placed.show(window=(0, 0.1)).array, placed.show().array)


def test_a_map_of_nothing_can_be_shown_and_saved(tmp_path):
    grid = Geometry(SHAPE, oblique())
    flat = PlacedMap(array=np.zeros(SHAPE, np.float32), grid=grid, method="gradcam", target="1", layer="0")
    assert flat.show().array.size
    assert nibabel.load(flat.save(tmp_path / "map.nii")).get_fdata().max() == 0


def test_a_mask_is_outlined_where_it_lies(placed):
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:5, 3:6, 5] = 1
    picture = placed.show(mask)
    line = (picture.array == [0, 229, 255]).all(axis=2)
    assert line.sum() > 40
    assert "where the experts' masks are largest" in picture.caption
    away = np.zeros(SHAPE, np.uint8)
    away[2:5, 3:6, 12] = 1  # in another plane than the peak: both planes are shown
    assert placed.show(away).array.shape[0] > 1.2 * placed.show(mask).array.shape[0] / 2
    assert placed.show(away).caption.count("plane ") == 2
    with pytest.raises(AuditError, match="mask: needs the map on the image"):
        placed.cells.show(mask)


def test_an_outline_stands_where_the_mask_lies():
    mask = np.zeros((30, 30, 4), np.uint8)
    mask[20:26, 3:7, 2] = 1  # to the right, behind: at the bottom, on the left
    picture = explain(network(), (blob(mask.shape, (15, 15, 2)), np.diag([1, 1, 4, 1.0])), target=1)["gradcam"]
    array = picture.show(mask).array
    rows, columns = np.nonzero((array == [0, 229, 255]).all(axis=2))
    assert rows.min() > array.shape[0] / 2
    assert columns.max() < array.shape[1] / 2
    assert np.ptp(columns) / np.ptp(rows) == pytest.approx(6 / 4, rel=0.05)
