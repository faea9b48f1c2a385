import hashlib
import json

import pytest

from pipeline.errors import OutputError
from pipeline.findings.ledger import Ledger, verify_chain


@pytest.fixture
def path(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for number in range(4):
        ledger.append("event", number=number)
    return ledger.path


def test_a_whole_chain_gives_its_head_and_length(path):
    head, length = verify_chain(path)
    assert length == 4
    assert head == json.loads(path.read_text().splitlines()[-1])["hash"]


def test_a_log_is_continued(path):
    ledger = Ledger(path)
    ledger.append("more")
    assert verify_chain(path) == (ledger.head, 5)


@pytest.mark.parametrize("line", range(3))
def test_an_edit_breaks_the_chain(path, line):
    lines = path.read_text().splitlines()
    lines[line] = lines[line].replace(f'"number":{line}', '"number":9')
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(OutputError, match=f"line {line + 1} does not fit"):
        verify_chain(path)


def test_a_line_forged_with_its_own_hash_breaks_the_next(path):
    lines = path.read_text().splitlines()
    forged = {name: value for name, value in json.loads(lines[1]).items() if name != "hash"} | {"event": "forged"}
    text = json.dumps(forged, sort_keys=True, separators=(",", ":"))
    lines[1] = json.dumps({**forged, "hash": hashlib.sha256(text.encode()).hexdigest()})
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(OutputError, match="line 3 does not fit"):
        verify_chain(path)


def test_a_deleted_or_swapped_line_breaks_the_chain(path):
    lines = path.read_text().splitlines()
    for wrong in (lines[:1] + lines[2:], [lines[1], lines[0], *lines[2:]], [*lines, "garbage"]):
        path.write_text("\n".join(wrong) + "\n")
        with pytest.raises(OutputError, match="was altered"):
            verify_chain(path)


def test_a_cut_end_changes_the_head(path):
    head, _ = verify_chain(path)
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    assert verify_chain(path)[0] != head
