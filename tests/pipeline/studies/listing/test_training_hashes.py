"""Lists of hashes as people write them, and what is none."""

import hashlib

import pytest

from pipeline.errors import ConfigError
from pipeline.studies.listing.training_hashes import read_training_hashes

ONE, OTHER = (hashlib.sha256(content).hexdigest() for content in (b"one", b"other"))


@pytest.mark.parametrize(
    "text",
    [
        f"{ONE}\n{OTHER}\n",
        f"# training set 3\n\n{ONE}  images/doe_john.dcm\n{OTHER} *b.dcm\r\n",
        f"{ONE.upper()}\n\\{OTHER}  odd\\\\name\n{ONE}",
    ],
)
def test_a_list_is_read_as_sha256sum_writes_it(text, tmp_path):
    path = tmp_path / "list"
    path.write_bytes(text.encode())
    listed = read_training_hashes(path)
    assert listed.hashes == {ONE, OTHER}
    assert listed.list_sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert ONE not in repr(listed)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{ONE}\ndoe_john.dcm\n", "line 2 does not begin with a SHA-256 of 64 hex digits"),
        (ONE[:63], "line 1 does not begin"),
        (f"{ONE}0", "line 1 does not begin"),
        ("# nothing\n", "holds no hash"),
        ("", "holds no hash"),
    ],
)
def test_what_is_no_list_is_refused_without_quoting_it(text, says, tmp_path):
    path = tmp_path / "list"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says) as caught:
        read_training_hashes(path)
    assert "john" not in str(caught.value)


def test_a_list_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_training_hashes(tmp_path)
