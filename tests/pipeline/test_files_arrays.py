"""Arrays item by item: what is read is what any reader of JSON reads, and what is none is refused."""

import io
import json

import pytest

from pipeline import files
from pipeline.files import json_array, read_items
from pipeline.findings.spec import Member, read_members, write_members


def items_of(text, start=0, closing=""):
    """Return the items of the array in a text, each of which must stand where it is said to stand."""
    data = text.encode()
    items = list(read_items(io.BytesIO(data), start, closing))
    assert [json.loads(data[item.start : item.end]) for item in items] == [item.value for item in items]
    return [item.value for item in items]


@pytest.fixture(autouse=True, params=[1, 7, 2**20])
def piece(request, monkeypatch):
    """Read in pieces of one byte, of a few, and all at once."""
    monkeypatch.setattr(files, "_PIECE", request.param)


ARRAYS = [[], [1], [{"a": "]"}, None, [1, [2]], "\u00e4\n, ]"], [{}] * 3, [12, -3.5e10], ["\u00e4" * 9]]


@pytest.mark.parametrize("items", ARRAYS)
def test_what_is_written_is_json_and_is_read_again(items):
    text = b"".join(json_array(items)).decode()
    assert json.loads(text) == items
    assert items_of(text) == items


@pytest.mark.parametrize("items", ARRAYS)
@pytest.mark.parametrize("indent", [None, 0, 1])
def test_what_earlier_versions_wrote_is_read(items, indent):
    assert items_of(f" {json.dumps(items, indent=indent)}\n") == items
    whole = json.dumps({"x": 1, "studies": items}, indent=indent)
    assert items_of(whole, whole.index('"studies":') + 10, "}") == items


@pytest.mark.parametrize("text", ["", "{}", "[", "[1", "[1,", "[1,]", "[1 2]", "[,]", "[1]]", "[1] 2", '["a'])
def test_what_is_no_array_is_refused(text):
    with pytest.raises(ValueError, match=r"char|byte|behind the array"):
        items_of(text)


def test_studies_come_again_in_their_order(tmp_path):
    members = [Member(study=str(n), patient=str(n % 3), source_sha256="0" * 64, shard=None) for n in range(7)]
    write_members(tmp_path, members)
    assert list(read_members(tmp_path)) == members


def test_letters_that_are_no_ascii_may_stand_in_a_file_as_they_are():
    assert items_of('[{"\u00e4": "\u20ac]"}, 1]') == [{"\u00e4": "\u20ac]"}, 1]
    with pytest.raises(ValueError, match="utf-8"):
        list(read_items(io.BytesIO(b'["\xff"]')))
