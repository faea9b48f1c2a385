"""Public data sets and archives as they lie on a disk: straight as the archive's path, and by a scan's manifest."""

import json
import shutil

import numpy as np
import pytest

from pipeline.config import LayoutName
from pipeline.errors import ArchiveError, Reason, StudyError
from pipeline.studies.index.catalogue import open_catalogue
from pipeline.studies.index.scan import scan, summary
from pipeline.studies.list_studies import Discovery, list_studies
from pipeline.studies.listing.dataset_layouts import LAYOUTS, found_layout
from pipeline.studies.listing.layouts.layout import LayoutChoice
from pipeline.studies.read_study import read_study
from tests.field.layouts.copies import (
    INDEX,
    STRUCTURES,
    brats,
    grand_challenge,
    luna,
    mark,
    meta_image,
    orthanc,
    tcia,
    total_segmentator,
    volume,
    xnat,
)
from tests.field.making import NAMES, RAMP, attempt, scanned
from tests.pipeline.studies.writers import SECRET

HERE = [list(INDEX)]


def rows_of(root, label=None, *, layout=None, modalities=None, private=None):
    found_by = Discovery(LayoutChoice(layout, modalities), private)
    return list_studies(root, None, label, found_by=found_by)


def read(rows):
    """Return for each row the refusal, or its marked voxels by label with the reasons of masks that cannot be used."""
    told = []
    for row in rows:
        study = attempt(lambda row=row: read_study(row, NAMES))
        if isinstance(study, StudyError):
            told.append(str(study.reason))
        else:
            marks = {
                mask.label: np.argwhere(mask.array).tolist() for mask in sorted(study.masks, key=lambda m: m.label)
            }
            told.append((marks, sorted(str(fault.reason) for fault in study.mask_faults)))
    return told


def layout_of(root):
    with open_catalogue(root.parent / "layout.sqlite", root) as catalogue:
        scan(root, catalogue, workers=0, on_files=lambda _: None)
        return summary(root, catalogue).layout


def told_alike(root, label=None, **how):
    """Assert that the archive's path alone and a scan's manifest lead to the same studies, and return them."""
    direct = read(rows_of(root, label, **how))
    if label is None:
        manifest_rows = scanned(root)[1]
        assert sorted(map(repr, read(manifest_rows))) == sorted(map(repr, direct))
        assert len({row.patient for row in manifest_rows}) == len({row.patient for row in rows_of(root, **how)})
        assert [dict(row.strata) for row in manifest_rows] == [dict(row.strata) for row in rows_of(root, **how)]
    return direct


# -- TotalSegmentator


def test_total_segmentator(tmp_path):
    root = total_segmentator(tmp_path / "a")
    assert told_alike(root) == [(dict.fromkeys(sorted(STRUCTURES), HERE), [])] * 3
    rows = rows_of(root)
    assert [(row.study, row.patient, dict(row.strata)) for row in rows][1] == (
        "s0001", "s0001", {"split": "test", "gender": "f"},
    )  # fmt: skip
    layout = layout_of(root)
    assert (layout.title, layout.subjects, layout.structures, layout.masks_missing) == ("TotalSegmentator", 3, 3, 0)


def test_total_segmentator_with_a_label(tmp_path):
    root = total_segmentator(tmp_path / "a")
    (row, *_) = rows_of(root, "liver")
    assert ([mask.label for mask in row.masks], row.reference) == (["liver"], ("liver",))


def test_a_structure_that_one_subject_lacks_is_a_missing_file_and_a_subject_without_an_image_fails(tmp_path):
    root = total_segmentator(tmp_path / "a")
    (root / "s0001" / "segmentations" / "spleen.nii.gz").unlink()
    (root / "s0002" / "ct.nii.gz").unlink()
    told = read(rows_of(root))
    assert [entry if isinstance(entry, str) else entry[1] for entry in told] == [[], ["missing_file"], "missing_file"]
    layout = layout_of(root)
    assert (layout.subjects, layout.images_missing, layout.masks_missing) == (3, 1, 1)
    studies, rows, numbers = scanned(root)
    assert (len(rows), numbers.files) == (2, numbers.used + sum(numbers.excluded.values()))
    assert [fault.reason for fault in studies[1].mask_faults] == ["missing_file"]
    (row,) = [row for row in rows_of(root, "spleen") if row.study == "s0001"]
    assert row.reference == ("spleen",)  # not a negative


def test_a_subject_without_any_structure_was_not_annotated(tmp_path):
    root = total_segmentator(tmp_path / "a")
    shutil.rmtree(root / "s0001" / "segmentations")
    assert [(len(row.masks), row.reference) for row in rows_of(root, "liver")] == [
        (1, ("liver",)),
        (0, None),
        (1, ("liver",)),
    ]


def test_the_mri_set(tmp_path):
    root = total_segmentator(tmp_path / "a", 1)
    (root / "s0000" / "ct.nii.gz").rename(root / "s0000" / "mri.nii.gz")
    assert told_alike(root)[0][0]["liver"] == HERE


def test_a_structure_that_leads_out_is_refused(tmp_path):
    root = total_segmentator(tmp_path / "a")
    outside = volume(tmp_path / "b.nii.gz", mark())
    path = root / "s0001" / "segmentations" / "spleen.nii.gz"
    path.unlink()
    path.symlink_to(outside)
    with pytest.raises(ArchiveError, match="leads out"):
        rows_of(root)


# -- BraTS

REGIONS = {
    "whole tumor": [[1, 1, 1], [2, 2, 2], list(INDEX)],
    "tumor core": [[2, 2, 2], list(INDEX)],
    "enhancing tumor": [[2, 2, 2]],
}
GENERATIONS = {
    "2020": (["BraTS20_Training_001", "BraTS20_Training_002"], "", 2),
    "2021": (["BraTS2021_00000", "BraTS2021_00002"], "", 2),
    "2018": (["Brats18_CBICA_AAM_1", "Brats18_2013_2_1"], "HGG", 2),
    "2019": (["BraTS19_TCIA10_103_1", "BraTS19_TCIA10_103_2"], "LGG", 1),
    "2023": (["BraTS-GLI-00000-000", "BraTS-GLI-00002-000"], "", 2),
    "2024": (["BraTS-GLI-02405-100", "BraTS-GLI-02405-101"], "training_data1_v2", 1),
    "meningioma": (["BraTS-MEN-00004-000"], "", 1),
}  # fmt: skip


@pytest.mark.parametrize(("names", "group", "patients"), GENERATIONS.values(), ids=GENERATIONS)
def test_brats(tmp_path, names, group, patients):
    root = brats(tmp_path / "a", names, group=group)
    told = told_alike(root)
    assert [{label: sorted(marks) for label, marks in entry[0].items()} for entry in told] == [
        {label: sorted(marks) for label, marks in REGIONS.items()}
    ] * (4 * len(names))
    assert all(entry[1] == [] for entry in told)
    layout = layout_of(root)
    assert (layout.title, layout.subjects, layout.studies, layout.structures) == ("BraTS", patients, 4 * len(names), 3)


def test_brats_modalities_are_chosen_by_either_name(tmp_path):
    root = brats(tmp_path / "a", ["BraTS20_Training_001"])
    for names in (("t1ce",), ("t1c",)):
        (row,) = rows_of(root, modalities=names)
        assert (row.image.name, row.study) == ("BraTS20_Training_001_t1ce.nii.gz", "BraTS20_Training_001-t1c")
    assert len(rows_of(root, modalities=("t2f", "t1"))) == 2
    with pytest.raises(ArchiveError, match="no subject has the modality 'pet'; there are t1n, t1c, t2w, t2f"):
        rows_of(root, modalities=("pet",))


def test_brats_children_have_no_parts_of_which_anybody_is_sure(tmp_path):
    root = brats(tmp_path / "a", ["BraTS-PED-00001-000"])
    assert {mask.label for row in rows_of(root) for mask in row.masks} == {"whole tumor"}


def test_brats_a_file_under_another_name_is_missing(tmp_path):
    """As the segmentation of one case of 2020 is in the set that is handed out."""
    root = brats(tmp_path / "a", ["BraTS20_Training_354", "BraTS20_Training_355"])
    seg = root / "BraTS20_Training_355" / "BraTS20_Training_355_seg.nii.gz"
    seg.rename(seg.with_name("W39_1998.09.19_Segm.nii.gz"))
    (root / "BraTS20_Training_354" / "BraTS20_Training_354_t2.nii.gz").unlink()
    told = dict(zip((row.study for row in rows_of(root)), read(rows_of(root)), strict=True))
    assert told["BraTS20_Training_355-t1n"] == ({}, ["missing_file"] * 6)
    assert told["BraTS20_Training_354-t2w"] == "missing_file"
    assert len(told) == 8


def test_brats_validation_cases_were_not_annotated(tmp_path):
    root = brats(
        brats(tmp_path / "a", ["BraTS20_Training_001"], group="train"), ["BraTS20_Validation_001"], group="val"
    )
    (root / "val" / "BraTS20_Validation_001" / "BraTS20_Validation_001_seg.nii.gz").unlink()
    rows = rows_of(root, "whole tumor", modalities=("t2",))
    assert [(row.study, row.reference) for row in rows] == [
        ("BraTS20_Training_001-t2w", ("whole tumor",)),
        ("BraTS20_Validation_001-t2w", None),
    ]


# -- LUNA16 and grand-challenge


def test_luna16(tmp_path):
    root = luna(tmp_path / "a")
    told = told_alike(root)
    lungs = {"lung": sorted([[1, 1, 1], list(INDEX)]), "trachea": [[2, 2, 2]]}
    nodules = [[list(INDEX), [9, 10, 4]], [list(INDEX)], None]
    assert told == [({**lungs, **({"nodule": marks} if marks else {})}, []) for marks in nodules]
    assert [row.reference for row in rows_of(root, "nodule")] == [("nodule",), ("nodule",), ()]
    assert [row.reference for row in scanned(root)[1]] == [("nodule",), ("nodule",), ()]
    assert layout_of(root).structures == 3


def test_luna16_files_of_voxels_are_the_images(tmp_path):
    """Neither lost, nor images or faults of their own."""
    root = luna(tmp_path / "a")
    numbers = scanned(root)[2]
    assert (numbers.images, numbers.usable, numbers.masks_used) == (3, 3, 3)
    assert numbers.excluded == {"not_an_image": 1}  # the table
    (root / "subset0" / next(path.name for path in (root / "subset0").glob("*.raw"))).unlink()
    numbers = scanned(root)[2]
    assert (numbers.usable, numbers.modalities[0].excluded) == (2, {"missing_file": 1})


def test_luna16_without_a_lung_map_for_one_scan(tmp_path):
    root = luna(tmp_path / "a")
    for path in (root / "seg-lungs-LUNA16").glob("*.097*"):
        path.unlink()
    assert read(rows_of(root))[0][1] == ["missing_file"] * 3


def test_a_header_and_its_voxels_are_one_file_to_a_scan(tmp_path):
    root = tmp_path / "a"
    meta_image(root / "x.mhd", RAMP)
    _, (row,), numbers = scanned(root)
    assert row.image.name == "x.mhd"
    assert (numbers.used, numbers.files) == (2, 2)
    (root / "x.raw").write_bytes((root / "x.raw").read_bytes()[:-2])
    assert scanned(root)[2].modalities[0].excluded == {"truncated": 1}
    (root / "x.raw").unlink()
    assert scanned(root)[2].modalities[0].excluded == {"missing_file": 1}
    meta_image(root / "x.mhd", RAMP)
    assert scanned(root)[2].usable == 1


def test_grand_challenge(tmp_path):
    root = grand_challenge(tmp_path / "a")
    assert told_alike(root) == [({"liver": HERE}, [])] * 4
    assert [(row.study, row.patient) for row in rows_of(root, modalities=("ct",))] == [("a1-ct", "a1"), ("b2-ct", "b2")]
    (root / "images" / "liver-segmentation" / "b2.mha").unlink()
    assert read(rows_of(root, modalities=("ct",)))[1] == ({}, ["missing_file"])
    meta_image(root / "images" / "liver-segmentation" / "c3.mha", mark())
    with pytest.raises(ArchiveError, match="1 masks under images bear the name of no image"):
        rows_of(root)


# -- folders of DICOM


@pytest.mark.parametrize(
    ("make", "title"), [(tcia, "TCIA (NBIA download)"), (xnat, "XNAT"), (orthanc, "Orthanc storage")]
)
def test_dicom_folders_are_told_by_their_headers(tmp_path, make, title):
    root = make(tmp_path / "a")
    private = tmp_path / "runs" / "archives"
    rows = rows_of(root, "liver", private=private)
    assert read(rows) == [({"liver": HERE}, [])] * 2
    assert {row.patient for row in rows} == {"SECRET0", "SECRET1"}
    assert {row.reference for row in rows} == {("liver",)}
    assert layout_of(root).title == title
    again = rows_of(root, "liver", private=private)
    assert [row.image for row in again] == [row.image for row in rows]
    assert all(path.stat().st_mode & 0o077 == 0 for path in private.rglob("*"))
    assert len(scanned(root)[1]) == 2


def test_orthancs_attachments_that_are_no_dicom_are_passed_over_with_a_reason(tmp_path):
    numbers = scanned(orthanc(tmp_path / "a"))[2]
    assert (numbers.usable, numbers.masks_used) == (2, 2)
    assert numbers.excluded == {"not_an_image": 14 + 1 + 1}  # JSON, a packed attachment, the index


def test_a_folder_of_dicom_that_grows(tmp_path):
    private = tmp_path / "private"
    (row,) = rows_of(xnat(tmp_path / "a", 1), private=private)
    rows = rows_of(xnat(tmp_path / "a", 2), private=private)
    assert [marks["liver"] for marks, _ in read(rows)] == [HERE, HERE]
    assert row.image in {other.image for other in rows}


def test_a_folder_of_dicom_without_a_place_to_keep_a_scan_says_what_to_do(tmp_path):
    with pytest.raises(ArchiveError, match="whose studies its headers tell; make a manifest with camaudit scan"):
        rows_of(xnat(tmp_path / "a"))


def test_what_somebody_has_made_of_a_series_is_no_patient_of_its_own(tmp_path):
    root = xnat(tmp_path / "a")
    volume(root / "SECRET0" / "SECRET0_MR1" / "SCANS" / "1" / "resources" / "NIFTI" / "t1.nii.gz")
    rows = rows_of(root, private=tmp_path / "p")
    assert {row.patient for row in rows} == {"SECRET0", "SECRET1"}
    assert len(rows) == 2
    assert scanned(root)[2].usable == 3  # a scan's manifest leaves it to the user


def test_any_folder_of_dicom_by_choice(tmp_path):
    root = xnat(tmp_path / "a")
    (root / "SECRET0").rename(root / "x")
    for path in root.glob("*/*/SCANS"):
        path.rename(path.with_name("series"))
    with pytest.raises(ArchiveError, match="holds no studies"):
        rows_of(root, private=tmp_path / "p")
    assert len(rows_of(root, layout="dicom", private=tmp_path / "p")) == 2


# -- which layout


def test_the_configurations_names_are_the_layouts():
    assert LayoutName.__args__ == tuple(layout.name for layout in LAYOUTS)


def test_two_layouts_in_one_folder_are_decided_by_the_user(tmp_path):
    root = brats(total_segmentator(tmp_path / "a", 1), ["BraTS2021_00000"])
    with pytest.raises(ArchiveError, match=r"TotalSegmentator \(totalsegmentator\) and BraTS \(brats\); name the one"):
        rows_of(root)
    assert layout_of(root).title == "not decided"
    assert len(rows_of(root, layout="totalsegmentator")) == 1
    assert len(rows_of(root, layout="brats")) == 4
    with pytest.raises(ArchiveError, match="is not laid out as LUNA16"):
        rows_of(root, layout="luna16")
    with pytest.raises(ArchiveError, match="'SECRET' is no layout; there are bids, decathlon"):
        rows_of(root, layout="SECRET")


def test_a_scan_is_grouped_again_when_the_layout_is_chosen(tmp_path):
    root = brats(total_segmentator(tmp_path / "a", 1), ["BraTS2021_00000"])
    told = []
    for layout in (None, "brats", "totalsegmentator"):
        with open_catalogue(tmp_path / "i.sqlite", root) as catalogue:
            choice = LayoutChoice(layout)
            scan(root, catalogue, workers=0, on_files=lambda _: None, choice=choice)
            told.append(summary(root, catalogue, choice=choice).masks_used)
    assert told == [2, 3, 3]  # folders of masks are known without a layout; where two fit, no file says which is kept


def test_a_layout_one_level_deeper_is_found_and_several_are_not_guessed(tmp_path):
    root = tmp_path / "a"
    total_segmentator(root / "Totalsegmentator_dataset_v201", 2)
    (root / "README.txt").write_text("text")
    (root / "__MACOSX").mkdir()
    assert len(told_alike(root)) == 2
    assert layout_of(root).subjects == 2
    brats(root / "brats", ["BraTS2021_00000"])
    with pytest.raises(
        ArchiveError, match=r"holds no studies; 2 of its folders are archives \(BraTS, TotalSegmentator\)"
    ):
        rows_of(root)


def test_modalities_are_refused_where_nothing_tells_them_apart(tmp_path):
    with pytest.raises(ArchiveError, match=r"archive\.modalities chooses among .*, and TotalSegmentator"):
        rows_of(total_segmentator(tmp_path / "a", 1), modalities=("ct",))
    volume(tmp_path / "b" / "x.nii.gz")
    with pytest.raises(ArchiveError, match="an archive of no known layout"):
        rows_of(tmp_path / "b", modalities=("ct",))


def test_nnunets_channels_by_name(tmp_path):
    for channel in ("0000", "0001"):
        volume(tmp_path / "a" / "imagesTr" / f"c_{channel}.nii.gz")
    about = {"channel_names": {"0": "T1", "1": "FLAIR"}, "labels": {"background": 0, "x": 1}}
    (tmp_path / "a" / "dataset.json").write_text(json.dumps(about))
    assert [row.study for row in rows_of(tmp_path / "a", modalities=("FLAIR",))] == ["c_0001"]


def test_loops_of_links_end(tmp_path):
    root = total_segmentator(tmp_path / "a", 2)
    (root / "s0001" / "segmentations" / "loop").symlink_to(root)
    (root / "s0002").symlink_to(root / "s0002")
    (root / "s0003").symlink_to(root)
    (root / "self").symlink_to(root)
    assert len(rows_of(root)) >= 2
    assert found_layout(root).layout.title == "TotalSegmentator"
    only = tmp_path / "b"
    only.mkdir()
    (only / "again").symlink_to(only)
    assert found_layout(only) is None


def test_a_table_of_many_words_names_nobody(tmp_path):
    root = total_segmentator(tmp_path / "a", 1)
    (root / "meta.csv").write_text(f"image_id;split;gender;{SECRET}\ns0000;{SECRET};{SECRET};{SECRET}\n")
    (row,) = rows_of(root)
    assert dict(row.strata) == {}
    (root / "meta.csv").write_bytes(b"\xff\xfe\0;")
    assert len(rows_of(root)) == 1


def test_a_reason_is_a_word_of_the_list():
    assert Reason("missing_file") is Reason.MISSING_FILE
