"""A run verified from Python: what the command finds, as data, without torch."""

import subprocess
import sys

import pytest

from camaudit import AuditError, audit, verify
from pipeline.verify.conclusions import _holds
from tests.pipeline.planted import plant


def test_a_sound_run_holds_and_a_changed_one_does_not(tmp_path):
    folder = audit(plant(tmp_path, 3)).folder  # under this test's own register
    sound = verify(folder)
    assert sound.failures == ()
    assert sound.unchecked
    assert verify(folder / "report.pdf").failures == ()
    path = folder / "per_study.csv"
    path.write_bytes(path.read_bytes().replace(b"gradcam", b"hirecam", 1))
    assert "FILE_ALTERED" in {failure.kind.name for failure in verify(folder).failures}
    assert "OTHER_KEY" in {failure.kind.name for failure in verify(folder, key="0" * 32).failures}


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(AuditError, match="does not exist; give the folder of a run, or a report"):
        verify(tmp_path / "nowhere")


def test_a_verification_loads_no_torch(audited):
    code = (
        f"import sys, camaudit; camaudit.verify({str(audited[1].folder)!r});"
        "slow = ('torch', 'monai', 'prefect', 'pydicom', 'nibabel', 'scipy.stats');"
        "print([name for name in slow if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]"]


def test_a_table_is_its_lines_and_nothing_else(tmp_path):
    path, lines = tmp_path / "per_study.csv", [b"a,b\n", b"1,2\n"]
    for content, same in ((b"a,b\n1,2\n", True), (b"a,b\n1,2\n\n", False), (b"a,b\n1,2", False), (b"a,b\n", False)):
        path.write_bytes(content)
        assert _holds(path, lines) == same
