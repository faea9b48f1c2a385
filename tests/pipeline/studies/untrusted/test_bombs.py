"""Files made to harm whoever reads them, each through ``read_study`` and ``scan`` in processes with limits."""

import gzip
import os
import struct
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from pipeline.errors import ArchiveError, Reason, StudyError
from pipeline.studies.index.catalogue import open_catalogue
from pipeline.studies.index.scan import scan
from pipeline.studies.list_studies import list_studies
from pipeline.studies.pseudonyms import Pseudonyms
from pipeline.studies.read_study import StudyRow, read_study
from pipeline.studies.study import Study
from pipeline.studies.untrusted.workers import DECODING, Limits, WorkerPool, isolated_map
from tests.pipeline.studies.writers import dot, grid, nifti, save, slices

READ = partial(read_study, pseudonyms=Pseudonyms(b"k" * 32))
MANY = 100_000
QUICK = Limits(DECODING.memory_bytes, cpu_seconds=3, wall_seconds=10.0**6)
ENDED = (Reason.NOT_READABLE, Reason.TRUNCATED, Reason.TIMEOUT, Reason.OUT_OF_MEMORY)
"""What may become of a file that takes long, where it is not read after all."""

POOL = WorkerPool()  # starts nothing by itself


@pytest.fixture(scope="module", autouse=True)
def reading_processes():
    with POOL:
        yield


def scanned(root: Path, path: Path) -> str:
    """Scan an archive of this file and a sound one; return the outcome of the file, which costs no other."""
    with open_catalogue(root.parent / f"{root.name}.sqlite", root.resolve()) as catalogue:
        scan(root.resolve(), catalogue, workers=1, on_files=lambda _: None, pool=POOL)
        files = {row["path"]: str(row["outcome"]) for row in catalogue.select("SELECT path, outcome FROM files")}
    assert files["sound.nii.gz"] == ""
    assert None not in files.values()
    return files.get(os.path.relpath(path, root), "")


def read(path: Path, limits: Limits = DECODING) -> Study | StudyError:
    """Scan, and read a study of this one image in a worker process, and a sound one after it in the same call."""
    sound = nifti(path.parent / "sound.nii.gz", dot((3, 4, 5), (1, 1, 1)), grid(np.eye(3), (1, 1, 1), (0, 0, 0)))
    rows = [StudyRow("SECRET", "SECRET", one, (), None, {}) for one in (path, sound)]
    outcome = scanned(path.parent, path)
    assert outcome != Reason.UNEXPECTED
    found, after = isolated_map(READ, rows, workers=1, limits=limits, pool=POOL)
    assert isinstance(after, Study)
    if isinstance(found, StudyError):
        assert "SECRET" not in str(found)
        assert str(path.parent) not in str(found)
        assert found.reason is not Reason.UNEXPECTED
    return found


def survived(path: Path, limits: Limits = QUICK) -> None:
    found = read(path, limits)
    assert isinstance(found, Study) or found.reason in ENDED, str(found)


def refused(path: Path, *reasons: Reason, limits: Limits = DECODING) -> None:
    found = read(path, limits)
    assert isinstance(found, StudyError)
    assert found.reason in reasons, str(found)


def slice_of(folder: Path) -> Path:
    """Write a sound CT slice."""
    return save(folder, slices(dot((4, 5, 1), (1, 2, 0)), grid(np.eye(3), (1, 1, 1), (0, 0, 0)))) / "SECRET000.dcm"


def encoded(dataset: Dataset, *, implicit: bool = False) -> bytes:
    """Return a data set's bytes without any header."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = implicit, True
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def with_body(path: Path, syntax: str, body: bytes) -> Path:
    """Replace what follows the meta group, and say that it is in this transfer syntax."""
    meta = dcmread(path).file_meta
    meta.TransferSyntaxUID = syntax
    with path.open("wb") as file:
        file.write(b"\0" * 128 + b"DICM")
        write_file_meta_info(file, meta)
        file.write(body)
    return path


def test_a_sound_slice_is_read(tmp_path):
    assert isinstance(read(slice_of(tmp_path)), Study)


def test_a_deflated_file_that_inflates_to_300_megabytes(tmp_path):
    path = slice_of(tmp_path)
    head = encoded(dcmread(path))
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = deflate.compress(head[: head.rindex(b"\xe0\x7f\x10\x00")])
    bomb += deflate.compress(b"\x09\x00\x10\x10OB\0\0" + struct.pack("<I", 300 * 2**20))
    for _ in range(300):
        bomb += deflate.compress(b"\0" * 2**20)
    with_body(path, DeflatedExplicitVRLittleEndian, bomb + deflate.flush())
    assert path.stat().st_size < 2**20
    refused(path, Reason.TOO_LARGE)


@pytest.mark.parametrize("frames", [1, MANY])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
def test_a_header_that_announces_more_pixels_than_there_is_memory(tmp_path, syntax, frames):
    path = slice_of(tmp_path)
    dataset = dcmread(path)
    dataset.Rows = dataset.Columns = 65535
    dataset.file_meta.TransferSyntaxUID = syntax
    if frames > 1:
        dataset.NumberOfFrames = frames
    if syntax.is_compressed:
        dataset.PixelData = encapsulate([struct.pack("<16I", 2, 64, 66, *[0] * 13) + b"\xff\0\xff\0"])
        dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)
    refused(path, Reason.TOO_LARGE, *([Reason.UNSUPPORTED_FORMAT] if frames > 1 else []))


def test_sequences_nested_500_deep(tmp_path):
    path = slice_of(tmp_path)
    dataset = dcmread(path)
    inner = Dataset()
    inner.PatientID = "SECRET"
    nested = encoded(inner)
    for _ in range(500):
        item = struct.pack("<HHI", 0xFFFE, 0xE000, len(nested)) + nested
        nested = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, len(item)) + item
    head = encoded(dataset)
    place = head.rindex(b"\xe0\x7f\x10\x00")
    with_body(path, ExplicitVRLittleEndian, head[:place] + nested + head[place:])
    survived(path)


@pytest.mark.parametrize("memory", [DECODING.memory_bytes, 512 * 2**20])
def test_a_million_empty_elements(tmp_path, memory):
    path = slice_of(tmp_path)
    body = b"".join(struct.pack("<HHI", 0x1001 + 2 * (n >> 16), n & 0xFFFF, 0) for n in range(1_000_000))
    head = encoded(dcmread(path), implicit=True)
    place = head.rindex(b"\xe0\x7f\x10\x00")
    with_body(path, ImplicitVRLittleEndian, head[:place] + body + head[place:])
    survived(path, Limits(memory, QUICK.cpu_seconds, QUICK.wall_seconds))


def test_200_megabytes_of_undefined_length(tmp_path):
    path = slice_of(tmp_path)
    head = encoded(dcmread(path))
    with_body(path, ExplicitVRLittleEndian, head + struct.pack("<HH2sHI", 0x7FE1, 0x1010, b"UN", 0, 0xFFFFFFFF))
    os.truncate(path, path.stat().st_size + 200 * 2**20)
    survived(path)


def test_20_megabytes_of_zeros_behind_the_end(tmp_path):
    path = slice_of(tmp_path)
    os.truncate(path, path.stat().st_size + 20 * 2**20)
    survived(path)


def test_an_element_longer_than_any_file(tmp_path):
    path = slice_of(tmp_path)
    head = encoded(dcmread(path))
    with_body(path, ExplicitVRLittleEndian, head + struct.pack("<HH2sHI", 0x7FE1, 0x1010, b"OB", 0, 0xFFFFFFF0))
    survived(path)


def test_a_pipe_in_place_of_a_file_does_not_wait(tmp_path):
    os.mkfifo(tmp_path / "SECRET.dcm")
    soon = Limits(DECODING.memory_bytes, cpu_seconds=30, wall_seconds=30)
    refused(tmp_path / "SECRET.dcm", Reason.NOT_READABLE, limits=soon)
    folder = tmp_path / "series"
    folder.mkdir()
    os.mkfifo(folder / "SECRET.dcm")
    found = read(folder, soon)
    assert isinstance(found, StudyError)
    assert found.reason is not Reason.TIMEOUT


@pytest.mark.parametrize("inside", [True, False], ids=["slice", "folder"])
def test_a_link_that_leads_out_of_the_archive(tmp_path, inside):
    archive, outside = tmp_path / "archive", slice_of(tmp_path / "outside")
    image = archive / "study" / "image"
    image.mkdir(parents=True)
    if inside:
        (image / "one.dcm").symlink_to(outside)
    else:
        image.rmdir()
        image.symlink_to(outside.parent)
    with pytest.raises(ArchiveError, match="leads out of the archive"):
        list_studies(archive)


def test_a_panic_of_the_decoder(tmp_path):
    """Three changed bytes, found by fuzzing, make pylibjpeg-rle write beyond its buffer: Rust panics."""
    whole = bytearray(Path(get_testdata_file("MR_small_RLE.dcm")).read_bytes())
    for place, value in ((331, 132), (3155, 215), (4188, 248)):
        whole[1516 + place] = value
    path = tmp_path / "panic.dcm"
    path.write_bytes(whole)
    with pytest.raises(BaseException, match="index out of bounds") as caught:
        _ = dcmread(path).pixel_array
    assert not isinstance(caught.value, Exception)  # else this test proves nothing any more
    refused(path, Reason.NOT_READABLE)


def test_a_nifti_that_inflates_to_300_megabytes(tmp_path):
    path = nifti(tmp_path / "bomb.nii.gz", dot((3, 4, 5), (1, 1, 1)), grid(np.eye(3), (1, 1, 1), (0, 0, 0)))
    with gzip.open(path) as file:
        whole = file.read()
    with gzip.open(path, "wb", 9) as file:
        file.write(whole)
        for _ in range(300):
            file.write(b"\0" * 2**20)
    found = read(path, Limits(2**30, QUICK.cpu_seconds, QUICK.wall_seconds))
    assert isinstance(found, Study) or found.reason in (Reason.NOT_READABLE, Reason.TOO_LARGE)


def test_a_nifti_that_announces_more_voxels_than_there_is_memory(tmp_path):
    path = nifti(tmp_path / "bomb.nii", dot((3, 4, 5), (1, 1, 1)), grid(np.eye(3), (1, 1, 1), (0, 0, 0)))
    whole = bytearray(path.read_bytes())
    struct.pack_into("<8h", whole, 40, 3, 32767, 32767, 32767, 1, 1, 1, 1)
    path.write_bytes(whole)
    refused(path, Reason.TOO_LARGE)


def test_an_nrrd_that_announces_more_voxels_than_there_is_memory(tmp_path):
    path = tmp_path / "bomb.nrrd"
    path.write_bytes(
        b"NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 100000 100000 100000\n"
        b"space directions: (1,0,0) (0,1,0) (0,0,1)\nendian: little\nencoding: raw\nspace origin: (0,0,0)\n\n\0\0"
    )
    refused(path, Reason.TOO_LARGE)
