"""Marks of a centre and a diameter, as LUNA16 lists nodules."""

import numpy as np
import pytest

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry
from pipeline.studies.readers import MaskRequest, read_mask
from pipeline.studies.readers.shared.base import ImageFile
from pipeline.studies.volume import Volume
from tests.pipeline.studies.writers import OBLIQUE, SECRET, grid, refusal

SHAPE = (20, 22, 18)
GRIDS = {
    "straight": grid(np.diag([-1, -1, 1]), (0.7, 0.9, 2.5), (40.0, -12.5, 100.25)),
    "flipped": grid(np.diag([1, -1, -1]), (0.7, 0.9, 2.5), (40.0, -12.5, 100.25)),
    "oblique": grid(OBLIQUE, (0.7, 0.9, 2.5), (40.0, -12.5, 100.25)),
}
HEAD = "seriesuid,coordX,coordY,coordZ,diameter_mm"


def image(affine, shape=SHAPE, **more):
    return ImageFile(Volume(np.zeros(shape, np.float32), Geometry(shape, affine, **more)))


def table(path, *lines, head=HEAD):
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


def line(affine, index, diameter, name="scan"):
    x, y, z = map(float, (affine @ (*index, 1.0))[:3])
    return f"{name},{-x!r},{-y!r},{z!r},{diameter}"  # LPS


@pytest.mark.parametrize("affine", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize(("index", "diameter"), [((9.3, 10.2, 8.6), 7.0), ((1, 1, 1), 6.0), ((9, 10, 8), 0.1)])
def test_every_voxel_within_the_radius_and_no_other(tmp_path, affine, index, diameter):
    path = table(tmp_path / "a.csv", line(affine, index, diameter))
    marked = read_mask(path, image(affine), MaskRequest("nodule", key="scan")).marked
    everywhere = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1).reshape(-1, 3)
    places = everywhere @ affine[:3, :3].T + affine[:3, 3]
    centre = (affine @ (*index, 1.0))[:3]
    expected = np.linalg.norm(places - centre, axis=1) <= diameter / 2
    assert expected.any()
    np.testing.assert_array_equal(marked, expected.reshape(SHAPE))


def test_several_marks_are_one_mask_and_other_scans_are_others(tmp_path):
    affine = GRIDS["straight"]
    lines = [line(affine, (3, 3, 3), 0.5), line(affine, (9, 9, 9), 0.5), line(affine, (5, 5, 5), 0.5, "other")]
    path = table(tmp_path / "a.csv", *lines)
    mask = read_mask(path, image(affine), MaskRequest("nodule", key="scan"))
    assert np.argwhere(mask.marked).tolist() == [[3, 3, 3], [9, 9, 9]]
    assert mask.header == {"mask drawn from": "spheres of a centre and a diameter"}


def test_a_mark_between_voxels_is_told(tmp_path):
    affine = GRIDS["straight"]
    path = table(tmp_path / "a.csv", line(affine, (3, 3, 3), 0.5), line(affine, (9.5, 9.5, 9.5), 0.1))
    mask = read_mask(path, image(affine), MaskRequest("nodule", key="scan"))
    assert mask.header["shapes smaller than a voxel"] == "1 of 2"
    path = table(tmp_path / "b.csv", line(affine, (9.5, 9.5, 9.5), 0.1))
    wanted = MaskRequest("nodule", key="scan")
    refusal(Reason.MASK_WITHOUT_AREA, lambda: read_mask(path, image(affine), wanted), excluded=True)


@pytest.mark.parametrize(
    ("lines", "reason", "excluded"),
    [
        ([f"{SECRET},1,2,3,4"], Reason.MASK_MISSING_ENTRY, True),
        (["scan,1e6,0,0,4"], Reason.OTHER_GRID, True),
        (["scan,-40,12.5,100,0"], Reason.NOT_READABLE, False),
        (["scan,-40,12.5,100,-3"], Reason.NOT_READABLE, False),
        (["scan,-40,12.5,100,nan"], Reason.NOT_READABLE, False),
        (["scan,-40,12.5,inf,4"], Reason.NOT_READABLE, False),
        ([f"scan,-40,{SECRET},100,4"], Reason.NOT_READABLE, False),
        (["scan,-40,12.5,100"], Reason.NOT_READABLE, False),
        (["scan,-40,12.5,100,4,5"], Reason.NOT_READABLE, False),
        ([], Reason.MASK_MISSING_ENTRY, True),
    ],
)
def test_what_is_no_mark_of_this_image(tmp_path, lines, reason, excluded):
    path = table(tmp_path / "a.csv", *lines)
    wanted = MaskRequest("nodule", key="scan")
    refusal(reason, lambda: read_mask(path, image(GRIDS["straight"]), wanted), excluded=excluded)


def test_a_picture_and_a_volume_without_sides_take_no_sphere(tmp_path):
    path = table(tmp_path / "a.csv", "scan,-40,12.5,100,4")
    wanted = MaskRequest("nodule", key="scan")
    for other in (image(GRIDS["straight"], (20, 22)), image(GRIDS["straight"], oriented=False)):
        refusal(Reason.OTHER_GRID, lambda other=other: read_mask(path, other, wanted), excluded=True)


def test_a_table_of_boxes_is_still_one(tmp_path):
    path = table(tmp_path / "a.csv", "scan,2,3,5,6", head="image,x_min,y_min,x_max,y_max")
    flat = image(GRIDS["straight"], (20, 22))
    assert read_mask(path, flat, MaskRequest("nodule", key="scan")).marked.sum() == 9


def test_a_huge_diameter_is_no_more_than_the_image(tmp_path):
    affine = GRIDS["straight"]
    path = table(tmp_path / "a.csv", line(affine, (9, 9, 9), 1e12))
    assert read_mask(path, image(affine), MaskRequest("nodule", key="scan")).marked.all()
