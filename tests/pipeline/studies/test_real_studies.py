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
from pipeline.studies.geometry import Geometry
from pipeline.studies.pseudonyms import Pseudonyms
from pipeline.studies.read_study import MaskSource, StudyRow, read_study
from pipeline.studies.readers import ReadOptions, read_image, read_mask
from pipeline.studies.readers.shared.base import ImageFile
from pipeline.studies.volume import Volume
from tests.pipeline.studies.peers import assert_same, by_dcm2niix, by_simpleitk
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


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "693_J2KI.dcm",
        "J2K_pixelrep_mismatch.dcm",
        "MR_small.dcm",
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_padded.dcm",
        "examples_overlay.dcm",
    ],
)
def test_pydicoms_slices_are_simpleitks(name):
    path = Path(get_testdata_file(name, download=False))
    assert_same(read_image(path).volume, by_simpleitk(path))


LUMINANCE = np.array([0.299, 0.587, 0.114])


@pytest.mark.parametrize(
    ("name", "apart"),
    [
        ("JPEG2000.dcm", 0),
        ("JPEGLSNearLossless_08.dcm", 0),
        ("JPEGLSNearLossless_16.dcm", 0),
        ("JPGExtended.dcm", 1),  # two decoders of one lossy stream
        ("image_dfl.dcm", 0),
        ("ExplVR_BigEnd.dcm", 0),
        ("GDCMJ2K_TextGBR.dcm", 0),
        ("SC_rgb_rle.dcm", 0),
        ("SC_rgb_rle_2frame.dcm", 0),
        ("SC_rgb_jpeg_gdcm.dcm", 0),
        ("SC_rgb_jpeg_dcmd.dcm", 0),
        ("SC_rgb_jpeg_dcmtk.dcm", 0),
        ("SC_rgb_dcmtk_+eb+cr.dcm", 1),
        ("SC_rgb_gdcm_KY.dcm", 0),
        ("SC_rgb_jls_lossy_line.dcm", 0),
        ("SC_rgb_small_odd_big_endian.dcm", 0),
        ("SC_ybr_full_422_uncompressed.dcm", 0),
        ("examples_rgb_color.dcm", 0),
        ("examples_jpeg2k.dcm", 0),
        ("examples_ybr_color.dcm", 2),
    ],
)
def test_pydicoms_captures_are_simpleitks(name, apart):
    path = Path(get_testdata_file(name, download=False))
    peer = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))[0].astype(float)
    expected = peer @ LUMINANCE if peer.ndim == 3 else peer
    np.testing.assert_allclose(read_image(path, ReadOptions(volume=0)).volume.array, expected, atol=apart + 1e-4)


def test_a_palette_of_16_bits_is_simpleitks_8_bits_in_its_own_range():
    path = Path(get_testdata_file("examples_palette.dcm", download=False))
    peer = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))[0] @ LUMINANCE
    np.testing.assert_allclose(read_image(path).volume.array, peer * 256, rtol=1e-5)


def test_16_bit_colour_in_rle_is_its_8_bit_twin():
    """SimpleITK mixes the bytes of these up; the two files show the same picture."""
    deep, plain = (get_testdata_file(f"SC_rgb_rle{depth}.dcm", download=False) for depth in ("_16bit", ""))
    expected = read_image(Path(plain)).volume.array * 257.0
    np.testing.assert_allclose(read_image(Path(deep)).volume.array, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("MR_truncated.dcm", Reason.TRUNCATED),
        ("rtplan.dcm", Reason.NOT_AN_IMAGE),
        ("rtdose_rle.dcm", Reason.NOT_AN_IMAGE),
        ("liver_1frame.dcm", Reason.NOT_AN_IMAGE),
        ("JPEG-lossy.dcm", Reason.NOT_READABLE),
        ("SC_rgb_rle_2frame.dcm", Reason.SEVERAL_VOLUMES),
        ("examples_ybr_color.dcm", Reason.SEVERAL_VOLUMES),
        ("no_meta.dcm", Reason.UNSUPPORTED_FORMAT),
        ("meta_missing_tsyntax.dcm", Reason.NOT_READABLE),
    ],
)
def test_pydicoms_broken_and_other_files(name, reason):
    refusal(reason, lambda: read_image(Path(get_testdata_file(name, download=False))))


@pytest.mark.parametrize("names", [["01", "02", "03"], ["03"]])
def test_the_livers_ct_is_dcm2niixs(data, tmp_path, names):
    folder = tmp_path / "image"
    folder.mkdir()
    for name in names:
        shutil.copy(data / "ct-liver-dicom" / f"{name}.dcm", folder)
    assert_same(read_image(folder).volume, by_dcm2niix(folder, tmp_path / "out"))


def test_the_oldest_slices_are_simpleitks_and_dcm2niixs(data, tmp_path):
    folder = tmp_path / "image"
    folder.mkdir()
    for name in ("ct_1", "ct_2"):
        shutil.copy(data / "ct-rtstruct" / f"{name}.dcm", folder)
    ours = read_image(folder).volume
    assert_same(ours, by_simpleitk(folder))
    assert_same(ours, by_dcm2niix(folder, tmp_path / "out"))
