import json
import os
import pickle
import re
import shutil
import traceback

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import ArchiveError, Reason, Stage, StudyError
from pipeline.studies import readers
from pipeline.studies.list_studies import list_studies
from pipeline.studies.pseudonyms import Pseudonyms
from pipeline.studies.read_study import MaskSource, StudyRow, read_study, source_digest
from pipeline.studies.readers import AS_STORED, ReadOptions
from pipeline.studies.study import MaskFault, faults_of
from pipeline.studies.volume import Mask
from tests.pipeline.studies.misbehaving import Panic
from tests.pipeline.studies.writers import (
    FRAME,
    SECRET,
    dot,
    grid,
    names_nobody,
    nifti,
    refusal,
    save,
    segmentation,
    slices,
)

SHAPE, MARK = (7, 5, 6), (5, 1, 4)
AFFINE = grid(np.diag([-1, -1, 1]), (0.7, 0.9, 2.5), (40.0, -12.5, 100.25))
NAMES = Pseudonyms(b"0123456789abcdef0123456789abcdef")


def manifest(folder, text, encoding="utf-8"):
    path = folder / "manifest.csv"
    path.write_text(text, encoding=encoding)
    return path


def refused(words, *arguments):
    """Assert one clear line that holds ``words`` and names no patient."""
    with pytest.raises(ArchiveError, match=words) as caught:
        list_studies(*arguments)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


# -- the manifest


def test_a_manifest_becomes_rows(tmp_path):
    text = (
        "study,patient,image,mask:r1,mask:r2:effusion,label,site\n"
        "s1,p1,a.nii,m/a1.nii,,nodule; effusion ;nodule,north\n"
        '"s,2",p1,b,,m/b.dcm,,\n'
    )
    rows = list_studies(tmp_path, manifest(tmp_path, text, "utf-8-sig"))
    assert rows == (
        StudyRow(
            "s1",
            "p1",
            tmp_path / "a.nii",
            (MaskSource("r1", None, tmp_path / "m/a1.nii"),),
            ("nodule", "effusion"),
            {"site": "north"},
        ),
        StudyRow("s,2", "p1", tmp_path / "b", (MaskSource("r2", "effusion", tmp_path / "m/b.dcm"),), (), {"site": ""}),
    )


def test_a_masks_column_may_state_a_labels_value(tmp_path):
    text = "study,patient,image,mask: r1 :lung = 1 ,mask:r1:nodule=12,mask:r2:a b\ns,p,a.nii,m.nii,m.nii,n.nii\n"
    (row,) = list_studies(tmp_path, manifest(tmp_path, text))
    assert row.masks == (
        MaskSource("r1", "lung", tmp_path / "m.nii", 1),
        MaskSource("r1", "nodule", tmp_path / "m.nii", 12),
        MaskSource("r2", "a b", tmp_path / "n.nii"),
    )


def test_a_masks_cell_may_name_its_entry(tmp_path):
    text = "study,patient,image,mask:r1,mask:r2,mask:r3\ns,p,a#b.png,x/m.JSON#k/1#2.png,m.csv,m#1.nii\n"
    (row,) = list_studies(tmp_path, manifest(tmp_path, text))
    assert row.image == tmp_path / "a#b.png"
    assert [(mask.path.relative_to(tmp_path).as_posix(), mask.key) for mask in row.masks] == [
        ("x/m.JSON", "k/1#2.png"),
        ("m.csv", None),
        ("m#1.nii", None),
    ]
    refused("leads out", tmp_path, manifest(tmp_path, "study,patient,image,mask:r\ns,p,a,../SECRET.json#k\n"))


def test_without_a_label_column_nobody_said(tmp_path):
    (row,) = list_studies(tmp_path, manifest(tmp_path, "study,patient,image\ns,p,a.nii\n"))
    assert (row.reference, row.masks, row.strata) == (None, (), {})


def test_one_study_name_may_stand_for_two_patients(tmp_path):
    rows = list_studies(tmp_path, manifest(tmp_path, "study,patient,image\n1,p,a.nii\n1,q,b.nii\n"))
    assert len({NAMES.study(row.patient, row.study) for row in rows}) == 2


def test_rows_do_not_print_names(tmp_path):
    rows = list_studies(tmp_path, manifest(tmp_path, "study,patient,image,mask:r\nSECRET,SECRET,SECRET,SECRET\n"))
    assert SECRET not in repr(rows)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "column 'study' is missing; it has none"),
        ("study,pateint,image\n", "column 'patient' is missing; is 'pateint' meant"),
        ("study,patient\n", "column 'image' is missing; it has study, patient"),
        ("study,patient,image,study\n", "'study' is empty or stands twice"),
        ("study,patient,image,\n", "'' is empty or stands twice"),
        ("study,patient,image,labels\n", "column 'labels' is unknown; is 'label' meant"),
        ("study,patient,image,Label\n", "column 'Label' is unknown; is 'label' meant"),
        ("study,patient,image,mask\n", "column 'mask' is unknown"),
        ("study,patient,image,Mask:r\n", "column 'Mask:r' is unknown"),
        ("study,patient,image,seg_r1\n", "column 'seg_r1' is unknown"),
        ("study,patient,image,mask:\n", "must be mask:<reader>"),
        ("study,patient,image,mask:r::a\n", "must be mask:<reader>"),
        ("study,patient,image,mask:r:a:b\n", "must be mask:<reader>"),
        ("study,patient,image,mask:r:a=\n", "must be mask:<reader>"),
        ("study,patient,image,mask:r:a=0\n", "<number above 0>"),
        ("study,patient,image,mask:r:a=b\n", "<number above 0>"),
        ("study,patient,image,mask:r:=1\n", "<number above 0>"),
        ("study,patient,image,mask:r:a=1,mask:r:a= 1\n", "reader 'r' contradict"),
        ("study,patient,image,mask:r:a=1,mask:r:a\n", "reader 'r' contradict"),
        ("study,patient,image,mask:r,mask:r:a\n", "reader 'r' contradict"),
        ("study,patient,image,mask:r:a,mask: r:a\n", "reader 'r' contradict"),
        ("study,patient,image,Patient_Name\n", "'Patient_Name' would carry patients' identity"),
        ("study,patient,image,dob\n", "'dob' would carry"),
        ("study,patient,image\n", "holds no studies"),
        ("study,patient,image\nSECRET,SECRET\n", "line 2 has 2 cells for 3 columns"),
        ("study,patient,image\n\nSECRET,,a\n", "line 3: column 'patient' is empty"),
        ("study,patient,image\nSECRET,p,a\ns,p,a\nSECRET,p,b\n", "lines 2 and 4 name the same study"),
        ("study,patient,image\ns,p,../SECRET.nii\n", "line 2, column 'image': the path leads out"),
        ("study,patient,image\ns,p,/SECRET.nii\n", "line 2, column 'image': the path leads out"),
        ("study,patient,image,mask:r\ns,p,a,x/../../SECRET\n", "line 2, column 'mask:r': the path leads out"),
        ("study,patient,image\ns,p,SECRET\0\n", "is not CSV|cannot be followed"),
        ('study,patient,image\ns,p,"SECRET\n', "is not CSV"),
    ],
)
def test_a_wrong_manifest_is_refused_in_one_line(tmp_path, text, words):
    refused(words, tmp_path, manifest(tmp_path, text))


def test_links_that_lead_out_are_refused(tmp_path):
    root = tmp_path / "archive"
    (root / "slices").mkdir(parents=True)
    (tmp_path / "SECRET.nii").write_text("")
    (root / "link.nii").symlink_to(tmp_path / "SECRET.nii")
    (root / "slices" / "1.dcm").symlink_to(tmp_path / "SECRET.nii")
    (root / "loop.nii").symlink_to(root / "loop.nii")
    (root / "fine.nii").symlink_to(root / "slices")
    for name, words in [("link.nii", "leads out"), ("slices", "leads out"), ("loop.nii", "cannot be followed")]:
        refused(words, root, manifest(tmp_path, f"study,patient,image\ns,p,{name}\n"))
    (root / "slices" / "1.dcm").unlink()
    assert list_studies(root, manifest(tmp_path, "study,patient,image\ns,p,fine.nii\n"))


def test_a_missing_archive_or_manifest_is_refused(tmp_path):
    refused("not there", tmp_path / "none", None)
    refused("cannot be read: No such file", tmp_path, tmp_path / "none.csv")
    refused("holds no studies", tmp_path)
    refused("goes without a manifest", tmp_path, manifest(tmp_path, "study,patient,image\n"), "nodule")
    (tmp_path / "bad.csv").write_bytes(b"study,patient,image\n\xff\xfe,p,a\n")
    refused("is not CSV in UTF-8", tmp_path, tmp_path / "bad.csv")


# -- discovery


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")


def found(root, label=None):
    return {
        row.study: (
            row.image.relative_to(root).as_posix(),
            sorted((mask.reader, mask.label, mask.path.relative_to(root).as_posix()) for mask in row.masks),
            row.reference,
        )
        for row in list_studies(root, None, label)
    }


def test_studies_are_found_in_folders(tmp_path):
    touch(tmp_path, "a/image.nii.gz", "a/mask.nii.gz", "a/mask_r1.seg.nrrd", "a/notes.txt", "b/dicom/1.dcm")
    touch(tmp_path, "b/SEG_r 2.dcm", "c/IMAGE.NII", "d/mask.nii", "empty/notes.txt", ".git/image.nii")
    assert found(tmp_path, "nodule") == {
        "a": (
            "a/image.nii.gz",
            [("expert", "nodule", "a/mask.nii.gz"), ("r1", "nodule", "a/mask_r1.seg.nrrd")],
            ("nodule",),
        ),
        "b": ("b/dicom", [("r 2", "nodule", "b/SEG_r 2.dcm")], ("nodule",)),
        "c": ("c/IMAGE.NII", [], ()),
        "d": ("d/image.nii.gz", [("expert", "nodule", "d/mask.nii")], ("nodule",)),
    }


def test_studies_are_found_as_files_beside_each_other(tmp_path):
    touch(tmp_path, "x_1.nii.gz", "x_1_mask.nii.gz", "y_image.nrrd", "y_seg_r_1.nrrd", "z.dcm", "z.seg.nrrd", "a.txt")
    assert found(tmp_path) == {
        "x_1": ("x_1.nii.gz", [("expert", None, "x_1_mask.nii.gz")], None),
        "y": ("y_image.nrrd", [("r_1", None, "y_seg_r_1.nrrd")], None),
        "z": ("z.dcm", [("expert", None, "z.seg.nrrd")], None),
    }


def test_pictures_are_found_and_previews_are_not_in_the_way(tmp_path):
    touch(tmp_path, "a/image.png", "a/mask_r1.png", "b.png", "b_mask.png", "c/image.nii", "c/preview.png")
    touch(tmp_path, "c/view.jpg", "c/side.jpeg", "d/image.JPG", "d/mask.png", "e.jpeg", "e_mask.png", "f.jpg")
    assert found(tmp_path) == {
        "a": ("a/image.png", [("r1", None, "a/mask_r1.png")], None),
        "b": ("b.png", [("expert", None, "b_mask.png")], None),
        "c": ("c/image.nii", [], None),
        "d": ("d/image.JPG", [("expert", None, "d/mask.png")], None),
        "e": ("e.jpeg", [("expert", None, "e_mask.png")], None),
        "f": ("f.jpg", [], None),
    }


def test_a_mask_as_jpeg_is_no_image_and_fails_as_a_mask(tmp_path):
    for name in ("a.png", "a_mask.jpg"):
        Image.fromarray(np.zeros((6, 8), np.uint8)).save(tmp_path / name)
    (row,) = list_studies(tmp_path)
    (fault,) = read_study(row, NAMES).mask_faults
    assert fault.reason is Reason.UNSUPPORTED_FORMAT


@pytest.mark.parametrize("names", [("a.nii", "a_mask_consensus:majority.nii"), ("a/image.nii", "a/mask_SECRET:x.nii")])
def test_a_reader_is_not_called_like_a_consensus(tmp_path, names):
    touch(tmp_path, *names)
    refused("1 masks state a reader whose name holds a colon", tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        ("SECRET/image.nii", "SECRET/image.dcm"),
        ("SECRET/image.nii", "SECRET/dicom/1.dcm"),
        ("SECRET.nii", "SECRET_image.nii"),
        ("SECRET.nii", "SECRET_mask.nii", "SECRET_seg.nii"),
        ("SECRET.nii", "SECRET/image.nii"),
    ],
)
def test_a_study_with_two_images_or_two_masks_of_a_reader_is_refused(tmp_path, names):
    touch(tmp_path, *names)
    refused("1 of 1 studies have two images", tmp_path)


def test_a_mask_of_another_name_is_not_passed_over(tmp_path):
    touch(tmp_path, "SECRET/image.nii", "SECRET/segmentation.nii")
    refused("1 files in studies' folders are named neither image nor mask", tmp_path)


def test_discovered_links_that_lead_out_are_refused(tmp_path):
    touch(tmp_path, "out/SECRET.nii", "archive/notes.txt")
    (tmp_path / "archive" / "s.nii").symlink_to(tmp_path / "out" / "SECRET.nii")
    refused("leads out", tmp_path / "archive")


# -- the digest


@pytest.fixture
def row(tmp_path):
    """A study of DICOM slices with two readers' masks; every name and folder is a secret."""
    folder = tmp_path / "SECRET"
    images = slices(dot(SHAPE, MARK), AFFINE)
    save(folder / "image", images)
    nifti(folder / "mask.nii.gz", dot(SHAPE, MARK, 1), AFFINE)
    marked = np.zeros((6, 5, 7, 1), bool)
    marked[4, 1, 5] = True
    segmentation(folder / "mask.dcm", images, marked, ["Nodule"])
    masks = (MaskSource("r1", None, folder / "mask.nii.gz"), MaskSource("r2", "nodule", folder / "mask.dcm"))
    return StudyRow("SECRET study", "SECRET patient", folder / "image", masks, ("nodule",), {"site": "north"})


def altered(row, **changes):
    return StudyRow(**{name: changes.get(name, getattr(row, name)) for name in row.__dataclass_fields__})


def test_an_empty_mask_is_what_a_study_of_the_negative_label_should_have(tmp_path, row):
    nifti(tmp_path / "SECRET" / "empty.nii.gz", np.zeros(SHAPE), AFFINE)
    empty, marked = (MaskSource("r1", None, tmp_path / "SECRET" / f"{name}.nii.gz") for name in ("empty", "mask"))
    options = ReadOptions(labels=("normal", "nodule"), negative="normal")
    study = read_study(altered(row, masks=(empty,), reference=("normal",)), NAMES, options)
    assert (study.mask_faults, study.reference) == ((), ("normal",))
    assert [(mask.label, bool(mask.array.any())) for mask in study.masks] == [("", False)]
    (fault,) = read_study(altered(row, masks=(marked,), reference=("normal",)), NAMES, options).mask_faults
    assert fault.reason is Reason.MASK_MISSING_LABEL
    (fault,) = read_study(altered(row, masks=(empty,), reference=("nodule",)), NAMES, options).mask_faults
    assert fault.reason is Reason.MASK_EMPTY_FOR_POSITIVE


def test_without_one_of_its_files_an_experts_mask_is_none(tmp_path, row):
    parts = [MaskSource("r1", "nodule", tmp_path / "SECRET" / name) for name in ("mask.nii.gz", "gone.nii.gz")]
    study = read_study(altered(row, masks=(*parts, row.masks[1])), NAMES)
    assert [(fault.reader, fault.reason) for fault in study.mask_faults] == [("r1", Reason.MISSING_FILE)]
    assert [mask.reader for mask in study.masks] == ["r2"]


def test_the_digest_knows_contents_and_not_paths(tmp_path, row):
    before = source_digest(row)
    elsewhere = tmp_path / "elsewhere"
    shutil.move(tmp_path / "SECRET", elsewhere)
    (elsewhere / "image" / "SECRET000.dcm").rename(elsewhere / "image" / "zzz.dcm")
    masks = tuple(MaskSource(one.reader, one.label, elsewhere / one.path.name) for one in row.masks[::-1])
    moved = altered(row, study="other", patient="other", image=elsewhere / "image", masks=masks)
    assert source_digest(moved) == before
    assert len(before) == 64


def test_the_digest_changes_with_every_part(row):
    first, second = row.masks
    changes = [
        {"reference": ()},
        {"reference": None},
        {"strata": {"site": "south"}},
        {"masks": (first,)},
        {"masks": (MaskSource("r3", None, first.path), second)},
        {"masks": (MaskSource("r1", "nodule", first.path), second)},
        {"masks": (MaskSource("r1", None, first.path, 1), second)},
        {"masks": (MaskSource("r1", None, first.path, 2), second)},
        {"masks": (MaskSource("r1", None, second.path), MaskSource("r2", "nodule", first.path))},
        {"image": row.image / "SECRET000.dcm"},
        {"image": row.image / "none"},
    ]
    digests = {source_digest(row), *(source_digest(altered(row, **change)) for change in changes)}
    assert len(digests) == len(changes) + 1
    for path in (row.image / "SECRET003.dcm", first.path, second.path):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        digests.add(source_digest(row))
    assert len(digests) == len(changes) + 4


def test_the_digest_knows_the_entry_and_the_sidecar(tmp_path, row):
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("image,x_min,y_min,x_max,y_max\n")
    plain = altered(row, masks=(MaskSource("r1", "nodule", boxes),))
    keyed = altered(row, masks=(MaskSource("r1", "nodule", boxes, None, "a"),))
    digests = {source_digest(plain), source_digest(keyed)}
    assert source_digest(altered(keyed, masks=(MaskSource("r1", "nodule", boxes, None, "image"),))) in digests
    boxes.write_text("image,x_min,y_min,x_max,y_max\na,1,1,2,2\n")
    digests.add(source_digest(keyed))
    digests.add(source_digest(row))
    (row.masks[0].path.parent / "dataset.json").write_text('{"labels": {"nodule": 1}}')
    digests.add(source_digest(row))
    (row.masks[0].path.parent / "dataset.json").write_text('{"labels": {"nodule": 2}}')
    digests.add(source_digest(row))
    assert len(digests) == 6


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are POSIX")
def test_a_pipe_does_not_hold_the_run(tmp_path):
    os.mkfifo(tmp_path / "SECRET")
    pipe = StudyRow("s", "p", tmp_path / "SECRET", (), None, {})
    assert source_digest(pipe) == source_digest(pipe)
    refusal(Reason.NOT_READABLE, lambda: read_study(pipe, NAMES))


# -- the study


def test_a_study_is_read_with_its_masks_on_its_grid(row):
    study = read_study(row, NAMES)
    assert study.identity == NAMES.study("SECRET patient", "SECRET study")
    assert study.patient == NAMES.patient("SECRET patient")
    assert [(mask.reader, mask.label) for mask in study.masks] == [("r1", "nodule"), ("r2", "nodule")]
    for mask in study.masks:
        assert mask.geometry is study.image.geometry
        assert np.argwhere(mask.array).tolist() == [list(MARK)]
    assert (study.reference, study.strata) == (("nodule",), {"site": "north"})


def test_a_label_of_several_is_read_by_its_stated_value(row):
    values = dot(SHAPE, MARK, 2)
    values[0, 0, 0] = 1
    nifti(row.masks[0].path, values, AFFINE)
    masks = (MaskSource("r1", "nodule", row.masks[0].path, 2), MaskSource("r1", "mass", row.masks[0].path, 1))
    study = read_study(altered(row, masks=masks), NAMES)
    assert [np.argwhere(mask.array).tolist() for mask in study.masks] == [[list(MARK)], [[0, 0, 0]]]


def test_an_entry_is_found_by_the_images_name_its_key_and_its_reader(row):
    picture = row.image.parent / "SECRET.png"
    Image.fromarray(np.zeros((6, 9), np.uint8)).save(picture)
    table = picture.with_name("SECRET.csv")
    table.write_text("image,reader,x_min,y_min,x_max,y_max\nSECRET,r1,1,1,2,2\nSECRET,r2,3,3,4,4\nb,r1,5,5,6,6\n")
    masks = tuple(
        MaskSource(reader, label, table, None, key)
        for reader, label, key in [("r1", "nodule", None), ("r2", "nodule", None), ("r1", "mass", "b")]
    )
    study = read_study(altered(row, image=picture, masks=masks), NAMES)
    assert [np.argwhere(mask.array).tolist() for mask in study.masks] == [[[1, 1]], [[3, 3]], [[5, 5]]]
    assert study.header["mask drawn from (r2, nodule)"] == "boxes"


def test_a_consensus_is_a_reader_of_its_own(row):
    assert [mask.reader for mask in read_study(row, NAMES).masks] == ["r1", "r2"]
    study = read_study(row, NAMES, ReadOptions(consensus="majority"))
    assert [(mask.reader, mask.label) for mask in study.masks[2:]] == [("consensus:majority", "nodule")]
    assert np.argwhere(study.masks[2].array).tolist() == [list(MARK)]
    assert study.masks[2].geometry is study.image.geometry


def test_nothing_of_the_patient_is_in_the_study(row):
    study = read_study(row, NAMES)
    said = repr(study) + json.dumps([study.header, study.strata, study.identity, study.patient])
    assert SECRET not in said
    assert "1970" not in said
    assert str(row.image) not in said
    assert not re.search(r"\d+\.\d+\.\d+", said), "a UID"
    assert study.image.geometry.frame_of_reference == NAMES.frame(FRAME)


def faults(row, options=AS_STORED):
    """Return (reader, label, reason) of the masks that could not be used, and what is said of them."""
    study = read_study(row, NAMES, options)
    for fault in study.mask_faults:
        names_nobody(fault.message)
    words = [fault.message for fault in study.mask_faults]
    return [(fault.reader, fault.label, fault.reason) for fault in study.mask_faults], words, study


@pytest.mark.parametrize("reference", [(), None, ("nodule", "effusion")])
def test_a_mask_without_a_label(row, reference):
    unlabelled = altered(row, masks=row.masks[:1], reference=reference)
    found, (words,), study = faults(unlabelled)
    assert found == [("r1", None, Reason.MASK_MISSING_LABEL)]
    assert "nothing tells which label" in words
    assert study.masks == ()
    nifti(row.masks[0].path, np.zeros(SHAPE, np.uint8), AFFINE)
    (mask,) = read_study(unlabelled, NAMES).masks
    assert (mask.label, mask.array.any()) == ("", False)


def test_masks_of_a_positive_study_that_nobody_marked_are_set_aside(row):
    nifti(row.masks[0].path, np.zeros(SHAPE, np.uint8), AFFINE)
    one, both = altered(row, masks=row.masks[:1]), row
    found, (words,), study = faults(one)
    assert found == [("r1", "nodule", Reason.MASK_EMPTY_FOR_POSITIVE)]
    assert "1 masks are empty" in words
    assert study.masks == ()
    assert [mask.array.any() for mask in read_study(both, NAMES).masks] == [False, True]
    labelled = (MaskSource("r1", "nodule", row.masks[0].path),)
    for reference in ((), None, ("effusion",)):
        assert read_study(altered(row, masks=labelled, reference=reference), NAMES).masks


def test_a_mask_of_another_grid_costs_neither_the_study_nor_the_other_reader(row):
    moved = AFFINE.copy()
    moved[0, 3] += 5
    nifti(row.masks[0].path, dot(SHAPE, MARK, 1), moved)
    found, (words,), study = faults(row)
    assert found == [("r1", "nodule", Reason.OTHER_GRID)]
    assert words.startswith("mask 1 of 2: ")
    assert "40.00" in words
    assert "45.00" in words
    assert [(mask.reader, mask.array.sum()) for mask in study.masks] == [("r2", 1)]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.unlink(), Reason.MISSING_FILE),
        (lambda path: path.write_bytes(b""), Reason.TRUNCATED),
        (lambda path: path.write_bytes(b"SECRET" * 99), Reason.UNSUPPORTED_FORMAT),
        (lambda path: path.write_bytes(path.read_bytes()[:400]), Reason.NOT_READABLE),
    ],
)
def test_a_file_that_cannot_be_used_is_its_readers_own_fault(row, spoil, reason):
    spoil(row.masks[1].path)
    found, (words,), study = faults(row)
    assert found == [("r2", "nodule", reason)]
    assert words.startswith("mask 2 of 2: ")
    assert [mask.reader for mask in study.masks] == ["r1"]
    refusal(Reason.MISSING_FILE, lambda: read_study(altered(row, image=row.image / "SECRET"), NAMES))


def test_masks_of_labels_that_the_model_lacks_are_not_opened_and_not_named(row):
    organs = tuple(MaskSource("r1", f"SECRET organ {number}", row.masks[0].path / "gone") for number in range(3))
    found, words, study = faults(altered(row, masks=(*organs, *row.masks)), ReadOptions(labels=("clear", "nodule")))
    assert found == [("r1", None, Reason.UNKNOWN_LABEL)]
    assert words == ["the label is none of the model's"]
    assert study.mask_faults[0].masks == 3
    assert [mask.reader for mask in study.masks] == ["r1", "r2"]


def test_what_any_library_raises_for_a_mask_is_the_masks_fault(row, monkeypatch):
    def fail(*_):
        raise OSError(28, "SECRET", "/SECRET")

    monkeypatch.setattr("pipeline.studies.read_study.MaskRequest", fail)
    assert {reason for *_, reason in faults(row)[0]} == {Reason.NOT_READABLE}


def test_memory_is_the_processs_not_the_masks(row, monkeypatch):
    """Only a process that had read nothing before may blame the file: the isolation reads it again in one."""

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(readers.nifti, "read_mask", fail)
    refusal(Reason.OUT_OF_MEMORY, lambda: read_study(row, NAMES))
    given_up = (MaskSource("r1", None, row.masks[0].path, refused=(Reason.OUT_OF_MEMORY, "too large")), row.masks[1])
    found, words, study = faults(altered(row, masks=given_up))
    assert (found, words) == ([("r1", "nodule", Reason.OUT_OF_MEMORY)], ["mask 1 of 2: too large"])
    assert [mask.reader for mask in study.masks] == ["r2"]


def test_a_reader_whose_mask_cannot_be_used_leaves_no_consensus(row):
    row.masks[1].path.unlink()
    third = MaskSource("r3", "nodule", row.masks[0].path)
    found, words, study = faults(altered(row, masks=(*row.masks, third)), ReadOptions(consensus="majority"))
    assert found == [
        ("r2", "nodule", Reason.MISSING_FILE),
        ("consensus:majority", "nodule", Reason.NO_CONSENSUS),
    ]
    assert words[1] == "the masks of 1 of its readers cannot be used"
    assert [mask.reader for mask in study.masks] == ["r1", "r3"]


def test_a_label_of_one_reader_needs_no_consensus(row):
    row.masks[0].path.unlink()
    found, _, study = faults(altered(row, masks=row.masks[:1]), ReadOptions(consensus="majority"))
    assert found == [("r1", "nodule", Reason.MISSING_FILE)]
    assert study.masks == ()


def test_a_fault_concerns_its_label_or_each_that_its_reader_has_no_mask_of(row):
    (mask, _) = read_study(row, NAMES).masks
    named = MaskFault("r2", "nodule", Reason.TRUNCATED, "")
    again = MaskFault("r2", None, Reason.OTHER_GRID, "")
    unnamed = MaskFault("r1", None, Reason.OTHER_GRID, "")
    assert faults_of("nodule", [mask], [again, named, unnamed]) == (named,)
    assert faults_of("effusion", [mask], [named, unnamed]) == (unnamed,)
    assert faults_of("effusion", [Mask(mask.array, mask.geometry, "effusion", "r1")], [unnamed]) == ()


def test_what_the_user_chose_reaches_the_file_and_the_facts(row):
    several = np.stack([dot(SHAPE, MARK), dot(SHAPE, MARK, 500)], axis=-1)
    chosen = altered(row, image=nifti(row.image / "several.nii", several, AFFINE), masks=row.masks[:1])
    study = read_study(chosen, NAMES, ReadOptions(volume=1))
    assert (study.image.array[MARK], study.header["volume"]) == (500, "volumes 0 to 1: 1 chosen")
    refusal(Reason.SEVERAL_VOLUMES, lambda: read_study(chosen, NAMES))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Panic("SECRET"), Reason.NOT_READABLE),
        (ValueError("SECRET"), Reason.NOT_READABLE),
        (RecursionError("SECRET"), Reason.NOT_READABLE),
        (EOFError("SECRET"), Reason.TRUNCATED),
        (MemoryError("SECRET"), Reason.OUT_OF_MEMORY),
        (FileNotFoundError(2, "SECRET", "/SECRET"), Reason.MISSING_FILE),
    ],
)
def test_no_librarys_words_get_out(row, monkeypatch, error, reason):
    def fail(*_):
        raise error

    monkeypatch.setattr(readers.dicom_series, "read", fail)
    words = refusal(reason, lambda: read_study(row, NAMES))
    assert type(error).__name__ not in words
    with pytest.raises(StudyError) as caught:
        read_study(row, NAMES)
    assert SECRET not in "".join(traceback.format_exception_only(caught.value))
    assert caught.value.__context__ is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_stop_is_a_stop(row, monkeypatch, error):
    def stop(*_):
        raise error

    monkeypatch.setattr(readers.dicom_series, "read", stop)
    with pytest.raises(error):
        read_study(row, NAMES)


def test_warnings_and_logs_of_libraries_stay_inside(row, caplog, recwarn):
    for path in row.image.iterdir():
        path.write_bytes(path.read_bytes().replace(b"SECRETID", b"SECRET\0\xff").replace(b"19700101", b"SECRETxx"))
    read_study(row, NAMES)
    assert not caplog.records
    assert not [one for one in recwarn if SECRET in str(one.message)]


def test_an_error_survives_its_way_between_processes():
    error = StudyError(Stage.PREPARE, Reason.LOCALIZER, "words", excluded=True)
    back = pickle.loads(pickle.dumps(error))
    assert (str(back), back.reason, back.stage, back.excluded) == ("words", Reason.LOCALIZER, Stage.PREPARE, True)
