import nrrd
import numpy as np
import pytest
import SimpleITK

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry
from pipeline.studies.readers import nrrd as nrrd_reader
from pipeline.studies.readers import read_image, read_mask
from pipeline.studies.readers.base import ImageFile
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


def test_a_fourth_axis_is_refused(tmp_path):
    directions = np.vstack([np.full(3, np.nan), RAS[:3, :3].T])
    kinds = ["list", "domain", "domain", "domain"]
    path = write(
        tmp_path / "a.nrrd", np.zeros((2, *SHAPE), np.uint8), **{"space directions": directions, "kinds": kinds}
    )
    assert "4 axes" in refusal(Reason.UNSUPPORTED_FORMAT, lambda: read_image(path))


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
    only = write(path, dot(SHAPE, MARK, 1), **segments("Lung"))
    assert read_mask(only, image, "nodule").marked.sum() == 1
