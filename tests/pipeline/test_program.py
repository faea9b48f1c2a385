"""After an edit of what makes a number, no earlier answer is reused."""

from pathlib import Path

from pipeline import program
from pipeline.program import program_digest
from tests.pipeline.planted import plant
from tests.pipeline.steps import begin, read_run, work

ROOT = Path(program.__file__).resolve().parents[1]


def test_the_digest_follows_the_sources(tmp_path, monkeypatch):
    for name in ("cam/a.py", "pipeline/evidence/b.py", "pipeline/program.py", "reports/c.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    monkeypatch.setattr(program, "__file__", str(tmp_path / "pipeline/program.py"))
    first = program_digest()
    assert program_digest() == first
    (tmp_path / "reports/c.py").write_text("x = 2\n")
    assert program_digest() == first  # a report prints numbers and makes none
    (tmp_path / "pipeline/evidence/b.py").write_text("x = 2\n")
    assert program_digest() != first


def test_another_program_computes_anew(tmp_path, monkeypatch):
    config = plant(tmp_path, 3)
    folder = begin(config, "c")
    work(folder, 0)
    assert read_run(begin(config, "c"))[0].shards == 0
    monkeypatch.setattr("pipeline.runs.start.program_digest", lambda: "another")
    _, members = read_run(begin(config, "c"))
    assert [member.shard for member in members] == [0, 0, 0]
