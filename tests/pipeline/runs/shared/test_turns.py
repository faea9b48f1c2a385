"""Shards are claimed: no two processes work the same, and what a dead one held is taken over."""

import json
import subprocess
import sys

import pytest

from pipeline.checks.config_checks import checked_config
from pipeline.errors import ConfigError, OutputError
from pipeline.runs.run import Run
from pipeline.runs.shared import joining as elsewhere
from pipeline.runs.shared.claims import TRIES, Claims
from pipeline.runs.shared.joining import check_joinable
from pipeline.runs.shared.turns import missing_shards, shards_in_turn
from pipeline.verify.failure import FailureKind
from pipeline.verify.verify import verify_run
from tests.pipeline.planted import plant


@pytest.fixture
def begun(tmp_path):
    """Yield a run of six shards of one study each, of which none is worked."""
    config = plant(
        tmp_path, 6, run={"output": str(tmp_path / "runs"), "shard_size": 1, "workers": 0, "engine": "local"}
    )
    with Run.create(checked_config(config), "camaudit run") as run:
        yield run


def nobody_else():
    raise AssertionError("waited although nobody else holds a shard")


def test_two_processes_share_the_shards(begun):
    mine = shards_in_turn(begun, waits=False)
    first = next(mine)
    with Run.open(begun.folder) as other:
        theirs = []
        for shard in shards_in_turn(other, waits=False):
            theirs.append(shard)
            other.work(shard)
    begun.work(first)
    assert list(mine) == []
    assert sorted([first, *theirs]) == list(range(6))
    events = [json.loads(line) for line in (begun.folder / "ledger.jsonl").read_text().splitlines()]
    assert sorted(event["body"]["shard"] for event in events if event["event"] == "shard.finished") == list(range(6))


def test_those_that_others_did_are_told_once(begun):
    mine, told, looks = None, [], []
    mine = shards_in_turn(begun, waits=True, on_others=told.append, pause=lambda: looks.append(1))
    first = next(mine)
    with Run.open(begun.folder) as other:
        for shard in shards_in_turn(other, waits=False):
            other.work(shard)
    begun.work(first)
    assert list(mine) == []
    assert sorted(told) == [1, 2, 3, 4, 5]


def test_the_next_shard_may_be_asked_for_before_the_last_is_done(begun):
    mine, looks = shards_in_turn(begun, waits=True, pause=nobody_else), []
    assert [next(mine), next(mine)] == [0, 1]
    with Run.open(begun.folder) as other:
        theirs = shards_in_turn(other, waits=False)
        looks = [next(theirs) for _ in range(4)]
        assert looks == [2, 3, 4, 5]
        assert next(mine) is None  # neither waits for them nor ends: two shards are still to be done here
        for shard in (0, 1):
            begun.work(shard)
        for shard in looks:
            other.work(shard)
        theirs.close()
    assert list(mine) == []


def test_shards_that_are_never_done_are_given_up(begun):
    mine = shards_in_turn(begun, waits=False)
    assert list(mine) == [0, 1, 2, 3, 4, 5, None]
    with Run.open(begun.folder) as other:
        assert next(shards_in_turn(other, waits=False)) == 0


@pytest.mark.parametrize("waits", [False, True])
def test_the_last_shard_stays_with_who_looks_for_another_one_meanwhile(begun, waits):
    """Nothing is missing any more, but what was begun is not done: it was let go, and done twice."""
    for shard in range(5):
        begun.work(shard)
    mine = shards_in_turn(begun, waits=waits, pause=nobody_else)
    assert [next(mine), next(mine)] == [5, None]
    with Run.open(begun.folder) as other:
        assert list(shards_in_turn(other, waits=False)) == []
    begun.work(5)
    assert list(mine) == []
    assert not begun.claims.is_held(5)


def test_a_dead_process_gives_its_shard_back(begun):
    program = (
        "import sys, os; from pathlib import Path; from pipeline.runs.shared.claims import Claims\n"
        "claims = Claims(Path(sys.argv[1]))\n"
        "with claims.held(0) as is_mine:\n"
        "    assert is_mine; claims.begin(0); print('held', flush=True); os.read(0, 1)\n"
    )
    command = [sys.executable, "-c", program, str(begun.claims.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        assert 0 not in list(shards_in_turn(begun, waits=False))
        holder.kill()
        holder.wait()
    left = begun.folder / "maps" / ".0000.npz.half"
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"half of a file")
    assert next(shards_in_turn(begun, waits=True, pause=nobody_else)) == 0
    assert not left.exists()


def test_a_shard_that_ends_every_process_ends_the_run(tmp_path):
    claims = Claims(tmp_path / "claims")
    for before in range(TRIES):
        with claims.held(7) as is_mine:
            assert is_mine
            assert claims.begin(7) == before
    with (
        claims.held(7),
        pytest.raises(OutputError, match="shard 7 was begun 3 times and never finished, last by process"),
    ):
        claims.begin(7)
    claims.remove()
    assert not claims.folder.exists()


def test_missing_shards_waits_while_somebody_works(begun):
    looks = iter([True, True, False])
    told = []

    def work_a_bit():
        for shard in shards_in_turn(begun, waits=False):
            begun.work(shard)
            return

    assert missing_shards(begun, lambda: next(looks), told.append, pause=work_a_bit) == [2, 3, 4, 5]
    assert told == [0, 1]


def test_a_shared_run_is_sound(begun):
    with Run.open(begun.folder) as other:
        for shard in shards_in_turn(other, waits=False):
            other.work(shard)
    begun.finish()
    failures = [failure.kind for failure in verify_run(begun.folder).failures]
    assert failures in ([], [FailureKind.FILE_MISSING])  # no report was rendered here


def test_who_may_join(begun, monkeypatch, tmp_path):
    with Run.open(begun.folder) as other:
        check_joinable(other)
        for name, answer, said in (
            ("program_digest", "0" * 64, "was begun by another camaudit"),
            ("library_versions", {**other.spec.program.libraries, "torch": "1.0"}, "was begun with torch"),
            ("device_name", "NVIDIA H200", "name a device of that kind"),
        ):
            with monkeypatch.context() as patch:
                patch.setattr(elsewhere, name, lambda *_, answer=answer: answer)
                with pytest.raises(ConfigError, match=said):
                    check_joinable(other)
        monkeypatch.setenv("CAMAUDIT_STATE", str(tmp_path / "another"))
        with pytest.raises(ConfigError, match="another site's key"):
            check_joinable(other)


def test_another_program_is_told_before_it_loads_the_model(begun, monkeypatch):
    monkeypatch.setattr(elsewhere, "program_digest", lambda: "0" * 64)
    with Run.open(begun.folder) as other:
        with pytest.raises(ConfigError, match="was begun by another camaudit"):
            check_joinable(other)
        assert "auditor" not in vars(other)


def test_a_machine_without_the_archive_is_told(begun, tmp_path):
    with Run.open(begun.folder) as other:
        row = next(iter(other.sources.studies.values())).row
        (row.root or row.image.parent).rename(tmp_path / "unmounted")
        with pytest.raises(OutputError, match="does not see the archive"):
            check_joinable(other)


def test_a_finished_run_is_not_joined(begun):
    for shard in shards_in_turn(begun, waits=False):
        begun.work(shard)
    begun.finish()
    with Run.open(begun.folder) as other, pytest.raises(OutputError, match="this run is finished"):
        check_joinable(other)
