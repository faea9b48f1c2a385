import hashlib
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pipeline.errors import ConfigError, OutputError
from pipeline.findings.custody import register
from pipeline.findings.custody.ledger import Ledger, LedgerError, LedgerFault
from pipeline.findings.custody.register import LockFacts, LookFacts, enter_lock, enter_look, read_register
from pipeline.findings.custody.seen_studies import had_as
from pipeline.findings.custody.site_key import SiteKey
from pipeline.findings.custody.study_lists import list_content
from tests.pipeline.findings.custody.at_once import at_once

EVER = datetime(9999, 1, 1, tzinfo=UTC)


def study(number):
    return hashlib.sha256(str(number).encode()).hexdigest()


def studies_digest(lines):
    return hashlib.sha256(list_content(lines)).hexdigest()


COHORT = [study(number) for number in range(5)]
WEIGHTS = study("weights")


@pytest.fixture
def key():
    return SiteKey(Ed25519PrivateKey.generate())


@pytest.fixture
def folder(tmp_path, key):
    folder = tmp_path / "register"
    enter_look(key, LookFacts("first", WEIGHTS), COHORT, folder)
    enter_look(key, LookFacts("other", study("others")), COHORT, folder)
    return folder


def fault_of(folder, key):
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(LedgerError) as caught:
        read_register(folder)
    with pytest.raises(LedgerError):
        enter_look(key, LookFacts("next", WEIGHTS), COHORT, folder)
    assert sorted(path.name for path in folder.iterdir()) == before
    return caught.value.fault


def test_a_look_is_known_by_weights_and_any_study_whatever_its_name(folder, key):
    lock = enter_lock(key, LockFacts("audit", study("lock"), WEIGHTS), COHORT, folder)
    enter_look(key, LookFacts("after", WEIGHTS, study("lock")), COHORT, folder)
    register = read_register(folder)
    (look,) = register.looks(WEIGHTS, [study(4), study(99)], lock.time)
    assert (look.run, look.cohort, look.lock, look.doubt) == ("first", studies_digest(COHORT), None, None)
    assert [look.run for look in register.looks(WEIGHTS, COHORT, EVER)] == ["first", "after"]
    assert register.looks(WEIGHTS, [study(99)], EVER) == ()
    assert register.looks(WEIGHTS, COHORT, look.time) == ()
    assert (lock.body["studies"], lock.body["cohort"]) == (5, studies_digest(COHORT))
    assert register.locks == (lock,)
    assert register.length == 5
    assert register.since < look.time


def test_which_images_runs_under_a_lock_had_stays_known(folder, key):
    """As looks of earlier versions are entered: without what their images were had as."""
    for run, cohort, under in (("a", COHORT[:3], "lock"), ("b", COHORT[1:4], "lock"), ("c", COHORT, "another")):
        enter_look(key, LookFacts(run, WEIGHTS, study(under)), cohort, folder)
    register = read_register(folder)
    seen = register.seen(study("lock"))
    assert (seen.gone(as_bytes(COHORT)), seen.gone(as_bytes(COHORT[2:3])), seen.lost) == (0, 3, [])
    assert seen.altered(as_bytes(COHORT), ()) == frozenset(), "as what they were had nobody knows"
    assert seen.first_of(COHORT) == dict(zip(COHORT, "aaab", strict=False))
    assert register.seen(study("nowhere")).first_of(COHORT) == {}
    assert register.seen(study("lock"), register.length - 2).first_of(COHORT) == dict.fromkeys(COHORT[:3], "a")
    (folder / "cohorts" / f"{studies_digest(COHORT[:3])}.txt").unlink()
    seen = read_register(folder).seen(study("lock"))
    assert (seen.gone(()), seen.lost) == (3, ["a"])
    assert seen.first_of(COHORT) == dict.fromkeys(COHORT[1:4], "b")


def as_bytes(studies):
    return {each.encode() for each in studies}


def had(*studies, masks="masks"):
    return [had_as(study(each), study(f"{each} with {masks}")) for each in studies]


def night(folder, key, run, lines, known=None):
    return enter_look(
        key, LookFacts(run, WEIGHTS, study("lock")), [line[:64] for line in lines], folder, had=lines, known=known
    )


def contents(*lines):
    return {line[65:].encode() for line in lines}


def test_each_night_enters_what_is_new_and_reads_each_line_once(folder, key, monkeypatch):
    night(folder, key, "a", had(1, 2))
    night(folder, key, "b", had(1, 2, 3))
    night(folder, key, "c", had(1, 2, 3))
    register = read_register(folder)
    new = [entry.body["contents"] for entry in register.entries[-3:]]
    assert new == [studies_digest(had(1, 2)), studies_digest(had(3)), studies_digest([])]
    known = register.seen(study("lock"))
    read = []
    monkeypatch.setattr(
        "pipeline.findings.custody.seen_studies.read_study_list", lambda _, digest: read.append(digest) or frozenset()
    )
    night(folder, key, "d", had(1, 2, 3, 4), known)
    assert read == [], "what the start has read is not read again"
    assert read_register(folder).entries[-1].body["contents"] == studies_digest(had(4))
    night(folder, key, "e", had(5), known)
    assert read == [studies_digest(had(4))]


def test_who_entered_in_between_is_not_forgotten(folder, key):
    """Two starts under one lock at once: the second adds to what the first entered, whatever it had read before."""
    night(folder, key, "a", had(1))
    known = read_register(folder).seen(study("lock"))
    night(folder, key, "b", had(1, 2))
    night(folder, key, "c", had(1, 2, 3), known)
    assert read_register(folder).entries[-1].body["contents"] == studies_digest(had(3))
    elsewhere = read_register(folder).seen(study("another lock"))
    night(folder, key, "d", had(1, 2, 3, 4), elsewhere)
    assert read_register(folder).entries[-1].body["contents"] == studies_digest(had(4))
    seen = read_register(folder).seen(study("lock"))
    assert seen.first_of(map(study, range(6))) == {study(1): "a", study(2): "b", study(3): "c", study(4): "d"}


def test_as_what_an_image_was_had_stays_known_wherever_it_lies(folder, key):
    night(folder, key, "a", had(1, 2))
    night(folder, key, "b", [*had(1), *had(2, masks="others")])
    seen = read_register(folder).seen(study("lock"))
    images = as_bytes(map(study, (1, 2)))
    now = contents(*had(1), *had(2, masks="others"))
    assert seen.altered(images, now) == as_bytes([study(2)]), "what b had does not make it good"
    assert seen.altered(images, now | contents(*had(2))) == frozenset(), "two studies of one image may be two things"
    assert seen.altered(as_bytes([study(1)]), now) == frozenset(), "of an image that is gone nothing is altered"
    assert read_register(folder).seen(study("lock"), 4).altered(images, contents(*had(1, 2))) == frozenset()


def test_a_night_whose_list_is_lost_is_named(folder, key):
    night(folder, key, "a", had(1))
    night(folder, key, "b", had(1, 2))
    path = folder / "cohorts" / f"{studies_digest(had(2))}.txt"
    whole = path.read_text()
    path.write_text(whole.replace(whole[70], "0" if whole[70] != "0" else "1"))
    assert read_register(folder).seen(study("lock")).lost == ["b"]


def test_a_look_that_a_wrong_clock_dated_is_a_look(folder, key, monkeypatch):
    """Its entry says what the clock said, too."""

    class Behind(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) - timedelta(days=1)

    monkeypatch.setattr("pipeline.findings.custody.chain.datetime", Behind)
    enter_look(key, LookFacts("behind", WEIGHTS), COHORT, folder)
    register = read_register(folder)
    assert "clock" in register.entries[-1].body
    assert [look.run for look in register.looks(WEIGHTS, COHORT, EVER)] == ["first", "behind"]


def test_the_order_and_repetition_of_studies_do_not_count():
    assert studies_digest([*reversed(COHORT), COHORT[0]]) == studies_digest(COHORT)
    assert (
        studies_digest(COHORT) == hashlib.sha256("".join(f"{each}\n" for each in sorted(COHORT)).encode()).hexdigest()
    )


def test_a_study_that_is_no_hash_is_refused_before_anything_is_written(tmp_path, key):
    with pytest.raises(OutputError, match="64 hex digits; 1 do not"):
        enter_look(key, LookFacts("run", WEIGHTS), ["Meier^Anna"], tmp_path / "register")
    assert not (tmp_path / "register").exists()


@pytest.mark.parametrize("change", ["removed", "emptied", "altered"])
def test_a_cohort_that_is_lost_or_altered_cannot_be_ruled_out(folder, change):
    path = folder / "cohorts" / f"{studies_digest(COHORT)}.txt"
    if change == "removed":
        path.unlink()
    else:
        path.write_text("" if change == "emptied" else f"{study(7)}\n")
    (look,) = read_register(folder).looks(WEIGHTS, [study(99)], EVER)
    assert look.doubt.startswith("the list of its studies ")


def test_a_cut_end_is_found_by_the_head_beside_it(folder, key):
    path = folder / "register.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert fault_of(folder, key) is LedgerFault.CUT


def test_an_entry_that_a_power_cut_left_without_its_head_is_kept(folder, key):
    head = (folder / "register.head.json").read_bytes()
    enter_look(key, LookFacts("third", WEIGHTS), COHORT, folder)
    (folder / "register.head.json").write_bytes(head)
    assert read_register(folder).length == 4
    enter_look(key, LookFacts("fourth", WEIGHTS), COHORT, folder)
    assert read_register(folder).length == 5


@pytest.mark.parametrize(
    ("name", "fault"), [("register.jsonl", LedgerFault.UNREADABLE), ("register.head.json", LedgerFault.CUT)]
)
def test_a_register_of_which_a_part_is_gone_is_never_begun_again(folder, key, name, fault):
    (folder / name).unlink()
    assert fault_of(folder, key) is fault


def test_a_register_whose_first_writer_died_before_its_head_is_begun_now(tmp_path, key, monkeypatch):
    """Nothing had been entered; what other log lies there with one entry stays as it is."""
    folder = tmp_path / "register"
    with monkeypatch.context() as killed:
        killed.setattr(register, "_write_head", interrupted)
        with pytest.raises(KeyboardInterrupt):
            enter_look(key, LookFacts("first", WEIGHTS), [study(1)], folder)
    assert (folder / "register.jsonl").read_bytes().count(b"\n") == 1
    begun = (folder / "register.jsonl").read_bytes()
    enter_look(key, LookFacts("second", WEIGHTS), [study(1)], folder)
    assert read_register(folder).length == 2
    assert begun not in (folder / "register.jsonl").read_bytes()

    other = tmp_path / "other"
    other.mkdir()
    Ledger(other / "register.jsonl", key, opening="log.begun")
    before = (other / "register.jsonl").read_bytes()
    with pytest.raises(LedgerError):
        enter_look(key, LookFacts("third", WEIGHTS), [study(1)], other)
    assert (other / "register.jsonl").read_bytes() == before


def interrupted(*_):
    raise KeyboardInterrupt


def test_only_cohorts_left_is_a_register_that_is_gone(folder, key):
    for name in ("register.jsonl", "register.head.json"):
        (folder / name).unlink()
    assert fault_of(folder, key) is LedgerFault.UNREADABLE


def test_only_the_head_left_is_a_register_that_is_gone(folder, key):
    (folder / "register.jsonl").unlink()
    shutil.rmtree(folder / "cohorts")
    assert fault_of(folder, key) is LedgerFault.UNREADABLE


def test_an_edit_and_a_forged_head_are_found(folder, key):
    path = folder / "register.head.json"
    whole = path.read_text()
    path.write_text(whole.replace('"length": 3', '"length": 2'))
    assert fault_of(folder, key) is LedgerFault.SIGNATURE
    path.write_text("{}")
    assert fault_of(folder, key) is LedgerFault.EDITED
    path.write_text(whole)
    log = folder / "register.jsonl"
    log.write_text(log.read_text().replace('"run":"first"', '"run":"worse"'))
    assert fault_of(folder, key) is LedgerFault.EDITED


def test_another_log_of_the_key_is_no_register(folder, key):
    (folder / "register.jsonl").unlink()
    Ledger(folder / "register.jsonl", key).append("event")
    assert fault_of(folder, key) is LedgerFault.EDITED


def test_another_key_cannot_add(folder):
    with pytest.raises(LedgerError) as caught:
        enter_look(SiteKey(Ed25519PrivateKey.generate()), LookFacts("run", WEIGHTS), COHORT, folder)
    assert caught.value.fault is LedgerFault.KEY


def test_a_register_begun_anew_does_not_hold_an_earlier_head(folder, key):
    known = read_register(folder)
    enter_look(key, LookFacts("third", WEIGHTS), COHORT, folder)
    assert read_register(folder).holds(known.length, known.head)
    shutil.rmtree(folder)
    for _ in range(3):
        enter_look(key, LookFacts("first", WEIGHTS), COHORT, folder)
    assert not read_register(folder).holds(known.length, known.head)
    assert not read_register(folder).holds(99, known.head)


@pytest.mark.parametrize(
    ("before", "reason"), [(study(1), None), (study(1), " "), (study(1), "two\nlines"), (None, "reason")]
)
def test_an_amendment_has_a_reason(folder, key, before, reason):
    with pytest.raises(ConfigError, match="--amend: needs a reason"):
        enter_lock(key, LockFacts("audit", study("lock"), WEIGHTS, before, reason), COHORT, folder)
    entry = enter_lock(key, LockFacts("audit", study("lock"), WEIGHTS, study(1), "why"), COHORT, folder)
    assert (entry.body["amended_from"], entry.body["reason"]) == (study(1), "why")


def test_processes_that_enter_at_once_leave_one_sound_register(tmp_path, monkeypatch):
    monkeypatch.setenv("CAMAUDIT_STATE", str(tmp_path))
    monkeypatch.delenv("CAMAUDIT_REGISTER", raising=False)
    monkeypatch.delenv("CAMAUDIT_SITE_KEY", raising=False)
    script = """
from pipeline.findings.custody.site_key import load_site_key
from pipeline.findings.custody.register import LookFacts, enter_look
key = load_site_key()
started()
for number in range(5):
    enter_look(key, LookFacts(str(number), "0" * 64), [f"{number:064x}"])
"""
    at_once(script, 6)
    register = read_register()
    assert register.length == 31
    assert len(register.looks("0" * 64, [f"{3:064x}"], register.entries[-1].time + timedelta(days=1))) == 6
