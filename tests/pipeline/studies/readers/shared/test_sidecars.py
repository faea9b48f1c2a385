import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry
from pipeline.studies.readers import MaskRequest, read_mask
from pipeline.studies.readers.shared.base import ImageFile
from pipeline.studies.readers.shared.sidecars import named_values, sidecar_of
from pipeline.studies.volume import Volume
from tests.pipeline.studies.writers import OBLIQUE, grid, nifti, refusal

SHAPE = (7, 5, 6)
AFFINE = grid(OBLIQUE, (0.7, 0.9, 2.5), (-40.0, 12.5, 100.25))
VALUES = np.zeros(SHAPE, np.uint8)
VALUES[1, 1, 1], VALUES[2, 2, 2], VALUES[3, 3, 3] = 1, 2, 7
TABLE = "index\tname\tcolor\n0\tBackground\t#000000\n1\tLung\t#00ff00\n7\tNodule \t#ff0000\n"


@pytest.fixture
def image():
    return ImageFile(Volume(np.zeros(SHAPE, np.float32), Geometry(SHAPE, AFFINE)))


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def map_at(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    return nifti(path, VALUES, AFFINE)


def places(path, image, wanted):
    return np.argwhere(read_mask(path, image, wanted).marked).tolist()


def test_a_stated_value_is_what_is_meant(tmp_path, image):
    put(tmp_path / "dataset.json", {"labels": {"1": "nodule", "2": "lung"}})
    path = map_at(tmp_path / "a.nii.gz")
    assert places(path, image, MaskRequest("nodule", 2)) == [[2, 2, 2]]
    assert places(path, image, MaskRequest("nodule", 9)) == []


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"0": "background", "1": "lung", "7": "Nodule"}, [[3, 3, 3]]),
        ({"background": 0, "lung": 1, "NODULE": 7}, [[3, 3, 3]]),
        ({"background": 0, "lung": 1, "nodule": [2, 7]}, [[2, 2, 2], [3, 3, 3]]),
        ({"0": "background", "1": "label 1", "2": "nodule", "7": "x"}, [[2, 2, 2]]),
    ],
    ids=["decathlon", "nnunet", "regions", "all"],
)
@pytest.mark.parametrize("folder", ["labelsTr", "."])
def test_a_dataset_names_its_values(tmp_path, image, labels, expected, folder):
    put(tmp_path / "dataset.json", {"labels": labels, "name": "SECRET"})
    assert places(map_at(tmp_path / folder / "a.nii.gz"), image, "nodule") == expected


@pytest.mark.parametrize(
    "table",
    [
        "derivatives/x/sub-1/anat/sub-1_T1w_dseg.tsv",
        "derivatives/x/sub-1/sub-1_dseg.tsv",
        "derivatives/x/dseg.tsv",
        "dseg.tsv",
    ],
)
def test_a_bids_table_names_the_values(tmp_path, image, table):
    put(tmp_path / "dataset_description.json", {})
    put(tmp_path / table, TABLE)
    path = map_at(tmp_path / "derivatives/x/sub-1/anat/sub-1_T1w_dseg.nii.gz")
    assert places(path, image, "nodule") == [[3, 3, 3]]
    assert named_values(path) == (("Lung", 1), ("Nodule", 7))


def test_the_nearest_and_closest_table_counts(tmp_path):
    put(tmp_path / "dataset_description.json", {})
    path = map_at(tmp_path / "sub-1/sub-1_T1w_dseg.nii.gz")
    for name in ("dseg.tsv", "sub-1/dseg.tsv", "sub-1/sub-1_dseg.tsv", "sub-1/sub-1_T1w_dseg.tsv"):
        assert sidecar_of(path) != tmp_path / name
        put(tmp_path / name, TABLE)
        assert sidecar_of(path) == tmp_path / name
    put(tmp_path / "sub-1/sub-2_T1w_dseg.tsv", TABLE)
    assert sidecar_of(path) == tmp_path / "sub-1/sub-1_T1w_dseg.tsv"


def test_the_folder_of_a_map_that_no_table_can_fit_is_not_listed(tmp_path, monkeypatch):
    put(tmp_path / "dseg.tsv", TABLE)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "glob", lambda *_: pytest.fail("the folder was listed: thousands of masks may lie there"))
        assert sidecar_of(tmp_path / "sub-1_mask.nii.gz") is None
    assert sidecar_of(tmp_path / "sub-1_xdseg.nii.gz") is None
    assert sidecar_of(tmp_path / "sub-1_dseg_x.nii.gz") == tmp_path / "dseg.tsv"


def test_what_is_no_sidecar_of_the_map_is_passed_over(tmp_path, image):
    put(tmp_path / "dseg.tsv", TABLE)
    put(tmp_path / "dataset.json", {"labels": {"7": "nodule"}})
    path = map_at(tmp_path / "a/b/sub-1_dseg.nii.gz")
    put(tmp_path / "a/b/sub-2_dseg.tsv", TABLE)
    (tmp_path / "a/b/dseg.tsv").symlink_to(tmp_path / "dseg.tsv")
    (tmp_path / "a/dataset.json").symlink_to(tmp_path / "dataset.json")
    assert sidecar_of(path) is None
    assert "3 values besides 0" in refusal(Reason.UNSUPPORTED_FORMAT, lambda: read_mask(path, image, "nodule"))


def test_a_label_that_the_sidecar_does_not_name_is_excluded(tmp_path, image):
    put(tmp_path / "dataset.json", {"labels": {"1": "SECRET", "2": "lung"}})
    path = map_at(tmp_path / "SECRET.nii.gz")
    words = refusal(Reason.MASK_MISSING_LABEL, lambda: read_mask(path, image, "nodule"), excluded=True)
    assert words == "none of the mask's 2 labels bears the wanted label"
    words = refusal(Reason.MASK_MISSING_LABEL, lambda: read_mask(path, image, None), excluded=True)
    assert words == "the mask has 2 labels, and nothing tells which is meant"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dataset.json", "{"),
        ("dataset.json", {"name": "SECRET"}),
        ("dataset.json", {"labels": ["SECRET"]}),
        ("dataset.json", {"labels": {"SECRET": "one"}}),
        ("dataset.json", {"labels": {}}),
        ("dataset.json", " " * 2**20 + "{}"),
        ("SECRET_dseg.tsv", "number\tname\n1\tSECRET\n"),
        ("SECRET_dseg.tsv", "index\tname\nSECRET\tSECRET\n"),
    ],
)
def test_a_sidecar_that_names_nothing_is_refused(tmp_path, image, name, content):
    put(tmp_path / name, content)
    path = map_at(tmp_path / "SECRET_dseg.nii.gz")
    refusal(Reason.NOT_READABLE, lambda: read_mask(path, image, "nodule"))
