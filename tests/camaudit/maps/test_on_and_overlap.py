"""A map on another image's grid, and against an expert's mask: by the affines alone, or refused with the reason."""

import csv

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

import camaudit
from camaudit import AuditError, explain
from pipeline.errors import Reason, StudyError
from pipeline.evidence.metrics.registry import METRICS
from pipeline.studies.volume import Mask, Volume
from tests.camaudit.maps.blob import (
    CENTRE,
    PICTURE,
    SHAPE,
    SPOT,
    blob,
    cells_apart,
    network,
    oblique,
    world,
    write_scan,
)
from tests.pipeline.planted import FACTORY, write_study
from tests.pipeline.studies.writers import dot, grid, save, segmentation, slices

TURN = [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]
PREPARE = [
    {"_target_": "Orientation", "axcodes": "RAS", "labels": None},
    {"_target_": "Spacing", "pixdim": [1.0, 1.0, 1.0]},
    {"_target_": "ResizeWithPadOrCrop", "spatial_size": [48, 48, 48]},
]


@pytest.fixture(scope="module")
def placed():
    return explain(network(cell=2), (blob(), oblique()), prepare=PREPARE, target=1)["gradcam"]


def other_grid(seed=11, spacing=(0.8, 2.0, 1.2), shape=(40, 22, 36)):
    """Return a grid, oblique otherwise, whose middle is the blob's place."""
    affine = oblique(spacing, seed)
    affine[:3, 3] = 0
    affine[:3, 3] = world(oblique()) - world(affine, np.array(shape) / 2)
    return shape, affine


def test_a_map_is_carried_to_another_oblique_grid(placed):
    shape, affine = other_grid()
    there = placed.on((np.zeros(shape, np.float32), affine))
    assert there.array.shape == shape
    assert cells_apart(there, world(oblique())) <= 0.5 + 1.0 / 0.8 + 1e-3  # half a voxel, and half a cell of 2 mm
    values = [placed.at_mm(point) for point in there.grid.world(np.array([[20, 11, 18], [18, 10, 20], [25, 12, 15]]))]
    np.testing.assert_allclose(values, [there.array[20, 11, 18], there.array[18, 10, 20], there.array[25, 12, 15]])
    assert not there.seen.all()
    assert (there.array[~there.seen] == 0).all()


def test_there_and_back_is_not_interpolated_twice(placed):
    shape, affine = other_grid()
    back = placed.on((np.zeros(shape), affine)).on((blob(), oblique()))
    np.testing.assert_array_equal(back.array, placed.array)
    assert back.cells is placed.cells


def test_every_form_of_another_image_is_one_grid(placed, tmp_path):
    shape, affine = other_grid()
    array = np.zeros(shape, np.float32)
    path = write_scan(tmp_path / "other.nii.gz", array, affine)
    forms = [path, nibabel.load(path), MetaTensor(torch.from_numpy(array)[None], affine=affine), placed.on(path)]
    first, *rest = [placed.on(form) for form in forms]
    for there in rest:
        np.testing.assert_allclose(there.array, first.array, atol=1e-4)


def test_images_that_lie_apart_are_refused(placed):
    far = oblique()
    far[:3, 3] += 1000
    with pytest.raises(AuditError, match="on: nothing of the image lies in the model's field of view"):
        placed.on((blob(), far))
    with pytest.raises(AuditError, match="on: nothing states where in the patient both lie"):
        placed.on(np.zeros((9, 9, 9)))
    with pytest.raises(AuditError, match=r"image: its shape \(9, 9\) does not do: it must have 3 spatial axes"):
        placed.on((np.zeros((9, 9)), np.eye(3)))
    with pytest.raises(AuditError, match="image: must be the path of a file"):
        placed.on(3)


def test_a_picture_goes_onto_one_of_its_own_size_alone():
    spot = explain(network(2), blob(PICTURE, SPOT), target=1)["gradcam"]
    np.testing.assert_array_equal(spot.on(np.zeros(PICTURE)).array, spot.array)
    with pytest.raises(AuditError, match="must have 2 spatial axes"):
        spot.on((blob(), oblique()))
    with pytest.raises(AuditError, match=r"differ in size: \(40, 30\) and \(30, 40\)"):
        spot.on(np.zeros((30, 40)))


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """A CT series with a bright voxel, and a DICOM segmentation of it."""
    folder = tmp_path_factory.mktemp("dicom")
    affine = grid(TURN, (1.0, 1.5, 2.0), (-30.0, 20.0, 100.0))
    images = slices(dot((9, 7, 5), (6, 2, 3)), affine)
    save(folder / "series", images)
    masks = np.zeros((5, 7, 9, 1), bool)
    masks[3, 2, 6, 0] = True
    segmentation(folder / "mask.dcm", images, masks, ["lesion"])
    return folder, affine


SCALED = [{"_target_": "ScaleIntensity"}, {"_target_": "Spacing", "pixdim": [1.0, 1.0, 1.0]}]


def test_a_dicom_series_against_a_segmentation(series):
    folder, affine = series
    maps = explain(network(), folder / "series", prepare=SCALED, target=1, labels=["clear", "lesion"])
    placed = maps["gradcam"]
    np.testing.assert_allclose(placed.affine, affine, atol=1e-4)
    np.testing.assert_allclose(placed.peak_mm, world(affine, (6, 2, 3)), atol=1e-3)
    overlap = placed.overlap(folder / "mask.dcm")
    assert overlap["hit_rate"].value == 1
    assert (overlap["centre_distance"].unit, overlap["centre_distance"].value < 2) == ("mm", True)
    for text in (repr(placed), repr(maps), repr(placed.image), repr(placed.grid), repr(overlap)):
        assert "SECRET" not in text
        assert "1.2.826" not in text


def test_which_segment_is_meant_is_told_by_the_target_or_the_caller(series, tmp_path):
    _, affine = series
    images = slices(dot((16, 12, 6), (6, 2, 3)), affine)
    save(tmp_path / "series", images)
    masks = np.zeros((6, 12, 16, 2), bool)
    masks[3, 2, 6, 0] = masks[1, 1, 1, 1] = True
    two = segmentation(tmp_path / "two.dcm", images, masks, ["lesion", "cyst"])
    only = segmentation(tmp_path / "only.dcm", images, masks[..., :1], ["cyst"])
    named = explain(network(), tmp_path / "series", prepare=SCALED[:1], target=1, labels=["clear", "lesion"])["gradcam"]
    unnamed = explain(network(), tmp_path / "series", prepare=SCALED[:1], target=1)["gradcam"]
    assert named.overlap(two)["hit_rate"].value == 1
    assert unnamed.overlap(two, value=1)["hit_rate"].value == 1
    assert unnamed.overlap(two, label="cyst")["hit_rate"].value == 0
    with pytest.raises(StudyError, match="the mask has 2 segments, and nothing tells which is meant; label= or value="):
        unnamed.overlap(two)
    with pytest.raises(StudyError, match=r"another name than the wanted label; value= states its number"):
        named.overlap(only, label="lesion")
    taken = named.overlap(only)  # nobody said that it shows the target: it is told what was taken
    assert "another one in the mask's file" in repr(taken)
    assert "another one in the mask&#x27;s file" in taken._repr_html_()


def test_another_frame_of_reference_is_refused(series, tmp_path):
    folder, affine = series
    placed = explain(network(), folder / "series", prepare=SCALED, target=1)["gradcam"]
    images = slices(dot((9, 7, 5), (6, 2, 3)), affine)
    for image in images:
        image.FrameOfReferenceUID = "2.25.77"
    stranger = save(tmp_path / "other", images)
    with pytest.raises(AuditError, match="on: the image lies in another frame of reference; register the two first"):
        placed.on(stranger)
    # a NIfTI states none: then the world's coordinates are taken for the same, as everywhere
    assert placed.on((np.zeros((9, 7, 5)), affine)).peak == (6, 2, 3)


def test_a_folder_of_several_series_names_them_without_identifiers(series, tmp_path):
    folder, affine = series
    for number, shape in enumerate([(9, 7, 5), (8, 6, 4)]):
        for index, image in enumerate(slices(dot(shape, (1, 1, 1)), affine)):
            image.SeriesInstanceUID = f"2.25.{number}"
            image.save_as(tmp_path / f"SECRET{number}{index}.dcm", enforce_file_format=True)
    with pytest.raises(StudyError, match=r"2 series \(5 files CT of 9 x 7, 4 files CT of 8 x 6\): give one") as caught:
        explain(network(), tmp_path, target=1)
    assert caught.value.reason is Reason.MIXED_SERIES
    assert "SECRET" not in str(caught.value)
    files = sorted(tmp_path.glob("SECRET0*.dcm"))
    assert explain(network(), files, prepare=SCALED, target=1)["gradcam"].array.shape == (9, 7, 5)
    with pytest.raises(StudyError, match="name one of the folders in it"):
        explain(network(), folder.parent, target=1)


def test_a_file_of_several_volumes_needs_the_choice(tmp_path):
    both = np.stack([blob() * 0, blob()], axis=-1)
    path = write_scan(tmp_path / "four.nii.gz", both)
    with pytest.raises(StudyError, match=r"image: four\.nii\.gz: the file holds 2 volumes; volume= would choose one"):
        explain(network(), path, target=1)
    assert explain(network(), path, target=1, volume=1)["gradcam"].peak == CENTRE
    with pytest.raises(AuditError, match=r"image: holds 2 volumes; volume= from 0 to 1 chooses one"):
        explain(network(), nibabel.load(path), target=1)
    assert explain(network(), nibabel.load(path), target=1, volume=1)["gradcam"].peak == CENTRE


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", Reason.TRUNCATED),
        (b"\x1f\x8b\x08\x00" + bytes(200), Reason.UNSUPPORTED_FORMAT),
        (b"not an image at all" * 40, Reason.UNSUPPORTED_FORMAT),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), Reason.NOT_READABLE),
        (b"\0" * 128 + b"DICM" + b"\xff" * 300, None),
    ],
)
def test_a_hostile_file_is_one_sentence(content, reason, tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(content)
    with pytest.raises(StudyError, match=r"image: file\.bin: ") as caught:
        explain(network(), path, target=1)
    assert reason in (None, caught.value.reason)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StudyError, match=r"image: nowhere\.nii: the image's file is not there"):
        explain(network(), tmp_path / "nowhere.nii", target=1)


def box():
    mask = np.zeros(SHAPE, np.uint8)
    mask[6:11, 10:15, 3:8] = 1
    return mask


def test_every_form_of_a_mask_gives_the_same_scores(placed, tmp_path):
    mask, affine = box(), oblique()
    path = write_scan(tmp_path / "mask.nii.gz", mask, affine)
    turned = np.flip(mask.transpose(2, 0, 1), 0)
    step = np.zeros((4, 4))
    step[2, 0], step[0, 1], step[1, 2], step[3, 3] = -1, 1, 1, 1
    step[2, 3] = SHAPE[2] - 1
    several = mask * 3
    several[0, 0, 0] = 1
    expected = placed.overlap(mask)
    forms = [
        path,
        str(path),
        mask > 0,
        torch.from_numpy(mask),
        mask[None],
        mask * 255,
        (mask, affine),
        (turned, affine @ step),
        nibabel.load(path),
        MetaTensor(torch.from_numpy(mask)[None], affine=affine),
        Mask(mask > 0, placed.grid, "lesion", "anna"),
    ]
    for form in forms:
        assert placed.overlap(form) == expected
    assert placed.overlap(several, value=3) == expected
    assert placed.overlap(several, value=1) == placed.overlap(several == 1)
    assert placed.overlap((several, affine), value=3) == expected
    assert placed.overlap(write_scan(tmp_path / "several.nii.gz", several, affine), value=3).scores == expected.scores


def test_every_registered_metric_is_there_with_unit_and_reason(placed):
    overlap = placed.overlap(box())
    assert [score.name for score in overlap] == list(METRICS)
    assert len(overlap) == len(METRICS)
    assert {score.unit for score in overlap} == {"1", "mm"}
    assert overlap["iou"].value == pytest.approx(overlap["dice"].value / (2 - overlap["dice"].value))
    assert overlap.seen_share == 1
    cropped = [{"_target_": "SpatialCrop", "roi_start": [0, 0, 0], "roi_end": [9, 20, 14]}]
    half_seen = explain(network(), (blob(), oblique()), prepare=cropped, target=1)["gradcam"]
    assert half_seen.overlap(box()).seen_share == 3 / 5  # of its planes 6 to 10 the model saw 6 to 8
    nothing = placed.overlap(np.zeros(SHAPE, bool))
    answers = {(score.value, score.reason) for score in nothing if score.name != "false_marks"}
    assert answers == {(None, "empty_mask")}  # a mark where nothing is marked is a false one
    assert (nothing.seen_share, "IoU: none (empty_mask)" in repr(nothing)) == (None, True)
    picture = explain(network(2), blob(PICTURE, SPOT), target=1)["gradcam"]
    assert picture.overlap(blob(PICTURE, SPOT) > 0.5)["hd95"].reason == "no_physical_size"
    assert overlap._repr_html_().count("<tr>") == len(METRICS)
    with pytest.raises(AuditError, match="overlap: there is no metric 'iuo'; did you mean 'iou'"):
        overlap["iuo"]


@pytest.mark.parametrize(
    ("mask", "settings", "message"),
    [
        (np.zeros((3, 3, 3)), {}, r"mask: has the shape \(3, 3, 3\), and the image \(24, 20, 14\)"),
        ((box(), np.eye(4)), {}, r"mask: .* drawn on first: map.on\(image\)\.overlap"),
        (box() * 3 + (np.indices(SHAPE)[0] == 0), {}, "mask: .* values besides 0.*; value= chooses"),
        (box() * 3, {"value": 2}, "value: the mask holds 3, not 2"),
        (box() * 0.5, {}, "mask: the mask's values are not whole"),
        (box() > 0, {"threshold": 2}, "threshold: must be 'otsu', 'percentile-95'"),
        (box() > 0, {"threshold": "high"}, "threshold: must be 'otsu', 'percentile-95'"),
        (box() > 0, {"value": "lesion"}, "value: must be a label's number"),
        ("nowhere.nii", {}, "mask: nowhere.nii: the mask's file is not there"),
        (["a.nii", "b.nii"], {}, "mask: must be one file"),
        (None, {}, "mask: must be"),
        (np.full(SHAPE, np.nan), {}, "mask: .*NaN"),
    ],
)
def test_a_wrong_mask_is_told_in_one_sentence(placed, mask, settings, message):
    with pytest.raises(AuditError, match=message) as caught:
        placed.overlap(mask, **settings)
    assert "\n" not in str(caught.value)


def test_a_mask_on_another_grid_is_met_by_carrying_the_map(placed, tmp_path):
    shape, affine = other_grid()
    mask = np.zeros(shape, np.uint8)
    mask[17:24, 9:14, 14:23] = 1
    path = write_scan(tmp_path / "mask.nii.gz", mask, affine)
    with pytest.raises(StudyError, match=r"mask: mask\.nii\.gz: the mask's grid") as caught:
        placed.overlap(path)
    assert caught.value.reason is Reason.OTHER_GRID
    assert placed.on(path).overlap(path)["hit_rate"].value == 1


def test_all_maps_against_one_mask_are_a_table():
    settings = {"methods": ["gradcam", "hirescam"], "labels": ["clear", "lesion"], "targets": ["lesion", "clear"]}
    maps = explain(network(cell=2), (blob(), oblique()), **settings)
    table = maps.overlap(box(), threshold=0.5)
    assert len(table) == 4
    assert table["hirescam", "lesion"] == maps["hirescam", "lesion"].overlap(box(), threshold=0.5)
    assert table._repr_html_().count("<tr>") == len(repr(table).splitlines()) == 5
    with pytest.raises(AuditError, match="overlap: 2 maps are called 'gradcam'; there are gradcam, lesion, "):
        table["gradcam"]
    with pytest.raises(AuditError, match="overlap: 0 maps are called 'layercam'"):
        table["layercam"]


def test_the_predicted_label_goes_by_its_name():
    maps = explain(network(cell=2), (blob(), oblique()), labels=["clear", "lesion"])
    assert [placed.target for placed in maps] == ["lesion"]
    assert [placed.target for placed in explain(network(cell=2), (blob(), oblique()))] == ["1"]


def test_the_raw_map_asks_for_an_image(placed):
    with pytest.raises(AuditError, match="mask: needs the map on the image"):
        placed.cells.overlap(box())


def test_a_picture_against_a_png_mask(tmp_path):
    Image.fromarray((blob(PICTURE, SPOT) * 255).astype(np.uint8)).save(tmp_path / "image.png")
    Image.fromarray(((blob(PICTURE, SPOT) > 0.5) * 255).astype(np.uint8)).save(tmp_path / "mask.png")
    spot = explain(network(2), tmp_path / "image.png", prepare=[{"_target_": "ScaleIntensity"}], target=1)["gradcam"]
    assert spot.overlap(tmp_path / "mask.png")["hit_rate"].value == 1


@pytest.fixture(scope="module")
def planted_model():
    names = {}
    exec(FACTORY, names)
    return names["build"]().eval()


def test_the_scores_are_an_audits(audited, planted_model, tmp_path):
    config, run = audited
    with (config.parent / "archive" / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    studies = dict(zip(run.studies["study"].to_pylist(), rows, strict=True))
    methods = ["gradcam", "hirescam", "layercam"]
    compared = 0
    for name, row in list(studies.items())[:5]:
        audit = run.study(name)
        if not audit.map_scores:
            continue
        scan = config.parent / "archive" / row["image"]
        settings = {"prepare": PREPARE, "methods": methods, "labels": ["clear", "lesion"], "target": "lesion"}
        maps = explain(planted_model, scan, **settings)
        for entry in audit.map_scores:
            if entry.map is None:
                continue
            mask = nibabel.load(config.parent / "archive" / row[f"mask:{entry.reader}"])  # a file takes a process each
            overlap = maps[entry.method].overlap(mask)
            kept = run.map(name, entry.method).on(nibabel.load(scan)).overlap(mask)
            for score in entry.scores:
                ours = overlap[score.name]
                assert (ours.value, ours.reason, ours.chance) == (score.value, score.reason, score.chance)
                assert kept[score.name] == ours
                compared += 1
            assert overlap.seen_share == entry.seen_share
    assert compared > 50


def test_a_study_as_an_audit_reads_it_is_an_image(tmp_path, planted_model):
    from pipeline.studies.pseudonyms import Pseudonyms
    from pipeline.studies.read_study import MaskSource, StudyRow, read_study

    row = write_study(tmp_path, 0, positive=True)
    sources = tuple(MaskSource(reader, "lesion", tmp_path / row[f"mask:{reader}"]) for reader in ("anna", "ben"))
    listed = StudyRow("s", "p", tmp_path / row["image"], sources, ("lesion",), {})
    study = read_study(listed, Pseudonyms(b"k" * 32))
    placed = explain(planted_model, study, prepare=PREPARE, target=1)["gradcam"]
    again = explain(planted_model, Volume(study.image.array, study.image.geometry), prepare=PREPARE, target=1)
    np.testing.assert_array_equal(placed.array, again["gradcam"].array)
    assert placed.overlap(study.masks[0])["hit_rate"].value == 1


def test_points_and_peaks(placed):
    assert placed.at_mm(placed.peak_mm) == pytest.approx(placed.array.max(), rel=1e-5)
    assert placed.at_mm((1e4, 0, 0)) is None
    with pytest.raises(AuditError, match=r"at_mm: must be a point \(x, y, z\) in mm, not \(1, 2\)"):
        placed.at_mm((1, 2))
    with pytest.raises(AuditError, match=r"at_mm: must be a point \(x, y, z\) in mm, not 'abc'"):
        placed.at_mm("abc")
    flat = camaudit.PlacedMap(
        array=np.zeros((3, 3, 3), np.float32), grid=placed.cells.grid, method="gradcam", target="1", layer="0"
    )
    assert (flat.peak, flat.peak_mm) == (None, None)
