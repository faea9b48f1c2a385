"""Masks in folders of their own, named as their images are, or nearly; and files that are masks by what they hold."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import generate_uid

from pipeline.studies.index.catalogue import open_catalogue
from tests.field.making import AFFINE, RAMP, SHAPE, label_map, scanned, series
from tests.pipeline.studies.writers import save

MARKS = np.zeros(SHAPE, np.uint8)
MARKS[2:5, 3:6] = 1
RNG = np.random.default_rng(5)


def write(path, array, affine=AFFINE):
    """Write a volume, or its third slice as a picture, by the ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        top = 255 if array.max() == 1 else 1
        Image.fromarray((array[..., 2] * top).astype(np.uint8)).save(path)
    else:
        label_map(path, array, affine)


def archive(root, images, masks):
    for number, name in enumerate(images):
        write(root / name, ((RAMP * (number + 3)) % 251).astype(np.uint8))
    for name in masks:
        write(root / name, MARKS)
    return root


def pairs(root):
    """Return each row's image with its masks (reader, path), and the excluded files by reason."""
    _, rows, numbers = scanned(root)
    root = root.resolve()
    return {
        str(row.image.relative_to(root)): [(mask.reader, str(mask.path.relative_to(root))) for mask in row.masks]
        for row in rows
    }, numbers.excluded


FOLDERS = [
    "mask",
    "masks",
    "segmentations",
    "labels",
    "annotations",
    "GT",
    "Ground truth",
    "ground_truth",
    "1st_manual",
]


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("beside", ["", "images/", "img/", "xr/"])
def test_a_folder_of_masks_finds_its_images(tmp_path, folder, beside):
    images = [f"{beside}p{number}.png" for number in range(3)]
    root = archive(tmp_path / "a", images, [f"{folder}/p{number}.png" for number in range(2)])
    found, excluded = pairs(root)
    assert found == {
        images[0]: [("expert", f"{folder}/p0.png")], images[1]: [("expert", f"{folder}/p1.png")], images[2]: []
    }  # fmt: skip
    assert excluded == {}


NAMES = [
    ("images/a1.png", "masks/a1_mask.png"), ("images/a1.png", "masks/mask_a1.png"), ("images/a1.png", "gt/a1_gt.png"),
    ("img/img0001.nii", "label/label0001.nii"), ("images/a1_image.png", "masks/a1.png"), ("a1.png", "masks/a1-seg.png"),
    ("imagesTr/a1_0000.nii", "labelsTr/a1.nii"), ("images/A1.png", "masks/a1.png"),
    ("volume-12.nii", "segmentation-12.nii"), ("images/21_training.png", "1st_manual/21_manual1.png"),
    ("a1/images/a1.png", "a1/masks/a1.png"), ("images/benign/a1.png", "masks/benign/a1.png"),
    ("benign/images/a1.png", "benign/masks/a1.png"), ("benign/a1.png", "masks/benign/a1.png"),
    ("train/images/a1.png", "train/labels/a1.png"), ("images/a1.nii", "masks/a1.nii.gz"),
    ("images/a1_t1.nii", "masks/a1_lesion.nii"), ("images/benign/a1.png", "masks/a1.png"),
    ("ct/a1.nii", "seg/a1_liver.nii"), ("case1/t1.nii", "case1/seg/lesion.nii"), ("images/a1.png", "masks/a1/mask.png"),
    ("images/a (1).png", "masks/a (1)_mask.png"), ("a1.png", "a1_mask2.png"), ("a1.png", "a1_gt.png"),
    ("CXR_png/a1.png", "ManualMask/leftMask/a1.png"), ("data/a1.nii", "expert1/a1_seg.nii"),
]  # fmt: skip


@pytest.mark.parametrize(("image", "mask"), NAMES)
def test_names_that_are_the_images_but_for_a_word(tmp_path, image, mask):
    other = (
        image.replace("a1", "b2").replace("12", "13").replace("0001", "0002").replace("21", "22").replace("(1)", "(2)")
    )
    other = other if other != image else "case2/t1.nii"
    found, excluded = pairs(archive(tmp_path / "a", [image, other], [mask]))
    assert [path for _, path in found[image]] == [mask]
    assert (found[other], excluded) == ([], {})


NONE = [
    (["images/p.png", "images/p_1.png", "images/p_2.png"], "masks/p_3.png"),
    (["images/a1.png"], "masks/b2.png"), (["images/a1.png"], "masks/a10.png"), (["images/a10.png"], "masks/a1.png"),
    (["imagesTs/a1.nii"], "labelsTr/a1.nii"), (["x/a1.png", "y/a1.png"], "masks/a1.png"),
    (["images/benign/1.png", "images/malignant/1.png"], "masks/1.png"), (["a1.nii", "a1.nii.gz"], "masks/a1.nii"),
    (["images/a1_t1.nii", "images/a1_t2.nii"], "masks/a1_lesion.nii"), (["a1.png"], "masks/mask.png"),
]  # fmt: skip


@pytest.mark.parametrize(("images", "mask"), NONE)
def test_a_mask_of_no_image_or_of_two_is_nobodys(tmp_path, images, mask):
    found, excluded = pairs(archive(tmp_path / "a", images, [mask]))
    assert (found, excluded) == ({image: [] for image in images}, {"other_image": 1})


@pytest.mark.parametrize(
    "masks",
    [
        ["masks/a1/1.png", "masks/a1/2.png"], ["masks/a1_1.png", "masks/a1_2.png"], ["masks/a1.png", "masks/a1_2.png"],
        ["a1_mask.png", "a1_mask_1.png", "a1_mask_2.png"], ["a1_mask.png", "a1_mask2.png"],
        ["masks/a1_mask.png", "masks/a1_mask_1.png"], ["a1_mask.png", "a1_mask (2).png"],
    ],
)  # fmt: skip
def test_numbered_masks_of_one_image_are_one_readers(tmp_path, masks):
    image = "a1.png" if "/" not in masks[0] else "images/a1.png"
    found, excluded = pairs(archive(tmp_path / "a", [image, image.replace("a1", "b2")], masks))
    assert sorted(found[image]) == sorted(("expert", mask) for mask in masks)
    assert excluded == {}


@pytest.mark.parametrize(
    "masks",
    [
        ["masks/a1/liver.png", "masks/a1/tumor.png"], ["masks/a1_liver.png", "masks/a1_tumor.png"],
        ["masks/liver/a1_liver.png", "masks/tumor/a1_tumor.png"],
    ],
)  # fmt: skip
def test_masks_that_name_structures_are_labelled(tmp_path, masks):
    root = archive(tmp_path / "a", ["images/a1.png", "images/b2.png"], masks)
    _, rows, _ = scanned(root)
    assert {(mask.reader, mask.label) for row in rows for mask in row.masks} == {
        ("expert", "liver"),
        ("expert", "tumor"),
    }


def test_a_mask_that_is_excluded_is_a_doubt_of_its_image(tmp_path):
    root = archive(tmp_path / "a", ["images/a1.png", "images/b2.png"], [])
    (root / "masks").mkdir()
    Image.new("RGB", (14, 12)).save(
        root / "masks" / "a1.png", save_all=True, append_images=[Image.new("RGB", (14, 12), 9)]
    )
    _, excluded = pairs(root)
    assert excluded == {"several_volumes": 1}
    rows = {row["image"]: row["doubts"] for row in csv.DictReader((tmp_path / "a.csv").open())}
    assert "a mask of it cannot be used: several_volumes" in rows["images/a1.png"]
    assert "cannot be used" not in rows["images/b2.png"]


def test_folders_of_readers_are_readers(tmp_path):
    masks = ["masks/reader1/a1.png", "masks/reader2/a1.png"]
    found, _ = pairs(archive(tmp_path / "a", ["images/a1.png", "images/b2.png"], masks))
    assert found["images/a1.png"] == [("reader1", masks[0]), ("reader2", masks[1])]


def test_a_folder_whose_name_holds_both_is_told_by_names(tmp_path):
    images = ["Dataset_with_GT/benign/a (1).png", "Dataset_with_GT/benign/a (2).png"]
    found, excluded = pairs(archive(tmp_path / "a", images, ["Dataset_with_GT/benign/a (1)_mask.png"]))
    assert ([len(found[image]) for image in images], excluded) == ([1, 0], {})
    images = ["labels/a1.png", "labels/b2.png"]  # images in it, as the masks beside them tell
    found, excluded = pairs(archive(tmp_path / "b", images, ["labels/a1_mask.png"]))
    assert ([len(found[image]) for image in images], excluded) == ([1, 0], {})


def test_images_in_a_folder_that_is_called_as_masks_are_images(tmp_path):
    for name in ("a1", "b2"):
        array = RNG.integers(0, 256, SHAPE).astype(np.uint8)
        label_map(tmp_path / "a" / "labels" / f"{name}.nii", (array.astype(np.int16) * 7))
    found, excluded = pairs(tmp_path / "a")
    assert (sorted(found), excluded) == (["labels/a1.nii", "labels/b2.nii"], {})


def test_a_mask_that_only_its_values_tell(tmp_path):
    root = archive(tmp_path / "a", [], ["case1_tumor.nii", "case2/tumour.nii"])
    for name in ("case1.nii", "case2/t1.nii"):
        label_map(root / name, RAMP)
    found, excluded = pairs(root)
    assert {image: [path for _, path in masks] for image, masks in found.items()} == {
        "case1.nii": ["case1_tumor.nii"], "case2/t1.nii": ["case2/tumour.nii"]
    }  # fmt: skip
    assert excluded == {}


@pytest.mark.parametrize("change", ["grid", "name", "two", "values"])
def test_what_its_values_do_not_tell_is_an_image(tmp_path, change):
    root = tmp_path / "a"
    label_map(root / "case1.nii", RAMP)
    part = MARKS[:, :, :5] if change == "grid" else RAMP // 20 if change == "values" else MARKS
    label_map(root / ("case2_tumor.nii" if change == "name" else "case1_tumor.nii"), part)
    if change == "two":
        label_map(root / "case1_t2.nii", RAMP + 1)
    assert all(not masks for masks in pairs(root)[0].values())


def test_a_series_in_a_folder_finds_its_mask(tmp_path):
    root = tmp_path / "a"
    for name in ("a1", "b2"):
        own = generate_uid()
        save(root / "images" / name, series(RAMP, SeriesInstanceUID=own))
    label_map(root / "masks" / "a1.nii", MARKS)
    found, excluded = pairs(root)
    assert sum(map(len, found.values())) == 1
    assert [path for _, path in found["images/a1"]] == ["masks/a1.nii"]
    assert excluded == {}


def test_a_second_scan_finds_the_same(tmp_path):
    root = archive(tmp_path / "a", ["images/a1.png"], ["masks/a1.png", "masks/b2.png"])
    first = pairs(root)
    assert pairs(root) == first
    write(root / "images" / "b2.png", ((RAMP * 5) % 251).astype(np.uint8))
    found, excluded = pairs(root)
    assert (len(found["images/b2.png"]), excluded) == (1, {})


def test_what_a_convention_says_is_not_looked_into(tmp_path):
    root = archive(tmp_path / "a", ["imagesTr/a1_0000.nii.gz"], ["labelsTr/a1.nii.gz"])
    about = {"labels": {"background": 0, "mass": 1}, "channel_names": {"0": "CT"}, "file_ending": ".nii.gz"}
    (root / "dataset.json").write_text(json.dumps({**about, "numTraining": 1}))
    found, _ = pairs(root)
    assert [len(masks) for masks in found.values()] == [1]
    with open_catalogue(tmp_path / "a.sqlite", root.resolve()) as catalogue:
        assert catalogue.count("SELECT count(*) FROM files WHERE content IS NOT NULL") == 0
    (root / "dataset.json").unlink()
    assert pairs(root)[0] == found
    with open_catalogue(tmp_path / "a.sqlite", root.resolve()) as catalogue:
        assert catalogue.count("SELECT count(*) FROM files WHERE content IS NOT NULL") == 1
