"""What a user is told of each mistake; ``tests/mistakes.py`` holds the list."""

import pytest

from tests.mistakes import MISTAKES, MODULES, try_mistake
from tests.pipeline.planted import plant

NAMES = [mistake.name for mistake in MISTAKES]


def test_the_list_is_long_and_its_names_differ():
    assert len(set(NAMES)) == len(MISTAKES) >= 40


@pytest.mark.parametrize("mistake", MISTAKES, ids=NAMES)
def test_a_mistake_is_told_with_exit_code_2_and_leaves_nothing(mistake, tmp_path, camaudit):
    folder = tmp_path / "audit"
    plant(folder, 3)
    arguments = mistake.arrange(folder) + (["--set", "run.engine=local"] if mistake.needs_model else [])
    before = {path for path in folder.rglob("*") if path.is_file()}
    code, _, err = camaudit(*arguments)
    assert code == 2
    assert [words for words in mistake.says if words not in " ".join(err.split())] == []
    assert "Traceback" not in err
    left = {path.name for path in folder.rglob("*") if path.is_file()} - {path.name for path in before}
    assert left <= {"pseudonym.key", "file-hashes.sqlite"}


def test_five_mistakes_are_told_before_anything_heavy_loads(tmp_path):
    mistake = next(mistake for mistake in MISTAKES if mistake.name == "five at once")
    said = try_mistake(mistake, tmp_path / "audit")
    assert (said.code, said.loaded) == (2, "loaded: []")
    assert len(said.lines) == len(mistake.says) == 5
    assert all(f"{tmp_path}/audit/audit.yaml:" in line for line in said.lines)
    assert "torch" in MODULES
