"""Real studies, read in place, against numbers and programs that are not ours."""

import shutil
from pathlib import Path

import highdicom
import numpy as np
import pytest
import SimpleITK
from pydicom import dcmread
from pydicom.data import get_testdata_file

from pipeline.errors import Reason
from pipeline.studies.archive import MaskSource, StudyRow, read_study
from pipeline.studies.geometry import Geometry
from pipeline.studies.privacy import Pseudonyms
from pipeline.studies.readers import read_image, read_mask
from pipeline.studies.readers.base import ImageFile
from pipeline.studies.volume import Volume
from tests.pipeline.studies.writers import refusal

NAMES = Pseudonyms(b"0123456789abcdef0123456789abcdef")


@pytest.fixture(scope="module")
def liver(data, tmp_path_factory):
    """The CT slices and the two forms of the liver's mask; the folder also holds the segmentation."""
    folder = tmp_path_factory.mktemp("liver")
    for name in ("01", "02", "03", "liver"):
        shutil.copy(data / "ct-liver-dicom" / f"{name}.dcm", folder)
    masks = (
        MaskSource("seg", "liver", folder / "liver.dcm"),
        MaskSource("nrrd", None, data / "ct-liver-dicom" / "liver_seg.nrrd"),
    )
    return read_study(StudyRow("s", "p", folder, masks, ("liver",), {}), NAMES), folder


def test_the_livers_two_masks_are_the_same_voxel_for_voxel(liver):
    study, _ = liver
    seg, nrrd = study.masks
    assert seg.array.sum(axis=(0, 1)).tolist() == [36233, 35645, 35220]
    np.testing.assert_array_equal(seg.array, nrrd.array)
    np.testing.assert_allclose(study.image.geometry.spacing, (0.810547, 0.810547, 1.0), atol=1e-6)


def test_the_liver_is_liver(liver):
    study, _ = liver
    inside = study.image.array[study.masks[0].array]
    assert 40 < np.median(inside) < 200  # HU of liver tissue, with or without contrast
    assert study.image.array.min() == -3024


def test_the_livers_ct_is_simpleitks(liver):
    study, folder = liver
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames([str(folder / f"{name}.dcm") for name in ("03", "02", "01")])
    peer = reader.Execute()
    np.testing.assert_array_equal(study.image.array, SimpleITK.GetArrayFromImage(peer).transpose(2, 1, 0))
    corner = np.array([-1, -1, 1]) * peer.TransformIndexToPhysicalPoint((511, 0, 2))
    np.testing.assert_allclose(study.image.geometry.world(np.array([[511, 0, 2]]))[0], corner, atol=1e-4)


@pytest.mark.parametrize(
    ("folder", "name", "voxels"), [("mr-brain-nrrd", "brain1", 4137), ("mr-breast-nrrd", "breast1", 143)]
)
def test_nrrd_studies(data, folder, name, voxels):
    image = read_image(data / folder / f"{name}_image.nrrd")
    marked = read_mask(data / folder / f"{name}_label.nrrd", image, None).marked
    peer = SimpleITK.ReadImage(str(data / folder / f"{name}_label.nrrd"))
    assert marked.sum() == voxels
    index = np.argwhere(marked)[[0, -1]]
    expected = [np.array([-1, -1, 1]) * peer.TransformIndexToPhysicalPoint([int(i) for i in one]) for one in index]
    np.testing.assert_allclose(image.volume.geometry.world(index), expected, atol=1e-6)
    assert all(peer.GetPixel(*[int(i) for i in one]) for one in index)


@pytest.mark.parametrize(
    ("image", "mask", "letters"),
    [
        ("t2", "t2_seg-manual", (("A", "P"), ("I", "S"), ("L", "R"))),
        ("t2s", "t2s_gmseg_manual", (("R", "L"), ("P", "A"), ("I", "S"))),
    ],
)
def test_nifti_studies(data, image, mask, letters):
    folder = data / "mr-spine-nifti"
    found = read_image(folder / f"{image}.nii.gz")
    marked = read_mask(folder / f"{mask}.nii.gz", found, "cord").marked
    assert found.volume.geometry.letters() == letters
    peer = SimpleITK.ReadImage(str(folder / f"{mask}.nii.gz"))
    np.testing.assert_array_equal(marked, SimpleITK.GetArrayFromImage(peer).transpose(2, 1, 0) != 0)
    place = np.array([-1, -1, 1]) * peer.TransformIndexToPhysicalPoint((3, 4, 5))
    np.testing.assert_allclose(found.volume.geometry.world(np.array([[3, 4, 5]]))[0], place, atol=1e-4)


def test_a_film_stored_dense_is_dark_is_inverted_as_itk_does(data):
    path = data / "dicom-fixtures" / "dx_image.dcm"
    image = read_image(path)
    peer = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))[0]
    np.testing.assert_array_equal(image.volume.array, peer)
    assert image.volume.geometry.spacing == pytest.approx((1.2, 1.2012))
    assert image.volume.geometry.letters() == (("S", "I"), ("R", "L"))


def test_single_frame_segmentation_of_a_single_slice(data):
    folder = data / "dicom-fixtures"
    path = folder / "seg_image_ct_binary_single_frame.dcm"
    marked = read_mask(path, read_image(folder / "ct_image.dcm"), None).marked
    np.testing.assert_array_equal(marked[:, :, 0].T, dcmread(path).pixel_array != 0)


def test_segmentations_of_other_images_are_excluded(data):
    folder = data / "dicom-fixtures"
    image = read_image(folder / "ct_image.dcm")
    for name in ("ct_binary", "ct_binary_overlap", "ct_true_fractional", "cr_binary"):
        path = folder / f"seg_image_{name}.dcm"
        refusal(Reason.OTHER_IMAGE, lambda path=path: read_mask(path, image, None), excluded=True)


def test_a_projections_segmentation_is_highdicoms(data):
    path = data / "dicom-fixtures" / "seg_image_cr_binary.dcm"
    dataset = highdicom.seg.segread(path)
    source = dataset.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    uid = source.ReferencedSOPInstanceUID
    film = ImageFile(Volume(np.zeros((16, 16), np.float32), Geometry((16, 16), np.eye(4))), {}, frozenset({str(uid)}))
    peer = dataset.get_pixels_by_source_instance([uid], combine_segments=False)
    np.testing.assert_array_equal(read_mask(path, film, None).marked, peer[0, :, :, 0])


def test_a_structure_set_is_not_read_yet(data):
    folder = data / "ct-rtstruct"
    image = read_image(folder)
    assert image.volume.geometry.spacing == pytest.approx((0.488281, 0.488281, 5.0))
    refusal(Reason.UNSUPPORTED_FORMAT, lambda: read_mask(folder / "rt.dcm", image, None))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("CT_small.dcm", (128, 128, 1)),
        ("MR_small.dcm", (64, 64, 1)),
        ("MR_small_RLE.dcm", (64, 64, 1)),
        ("MR_small_jp2klossless.dcm", (64, 64, 1)),
        ("MR_small_bigendian.dcm", (64, 64, 1)),
    ],
)
def test_pydicoms_own_files(name, shape):
    path = get_testdata_file(name, download=False)
    image = read_image(Path(path))
    assert image.volume.geometry.shape == shape
    peer = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path))
    np.testing.assert_array_equal(image.volume.array, peer.transpose(2, 1, 0))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("MR_truncated.dcm", Reason.TRUNCATED),
        ("rtplan.dcm", Reason.UNSUPPORTED_FORMAT),
        ("SC_rgb_small_odd.dcm", Reason.NOT_A_SINGLE_CHANNEL),
        ("JPEG2000.dcm", Reason.NO_GEOMETRY),
        ("no_meta.dcm", Reason.UNSUPPORTED_FORMAT),
    ],
)
def test_pydicoms_broken_and_other_files(name, reason):
    refusal(reason, lambda: read_image(Path(get_testdata_file(name, download=False))))
