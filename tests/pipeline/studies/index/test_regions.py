"""A scan finds whose files of regions are, and its manifest reads them: by file name, folder, instance and session."""

import numpy as np
import pytest
from PIL import Image

from pipeline.studies.read_study import source_digest
from tests.field.making import scanned
from tests.pipeline.studies.readers.regions.pictures import write
from tests.pipeline.studies.readers.regions.test_aim import BOX, aim, annotation, markup
from tests.pipeline.studies.readers.regions.test_dicom_report import group, report
from tests.pipeline.studies.readers.regions.test_labelme import labelme, shape
from tests.pipeline.studies.readers.regions.test_lidc import frame, lidc, nodule, roi, session
from tests.pipeline.studies.readers.regions.test_pascal_voc import voc, voc_box
from tests.pipeline.studies.readers.regions.test_via import RECT, entry, exported
from tests.pipeline.studies.writers import dot, grid, projection, save, slices

AFFINE = grid(np.diag([-1, -1, 1]), (0.7, 0.7, 2.5), (20.0, 30.0, 0.0))
RECTANGLE = shape("rectangle", [[0, 0], [2, 2]])


def png(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (6, 9), np.uint8)).save(path)
    return path


def masks_of(root):
    """Return the voxels marked by each reader and label of each study of a scan's manifest, and the faults."""
    studies, rows, numbers = scanned(root)
    assert not any(study.mask_faults for study in studies), [study.mask_faults for study in studies]
    marked = {
        row.image.relative_to(root).as_posix(): {
            (mask.reader, mask.label): int(mask.array.sum()) for mask in study.masks
        }
        for row, study in zip(rows, studies, strict=True)
    }
    return marked, numbers


@pytest.mark.parametrize("way", ["labelme", "voc", "yolo", "via"])
def test_a_file_beside_its_image(tmp_path, way):
    root = tmp_path / "in"
    for number, name in enumerate("ab"):
        png(root / f"{name}.png", number)
    match way:
        case "labelme":
            labelme(root / "a.json", RECTANGLE)
        case "voc":
            voc(root / "a.xml", voc_box(1, 1, 2, 2))
        case "yolo":
            write(root / "classes.txt", "nodule\n")
            write(root / "a.txt", "0 0.111111 0.166667 0.222222 0.333333\n")
        case "via":
            exported(root / "regions.json", entry(RECT))
    marked, numbers = masks_of(root)
    assert marked == {"a.png": {("expert", "nodule"): 6 if way == "via" else 4}, "b.png": {}}
    assert (numbers.masks, numbers.masks_used) == (1, 1)


def test_the_name_that_a_file_states_counts_and_no_other(tmp_path):
    root = tmp_path / "in"
    for number, name in enumerate(("a", "b")):
        png(root / f"{name}.png", number)
    labelme(root / "a.json", RECTANGLE, imagePath="b.png")
    assert masks_of(root)[0] == {"a.png": {}, "b.png": {("expert", "nodule"): 4}}
    labelme(root / "a.json", RECTANGLE, imagePath="c.png")
    marked, numbers = masks_of(root)
    assert marked == {"a.png": {}, "b.png": {}}
    assert numbers.excluded == {"other_image": 1}


def test_a_stated_name_leads_to_the_only_image_that_bears_it(tmp_path):
    root = tmp_path / "in"
    png(root / "pictures" / "a.png")
    voc(root / "work" / "1.xml", voc_box(1, 1, 2, 2))
    assert masks_of(root)[0] == {"pictures/a.png": {("expert", "nodule"): 4}}
    png(root / "others" / "a.png", 1)
    assert masks_of(root)[1].excluded == {"other_image": 1}


def test_folders_of_labels_as_yolo_and_voc_have_them(tmp_path):
    root = tmp_path / "in"
    for number, split in enumerate(("train", "val")):
        png(root / "images" / split / "a.png", number)
        write(root / "labels" / split / "a.txt", f"0 0.5 0.5 {(0.333333, 0.999999)[number]} 1.0\n")
    write(root / "data.yaml", "names: [nodule]\n")
    write(root / "README.txt", "of this set\n")
    write(root / "times.txt", "1 0.1 0.2 0.3 0.4\n")
    marked, numbers = masks_of(root)
    assert marked == {
        "images/train/a.png": {("expert", "nodule"): 18},
        "images/val/a.png": {("expert", "nodule"): 54},
    }
    assert numbers.excluded == {"not_an_image": 3}
    assert (numbers.masks, numbers.masks_used) == (2, 2)


def test_the_names_of_classes_count_in_a_studys_digest(tmp_path):
    root = tmp_path / "in"
    png(root / "a.png")
    write(root / "a.txt", "0 0.5 0.5 1.0 1.0\n")
    digests = set()
    for names in ("nodule\nmass\n", "nodule\ncyst\n"):
        write(root / "classes.txt", names)
        (study,), (row,), _ = scanned(root)
        assert study.source_sha256 == source_digest(row)
        digests.add(study.source_sha256)
    assert len(digests) == 2


def test_a_text_beside_an_image_that_is_no_regions_is_a_text(tmp_path):
    root = tmp_path / "in"
    png(root / "a.png")
    write(root / "a.txt", "seen by SECRET\n")
    assert masks_of(root)[1].excluded == {"not_an_image": 1}


def test_an_empty_text_of_an_image_says_that_nothing_is_marked(tmp_path):
    root = tmp_path / "in"
    png(root / "a.png")
    (root / "a.txt").write_bytes(b"")
    studies, rows, numbers = scanned(root)
    assert (numbers.masks_used, len(rows[0].masks)) == (1, 1)
    assert not studies[0].mask_faults


def test_damaged_files_of_regions_are_excluded_by_their_reason(tmp_path):
    root = tmp_path / "in"
    png(root / "a.png")
    write(root / "a.xml", "<annotation><filename>a.png")
    write(root / "b.json", '{"version": "5", "shapes": [')
    assert masks_of(root)[1].excluded == {"not_readable": 2}


def test_regions_that_name_instances(tmp_path):
    root = tmp_path / "in"
    series = [slices(dot((9, 7, 4), (1, 2, 3)), AFFINE) for _ in range(2)]
    for number, images in enumerate(series):
        for image in images:
            image.SeriesInstanceUID = f"1.2.3.{number}"
        save(root / f"ct{number}", images)
    edges = [session(nodule(roi(series[0][0].SOPInstanceUID, frame(1, 1, 3 + n, 3)))) for n in range(3)]
    lidc(root / "lidc.xml", *edges)
    aim(root / "aim.xml", annotation(markup("TwoDimensionPolyline", BOX, series[1][2].SOPInstanceUID)))
    report(root / "report.dcm", series[1], group(series[1][0]))
    marked, numbers = masks_of(root)
    assert marked == {
        "ct0": {("reader1", "nodule"): 1, ("reader2", "nodule"): 2, ("reader3", "nodule"): 3},
        "ct1": {("expert", "nodule"): 6, ("expert2", "nodule"): 6},
    }
    assert (numbers.masks, numbers.masks_used) == (3, 3)


def test_regions_of_images_that_are_not_there_are_excluded(tmp_path):
    root = tmp_path / "in"
    projection(root.parent / "x.dcm", np.zeros((6, 9), np.uint16), PixelSpacing=[0.1, 0.1])
    save(root / "ct", slices(dot((9, 7, 4), (1, 2, 3)), AFFINE))
    aim(root / "aim.xml", annotation(markup("TwoDimensionPolyline", BOX, "1.2.3.4")))
    marked, numbers = masks_of(root)
    assert marked == {"ct": {}}
    assert numbers.excluded == {"other_image": 1}


def test_a_second_scan_says_the_same_and_finds_an_image_that_came_later(tmp_path):
    root = tmp_path / "in"
    png(root / "b.png")
    labelme(root / "a.json", RECTANGLE)
    assert masks_of(root)[1].excluded == {"other_image": 1}
    png(root / "a.png", 1)
    for _ in range(2):
        marked, numbers = masks_of(root)
        assert marked == {"a.png": {("expert", "nodule"): 4}, "b.png": {}}
        assert numbers.masks_used == 1
