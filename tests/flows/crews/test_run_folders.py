"""What holds two runs against each other sees whatever differs, and lets pass what may."""

import base64
import json

import pytest

from tests.flows.crews.run_folders import likeness

RUN = {"run": "R", "seed": 3, "configuration": {"run": {"engine": "local", "seed": 3}}}
SHARDS = [{"event": "shard.finished", "sequence": place, "body": {"shard": place}} for place in (1, 2)]


def write(folder, *, run=RUN, ledger=SHARDS, seen="R", rows="1.5", subject="ab"):
    folder.mkdir()
    statement = {"subject": [{"name": "report.pdf", "digest": {"sha256": subject}}]}
    envelope = {"payload": base64.b64encode(json.dumps(statement).encode()).decode()}
    opened = {"event": "ledger.opened", "sequence": 0, "body": {"chain": subject}}
    (folder / "run.json").write_text(json.dumps(run))
    (folder / "cohort.json").write_text(json.dumps([{"study": "S", "first_seen": seen}]))
    (folder / "ledger.jsonl").write_text("\n".join(map(json.dumps, [opened, *ledger])))
    (folder / "attestation.json").write_text(json.dumps(envelope))
    (folder / "rows.csv").write_text(rows)
    return folder


def held(folder, **changes):
    return likeness(write(folder / "left"), write(folder / "right", **changes))


def test_what_may_differ(tmp_path):
    backwards = [entry | {"sequence": place} for place, entry in enumerate(reversed(SHARDS), 1)]
    run = RUN | {"run": "Q", "configuration": {"run": {"engine": "pool", "seed": 3}}}
    seen = held(tmp_path, run=run, ledger=backwards, seen="Q", subject="cd")
    assert seen.equal == ("rows.csv",)
    assert seen.unlike == ()
    assert seen.fields == {
        "attestation.json": ("payload/subject/report.pdf",),
        "cohort.json": ("*/first_seen",),
        "ledger.jsonl": ("0/body/chain",),
        "run.json": ("run", "configuration/run/engine"),
    }


@pytest.mark.parametrize(
    ("changes", "unlike"),
    [
        ({"rows": "1.50"}, "rows.csv: other bytes"),
        ({"run": RUN | {"seed": 4}}, "run.json: seed"),
        ({"run": RUN | {"seed": 3.0}}, "run.json: seed"),
        ({"run": RUN | {"more": None}}, "run.json: more"),
        ({"run": RUN | {"configuration": {"run": {"engine": "local", "seed": 4}}}}, "run.json: configuration/run/seed"),
        ({"run": dict(reversed(RUN.items()))}, "run.json: all of it: names in another order"),
        ({"ledger": [SHARDS[0]]}, "ledger.jsonl: all of it"),
        ({"ledger": [SHARDS[0], SHARDS[0] | {"sequence": 2}]}, "ledger.jsonl: 2/body/shard"),
    ],
)
def test_whatever_else_differs(tmp_path, changes, unlike):
    assert held(tmp_path, **changes).unlike == (unlike,)


def test_a_file_that_one_run_lacks(tmp_path):
    left, right = write(tmp_path / "left"), write(tmp_path / "right")
    (right / "rows.csv").unlink()
    assert likeness(left, right).unlike == ("rows.csv: only one run has it",)
