"""NIfTI in two files, .hdr and .img, against nibabel."""

import gzip

import nibabel
import numpy as np
import pytest

from camaudit.testing.readers import check_reader
from pipeline.errors import Reason
from pipeline.studies.content_digest import contents
from pipeline.studies.index.headers import describe
from pipeline.studies.readers import BUILT_IN, read_image, read_mask
from pipeline.studies.readers.images import nifti
from tests.pipeline.studies.writers import OBLIQUE, SECRET, dot, grid, refusal

SHAPE, INDEX = (7, 5, 4), (5, 1, 2)
AFFINE = grid(OBLIQUE, (0.7, 0.9, 2.5), (40.0, -12.5, 100.25))


def pair(folder, kind=nibabel.Nifti1Pair, array=None, name="a.img"):
    image = kind(dot(SHAPE, INDEX) if array is None else array, AFFINE)
    image.header["descrip"] = SECRET.encode()
    nibabel.save(image, folder / name)
    return folder / name.replace("img", "hdr")


def scan_says(path):
    with path.open("rb") as file:
        return describe(file, path.stat().st_size, BUILT_IN, path.name)["reason"]


@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.Nifti2Pair])
@pytest.mark.parametrize("name", ["a.img", "a.img.gz"])
def test_a_pair_is_read_as_nibabel_reads_it(tmp_path, kind, name):
    path = pair(tmp_path, kind, name=name)
    ours, theirs = read_image(path), nibabel.load(path)
    np.testing.assert_array_equal(ours.volume.array, theirs.get_fdata())
    np.testing.assert_allclose(ours.volume.geometry.affine, theirs.affine, atol=1e-5)
    assert scan_says(path) is None
    assert np.argwhere(read_mask(path, ours).marked).tolist() == [list(INDEX)]


def test_a_pair_is_both_files_to_a_hash(tmp_path):
    path = pair(tmp_path)
    before = contents(path)
    image = tmp_path / "a.img"
    image.write_bytes(image.read_bytes()[::-1])
    assert len(before) == 2
    assert contents(path) != before


@pytest.mark.parametrize(("change", "reason"), [(-2, "truncated"), (3, "not_readable")])
def test_the_voxels_have_just_their_bytes(tmp_path, change, reason):
    path = pair(tmp_path)
    content = (tmp_path / "a.img").read_bytes()
    (tmp_path / "a.img").write_bytes((content + bytes(9))[: len(content) + change])
    refusal(Reason(reason), lambda: read_image(path))
    (tmp_path / "b.hdr.gz").write_bytes(gzip.compress(path.read_bytes()))
    (tmp_path / "b.img.gz").write_bytes(gzip.compress((tmp_path / "a.img").read_bytes()))
    refusal(Reason(reason), lambda: read_image(tmp_path / "b.hdr.gz"))


def test_half_of_a_pair(tmp_path):
    path = pair(tmp_path)
    (tmp_path / "a.img").unlink()
    refusal(Reason.MISSING_FILE, lambda: read_image(path))
    (tmp_path / "a.img").symlink_to("/etc/passwd")
    refusal(Reason.LEADS_OUT, lambda: read_image(path))
    path.rename(tmp_path / "a.dat")
    refusal(Reason.UNSUPPORTED_FORMAT, lambda: read_image(tmp_path / "a.dat"))
    assert scan_says(tmp_path / "a.dat") == "unsupported_format"


def test_the_generic_checks(tmp_path):
    check_reader(
        nifti, [nibabel.save(nibabel.Nifti1Image(dot(SHAPE, INDEX), AFFINE), tmp_path / "a.nii") or tmp_path / "a.nii"]
    )
