import nrrd
import numpy as np
import pytest
import SimpleITK

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry
from pipeline.studies.readers import ReadOptions, read_image, read_mask
from pipeline.studies.readers.images import nrrd as nrrd_reader
from pipeline.studies.readers.shared.base import ImageFile, MaskRequest
from pipeline.studies.volume import Volume
from tests.pipeline.studies.writers import OBLIQUE, dot, grid, refusal

SHAPE, MARK = (7, 5, 6), (5, 1, 4)
RAS = grid(OBLIQUE, (0.7, 0.9, 2.5), (-40.0, 12.5, 100.25))
SIGNS = {"left-posterior-superior": (-1, -1, 1), "right-anterior-superior": (1, 1, 1), "LAS": (-1, 1, 1)}


def write(path, array, space="left-posterior-superior", **header):
    affine = np.diag([*SIGNS.get(space, (1, 1, 1)), 1.0]) @ RAS
    fields = {"space": space, "space directions": affine[:3, :3].T, "space origin": affine[:3, 3], "content": "SECRET"}
    fields = {key: value for key, value in (fields | header).items() if value is not None}
    nrrd.write(str(path), array, fields, index_order="F")
    return path


@pytest.fixture
def image():
    return ImageFile(Volume(np.zeros(SHAPE, np.float32), Geometry(SHAPE, RAS)))


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
@pytest.mark.parametrize("space", list(SIGNS))
def test_a_marked_voxel_keeps_its_place(tmp_path, space, encoding):
    path = write(tmp_path / "a.nrrd", dot(SHAPE, MARK), space, encoding=encoding)
    image = read_image(path)
    np.testing.assert_allclose(image.volume.geometry.affine, RAS, atol=1e-9)
    assert image.volume.array[MARK] == 900
    peer = SimpleITK.ReadImage(str(path))
    place = np.array([-1, -1, 1]) * peer.TransformIndexToPhysicalPoint(MARK)
    np.testing.assert_allclose(image.volume.geometry.world(np.array([MARK]))[0], place, atol=1e-6)


@pytest.mark.parametrize(
    ("header", "reason", "words"),
    [
        ({"space": "scanner-xyz"}, Reason.NO_GEOMETRY, "no anatomical space"),
        ({"space origin": None}, Reason.NO_GEOMETRY, "no anatomical space"),
        ({"space units": ["m", "m", "m"]}, Reason.NO_GEOMETRY, "not mm"),
        ({"encoding": "bzip2"}, Reason.UNSUPPORTED_FORMAT, "neither raw nor gzip"),
        ({"kinds": ["vector", "domain", "domain"]}, Reason.UNSUPPORTED_FORMAT, "not spatial"),
        ({"space directions": np.zeros((3, 3))}, Reason.NO_GEOMETRY, "cannot be read"),
    ],
)
def test_what_is_no_placed_volume_is_refused(tmp_path, header, reason, words):
    path = write(tmp_path / "SECRET.nrrd", dot(SHAPE, MARK), **header)
    assert words in refusal(reason, lambda: read_image(path))


def write_volumes(path, array, axis, kind="list", **header):
    """Write a fourth axis at this place; the space states no direction for it."""
    lps = (np.diag([-1, -1, 1, 1.0]) @ RAS)[:3, :3].T
    directions = np.insert(lps, axis, np.nan, axis=0)
    kinds = ["domain"] * 3
    kinds.insert(axis, kind)
    return write(path, array, **{"space directions": directions, "kinds": kinds, **header})


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
@pytest.mark.parametrize("kind", ["list", "time"])
@pytest.mark.parametrize("axis", [0, 3])
def test_one_of_several_volumes_is_read_when_it_is_chosen(tmp_path, axis, kind, encoding):
    volumes = np.random.default_rng(0).integers(0, 1000, (3, *SHAPE)).astype(np.int16)
    array = np.moveaxis(volumes, 0, axis)
    path = write_volumes(tmp_path / "SECRET.nrrd", np.asfortranarray(array), axis, kind, encoding=encoding)
    image = read_image(path, ReadOptions(volume=1))
    np.testing.assert_array_equal(image.volume.array, volumes[1])
    np.testing.assert_allclose(image.volume.geometry.affine, RAS, atol=1e-9)
    assert image.header == {"volume": "volumes 0 to 2: 1 chosen"}
    assert "holds 3 volumes" in refusal(Reason.SEVERAL_VOLUMES, lambda: read_image(path))


@pytest.mark.parametrize("kind", ["vector", "RGB-color", "covariant-vector"])
def test_an_axis_of_components_is_refused(tmp_path, kind):
    path = write_volumes(tmp_path / "SECRET.nrrd", np.zeros((3, *SHAPE), np.uint8), 0, kind)
    refused = refusal(Reason.UNSUPPORTED_FORMAT, lambda: read_image(path, ReadOptions(volume=0)))
    assert "4 axes" in refused


def test_voxels_in_another_file_are_not_followed(tmp_path):
    write(tmp_path / "SECRET.nhdr", dot(SHAPE, MARK))
    assert "another file" in refusal(Reason.UNSUPPORTED_FORMAT, lambda: read_image(tmp_path / "SECRET.nhdr"))


def test_truncated_and_swollen_files_are_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "SECRET.nrrd", dot(SHAPE, MARK), encoding="raw")
    path.write_bytes(path.read_bytes()[:-3])
    refusal(Reason.NOT_READABLE, lambda: read_image(path))
    path = write(path, np.zeros((64, 64, 64), np.int16), encoding="gzip")
    monkeypatch.setattr(nrrd_reader, "_WIDEST", 1)
    assert "far more" in refusal(Reason.NOT_READABLE, lambda: read_image(path))
    monkeypatch.setattr(nrrd_reader, "_FLOAT", 2**20)
    refusal(Reason.TOO_LARGE, lambda: read_image(path))


def test_a_mask_lands_on_the_image(tmp_path, image):
    path = write(tmp_path / "mask.nrrd", dot(SHAPE, MARK, 1), "right-anterior-superior")
    assert np.argwhere(read_mask(path, image, None).marked).tolist() == [list(MARK)]


def segments(*names):
    fields = {}
    for index, name in enumerate(names):
        fields |= {f"Segment{index}_Name": name, f"Segment{index}_LabelValue": str(index + 1)}
    return fields


def test_a_segment_is_chosen_by_its_name(tmp_path, image):
    array = dot(SHAPE, MARK, 2)
    array[0, 0, 0] = 1
    path = write(tmp_path / "SECRET.seg.nrrd", array, **segments("Lung", "Nodule"))
    assert np.argwhere(read_mask(path, image, "nodule").marked).tolist() == [list(MARK)]
    for label in ("SECRET", None):
        refusal(Reason.MASK_MISSING_LABEL, lambda label=label: read_mask(path, image, label), excluded=True)
    empty = write(path, np.zeros(SHAPE, np.uint8), **segments("Lung", "Nodule"))
    assert not read_mask(empty, image, None).marked.any()
    only = write(path, dot(SHAPE, MARK, 1), **segments("Segment_1"))
    assert read_mask(only, image, "nodule").marked.sum() == 1


def test_segments_that_overlap_lie_in_layers(tmp_path, image):
    """As 3D Slicer writes them: a first axis of layers, which has no direction in space."""
    array = np.zeros((2, *SHAPE), np.uint8)
    array[(0, *MARK)], array[0, 0, 0, 0], array[(1, *MARK)], array[1, 2, 2, 2] = 1, 2, 1, 1
    fields = segments("Lung", "Rib", "Nodule") | {"Segment0_Layer": "0", "Segment1_Layer": "0", "Segment2_Layer": "1"}
    fields |= {"Segment2_LabelValue": "1", "kinds": ["list", "domain", "domain", "domain"]}
    directions = np.vstack([np.full(3, np.nan), (np.diag([-1, -1, 1]) @ RAS[:3, :3]).T])
    path = write(tmp_path / "SECRET.seg.nrrd", array, **fields, **{"space directions": directions})
    for name, expected in [("lung", [list(MARK)]), ("rib", [[0, 0, 0]]), ("nodule", [[2, 2, 2], list(MARK)])]:
        assert np.argwhere(read_mask(path, image, name).marked).tolist() == expected
    refusal(Reason.MASK_MISSING_LABEL, lambda: read_mask(path, image, "heart"), excluded=True)
    by_number = lambda: read_mask(path, image, MaskRequest("lung", 1))  # noqa: E731
    assert "2 of the mask's 3 segments" in refusal(Reason.MASK_MISSING_LABEL, by_number, excluded=True)


def test_segments_of_one_name_are_one_mask(tmp_path, image):
    array = dot(SHAPE, MARK, 2)
    array[0, 0, 0], array[1, 1, 1] = 1, 3
    path = write(tmp_path / "a.seg.nrrd", array, **segments("Nodule", "nodule", "Lung"))
    assert np.argwhere(read_mask(path, image, "NODULE").marked).tolist() == [[0, 0, 0], list(MARK)]


def test_a_stated_value_is_what_is_meant(tmp_path, image):
    array = dot(SHAPE, MARK, 2)
    array[0, 0, 0] = 1
    path = write(tmp_path / "a.nrrd", array)
    assert "2 values besides 0" in refusal(Reason.UNSUPPORTED_FORMAT, lambda: read_mask(path, image, "nodule"))
    assert np.argwhere(read_mask(path, image, MaskRequest("nodule", 2)).marked).tolist() == [list(MARK)]
    path = write(tmp_path / "b.seg.nrrd", array, **segments("Nodule", "Lung"))
    assert np.argwhere(read_mask(path, image, MaskRequest("nodule", 2)).marked).tolist() == [list(MARK)]
