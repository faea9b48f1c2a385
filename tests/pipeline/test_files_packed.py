"""What is packed has the same bytes on every Python: exports, saved maps and the page of a run promise it."""

import gzip

import pytest

from pipeline.files import gzipped


@pytest.mark.parametrize(("level", "hint"), [(1, "04"), (6, "00"), (9, "02")])
def test_gzip_has_a_header_without_a_date_that_no_python_changes(level, hint):
    assert gzipped(b"", level).hex() == f"1f8b080000000000{hint}0303000000000000000000"


def test_gzip_gives_back_what_was_packed():
    content = bytes(range(256)) * 40
    assert gzip.decompress(gzipped(content)) == content
    assert len(gzipped(content)) < len(content) / 10
