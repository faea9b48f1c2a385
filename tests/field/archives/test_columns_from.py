"""Labels and patients of a scan's manifest, from where the user says; and what a scan doubts."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from flows.cli import app
from pipeline.errors import AuditError
from pipeline.studies.list_studies import list_studies
from pipeline.studies.pseudonyms import Pseudonyms
from pipeline.studies.read_study import read_study
from tests.field.making import RAMP, film, label_map, series
from tests.pipeline.studies.writers import save

IMAGES = ["benign/p1_a.png", "benign/p1_b.png", "malignant/images/p2_a.png", "normal/p3_a.png"]
RNG = np.random.default_rng(2)


@pytest.fixture
def root(tmp_path):
    for name in IMAGES:
        picture(tmp_path / "a" / name)
    marks = np.zeros((20, 30), np.uint8)
    marks[3:8, 4:9] = 255
    for name, part in (
        ("benign/p1_a_mask.png", marks),
        ("malignant/masks/p2_a.png", marks),
        ("normal/p3_a_mask.png", marks * 0),
    ):
        (tmp_path / "a" / name).parent.mkdir(exist_ok=True)
        Image.fromarray(part).save(tmp_path / "a" / name)
    return tmp_path / "a"


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (20, 30), dtype=np.uint8)).save(path)


def scan(root, *options, code=0):
    """Return the rows of the manifest by image, with what was printed."""
    manifest = root.parent / "m.csv"
    arguments = ["scan", str(root), "--json", "--workers", "0", "--write-manifest", str(manifest), *options]
    done = CliRunner().invoke(app, arguments, env={"CAMAUDIT_KEY": "k" * 64})
    if code:
        assert isinstance(done.exception, AuditError), done.output
        return str(done.exception)
    assert done.exit_code == 0, done.exception
    rows = {row["image"]: row for row in csv.DictReader(manifest.open())}
    return rows, json.loads(done.stdout)


def labels(rows):
    return [rows[image].get("label") for image in IMAGES]


def patients(rows):
    return [len({row["patient"] for row in rows.values()}), len({rows[image]["patient"] for image in IMAGES[:2]})]


@pytest.mark.parametrize("source", ["folder", "folder:1", "name:^(benign|malignant|normal)", "name:[a-z]+(?=/)"])
def test_labels_from_paths(root, source):
    rows, told = scan(root, "--label-from", source)
    assert labels(rows) == ["benign", "benign", "malignant", "normal"]
    assert "label missing" not in told["doubts"]


@pytest.mark.parametrize("source", ["name:p\\d", "name:(p\\d)_", "name:.*/(p\\d)"])
def test_patients_from_names(root, source):
    rows, told = scan(root, "--patient-from", source)
    assert patients(rows) == [3, 1]
    assert not any("patient" in doubt for doubt in told["doubts"])
    assert "p1" not in "".join(row["patient"] for row in rows.values())


def test_patients_that_nothing_tells_are_a_doubt(root):
    rows, told = scan(root)
    assert patients(rows) == [4, 2]
    assert told["doubts"]["patient not stated: counts as a patient of its own"] == 4
    assert all("patient not stated" in row["doubts"] for row in rows.values())


def table(root, text):
    (root.parent / "t.csv").write_text(text)
    return str(root.parent / "t.csv")


@pytest.mark.parametrize("form", ["{}", "{}.png", "path"])
def test_a_table(root, form):
    names = [
        image if form == "path" else form.format(image.rpartition("/")[2].removesuffix(".png")) for image in IMAGES
    ]
    rows_of = "\n".join(
        f"{name},{label},{patient}" for name, label, patient in zip(names[:3], "xyz", "112", strict=True)
    )
    path = table(root, f"image,label,patient\n{rows_of}\n")
    rows, told = scan(root, "--label-from", path, "--patient-from", path)
    assert labels(rows) == ["x", "y", "z", "?"]
    assert (told["doubts"]["label missing"], patients(rows)) == (1, [3, 1])
    study = {row.image.name: row.reference for row in list_studies(root, root.parent / "m.csv")}
    assert (study["p1_a.png"], study["p3_a.png"]) == (("x",), None)


def test_a_table_by_what_the_header_says(tmp_path):
    root = tmp_path / "a"
    save(root / "ct", series(RAMP, PatientID="ANNA"))
    path = table(root, "patient,label\nANNA,nodule\nBERT,none\n")
    rows, _ = scan(root, "--label-from", path, "--patient-from", "header")
    assert [row["label"] for row in rows.values()] == ["nodule"]


def test_a_table_of_folders(tmp_path):
    """A study's folder stands for all of its images; the nearest that the table knows counts."""
    for name in ("p1/t1/x.png", "p1/t2/x.png", "p2/t1/x.png", "p3/t1/x.png"):
        picture(tmp_path / "a" / name)
    rows, _ = scan(tmp_path / "a", "--label-from", table(tmp_path / "a", "image,label\np1,good\np2,bad\nt9,none\n"))
    assert [rows[f"{name}/x.png"]["label"] for name in ("p1/t1", "p1/t2", "p2/t1", "p3/t1")] == [
        "good",
        "good",
        "bad",
        "?",
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--label-from", "name:xyz"], "--label-from: nothing matches: none of the 4 usable images gets a label"),
        (["--patient-from", "name:xyz"], "--patient-from: nothing matches"),
        (["--label-from", "name:("], "holds no regular expression"), (["--label-from", "name:(a)(b)"], "2 groups"),
        (["--label-from", "nowhere.csv"], "must be folder, folder:N, name:REGEX or a CSV file"),
        (["--label-from", "header"], "must be folder"), (["--patient-from", "header"], "nothing matches"),
        (["--label-from", "folder:3"], "nothing matches"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_line(root, options, words):
    output = scan(root, *options, code=2)
    assert words in output
    assert len(output.strip().splitlines()) == 1
    assert "p1" not in output


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image,class\na,b\n", "needs the columns 'label'"), ("label\nb\n", "needs the columns"),
        ("image,label\na,b\na,c\n", "line 3 states another label"), ("image,label\na\n", "line 2 has 1 cells"),
        ("image,label\nx,b\n", "nothing matches"), ("", "needs the columns"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used_is_one_line(root, text, words):
    assert words in scan(root, "--label-from", table(root, text), code=2)


@pytest.mark.parametrize("form", ["train/{}/x{}.png", "{}/images/x{}.png", "fold 1/{}/x{}.png", "{}/test/x{}.png"])
def test_classes_called_by_numbers(tmp_path, form):
    for number in range(3):
        picture(tmp_path / "a" / form.format(number % 2, number))
    rows, _ = scan(tmp_path / "a", "--label-from", "folder")
    assert sorted(row["label"] for row in rows.values()) == ["0", "0", "1"]


def test_names_of_studies_are_no_labels(tmp_path):
    for number in range(12):
        picture(tmp_path / "a" / f"anna{number}" / "x.png")
    assert "names of studies" in scan(tmp_path / "a", "--label-from", "folder", code=2)


def test_a_name_of_a_table_that_two_images_bear_is_refused(root):
    picture(root / "normal" / "p1_a.png")
    assert "borne by several images" in scan(root, "--label-from", table(root, "image,label\np1_a,x\n"), code=2)
    rows, _ = scan(root, "--label-from", table(root, "image,label\nbenign/p1_a,x\n"))
    assert [row["label"] for row in rows.values()].count("x") == 1


def test_the_options_go_with_a_manifest(root):
    done = CliRunner().invoke(app, ["scan", str(root), "--label-from", "folder"])
    assert "goes with --write-manifest only" in str(done.exception)


def test_the_manifest_with_doubts_runs_unchanged(root):
    scan(root, "--label-from", "folder", "--patient-from", "name:p\\d")
    rows = list_studies(root, root.parent / "m.csv")
    assert all(not row.strata for row in rows)
    studies = {row.image.name: read_study(row, Pseudonyms(b"k" * 64)) for row in rows}
    assert [(mask.reader, mask.label, int(mask.array.sum())) for mask in studies["p1_a.png"].masks] == [
        ("expert", "benign", 25)
    ]
    assert studies["p1_b.png"].masks == ()


DOUBTS = [
    ({"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]}, "ImageType says DERIVED; ImageType says SECONDARY"),
    ({}, "only 6 slices"), ({"PatientID": ""}, "patient not stated"),
]  # fmt: skip


@pytest.mark.parametrize(("about", "doubt"), DOUBTS)
def test_what_a_header_lets_doubt(tmp_path, about, doubt):
    save(tmp_path / "a" / "ct", series(RAMP, **{"PatientID": "A", **about}))
    rows, _ = scan(tmp_path / "a")
    assert all(doubt in row["doubts"] for row in rows.values())


def test_a_mask_that_is_no_mask_or_marks_nothing_is_a_doubt(tmp_path):
    root = tmp_path / "a"
    for name in ("a", "b", "c", "d"):
        picture(root / "images" / f"{name}.png")
    picture(root / "masks" / "a.png")
    for name, size in (("b", (20, 30)), ("c", (20, 31))):
        Image.fromarray(np.zeros(size, np.uint8)).save(root / "masks" / f"{name}.png")
    rows, told = scan(root)
    doubts = {image.removeprefix("images/"): row["doubts"] for image, row in rows.items()}
    assert "is it an image?" in doubts["a.png"]
    assert "marks nothing" in doubts["b.png"]
    assert "another size" in doubts["c.png"]
    assert "mask" not in doubts["d.png"]
    assert told["masks_used"] == 3


def test_masks_of_readers_that_nothing_tells_are_a_doubt(tmp_path):
    root = tmp_path / "a"
    label_map(root / "x.nii", RAMP)
    for name in ("x_mask_anna.nii", "x_mask_bert.nii"):
        label_map(root / name, (RAMP > 900).astype(np.uint8))
    rows, _ = scan(root)
    assert "2 masks of one image whose readers nothing tells" in rows["x.nii"]["doubts"]


def test_a_film_without_spacing_is_a_doubt(tmp_path):
    film(
        tmp_path / "a" / "x.dcm",
        np.arange(600, dtype=np.uint16).reshape(20, 30),
        SOPClassUID="1.2.840.10008.5.1.4.1.1.7",
        PixelSpacing=None,
    )
    rows, _ = scan(tmp_path / "a")
    assert "no spacing is stated" in rows["x.dcm"]["doubts"]
