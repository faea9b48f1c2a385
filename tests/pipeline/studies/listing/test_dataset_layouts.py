"""Archives as people already have them, through ``list_studies`` and down to the voxels."""

import json

import numpy as np
import pytest

from pipeline.errors import ArchiveError, Reason, StudyError
from pipeline.files import written
from pipeline.studies.index.catalogue import open_catalogue
from pipeline.studies.index.scan import scan, summary
from pipeline.studies.list_studies import list_studies
from pipeline.studies.listing.write_manifest import write_manifest
from pipeline.studies.pseudonyms import Pseudonyms
from pipeline.studies.read_study import read_study
from tests.pipeline.studies.writers import SECRET, dot, grid, nifti

AFFINE = grid(np.diag([-1, -1, 1]), (0.7, 0.9, 2.5), (40.0, -12.5, 100.25))
IMAGE = dot((7, 5, 4), (5, 1, 0))
LABELS = dot((7, 5, 4), (1, 2, 3), 1) + dot((7, 5, 4), (4, 3, 1), 2)
NAMES = Pseudonyms(b"0123456789abcdef0123456789abcdef")


def put(path, array=IMAGE):
    path.parent.mkdir(parents=True, exist_ok=True)
    return nifti(path, array, AFFINE)


def told(root, label=None):
    """Return the rows in short: study, patient, masks (reader, label, file), reference."""
    return [
        (row.study, row.patient, [(mask.reader, mask.label, mask.path.name) for mask in row.masks], row.reference)
        for row in list_studies(root, None, label)
    ]


def marked(root):
    return [
        {mask.label: np.argwhere(mask.array).tolist() for mask in read_study(row, NAMES).masks}
        for row in list_studies(root)
    ]


BOTH = {"liver": [[1, 2, 3]], "tumour": [[4, 3, 1]]}


@pytest.fixture
def decathlon(tmp_path):
    for name in ("a", "b"):
        put(tmp_path / "imagesTr" / f"{name}.nii.gz")
        put(tmp_path / "labelsTr" / f"{name}.nii.gz", LABELS)
    put(tmp_path / "imagesTs" / "c.nii.gz")
    about = {
        "labels": {"0": "background", "1": "liver", "2": "tumour"},
        "training": [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in ("b", "a")],
        "test": ["./imagesTs/c.nii.gz"],
    }
    (tmp_path / "dataset.json").write_text(json.dumps(about))
    return tmp_path


def test_the_decathlon(decathlon):
    masks = {n: [("expert", "liver", f"{n}.nii.gz"), ("expert", "tumour", f"{n}.nii.gz")] for n in ("a", "b")}
    assert told(decathlon) == [("b", "b", masks["b"], None), ("a", "a", masks["a"], None), ("c", "c", [], None)]
    assert marked(decathlon) == [BOTH, BOTH, {}]


def test_with_a_label_the_test_images_stay_without_a_reference(decathlon):
    assert [(study, len(masks), reference) for study, _, masks, reference in told(decathlon, "tumour")] == [
        ("b", 1, ("tumour",)),
        ("a", 1, ("tumour",)),
        ("c", 0, None),
    ]


@pytest.fixture
def nnunet(tmp_path):
    for channel in ("0000", "0001"):
        put(tmp_path / "imagesTr" / f"liver_007_{channel}.nii.gz")
    put(tmp_path / "imagesTs" / "liver_008_0000.nii.gz")
    put(tmp_path / "labelsTr" / "liver_007.nii.gz", LABELS)
    about = {
        "channel_names": {"0": "T1", "1": "T2"},
        "labels": {"background": 0, "liver": 1, "tumour": 2},
        "training": [],
    }
    (tmp_path / "dataset.json").write_text(json.dumps(about))
    return tmp_path


def test_nnunet_channels_are_studies_of_one_patient(nnunet):
    masks = [("expert", "liver", "liver_007.nii.gz"), ("expert", "tumour", "liver_007.nii.gz")]
    assert told(nnunet) == [
        ("liver_007_0000", "liver_007", masks, None),
        ("liver_007_0001", "liver_007", masks, None),
        ("liver_008_0000", "liver_008", [], None),
    ]
    assert marked(nnunet) == [BOTH, BOTH, {}]


@pytest.fixture
def bids(tmp_path):
    (tmp_path / "dataset_description.json").write_text('{"Name": "SECRET", "BIDSVersion": "1.9.0"}')
    put(tmp_path / "sub-01" / "ses-a" / "anat" / "sub-01_ses-a_T1w.nii.gz")
    put(tmp_path / "sub-01" / "ses-b" / "anat" / "sub-01_ses-b_T1w.nii.gz")
    put(tmp_path / "sub-02" / "anat" / "sub-02_FLAIR.nii.gz")
    put(tmp_path / "sub-02" / "func" / "sub-02_task-rest_bold.nii.gz")
    drawn = tmp_path / "derivatives" / "manual"
    put(drawn / "sub-01" / "ses-a" / "anat" / "sub-01_ses-a_label-lesion_mask.nii.gz", dot((7, 5, 4), (1, 2, 3), 1))
    put(drawn / "sub-01" / "ses-a" / "anat" / "sub-01_ses-a_space-MNI152_label-lesion_mask.nii.gz")
    put(drawn / "sub-02" / "anat" / "sub-02_dseg.nii.gz", LABELS)
    (drawn / "dseg.tsv").write_text("index\tname\n0\tbackground\n1\tliver\n2\ttumour\n")
    return tmp_path


def test_bids_derivatives(bids):
    assert told(bids) == [
        ("sub-01_ses-a_T1w", "01", [("manual", "lesion", "sub-01_ses-a_label-lesion_mask.nii.gz")], None),
        ("sub-01_ses-b_T1w", "01", [], None),
        (
            "sub-02_FLAIR",
            "02",
            [("manual", "liver", "sub-02_dseg.nii.gz"), ("manual", "tumour", "sub-02_dseg.nii.gz")],
            None,
        ),
    ]


def test_bids_where_several_images_fit_the_sidecar_decides(bids):
    put(bids / "sub-02" / "anat" / "sub-02_T1w.nii.gz")
    with pytest.raises(ArchiveError, match="1 masks in derivatives fit no image, or several") as caught:
        told(bids)
    assert SECRET not in str(caught.value)
    sidecar = bids / "derivatives" / "manual" / "sub-02" / "anat" / "sub-02_dseg.json"
    sidecar.write_text(json.dumps({"Sources": ["bids:raw:sub-02/anat/sub-02_T1w.nii.gz"]}))
    assert {study: len(masks) for study, _, masks, _ in told(bids)} == {
        "sub-01_ses-a_T1w": 1, "sub-01_ses-b_T1w": 0, "sub-02_FLAIR": 0, "sub-02_T1w": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"training": 3}',
        '{"training": [{"image": "SECRET"}]}',
        '{"training": [["SECRET"]]}',
        '{"training": [{"image": 3, "label": 4}]}',
    ],
)
def test_a_broken_description_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(ArchiveError) as caught:
        told(tmp_path)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "damage",
    [
        {"training": [{"image": "imagesTr/SECRET.nii.gz"}]},
        {"training": ["imagesTr/a.nii.gz"]},
        {"test": 3},
        {"labels": ["SECRET"]},
        {"labels": {"SECRET": "SECRET"}},
        {"labels": {}},
    ],
)
def test_a_damaged_decathlon_is_refused(decathlon, damage):
    about = json.loads((decathlon / "dataset.json").read_text()) | damage
    (decathlon / "dataset.json").write_text(json.dumps(about))
    with pytest.raises(ArchiveError) as caught:
        told(decathlon)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe{}", b"[" * 100_000, b'{"labels": {"a": 1}}' + b" " * 16 * 1024**2])
def test_a_description_that_is_no_json_is_refused(nnunet, content):
    (nnunet / "dataset.json").write_bytes(content)
    with pytest.raises(ArchiveError, match="not what its convention says"):
        told(nnunet)


def test_a_listed_image_that_is_gone_is_a_study_that_fails_and_a_mask_is_not(decathlon):
    (decathlon / "imagesTr" / "a.nii.gz").unlink()
    (decathlon / "labelsTr" / "b.nii.gz").unlink()
    reasons = []
    for row in list_studies(decathlon):
        try:
            reasons.append([fault.reason for fault in read_study(row, NAMES).mask_faults])
        except StudyError as error:
            reasons.append(error.reason)
    assert reasons == [[Reason.MISSING_FILE] * 2, Reason.MISSING_FILE, []]


def test_images_of_one_name_are_refused(decathlon):
    about = json.loads((decathlon / "dataset.json").read_text()) | {"test": ["imagesTs/a.nii.gz"]}
    (decathlon / "dataset.json").write_text(json.dumps(about))
    with pytest.raises(ArchiveError, match="1 images bear the name of another one"):
        told(decathlon)


def test_a_reader_is_not_called_like_a_consensus(bids):
    drawn = bids / "derivatives" / "manual"
    drawn.rename(bids / "derivatives" / "consensus:staple")
    with pytest.raises(ArchiveError, match="3 masks state a reader whose name holds a colon"):
        told(bids)


def test_folders_of_nnunet_without_their_description_are_refused(nnunet):
    (nnunet / "dataset.json").unlink()
    with pytest.raises(ArchiveError, match="named neither image nor mask; use a manifest"):
        told(nnunet)


def test_a_case_without_labels_has_no_mask(nnunet):
    (nnunet / "labelsTr" / "liver_007.nii.gz").rename(nnunet / "labelsTr" / "liver_009.nii.gz")
    assert [len(masks) for _, _, masks, _ in told(nnunet)] == [0, 0, 0]


def test_regions_of_nnunet_are_the_union_of_their_values(nnunet):
    about = {"labels": {"background": 0, "whole": [1, 2], "core": 2}}
    (nnunet / "dataset.json").write_text(json.dumps(about))
    assert marked(nnunet)[0] == {"whole": [[1, 2, 3], [4, 3, 1]], "core": [[4, 3, 1]]}


def test_a_bids_mask_without_its_image_or_with_a_broken_sidecar_is_refused(bids):
    drawn = bids / "derivatives" / "manual" / "sub-02" / "anat"
    put(bids / "sub-02" / "anat" / "sub-02_T1w.nii.gz")
    (drawn / "sub-02_dseg.json").write_text("[")
    with pytest.raises(ArchiveError, match="not what its convention says"):
        told(bids)
    (drawn / "sub-02_dseg.json").write_text('{"Sources": [3]}')
    with pytest.raises(ArchiveError, match="1 masks in derivatives fit no image, or several"):
        told(bids)
    (drawn / "sub-02_dseg.json").unlink()
    (bids / "sub-02" / "anat" / "sub-02_T1w.nii.gz").unlink()
    (bids / "sub-02" / "anat" / "sub-02_FLAIR.nii.gz").unlink()
    with pytest.raises(ArchiveError, match="1 masks in derivatives fit no image"):
        told(bids)


def test_a_bids_segmentation_without_a_table_has_no_labels(bids):
    (bids / "derivatives" / "manual" / "dseg.tsv").unlink()
    assert told(bids)[2][2] == [("manual", None, "sub-02_dseg.nii.gz")]
    (bids / "derivatives" / "manual" / "dseg.tsv").write_text("SECRET\n1\n")
    with pytest.raises(ArchiveError, match="names none") as caught:
        told(bids)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["../SECRET.nii", "/SECRET.nii"])
def test_a_description_does_not_lead_out(decathlon, name):
    about = json.loads((decathlon / "dataset.json").read_text())
    about["training"][1]["label"] = name
    (decathlon / "dataset.json").write_text(json.dumps(about))
    with pytest.raises(ArchiveError, match="entry 2: the path leads out"):
        told(decathlon)


@pytest.mark.parametrize(("layout", "usable", "masks"), [("decathlon", 3, 2), ("nnunet", 3, 1), ("bids", 4, 2)])
def test_a_scan_knows_the_conventions(layout, usable, masks, request, tmp_path):
    root = request.getfixturevalue(layout)
    index, manifest = tmp_path.parent / f"{tmp_path.name}.sqlite", tmp_path.parent / f"{tmp_path.name}.csv"
    with open_catalogue(index, root.resolve()) as catalogue:
        scan(root.resolve(), catalogue, workers=0, on_files=lambda _: None)
        found = summary(root.resolve(), catalogue)
        write_manifest(root.resolve(), catalogue, manifest, NAMES, written)
    assert (found.usable, found.masks_used) == (usable, masks)
    kept = [
        (row.image, [(mask.reader, mask.label, mask.path) for mask in row.masks])
        for row in list_studies(root, manifest)
    ]
    expected = [(row.image, [(mask.reader, mask.label, mask.path) for mask in row.masks]) for row in list_studies(root)]
    assert kept == expected
