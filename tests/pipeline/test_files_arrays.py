"""Arrays item by item: what is read is what any reader of JSON reads, and what is none is refused."""

import json

import pytest

from pipeline.files import json_array, json_items
from pipeline.findings.spec import Member, read_members, write_members

ARRAYS = [[], [1], [{"a": "]"}, None, [1, [2]], "\u00e4\n, ]"], [{}] * 3]


@pytest.mark.parametrize("items", ARRAYS)
def test_what_is_written_is_json_and_is_read_again(items):
    text = b"".join(json_array(items)).decode()
    assert json.loads(text) == items
    assert list(json_items(text)) == items


@pytest.mark.parametrize("items", ARRAYS)
@pytest.mark.parametrize("indent", [None, 0, 1])
def test_what_earlier_versions_wrote_is_read(items, indent):
    assert list(json_items(f" {json.dumps(items, indent=indent)}\n")) == items
    whole = json.dumps({"x": 1, "studies": items}, indent=indent)
    assert list(json_items(whole, whole.index('"studies":') + 10, "}")) == items


@pytest.mark.parametrize("text", ["", "{}", "[", "[1", "[1,", "[1,]", "[1 2]", "[,]", "[1]]", "[1] 2", '["a'])
def test_what_is_no_array_is_refused(text):
    with pytest.raises(ValueError, match=r"char"):
        list(json_items(text))


def test_studies_come_again_in_their_order(tmp_path):
    members = [Member(study=str(n), patient=str(n % 3), source_sha256="0" * 64, shard=None) for n in range(7)]
    write_members(tmp_path, members)
    assert read_members(tmp_path) == tuple(members)
