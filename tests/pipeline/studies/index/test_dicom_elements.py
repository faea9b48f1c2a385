"""The quick reader of headers beside pydicom's, on every file that pydicom ships and on what only it meets."""

import io
import struct
from pathlib import Path

import pydicom.data
import pytest
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import data_element_generator
from pydicom.filewriter import write_dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from pipeline.studies.index.dicom_elements import first_elements

FOLDER = Path(pydicom.data.__file__).parent / "test_files"
FILES = sorted(path for path in FOLDER.rglob("*") if path.is_file() and path.read_bytes()[128:132] == b"DICM")
WANTED = frozenset(
    (0x00080008, 0x00080016, 0x00080018, 0x00080060, 0x00100010, 0x00100020, 0x0020000D, 0x0020000E, 0x00200032)
)
LAST = 0x00280100
UNUSUAL = {"SC_rgb_jpeg.dcm", "meta_missing_tsyntax.dcm", "nested_priv_SQ.dcm"}
"""Written against the standard: pydicom guesses."""


def head_of(path):
    """Return the first elements of a file, and what pydicom's own element reader finds from the same place."""
    head = path.read_bytes()[: 64 * 1024]
    meta, at, _ = first_elements(head, 132, wanted={0x00020010}, last=0x0002FFFF)
    syntax = meta[0x00020010].decode().strip("\0")
    if syntax in (ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian):
        return None
    implicit = syntax == ImplicitVRLittleEndian
    found, _, _ = first_elements(head, at, wanted=WANTED, last=LAST, implicit=implicit)
    stream = io.BytesIO(head)
    stream.seek(at)
    elements = data_element_generator(stream, implicit, True, stop_when=lambda tag, _, __: int(tag) > LAST)
    return found, {int(one.tag): one.value or b"" for one in elements if int(one.tag) in WANTED}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_it_is_pydicoms_or_an_error(path):
    if path.name in UNUSUAL:
        with pytest.raises(ValueError, match="no value representation that is known"):
            head_of(path)
        return
    both = head_of(path)
    assert both is None or both[0] == both[1]


def encoded(dataset, implicit):
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = implicit, True
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def nested(depth):
    """Return a data set of sequences and items of undefined length in each other, with an ID in each."""
    dataset = Dataset()
    dataset.PatientID, dataset.Modality = f"ID{depth:02}", "CT"
    if depth:
        dataset.ReferencedSeriesSequence = [nested(depth - 1), nested(0)]
        dataset["ReferencedSeriesSequence"].is_undefined_length = depth % 2 == 1
        dataset.ReferencedSeriesSequence[0].is_undefined_length_sequence_item = depth % 3 != 0
    return dataset


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("depth", range(7))
def test_sequences_are_passed_over(implicit, depth):
    dataset = nested(depth)
    dataset.Rows = 7
    found, at, past = first_elements(encoded(dataset, implicit), 0, wanted=WANTED, last=LAST, implicit=implicit)
    assert found == {0x00080060: b"CT", 0x00100020: f"ID{depth:02}".encode()}
    assert (at, past) == (len(encoded(dataset, implicit)), False)


def test_items_of_unknown_sequences_state_no_vr():
    inner = encoded(nested(3), implicit=True)
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + inner + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    items += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    data = struct.pack("<HH2sHI", 9, 0x1010, b"UN", 0, 0xFFFFFFFF) + items + encoded(nested(0), implicit=False)[-12:]
    assert first_elements(data, 0, wanted=WANTED, last=LAST)[0] == {0x00100020: b"ID00"}


def test_it_stops_beyond_the_last():
    dataset = nested(2)
    dataset.StudyInstanceUID = "1.2.3"
    data = encoded(dataset, implicit=False)
    found, at, past = first_elements(data, 0, wanted=WANTED, last=0x00100020)
    assert (sorted(found), past) == ([0x00080060, 0x00100020], True)
    assert first_elements(data, at, wanted=WANTED, last=LAST)[0] == {0x0020000D: b"1.2.3\0"}


def test_what_is_cut_is_an_error_wherever_it_is_cut():
    data = encoded(nested(4), implicit=False)
    whole = {len(data)}
    for end in range(len(data)):
        try:
            first_elements(data[:end], 0, wanted=WANTED, last=LAST)
            whole.add(end)
        except (ValueError, struct.error):
            pass
    assert whole == {0, 10, len(data) - 12, len(data)}  # between the elements, never within the sequence


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<HH2sH", 8, 0x60, b"ZZ", 2) + b"CT",
        struct.pack("<HH2sH", 8, 0x60, b"CS", 20) + b"CT",
        struct.pack("<HH2sHI", 8, 0x1111, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHI", 8, 0x60, 2) + b"CT",
    ],
)
def test_what_is_not_to_the_letter_is_an_error(data):
    with pytest.raises(ValueError, match=r"representation|beyond|items"):
        first_elements(data, 0, wanted=WANTED, last=LAST)
