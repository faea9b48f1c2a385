import errno
import hashlib
import json
import os
import pickle
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pipeline.errors import OutputError
from pipeline.findings.custody import chain
from pipeline.findings.custody.ledger import Ledger, LedgerError, LedgerFault, public_key, read_ledger
from pipeline.findings.custody.site_key import SiteKey
from tests.pipeline.findings.custody.at_once import at_once


@pytest.fixture
def key():
    return SiteKey(Ed25519PrivateKey.generate())


@pytest.fixture
def path(tmp_path, key):
    ledger = Ledger(tmp_path / "ledger.jsonl", key)
    for number in range(4):
        ledger.append("event", number=number)
    return ledger.path


def lines_of(path):
    return path.read_bytes().splitlines(keepends=True)


def fault_of(path, lines=None, **options):
    if lines is not None:
        path.write_bytes(b"".join(lines))
    with pytest.raises(LedgerError) as caught:
        read_ledger(path, **options)
    assert "\n" not in str(caught.value)
    return caught.value


def resigned(line, site_key, **changes):
    """A line with other content, hashed and signed anew as the format says, by code that shares none with ours."""
    content = {name: value for name, value in json.loads(line).items() if name not in ("hash", "signature")} | changes
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    signature = site_key.private.sign(b"camaudit ledger entry 1\n" + digest.encode()).hex()
    whole = {**content, "hash": digest, "signature": signature}
    return json.dumps(whole, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def test_entries_are_read_as_they_were_added(path, key):
    entries = read_ledger(path)
    assert [entry.sequence for entry in entries] == [0, 1, 2, 3, 4]
    assert [entry.event for entry in entries] == ["ledger.opened", *["event"] * 4]
    assert [entry.body.get("number") for entry in entries] == [None, 0, 1, 2, 3]
    assert [entry.previous for entry in entries[1:]] == [entry.hash for entry in entries[:-1]]
    assert all(before.time < after.time for before, after in pairwise(entries))
    assert public_key(entries) == key.public
    assert {entry.key for entry in entries} == {key.fingerprint}


def test_a_line_is_what_the_format_says(path, key):
    """Hashed and signed a second way, without ours."""
    lines = lines_of(path)
    assert [resigned(line, key) for line in lines] == lines


def test_a_log_is_continued_by_its_key_alone(path, key):
    ledger = Ledger(path, key)
    entry = ledger.append("more", values=(1, 2.5), names={2: "b", 10: "a"})
    assert (ledger.head, ledger.length) == (entry.hash, 6)
    assert read_ledger(path)[-1] == entry
    assert entry.body == {"values": [1, 2.5], "names": {"2": "b", "10": "a"}}
    with pytest.raises(LedgerError, match="line 1 was signed with the key") as caught:
        Ledger(path, SiteKey(Ed25519PrivateKey.generate()))
    assert caught.value.fault is LedgerFault.KEY


def test_another_key_than_the_one_expected_is_refused(path):
    other = SiteKey(Ed25519PrivateKey.generate())
    assert fault_of(path, public=other.public).fault is LedgerFault.KEY


def test_every_flipped_bit_is_found(path):
    content = path.read_bytes()
    head = read_ledger(path)[-1].hash
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            assert read_ledger(path)[-1].hash != head
        except LedgerError:
            continue
        pytest.fail(f"a bit of byte {place} was flipped and nothing was said")


@pytest.mark.parametrize("number", range(5))
def test_an_edit_is_found_in_its_line(path, number):
    lines = lines_of(path)
    lines[number] = lines[number].replace(b'"event":"', b'"event":"x')
    error = fault_of(path, lines)
    assert error.fault is LedgerFault.EDITED
    assert f"line {number + 1} was edited" in str(error)


@pytest.mark.parametrize("spelling", [b'{"event":"event",', b"{ "])
def test_another_spelling_of_the_same_content_is_an_edit(path, spelling):
    lines = lines_of(path)
    lines[2] = lines[2].replace(b"{", spelling, 1)
    assert fault_of(path, lines).fault is LedgerFault.EDITED


def test_an_edit_hashed_anew_without_the_key_has_no_signature(path, key):
    lines = lines_of(path)
    lines[2] = resigned(lines[2], SiteKey(Ed25519PrivateKey.generate()), event="forged")
    error = fault_of(path, lines)
    assert error.fault is LedgerFault.SIGNATURE
    assert "line 3" in str(error)


def test_another_key_in_the_middle_is_found(path):
    lines, other = lines_of(path), SiteKey(Ed25519PrivateKey.generate())
    lines[3] = resigned(lines[3], other, key=other.fingerprint)
    assert fault_of(path, lines).fault is LedgerFault.KEY


def test_a_log_that_does_not_begin_with_its_key_is_refused(path, key):
    lines = lines_of(path)
    for body in ({}, {"public": 1}, {"public": key.public.upper()}, {"public": "00" * 32}):
        assert fault_of(path, [resigned(lines[0], key, body=body)]).fault is LedgerFault.KEY


def test_an_edit_by_the_owner_of_the_key_breaks_the_next_line(path, key):
    lines = lines_of(path)
    lines[1] = resigned(lines[1], key, event="forged")
    error = fault_of(path, lines)
    assert error.fault is LedgerFault.MISSING
    assert "line 3 does not follow" in str(error)


def test_a_date_moved_back_is_found(path, key):
    lines = lines_of(path)
    for moved in (read_ledger(path)[-2].time, read_ledger(path)[-2].time - timedelta(days=30)):
        lines[-1] = resigned(lines[-1], key, time=moved.isoformat(timespec="microseconds"))
        assert fault_of(path, lines).fault is LedgerFault.TIME


@pytest.mark.parametrize(
    "time", ["2026-11-29", "2030-01-01T00:00:00.000000", "2030-01-01T01:00:00.000000+01:00", "now"]
)
def test_a_time_in_another_form_is_refused(path, key, time):
    lines = lines_of(path)
    lines[-1] = resigned(lines[-1], key, time=time)
    assert fault_of(path, lines).fault is LedgerFault.EDITED


def test_removed_lines_are_told_from_moved_and_repeated_ones(path):
    first, *_, last = lines = lines_of(path)
    for missing in (lines[1:], lines[:2] + lines[3:], [first, last]):
        assert fault_of(path, missing).fault is LedgerFault.MISSING
    assert "is entry 5: 3 before it are missing" in str(fault_of(path, [first, last]))
    for moved in ([lines[1], first, *lines[2:]], [*lines[:3], lines[4], lines[3]], [*lines, last], [first, *lines]):
        assert fault_of(path, moved).fault is LedgerFault.REORDERED


def test_lines_of_another_log_of_the_same_key_do_not_fit(path, tmp_path, key):
    other = Ledger(tmp_path / "other.jsonl", key)
    for number in range(4):
        other.append("event", number=number)
    assert fault_of(path, lines_of(path)[:3] + lines_of(other.path)[3:]).fault is LedgerFault.MISSING


def test_a_cut_end_is_a_sound_chain_with_another_head(path):
    head = read_ledger(path)[-1].hash
    path.write_bytes(b"".join(lines_of(path)[:-1]))
    assert read_ledger(path)[-1].hash != head


@pytest.mark.parametrize("left", [1, 40, -1])
def test_an_unfinished_last_line_is_told_from_an_edit_and_can_be_cut_off(path, key, left):
    *lines, last = lines_of(path)
    error = fault_of(path, [*lines, last[:left]])
    assert error.fault is LedgerFault.UNFINISHED
    with pytest.raises(LedgerError, match="unfinished"):
        Ledger(path, key)
    os.truncate(path, int(str(error).split()[-1]))
    assert path.read_bytes() == b"".join(lines)
    assert len(read_ledger(path)) == 4


@pytest.mark.parametrize(
    "line", [b"\n", b"garbage\n", b"[1]\n", b'{"event":"x"}\n', b"\xff\xfe\n", b"[" * 100_000 + b"\n"]
)
def test_a_line_that_is_no_entry_is_unreadable(path, line):
    assert fault_of(path, [*lines_of(path), line]).fault is LedgerFault.UNREADABLE


def test_a_log_that_is_absent_or_empty_is_unreadable(tmp_path):
    assert fault_of(tmp_path / "absent").fault is LedgerFault.UNREADABLE
    assert fault_of(tmp_path / "empty", []).fault is LedgerFault.UNREADABLE
    assert fault_of(tmp_path).fault is LedgerFault.UNREADABLE


def test_a_log_changed_while_it_is_in_use_is_not_continued(path, key):
    content, ledger = path.read_bytes(), Ledger(path, key)
    path.write_bytes(content[:-1] + b" ")
    with pytest.raises(LedgerError) as caught:
        ledger.append("more")
    assert caught.value.fault is LedgerFault.EDITED
    path.write_bytes(b"".join(lines_of(path)[:-1]))
    with pytest.raises(LedgerError) as caught:
        ledger.append("more")
    assert caught.value.fault is LedgerFault.MISSING
    path.unlink()
    with pytest.raises(OutputError, match="No such file"):
        ledger.append("more")
    assert not path.exists()


def test_adding_verifies_only_what_is_new(path, key, monkeypatch):
    ledger, other = Ledger(path, key), Ledger(path, key)
    verified = []
    monkeypatch.setattr(chain, "verify_signature", lambda *data: verified.append(data) or True)
    ledger.append("mine")
    ledger.append("mine")
    assert len(verified) == 0
    other.append("theirs")
    assert len(verified) == 2
    assert ledger.append("mine").sequence == 8
    assert len(read_ledger(path)) == 9


def test_processes_that_add_at_once_leave_a_sound_chain(path, tmp_path):
    script = """
from pathlib import Path
from pipeline.findings.custody.ledger import Ledger
from pipeline.findings.custody.site_key import load_site_key
ledger = Ledger(Path(sys.argv[1]), load_site_key())
started()
for number in range(30):
    ledger.append("event", number=number)
"""
    at_once(f"import os; os.environ['CAMAUDIT_STATE'] = {str(tmp_path)!r}\n{script}", 4, tmp_path / "log")
    entries = read_ledger(tmp_path / "log")
    assert sorted(entry.body["number"] for entry in entries[1:]) == sorted([*range(30)] * 4)


class Clock(datetime):
    shown = datetime.now(UTC)

    @classmethod
    def now(cls, tz=None):
        return cls.shown.astimezone(tz)


def test_a_clock_set_back_moves_no_entry_back_and_is_told(path, key, monkeypatch):
    before = read_ledger(path)[-1].time
    monkeypatch.setattr(chain, "datetime", Clock)
    Clock.shown = before - timedelta(milliseconds=300)
    ledger = Ledger(path, key)
    slow = ledger.append("event")
    assert (slow.time - before, slow.body) == (timedelta(microseconds=1), {})
    Clock.shown = before - timedelta(days=1)
    late = ledger.append("event")
    assert (late.time - before, late.body) == (timedelta(microseconds=2), {"clock": Clock.shown.isoformat()})
    assert read_ledger(path)[-1] == late


def test_what_a_full_disk_leaves_of_a_line_is_taken_back(path, key, monkeypatch):
    ledger, content, whole = Ledger(path, key), path.read_bytes(), os.write

    def full(descriptor, data):
        if len(data) <= 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(descriptor, data[:-10])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OutputError, match="cannot be written: No space left"):
        ledger.append("more")
    assert path.read_bytes() == content
    monkeypatch.undo()
    assert ledger.append("more").sequence == 5


def test_a_folder_that_is_absent_is_one_line(tmp_path, key):
    with pytest.raises(OutputError, match="cannot be opened"):
        Ledger(tmp_path / "absent" / "ledger.jsonl", key)


def test_the_fault_travels_between_processes():
    error = pickle.loads(pickle.dumps(LedgerError(LedgerFault.EDITED, "message")))
    assert (error.fault, str(error)) == (LedgerFault.EDITED, "message")
