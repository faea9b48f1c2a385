"""Planted archives: every kind of file that a scan meets, and counts that have to add up."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import warnings
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import UltrasoundImageStorage, generate_uid

from pipeline.errors import ArchiveError, Reason, Stage, StudyError
from pipeline.files import written
from pipeline.studies.index import scan as scanning
from pipeline.studies.index.catalogue import open_catalogue
from pipeline.studies.index.headers import Kind
from pipeline.studies.index.scan import scan, summary
from pipeline.studies.list_studies import list_studies
from pipeline.studies.listing.write_manifest import write_manifest
from pipeline.studies.pseudonyms import Pseudonyms
from pipeline.studies.read_study import read_study, source_digest
from tests.pipeline.studies.writers import (
    FRAME,
    SECRET,
    dicom,
    dot,
    grid,
    nifti,
    projection,
    refusal,
    save,
    segmentation,
    slices,
)

AFFINE = grid(np.diag([-1, -1, 1]), (0.7, 0.9, 2.5), (40.0, -12.5, 100.25))
SHAPE = (7, 5, 4)
NAMES = Pseudonyms(b"0123456789abcdef0123456789abcdef")


def series(count=SHAPE[2], shift=0.0, **attributes):
    """Return the slices of a series of its own; ``shift`` moves it in mm."""
    affine = AFFINE.copy()
    affine[2, 3] += shift
    made, uid = slices(dot((*SHAPE[:2], count), (5, 1, 0)), affine), generate_uid()
    for one in made:
        one.SeriesInstanceUID = uid
        for name, value in attributes.items():
            setattr(one, name, value)
    return made


def scanned(root, index=None, workers=0):
    """Scan and return the summary, and the files' outcomes by path (and member)."""
    index = index or root.parent / "index.sqlite"
    with open_catalogue(index, root.resolve()) as catalogue:
        scan(root.resolve(), catalogue, workers=workers, on_files=lambda _: None)
        found = summary(root.resolve(), catalogue)
        rows = list(catalogue.select("SELECT * FROM files"))
    assert found.files == len(rows) == found.used + sum(found.excluded.values())
    assert found.images == found.usable + sum(sum(one.excluded.values()) for one in found.modalities)
    assert found.images == sum(one.images for one in found.modalities)
    assert all(one.images == one.usable + sum(one.excluded.values()) for one in found.modalities)
    return found, {row["path"] + (f"!{row['member']}" if row["member"] else ""): row["outcome"] for row in rows}


def listed(root, index=None):
    """Return the rows of the manifest that a scan writes, through the reader of manifests."""
    manifest = root.parent / "manifest.csv"
    with open_catalogue(index or root.parent / "index.sqlite", root.resolve()) as catalogue:
        scan(root.resolve(), catalogue, workers=0, on_files=lambda _: None)
        write_manifest(root.resolve(), catalogue, manifest, NAMES, written)
    return list_studies(root, manifest)


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "archive"
    folder.mkdir()
    return folder


@pytest.fixture
def opened(monkeypatch):
    """The files that were opened, by path."""
    paths = []
    real = scanning.describe_file
    monkeypatch.setattr(scanning, "describe_file", lambda path, *readers: paths.append(path) or real(path, *readers))
    return paths


# -- what is met on the walk


def test_only_regular_files_inside_are_opened(root, opened):
    save(root / "a", series())
    (root.parent / "outside.dcm").write_bytes((root / "a" / "SECRET000.dcm").read_bytes())
    (root / "out").symlink_to(root.parent / "outside.dcm")
    (root / "out-folder").symlink_to(root.parent)
    (root / "in").symlink_to(root / "a" / "SECRET000.dcm")
    (root / "loop").symlink_to(root / "loop")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(root / "socket"))
        found, outcomes = scanned(root)
    assert outcomes == {
        **dict.fromkeys([f"a/SECRET00{number}.dcm" for number in range(4)], ""),
        "out": "leads_out", "out-folder": "leads_out", "in": "duplicate", "loop": "missing_file",
        "pipe": "not_regular", "socket": "not_regular",
    }  # fmt: skip
    assert {path.name for path in opened} == {f"SECRET00{number}.dcm" for number in range(4)}
    assert (found.images, found.usable) == (1, 1)


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(root):
    os.mkfifo(root / "pipe.dcm")
    assert scanning.describe_file(root / "pipe.dcm")["reason"] == Reason.NOT_REGULAR


def test_a_link_in_the_place_of_a_file_is_not_followed(root):
    (root / "target").write_text("x")
    (root / "link").symlink_to(root / "target")
    assert scanning.describe_file(root / "link")["reason"] == Reason.NOT_READABLE


def test_names_that_are_no_text_are_counted(root):
    (root / os.fsdecode(b"\xff.dcm")).write_bytes(b"x")
    assert scanned(root)[1] == {"\\udcff.dcm": "not_readable"}


def test_files_that_are_no_image_have_their_reason(root):
    (root / "empty").write_bytes(b"")
    (root / "notes.txt").write_text("SECRET")
    (root / "weights.pt").write_bytes(zipped({"a": b"x"}))
    whole = Path(get_testdata_file("MR_small.dcm")).read_bytes()
    (root / "cut.dcm").write_bytes(whole[:-500])
    (root / "cut-header.dcm").write_bytes(whole[:400])
    (root / "sr.dcm").write_bytes(Path(get_testdata_file("test-SR.dcm")).read_bytes())
    assert scanned(root)[1] == {
        "empty": "truncated", "notes.txt": "not_an_image", "weights.pt": "not_an_image", "cut.dcm": "truncated",
        "cut-header.dcm": "not_readable", "sr.dcm": "not_an_image",
    }  # fmt: skip


@pytest.mark.parametrize("kept", [200, 350, 700])
def test_a_slice_whose_header_is_cut_is_damaged_and_not_another_object(root, kept):
    """By its class it is an image: a series that it is missing from must not look whole."""
    save(root, series())
    path = root / "SECRET000.dcm"
    path.write_bytes(path.read_bytes()[:kept])
    assert scanned(root)[1][path.name] == "not_readable"


def test_a_file_that_breaks_its_process_costs_no_other(root, monkeypatch):
    save(root, series())
    real = scanning.isolated_map

    def breaking(function, arguments, **limits):
        for batch in arguments:
            broken = any("SECRET002" in stamp[0] for stamp in batch)
            yield StudyError(Stage.READ, Reason.CRASHED, "") if broken else next(real(function, [batch], **limits))

    monkeypatch.setattr(scanning, "isolated_map", breaking)
    found, outcomes = scanned(root)
    assert outcomes.pop("SECRET002.dcm") == "crashed"
    assert set(outcomes.values()) == {"irregular_series"}  # the others were read: a slice is missing now
    assert found.files == 4


def test_it_works_in_processes_with_limits(root):
    save(root / "a", series())
    (root / "b.zip").write_bytes(zipped({"x/1.dcm": content(series(1)[0])}))
    found, outcomes = scanned(root, workers=2)
    assert (found.usable, outcomes["b.zip!x/1.dcm"]) == (2, "")


# -- incremental, and after a kill


def test_unchanged_files_are_not_opened_again_and_changed_ones_are(root, opened):
    save(root / "a", series())
    nifti(root / "b.nii", dot(SHAPE, (1, 1, 1)), AFFINE)
    (root / "README").write_text("SECRET")
    (root / "broken.dcm").write_bytes((root / "a" / "SECRET000.dcm").read_bytes()[:700])
    first = scanned(root)
    assert len(opened) == 7
    opened.clear()
    assert scanned(root) == first
    assert not opened
    path = root / "a" / "SECRET001.dcm"
    before = path.stat()
    path.write_bytes(path.read_bytes() + b"\0\0")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    scanned(root)
    assert opened == [path]
    opened.clear()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    scanned(root)
    assert opened == [path]
    opened.clear()
    copy = root.parent / "copy"
    copy.write_bytes(path.read_bytes())
    os.utime(copy, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    copy.replace(path)  # same name, size and time
    scanned(root)
    assert opened == [path]


def test_a_file_that_could_not_be_opened_is_tried_again(root, monkeypatch):
    """Giving a permission changes neither size nor time."""
    (path,) = save(root, series(1)).iterdir()
    nifti(root / "b.nii", dot(SHAPE, (1, 1, 1)), AFFINE)
    real = os.open

    def locked(name, *flags):
        if os.fspath(name) == os.fspath(path.resolve()):
            raise PermissionError(13, "Permission denied")
        return real(name, *flags)

    monkeypatch.setattr(scanning.os, "open", locked)
    assert scanned(root)[0].excluded == {"not_readable": 1}
    monkeypatch.setattr(scanning.os, "open", real)
    found, _ = scanned(root)
    assert (found.used, found.usable, found.excluded) == (2, 2, {})


def test_a_slice_that_comes_or_goes_is_grouped_with_its_series(root):
    images = series()
    save(root, images[:3])
    save(root / "other", series(shift=100))
    assert scanned(root)[0].usable == 2
    images[3].save_as(root / "SECRET3.dcm", enforce_file_format=True)
    found, _ = scanned(root)
    assert (found.images, found.usable, found.used) == (2, 2, 8)
    (root / "SECRET001.dcm").unlink()
    found, _outcomes = scanned(root)
    assert (found.images, found.usable, found.excluded) == (2, 1, {"irregular_series": 3})
    for path in (root / "other").iterdir():
        path.unlink()
    assert scanned(root)[0].images == 1


def test_a_killed_scan_goes_on_where_it_was(root, opened):
    for number in range(5):
        save(root / str(number), series(60))
    index = root.parent / "index.sqlite"
    program = (
        "import os, sys; from pathlib import Path; from pipeline.studies.index.catalogue import open_catalogue\n"
        "from pipeline.studies.index.scan import scan\n"
        "root, index, left = Path(sys.argv[1]), Path(sys.argv[2]), [128]\n"
        "def met(files):\n    left[0] -= files\n    left[0] > 0 or os.kill(os.getpid(), 9)\n"
        "with open_catalogue(index, root) as catalogue: scan(root, catalogue, workers=0, on_files=met)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, root.resolve(), index], check=False)
    assert killed.returncode == -signal.SIGKILL
    found, outcomes = scanned(root, index)
    assert len(opened) == 300 - 128
    assert (found.files, found.usable, set(outcomes.values())) == (300, 5, {""})


# -- the index


def test_the_index_is_its_owners_alone(root):
    save(root, series())
    scanned(root)
    assert stat.S_IMODE((root.parent / "index.sqlite").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["another", "ours of another archive", "no database"])
def test_a_foreign_index_is_refused_and_left_alone(root, content):
    import sqlite3

    index = root.parent / "index.sqlite"
    if content == "another":
        with sqlite3.connect(index) as connection:
            connection.execute("CREATE TABLE t (a)")
        connection.close()
    elif content == "no database":
        index.write_text("SECRET" * 1000)
    else:
        with open_catalogue(index, root.parent):
            pass
    before = index.read_bytes()
    with pytest.raises(ArchiveError, match=r"index") as caught, open_catalogue(index, root):
        pass
    assert "\n" not in str(caught.value)
    assert index.read_bytes() == before


def test_the_index_may_lie_in_the_archive(root):
    save(root, series())
    index = root / "index.sqlite"
    with open_catalogue(index, root.resolve()) as catalogue:
        apart = frozenset(index.with_name(index.name + end) for end in ("", "-wal", "-shm"))
        scan(root.resolve(), catalogue, workers=0, apart=apart, on_files=lambda _: None)
        assert summary(root.resolve(), catalogue).files == 4


def test_the_export_holds_pseudonyms_and_numbers_only(root):
    save(root / "SECRETFOLDER", series())
    projection(root / "SECRET.dcm", dot((4, 6), (1, 1)), PixelSpacing=[1, 1], SeriesInstanceUID=generate_uid())
    path = root.parent / "export.parquet"
    with open_catalogue(root.parent / "index.sqlite", root.resolve()) as catalogue:
        scan(root.resolve(), catalogue, workers=0, on_files=lambda _: None)
        with path.open("wb") as file:
            catalogue.export(file, NAMES)
    table = pyarrow.parquet.read_table(path)
    assert table.num_rows == 5
    assert set(table["modality"].to_pylist()) == {"CT", "CR"}
    assert set(table["outcome"].to_pylist()) == {"used"}
    text = json.dumps(table.to_pylist())
    assert SECRET not in text
    assert FRAME[:12] not in text
    assert not any(char in text for char in "/^")
    assert len(set(table["patient"].to_pylist())) == 1


# -- series


def test_a_mixed_folder_becomes_its_series_and_each_can_be_read(root):
    one, two, localizer = series(), series(shift=50), series(1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    for number, image in enumerate([*one, *two, *localizer]):
        image.save_as(root / f"{number}.dcm", enforce_file_format=True)
    found, _outcomes = scanned(root)
    assert (found.images, found.usable, found.excluded) == (3, 2, {"localizer": 1})
    rows = listed(root)
    studies = [read_study(row, NAMES) for row in rows]
    assert sorted(round(float(study.image.geometry.affine[2, 3]), 2) for study in studies) == [100.25, 150.25]
    assert len({source_digest(row) for row in rows}) == 2
    assert len({study.patient for study in studies}) == 1


def test_a_folder_of_one_series_is_named_as_a_folder(root):
    save(root / "a", series())
    (root / "a" / "LICENSE").write_text("text")
    assert [row.image for row in listed(root)] == [root / "a"]


@pytest.mark.parametrize("stray", ["hidden", "junk", "link", "copy", "mask"])
def test_a_folder_with_what_its_reader_would_stumble_over_is_named_by_its_files(root, stray):
    folder = save(root / "a", series())
    first = folder / "SECRET000.dcm"
    match stray:
        case "hidden":
            first.rename(folder / ".SECRET000.dcm")
        case "junk":
            (folder / "junk.dcm").write_bytes(b"junk")
        case "link":
            (folder / "link.dcm").symlink_to(root.parent)
        case "copy":
            (folder / "copy.dcm").write_bytes(first.read_bytes())
        case "mask":
            images = [dcmread(path) for path in sorted(folder.iterdir())]
            segmentation(folder / "seg.dcm", images, drawn(images), ["Liver"])
    (row,) = listed(root)
    assert row.image.suffix == ".files"
    assert read_study(replace(row, masks=()), NAMES).image.array.shape == SHAPE


def test_a_list_that_leads_out_or_is_gone_is_a_study_that_fails(root):
    save(root, [*series(), *series(shift=50)])
    row, _ = listed(root)
    (root.parent / "outside.dcm").write_bytes((root / "SECRET000.dcm").read_bytes())
    for text in ('[["../outside.dcm"]]', "[]", "{", "[3]", '[["a", "b", "c"]]'):
        row.image.write_text(text)
        refusal(Reason.MISSING_FILE, lambda: read_study(row, NAMES))
        assert source_digest(row)
    row.image.write_text('[["SECRET000.dcm", "member"]]')  # no container
    refusal(Reason.NOT_READABLE, lambda: read_study(row, NAMES))
    (root / "a.zip").write_bytes(zipped({"x": b""}))
    row.image.write_text('[["a.zip", "y"]]')
    refusal(Reason.MISSING_FILE, lambda: read_study(row, NAMES))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("EchoTime", (10, 90)),
        ("DiffusionBValue", (0.0, 800.0)),
        ("TemporalPositionIdentifier", (1, 2)),
        ("AcquisitionNumber", (1, 2)),
        ("ImageType", (["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"])),
        ("FrameOfReferenceUID", (generate_uid(), generate_uid())),
        ("PixelSpacing", ([1, 1], [1.5, 1.5])),
        ("PatientID", ("a", "b")),
    ],
)
def test_a_series_with_repeated_positions_is_parted_by_what_differs(root, name, values):
    images = [*series(), *series()]
    for number, image in enumerate(images):
        image.SeriesInstanceUID = images[0].SeriesInstanceUID
        setattr(image, name, values[number // 4])
    save(root, images)
    found, outcomes = scanned(root)
    assert (found.images, found.usable, set(outcomes.values())) == (2, 2, {""})
    assert {read_study(row, NAMES).image.array.shape for row in listed(root)} == {SHAPE}


def test_an_acquisition_number_parts_only_where_positions_repeat(root):
    images = series()
    for number, image in enumerate(images):
        image.AcquisitionNumber = number
    save(root, images)
    assert scanned(root)[0].images == 1


def test_directions_that_differ_by_less_than_the_gates_tolerance_are_one(root):
    images = series()
    images[1].ImageOrientationPatient = [1, 0.00005, 0, -0.00005, 1, 0]
    images[2].PixelSpacing = [0.90004, 0.7]
    save(root, images)
    assert scanned(root)[0].usable == 1
    images[1].ImageOrientationPatient = [1, 0.0003, 0, -0.0003, 1, 0]
    save(root, images)
    found, _ = scanned(root)
    assert (found.images, found.usable, found.excluded) == (1, 0, {"mixed_series": 4})  # no piece is an image


def broken(name):
    images = series()
    for image in images:
        match name:
            case "no position":
                del image.ImagePositionPatient
            case "colour":
                image.PhotometricInterpretation = "RGB"
            case "mosaic":
                image.ImageType = ["DERIVED", "PRIMARY", "MOSAIC"]
            case "nonsense spacing":
                image.PixelSpacing = [0, 0]
    if name == "gap":
        del images[2]
    if name == "same place":
        images[1].ImagePositionPatient = images[0].ImagePositionPatient
    if name == "one instance, two contents":
        images[1].SOPInstanceUID = images[0].SOPInstanceUID
    return images


@pytest.mark.parametrize(
    ("name", "reason", "count"),
    [
        ("no position", "no_geometry", 4),
        ("nonsense spacing", "no_geometry", 4),
        ("colour", "not_a_single_channel", 4),
        ("mosaic", "mosaic", 4),
        ("gap", "irregular_series", 3),
        ("same place", "irregular_series", 4),
        ("one instance, two contents", "mixed_series", 4),
    ],
)
def test_what_is_no_volume_is_excluded_by_its_reason(root, name, reason, count):
    save(root, broken(name))
    found, _outcomes = scanned(root)
    assert (found.usable, found.excluded) == (0, {reason: count})


def test_the_gate_of_the_scan_agrees_with_the_reader(root):
    """What the scan calls usable is read; what it excludes, the reader refuses for the same reason."""
    save(root / "good", series())
    for name in ("no position", "nonsense spacing", "colour", "mosaic", "gap", "same place"):
        save(root / name, broken(name))
    _, outcomes = scanned(root)
    for folder in root.iterdir():
        (said,) = {outcome for path, outcome in outcomes.items() if path.startswith(f"{folder.name}/")}
        manifest = root.parent / "one.csv"
        manifest.write_text(f"study,patient,image\ns,p,{folder.name}\n")
        (row,) = list_studies(root, manifest)
        try:
            read_study(row, NAMES)
            found = ""
        except StudyError as error:
            found = str(error.reason)
        assert found == said, folder.name


def test_copies_are_used_once(root):
    images = series()
    save(root / "a", images)
    save(root / "b", images[:2])
    found, _ = scanned(root)
    assert (found.usable, found.used, found.excluded) == (1, 4, {"duplicate": 2})
    assert len(listed(root)) == 1


def test_slices_without_a_series_are_grouped_by_folder_only(root):
    for folder, shift in (("a", 0), ("b", 2.5 * 4)):
        images = series(shift=shift)
        for image in images:
            del image.SeriesInstanceUID
        save(root / folder, images)
    assert scanned(root)[0].images == 2


def test_pictures_are_an_image_each(root):
    pixels = dot((4, 6), (1, 1))
    same = generate_uid()
    projection(root / "1.dcm", pixels, PixelSpacing=[1, 1], SeriesInstanceUID=same)
    projection(root / "2.dcm", pixels, PixelSpacing=[1, 1], SeriesInstanceUID=same)
    projection(root / "3.dcm", pixels, PixelSpacing=[0, 0], SeriesInstanceUID=same)
    capture = dicom(UltrasoundImageStorage, pixels)
    capture.Modality, capture.SeriesInstanceUID, capture.NumberOfFrames = "US", generate_uid(), 1
    capture.save_as(root / "4.dcm", enforce_file_format=True)
    found, outcomes = scanned(root)
    assert outcomes == {"1.dcm": "", "2.dcm": "", "3.dcm": "no_geometry", "4.dcm": ""}
    assert [(one.name, one.images, one.usable) for one in found.modalities] == [("CR", 3, 2), ("US", 1, 1)]


# -- masks


def drawn(images):
    masks = np.zeros((len(images), SHAPE[1], SHAPE[0], 1), dtype=np.uint8)
    masks[1, 2, 3, 0] = 1
    return masks


def test_a_segmentation_is_put_on_the_image_that_it_names(root):
    images, others = series(), series(shift=100)
    save(root, [*images, *others])
    segmentation(root / "seg.dcm", images, drawn(images), ["Liver"])
    found, outcomes = scanned(root)
    assert (outcomes["seg.dcm"], found.masks, found.masks_used) == ("", 1, 1)
    with_mask, without = sorted(listed(root), key=lambda row: -len(row.masks))
    assert [(mask.reader, mask.label) for mask in with_mask.masks] == [("expert", "liver")]
    assert without.masks == ()
    assert read_study(with_mask, NAMES).masks[0].array.sum() == 1


def test_a_label_that_may_be_a_name_stays_in_its_file(root):
    images = series()
    save(root, images)
    segmentation(root / "seg.dcm", images, drawn(images), ["SECRET lesion"])
    (row,) = listed(root)
    assert [(mask.reader, mask.label) for mask in row.masks] == [("expert", None)]
    assert SECRET.encode() not in (root.parent / "manifest.csv").read_bytes().replace(b"/SECRET", b"")


def test_two_masks_of_one_label_are_two_readers(root):
    images = series()
    save(root, images)
    for name in ("a", "b"):
        segmentation(root / f"{name}.dcm", images, drawn(images), ["Liver"])
    (row,) = listed(root)
    assert sorted((mask.reader, mask.label) for mask in row.masks) == [("expert", "liver"), ("expert2", "liver")]


def test_a_mask_whose_image_is_absent_unusable_or_elsewhere_is_excluded(root):
    images, gone, gap = series(), series(shift=50), series(shift=100)
    save(root / "a", images)
    save(root / "b", [gap[0], gap[1], gap[3]])
    segmentation(root / "gone.dcm", gone, drawn(gone), ["Liver"])
    segmentation(root / "gap.dcm", gap, drawn(gap), ["Liver"])
    path = segmentation(root / "frame.dcm", images, drawn(images), ["Liver"])
    dataset = dcmread(path)
    dataset.FrameOfReferenceUID = generate_uid()
    dataset.save_as(path)
    found, outcomes = scanned(root)
    assert {name: outcomes[name] for name in ("gone.dcm", "gap.dcm", "frame.dcm")} == {
        "gone.dcm": "other_image", "gap.dcm": "other_image", "frame.dcm": "other_frame_of_reference",
    }  # fmt: skip
    assert (found.masks, found.masks_used) == (3, 0)


def test_structures_without_references_go_by_their_frame_of_reference(root):
    save(root / "a", series())
    structures = dicom("1.2.840.10008.5.1.4.1.1.481.3", dot((1, 1), (0, 0)))
    for name in ("Rows", "Columns", "PixelData", "FrameOfReferenceUID"):
        delattr(structures, name)
    frame, roi = Dataset(), Dataset()
    frame.FrameOfReferenceUID, roi.ROIName, roi.ROINumber = FRAME, "Left Kidney", 1
    structures.ReferencedFrameOfReferenceSequence, structures.StructureSetROISequence = [frame], [roi]
    structures.SeriesInstanceUID = generate_uid()
    structures.save_as(root / "rt.dcm", enforce_file_format=True)
    assert scanned(root)[1]["rt.dcm"] == ""
    assert [mask.label for mask in listed(root)[0].masks] == ["left kidney"]
    save(root / "b", series(shift=50))  # a second image in the same frame: nothing tells which is meant
    assert scanned(root)[1]["rt.dcm"] == "other_image"


def test_names_tell_masks_from_images_in_any_folder(root):
    deep = root / "x" / "y"
    deep.mkdir(parents=True)
    volume = dot(SHAPE, (1, 1, 1))
    for name in ("t2", "t2_seg-manual", "brain_image", "brain_label", "lonely_mask_r1", "lonely"):
        nifti(deep / f"{name}.nii.gz", volume, AFFINE)
    nifti(deep / "stray_mask.nii.gz", volume, AFFINE)
    nifti(root / "only.nii", volume, AFFINE)
    nifti(root / "anything_mask.nii", volume, AFFINE)
    nifti(root / "lesion_mask.nii", volume, AFFINE)
    found, outcomes = scanned(root)
    stray = {"x/y/stray_mask.nii.gz": "other_image", "anything_mask.nii": "other_image"}
    assert {path: outcome for path, outcome in outcomes.items() if outcome} == stray
    assert (found.images, found.usable, found.masks, found.masks_used) == (4, 4, 6, 4)
    drawn_on = {row.image.name: [(mask.reader, mask.path.name) for mask in row.masks] for row in listed(root)}
    assert drawn_on == {
        "t2.nii.gz": [("manual", "t2_seg-manual.nii.gz")],
        "brain_image.nii.gz": [("expert", "brain_label.nii.gz")],
        "lonely.nii.gz": [("r1", "lonely_mask_r1.nii.gz")],
        "only.nii": [("expert", "lesion_mask.nii")],
    }


def test_a_nifti_without_a_volume_is_excluded_by_its_header(root):
    nifti(root / "series.nii.gz", np.zeros((3, 3, 3, 5), dtype=np.int16), AFFINE)
    nifti(root / "nowhere.nii", dot(SHAPE, (1, 1, 1)), None)
    assert scanned(root)[1] == {"series.nii.gz": "several_volumes", "nowhere.nii": "no_geometry"}


# -- DICOMDIR


def test_a_dicomdir_is_a_hint_and_never_followed(root, opened):
    save(root / "A", [])
    for number, image in enumerate(series(2)):
        image.save_as(root / "A" / f"F{number}", enforce_file_format=True)
    (root.parent / "SECRET").write_text("outside")
    directory = dcmread(get_testdata_file("DICOMDIR"))
    paths = [["A", "F0"], ["A", "GONE"], ["..", "SECRET"], "/etc/passwd"]
    directory.DirectoryRecordSequence = directory.DirectoryRecordSequence[: len(paths)]
    with warnings.catch_warnings(action="ignore"):  # pydicom knows that these are no file IDs
        for record, path in zip(directory.DirectoryRecordSequence, paths, strict=True):
            record.ReferencedFileID = path
    directory.save_as(root / "DICOMDIR")
    found, outcomes = scanned(root)
    assert (found.named, found.named_missing, found.named_outside) == (4, 1, 2)
    assert outcomes["DICOMDIR"] == "not_an_image"
    assert {path.name for path in opened} == {"F0", "F1", "DICOMDIR"}


# -- containers (their own refusals are tested in test_containers.py)


def zipped(members):
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as container:
        for name, data in members.items():
            container.writestr(name, data)
    return buffer.getvalue()


def content(image):
    buffer = BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_a_series_in_a_zip_is_found_and_read_without_leaving_a_trace(root, tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", os.fspath(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    images = series()
    save(root / "plain", images)
    members = {f"study/{number}": content(image) for number, image in enumerate(series())}
    members["../evil.dcm"] = members["study/0"]
    members["notes.txt"] = b"SECRET"
    members["inner.zip"] = zipped({"a": b"x"})
    (root / "all.zip").write_bytes(zipped(members))
    found, outcomes = scanned(root)
    assert {path: outcome for path, outcome in outcomes.items() if outcome} == {
        "all.zip!../evil.dcm": "leads_out", "all.zip!notes.txt": "not_an_image", "all.zip!inner.zip": "nested_archive",
    }  # fmt: skip
    assert (found.usable, found.used) == (2, 9)
    read = [read_study(row, NAMES).image for row in listed(root)]
    np.testing.assert_array_equal(read[0].array, read[1].array)
    assert not list((tmp_path / "temporary").iterdir())
    assert not list(root.parent.rglob("evil.dcm"))
    assert len(list(root.iterdir())) == 2


def test_an_unchanged_container_is_not_read_again_and_a_changed_one_replaces_its_members(root, monkeypatch):
    path = root / "all.zip"
    path.write_bytes(zipped({"1.dcm": content(series(1)[0]), "2.dcm": content(series(1)[0])}))
    listings = []
    real = scanning.members
    monkeypatch.setattr(scanning, "members", lambda one: listings.append(one) or real(one))
    first = scanned(root)
    assert scanned(root) == first
    assert len(listings) == 1
    path.write_bytes(zipped({"3.dcm": content(series(1)[0])}))
    _, outcomes = scanned(root)
    assert (set(outcomes), len(listings)) == ({"all.zip", "all.zip!3.dcm"}, 2)


def test_a_damaged_container_is_one_excluded_file(root):
    whole = zipped({"1.dcm": content(series(1)[0])})
    (root / "a.zip").write_bytes(whole[:-30])
    assert scanned(root)[1] == {"a.zip": "not_readable"}


def test_kinds_are_what_they_say(root):
    save(root, series(1))
    scanned(root)
    with open_catalogue(root.parent / "index.sqlite", root.resolve()) as catalogue:
        (row,) = catalogue.select("SELECT * FROM files")
    assert (row["kind"], row["rows"], row["columns"]) == (Kind.SLICE, SHAPE[1], SHAPE[0])
