"""A mask on another grid: nearest voxels as SimpleITK takes them, the change of volume by hand, and what is refused."""

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its own name for itself
from pydicom import dcmread

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry, GeometryError
from pipeline.studies.readers import MaskRequest, read_image, read_mask
from pipeline.studies.regrid import frames_as_volume, to_nearest
from tests.pipeline.studies.writers import OBLIQUE, grid, nifti, refusal, save, segmentation, slices

ASKED = MaskRequest(regrid="nearest")
CT = grid(np.diag([-1, -1, 1]), (0.7, 0.8, 2.5), (20.0, 30.0, 0.0))
SHAPE = (12, 14, 6)


def itk(array, affine):
    """Return an array (i, j, k) that lies by a RAS affine as SimpleITK's image."""
    lps = np.diag([-1, -1, 1, 1]) @ affine
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T).astype(np.uint8))
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    return image


def blob(shape, seed):
    rng = np.random.default_rng(seed)
    marked = np.zeros(shape, bool)
    marked[tuple(slice(size // 3, 2 * size // 3 + 1) for size in shape)] = True
    return marked & (rng.random(shape) < 0.7)


@pytest.mark.parametrize("seed", range(6))
def test_it_is_what_simpleitk_makes_of_it(seed):
    rng = np.random.default_rng(seed)
    source = Geometry(
        (23, 19, 17), grid(OBLIQUE if seed % 2 else np.eye(3), rng.uniform(0.7, 2.1, 3), (1.03, -7.11, 3.7))
    )
    centre = source.world(np.array([[11, 9, 8]]))[0]
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    spacing = rng.uniform(0.6, 2.7, 3)
    shape = tuple(int(60 / step) for step in spacing)
    affine = grid(turn, spacing, (0, 0, 0))
    affine[:3, 3] = centre - affine[:3, :3] @ (np.array(shape) / 2)
    marked = blob(source.shape, seed)
    placed, change = to_nearest(marked, source, Geometry(shape, affine))
    expected = sitk.Resample(
        itk(marked, source.affine), itk(np.zeros(shape), affine), sitk.Transform(), sitk.sitkNearestNeighbor
    )
    np.testing.assert_array_equal(placed, sitk.GetArrayFromImage(expected).T.astype(bool))
    assert change.endswith("%)")


def test_the_change_of_volume_by_hand():
    marked = np.zeros((4, 4, 4), bool)
    marked[1:3, 1:3, 1:3] = True  # 8 voxels of 2 mm: 64 mm3, from 1 to 5 mm
    source = Geometry((4, 4, 4), np.diag([2.0, 2.0, 2.0, 1.0]))
    target = Geometry((3, 8, 8), np.diag([3.0, 1.0, 1.0, 1.0]))  # the first axis has centres at 0, 3 and 6
    placed, change = to_nearest(marked, source, target)
    assert np.argwhere(placed).min(axis=0).tolist() == [1, 1, 1]
    assert np.argwhere(placed).max(axis=0).tolist() == [1, 4, 4]
    assert change == "64 to 48 mm3 (-25.0 %)"


def test_of_two_voxels_that_are_as_near_the_later_is_taken():
    source = Geometry((4, 1, 1), np.eye(4))
    target = Geometry((2, 1, 1), np.diag([2.0, 1.0, 1.0, 1.0]) + np.array([[0, 0, 0, 0.5]] + [[0] * 4] * 3))
    marked = np.array([0, 1, 0, 1], bool).reshape(4, 1, 1)
    assert to_nearest(marked, source, target)[0].ravel().tolist() == [True, True]


def test_pictures_are_resampled_in_their_plane_alone():
    source = Geometry((4, 4), np.diag([2.0, 2.0, 1.0, 1.0]))
    target = Geometry((8, 8), np.diag([1.0, 1.0, 1.0, 1.0]))
    marked = np.zeros((4, 4), bool)
    marked[1, 1] = True
    assert to_nearest(marked, source, target)[1] == "4 to 4 mm2 (+0.0 %)"
    off = target.affine.copy()
    off[2, 3] = 1
    with pytest.raises(GeometryError, match=r"1\.00 mm off the image's plane"):
        to_nearest(marked, source, Geometry((8, 8), off))
    with pytest.raises(GeometryError, match="has 2 axes, the image 3"):
        to_nearest(marked, source, Geometry((8, 8, 1), np.eye(4)))


def test_what_would_be_cut_off_or_lost_is_refused():
    marked = np.ones((4, 4, 4), bool)
    small = Geometry((3, 4, 4), np.eye(4))
    with pytest.raises(GeometryError, match="16 of the mask's 64 marked voxels lie outside"):
        to_nearest(marked, Geometry((4, 4, 4), np.eye(4)), small)
    speck = np.zeros((40, 4, 4), bool)
    speck[3, 0, 0] = True
    fine, coarse = np.diag([0.1, 1, 1, 1]), Geometry((4, 4, 4), np.eye(4))
    with pytest.raises(GeometryError, match="none is the nearest"):
        to_nearest(speck, Geometry((40, 4, 4), fine), coarse)
    placed, change = to_nearest(np.zeros((4, 4, 4), bool), Geometry((4, 4, 4), np.eye(4)), small)
    assert (placed.any(), change) == (False, "0 to 0 mm3")


# -- by the readers


def thinner(shape=(24, 28, 12)):
    """Return the image's grid with voxels of half the size."""
    affine = CT.copy()
    affine[:3, :3] /= 2
    affine[:3, 3] -= affine[:3, :3].sum(axis=1) / 2
    return shape, affine


def half_voxels(tmp_path):
    shape, affine = thinner()
    values = np.zeros(shape, np.uint8)
    values[8:12, 10:14, 4:6] = 1
    return nifti(tmp_path / "mask.nii.gz", values, affine)


def test_a_label_map_is_resampled_where_it_is_asked_for(tmp_path):
    image = read_image(save(tmp_path / "ct", slices(np.zeros(SHAPE, np.int16), CT)))
    path = half_voxels(tmp_path)
    refusal(Reason.OTHER_GRID, lambda: read_mask(path, image), excluded=True)
    mask = read_mask(path, image, ASKED)
    assert (np.argwhere(mask.marked).min(axis=0), np.argwhere(mask.marked).max(axis=0)) == (
        pytest.approx([4, 5, 2]),
        pytest.approx([5, 6, 2]),
    )
    assert mask.header == {"mask resampled": "to the nearest voxels of the image, 5.6 to 5.6 mm3 (+0.0 %)"}


@pytest.mark.parametrize("ending", ["mha", "mgz"])
def test_other_label_maps_are_resampled_too(tmp_path, ending):
    image = read_image(save(tmp_path / "ct", slices(np.zeros(SHAPE, np.int16), CT)))
    shape, affine = thinner()
    values = np.zeros(shape, np.uint8)
    values[8:12, 10:14, 4:6] = 1
    path = tmp_path / f"mask.{ending}"
    if ending == "mha":
        sitk.WriteImage(itk(values, affine), path)
    else:
        nibabel.save(nibabel.MGHImage(values, affine), path)
    refusal(Reason.OTHER_GRID, lambda: read_mask(path, image), excluded=True)
    assert read_mask(path, image, ASKED).header["mask resampled"].endswith("5.6 to 5.6 mm3 (+0.0 %)")


def test_a_mask_on_the_image_s_own_voxels_is_not_resampled(tmp_path):
    image = read_image(save(tmp_path / "ct", slices(np.zeros(SHAPE, np.int16), CT)))
    values = np.zeros(SHAPE, np.uint8)
    values[1:3] = 1
    assert read_mask(nifti(tmp_path / "m.nii", values[::-1], _flipped()), image, ASKED).header == {}


def _flipped():
    affine = CT.copy()
    affine[:3, 0] *= -1
    affine[:3, 3] = CT[:3, 3] + (SHAPE[0] - 1) * CT[:3, 0]
    return affine


def test_a_segmentation_of_other_pixels_is_resampled(tmp_path):
    coarse = CT.copy()
    coarse[:3, :2] *= 2
    coarse[:3, 3] += CT[:3, :2].sum(axis=1) / 2
    sources = slices(np.zeros((6, 7, 6), np.int16), coarse)
    for source in sources:
        source.SliceThickness, source.SpacingBetweenSlices = 2.5, 2.5
    masks = np.zeros((6, 7, 6, 1), np.uint8)
    masks[1, 3:5, 2:4] = masks[4, 3:5, 2:4] = 1  # the frames between are left out by the writer
    path = segmentation(tmp_path / "seg.dcm", sources, masks, ["nodule"])
    strip_references(path)
    image = read_image(save(tmp_path / "ct", slices(np.zeros(SHAPE, np.int16), CT)))
    refusal(Reason.OTHER_GRID, lambda: read_mask(path, image), excluded=True)
    mask = read_mask(path, image, ASKED)
    expected = np.zeros(SHAPE, bool)
    expected[4:8, 6:10, [1, 4]] = True
    np.testing.assert_array_equal(mask.marked, expected)
    assert mask.header == {"mask resampled": "to the nearest voxels of the image, 44.8 to 44.8 mm3 (+0.0 %)"}


def strip_references(path):
    dataset = dcmread(path)
    for name in ("ReferencedSeriesSequence", "SourceImageSequence"):
        if name in dataset:
            del dataset[name]
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        if "DerivationImageSequence" in frame:
            del frame.DerivationImageSequence
    dataset.save_as(path)


def test_frames_as_a_volume_by_hand():
    plane = np.eye(4)
    higher = plane.copy()
    higher[2, 3] = 6.0
    pixels = np.array([[True, False, False], [False, False, True]])
    marked, geometry = frames_as_volume([(higher, pixels), (plane, ~pixels)], 2.0)
    assert marked.shape == geometry.shape == (3, 2, 4)
    np.testing.assert_array_equal(marked[..., 3], pixels.T)
    np.testing.assert_array_equal(marked[..., 0], ~pixels.T)
    assert geometry.affine.tolist() == np.diag([1.0, 1.0, 2.0, 1.0]).tolist()
    for wrong in (4.0, 1e-9):
        with pytest.raises(GeometryError):
            frames_as_volume([(higher, pixels), (plane, pixels)], wrong)
    with pytest.raises(GeometryError):
        frames_as_volume([(higher, pixels), (plane, pixels.T)], 2.0)
