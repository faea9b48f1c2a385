"""Maps and masks as NIfTI, NRRD and BIDS: read back with other libraries, voxels at their places in the patient."""

import json

import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK

from pipeline.findings.results import load_results
from reports.exports.unique_names import StableNames
from tests.flows.test_nobody_is_identified import found_in
from tests.pipeline.studies.writers import OBLIQUE, grid
from tests.reports.exports.exported_run import SHAPE, SPACING, outlined

RAS = {"oblique": grid(OBLIQUE, SPACING, (10, -20, 30))}
TILTED = grid(np.eye(3), SPACING, (0, 0, 0))
TILTED[1, 2] = 0.5


def peak_of(audit, method):
    return next(entry.peak for entry in audit.map_scores if entry.method == method and entry.peak is not None)


def beside_peak(array, affine, position):
    """Return how far (mm) a position is from the nearest of the voxels that are tied for the maximum."""
    tied = np.argwhere(array == array.max())
    return np.linalg.norm(tied @ affine[:3, :3].T + affine[:3, 3] - position, axis=1).min()


@pytest.mark.parametrize("study", [0, 3])
def test_nifti_lies_on_the_images_grid_and_its_peak_where_the_record_says(ct, study):
    audit = ct.audits[study]
    folder = ct.folders["nifti"] / audit.study
    image = nibabel.load(folder / "map_layercam_2_lesion.nii.gz")
    assert image.shape == SHAPE
    assert image.get_data_dtype() == np.float32
    np.testing.assert_allclose(image.get_sform(), RAS["oblique"], atol=1e-3)
    np.testing.assert_allclose(image.get_qform(), RAS["oblique"], atol=1e-3)
    values = np.asarray(image.dataobj)
    assert beside_peak(values, image.affine, peak_of(audit, "layercam").position_mm) < 1e-3
    facts = json.loads((folder / "map_layercam_2_lesion.json").read_text())
    assert facts["weights_sha256"] == load_results(ct.run).model.sha256
    region = json.loads((folder / "region_layercam_2_lesion.json").read_text())
    marked = np.asarray(nibabel.load(folder / "region_layercam_2_lesion.nii.gz").dataobj)
    assert region["threshold_rule"] == "otsu"
    np.testing.assert_array_equal(marked, values > np.float32(region["threshold"]))


def test_a_tilted_gantry_keeps_its_sheared_grid(ct):
    audit = ct.audits[2]
    image = nibabel.load(ct.folders["nifti"] / audit.study / "map_gradcam_2_lesion.nii.gz")
    np.testing.assert_allclose(image.get_sform(), TILTED, atol=1e-3)
    assert image.get_qform(coded=True)[1] == 0, "a quaternion cannot say it"
    values, header = nrrd.read(str(ct.folders["nrrd"] / audit.study / "map_gradcam_2_lesion.nrrd"))
    np.testing.assert_array_equal(values, np.asarray(image.dataobj))
    np.testing.assert_allclose(header["space directions"].T, TILTED[:3, :3], atol=1e-9)


def test_nrrd_is_read_by_another_library_at_the_same_place(ct):
    audit = ct.audits[0]
    image = SimpleITK.ReadImage(str(ct.folders["nrrd"] / audit.study / "mask_ben_lesion.nrrd"))
    values = SimpleITK.GetArrayFromImage(image)
    np.testing.assert_array_equal(values, outlined(1)[..., 0])
    index = np.argwhere(values)[0][::-1]
    lps = np.array(image.TransformIndexToPhysicalPoint([int(part) for part in index]))
    np.testing.assert_allclose(lps * [-1, -1, 1], (RAS["oblique"] @ np.append(index, 1))[:3], atol=1e-3)
    other = SimpleITK.ReadImage(str(ct.folders["nifti"] / audit.study / "mask_ben_lesion.nii.gz"))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(other), values)


def test_a_picture_keeps_its_rows_and_columns(film):
    for audit in film.audits:
        image = nibabel.load(film.folders["nifti"] / audit.study / "map_gradcam_2_lesion.nii.gz")
        assert image.shape == (24, 32, 1)
        values, header = nrrd.read(str(film.folders["nrrd"] / audit.study / "map_gradcam_2_lesion.nrrd"))
        assert values.shape == (24, 32)
        assert header["space directions"].shape == (2, 3)
        np.testing.assert_array_equal(values, np.asarray(image.dataobj)[..., 0])
        down, across = np.argwhere(values == values.max()).mean(axis=0)
        assert 4 <= down <= 9
        assert 20 <= across <= 27


def test_a_bids_dataset_has_its_description_and_names_that_its_entities_allow(ct):
    folder = ct.folders["bids"]
    described = json.loads((folder / "dataset_description.json").read_text())
    assert (described["DatasetType"], described["GeneratedBy"][0]["Name"]) == ("derivative", "camaudit")
    images = sorted(folder.rglob("*.nii.gz"))
    assert len(images) == len(list(ct.folders["nifti"].rglob("*.nii.gz"))) == 21
    descs = {line.split("\t")[0] for line in (folder / "descriptions.tsv").read_text().splitlines()[1:]}
    for path in images:
        entities = dict(part.split("-", 1) for part in path.name.removesuffix(".nii.gz").split("_")[:-1])
        assert list(entities) == ["sub", "ses", "space", "label", "desc"]
        assert all(value.isalnum() for value in entities.values())
        assert entities["desc"] in descs
        assert path.parts[-4:-1] == (f"sub-{entities['sub']}", f"ses-{entities['ses']}", "anat")
        companion = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
        assert companion["SpatialReference"] == "orig"
        assert (companion.get("Type") == "ROI") == path.name.endswith("_mask.nii.gz")


def test_no_array_names_anybody(ct, film):
    for exported in (ct, film):
        for name in ("nifti", "nrrd", "bids"):
            for path in exported.folders[name].rglob("*"):
                content = path.read_bytes() if path.is_file() else b""
                content = nibabel.load(path).to_bytes() if path.name.endswith(".nii.gz") else content
                assert found_in(path.name + content.decode("latin-1")) == []


def test_names_that_are_cut_to_the_same_letters_stay_apart():
    names = StableNames(lambda text: "".join(filter(str.isalnum, text)))
    assert [names.of(text) for text in ("a-b", "ab", "A.B", "a-b", "c")] == ["ab", "ab2", "AB3", "ab", "c"]
