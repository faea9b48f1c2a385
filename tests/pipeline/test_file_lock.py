import os

import pytest

from pipeline.errors import OutputError
from pipeline.file_lock import locked
from tests.pipeline.findings.custody.at_once import at_once


def test_one_process_at_a_time_adds_to_a_number(tmp_path):
    (tmp_path / "number").write_text("0")
    script = """
from pathlib import Path
from pipeline.file_lock import locked
path = Path(sys.argv[1])
started()
for _ in range(200):
    with locked(path):
        path.write_text(str(int(path.read_text()) + 1))
"""
    at_once(script, 4, tmp_path / "number")
    assert (tmp_path / "number").read_text() == "800"


def test_a_file_that_was_removed_meanwhile_is_not_what_is_locked(tmp_path):
    """Whoever waited for a file that was then removed and made anew holds the new one."""
    script = """
from pathlib import Path
from pipeline.file_lock import locked
path = Path(sys.argv[1])
started()
for _ in range(100):
    with locked(path, create=True) as descriptor:
        alone = path.with_name("alone")
        alone.touch(exist_ok=False)
        alone.unlink()
        path.unlink()
"""
    at_once(script, 4, tmp_path / "lock")
    assert list(tmp_path.iterdir()) == []


def test_an_absent_file_is_made_only_when_asked(tmp_path):
    with pytest.raises(OutputError, match="cannot be opened and locked: No such file"), locked(tmp_path / "file"):
        pass
    with locked(tmp_path / "file", create=True) as descriptor:
        assert os.fstat(descriptor).st_size == 0
