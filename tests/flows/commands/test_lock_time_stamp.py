"""A stamped lock: what a run keeps of it, what a verification says, and that a failing authority locks nothing."""

import json
import shutil
from datetime import timedelta

import pytest

from flows.commands.verify import verified
from pipeline.errors import ConfigError, OutputError
from pipeline.findings.custody.register import read_register
from pipeline.findings.custody.site_key import load_site_key
from pipeline.findings.custody.time_stamp import Authority, read_authorities
from pipeline.findings.lock import LockFile, lock_path, read_lock, save_lock
from pipeline.findings.results import load_results
from pipeline.verify import lock as lock_checks
from pipeline.verify.failure import FailureKind
from pipeline.verify.lock import check_time_stamp, time_stamp_unchecked
from pipeline.verify.run_folder import open_run_folder
from pipeline.verify.verify import verify_run
from reports.numbers import moment
from reports.page.read_back import read_report
from reports.pdf import render
from tests.falsify.world import edit_json
from tests.pipeline.findings.custody.authority import make_signer, serving
from tests.pipeline.planted import plant
from tests.pipeline.runs.test_run import complete
from tests.pipeline.steps import lock


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    return make_signer(tmp_path_factory.mktemp("authority") / "first")


@pytest.fixture(autouse=True, scope="module")
def _no_proxy():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield


@pytest.fixture(scope="module")
def stamped(tmp_path_factory, signer):
    """The folder of a run whose lock was stamped."""
    config = plant(tmp_path_factory.mktemp("stamped") / "audit", 3)
    with serving(signer.reply) as url:
        lock(config, authority=Authority(url))
    return complete(config)[0]


@pytest.fixture
def run(stamped, tmp_path):
    return shutil.copytree(stamped, tmp_path / "run")


def lock_of(run):
    return json.loads((run / "audit.lock.yaml").read_text())


def failures(run, *trusted):
    return [failure.sentence for failure in check_time_stamp(open_run_folder(run), trusted)]


def test_a_run_keeps_the_stamp_and_holds(run, signer):
    stamp = load_results(run).lock.time_stamp
    assert stamp.authority == "Example_Time"
    assert stamp.model_dump() == lock_of(run)["time_stamp"]
    assert load_results(run).lock.exploratory == ()
    assert failures(run) == failures(run, *read_authorities(signer.root)) == []
    assert "anybody can make one: see --trust-authority" in time_stamp_unchecked(open_run_folder(run))
    assert time_stamp_unchecked(open_run_folder(run), read_authorities(signer.root)) is None
    sound = verify_run(run, trusted=read_authorities(signer.root))
    assert [failure for failure in sound.failures if failure.kind is not FailureKind.REGISTER] == []


def test_the_cover_prints_time_and_authority(run):
    text = "".join("".join(read_report(render(run, run / "again.pdf")).pages).split())
    printed = moment(load_results(run).lock.time_stamp.time)
    assert f"Timestamp:{''.join(printed.split())}byExample_Time" in text


def test_another_authority_is_a_failure_of_its_own_code(run, tmp_path, camaudit):
    other = make_signer(tmp_path / "other")
    out = camaudit("verify", run, "--trust-authority", other.root, "--json")[1]
    assert (62, "time_stamp") in [(failure["code"], failure["kind"]) for failure in json.loads(out)["failures"]]
    assert failures(run, *read_authorities(other.root)) == [
        "audit.lock.yaml: what it holds as its time stamp is by no authority that --trust-authority names"
    ]
    with pytest.raises(ConfigError, match="--trust-authority: needs the folder of a run, not a report"):
        verified(run / "report.pdf", None, other.root)


def put(run, **changes):
    """Change the lock's stamp and whatever the run says of it."""
    content = lock_of(run)
    (run / "audit.lock.yaml").write_text(json.dumps({**content, **changes}))


def test_a_stamp_that_says_another_time_than_its_answer_is_noticed(run):
    earlier = {**lock_of(run)["time_stamp"], "time": "2020-01-01T00:00:00+00:00"}
    put(run, time_stamp=earlier)
    edit_json(run / "run.json", lambda spec: spec["lock"].update(time_stamp=earlier))
    assert failures(run) == ["audit.lock.yaml: its time stamp says otherwise than it, or than run.json"]


def test_the_stamp_of_another_lock_is_noticed(run, tmp_path, signer):
    other = plant(tmp_path / "audit", 3)
    with serving(signer.reply) as url:
        lock(other, authority=Authority(url))
    theirs = read_lock(other)
    put(run, time_stamp=theirs.time_stamp.model_dump(), time_stamp_answer=theirs.time_stamp_answer)
    assert failures(run) == ["audit.lock.yaml: what it holds as its time stamp is a time stamp of something else"]


def test_a_lock_that_was_written_again_over_another_register_loses_its_stamp(run):
    """Whoever has the key signs the same lock over a register begun anew; the authority signed the old one's head."""
    locked = LockFile.model_validate(lock_of(run))
    mark = locked.register_mark.model_copy(update={"head": "0" * 64})
    again = locked.model_copy(update={"register_mark": mark}).signed(load_site_key())
    save_lock(run / "audit.yaml", again)
    assert "is a time stamp of something else" in failures(run)[0]


def test_a_lock_with_another_date_than_its_stamp_is_noticed_and_not_made(run, tmp_path, signer):
    """Whoever sets the clock back before a lock is told by the authority's clock."""
    locked = LockFile.model_validate(lock_of(run)).model_copy(update={"locked_at": "2026-01-01T00:00:00+00:00"})
    key = load_site_key()
    with serving(signer.reply) as url:
        signed = locked.signed(key)
        back = signed.stamped(*Authority(url).stamp(signed.statement))
    save_lock(run / "audit.yaml", back)
    edit_json(run / "run.json", lambda spec: spec["lock"].update(time_stamp=back.time_stamp.model_dump()))
    assert failures(run) == [
        "audit.lock.yaml: its time stamp is more than a day from the time that it says it was locked at"
    ]


def test_a_clock_that_is_far_from_the_authoritys_locks_nothing(tmp_path, signer, monkeypatch):
    config = plant(tmp_path / "audit", 3)
    monkeypatch.setattr("pipeline.findings.lock._CLOCKS_APART", timedelta(-1))
    with serving(signer.reply) as url, pytest.raises(OutputError, match="a day from that, so nothing was locked"):
        lock(config, authority=Authority(url))
    assert not lock_path(config).exists()
    assert read_register().locks == ()


def test_a_stamp_that_was_taken_away_is_noticed(run, signer):
    put(run, time_stamp=None, time_stamp_answer="")
    assert failures(run) == ["audit.lock.yaml: has no time stamp, and run.json tells of one"]
    edit_json(run / "run.json", lambda spec: spec["lock"].update(time_stamp=None))
    assert failures(run) == []
    assert failures(run, *read_authorities(signer.root)) == [
        "audit.lock.yaml: has no time stamp, and --trust-authority asks for one"
    ]


def test_without_the_packages_a_stamp_is_not_checked_and_a_demand_for_one_fails(run, signer, monkeypatch):
    monkeypatch.setattr(lock_checks, "can_check", lambda: False)
    assert failures(run) == []
    assert "needs other packages: pip install" in time_stamp_unchecked(open_run_folder(run))
    assert "cannot be checked without other packages" in failures(run, *read_authorities(signer.root))[0]


@pytest.mark.parametrize("earlier", [False, True])
def test_where_the_authority_fails_nothing_is_locked(earlier, tmp_path, camaudit):
    config = plant(tmp_path / "audit", 3)
    amend = []
    if earlier:
        lock(config)
        amend = ["--amend", "another threshold"]
    before = lock_path(config).read_bytes() if earlier else None
    with serving(lambda request: b"", status=500) as url:
        code, _, err = camaudit("lock", config, "--quiet", "--timestamp", url, *amend)
    assert code == 2
    assert err.count("\n") == 1
    assert "answered with status 500, so nothing was locked" in err
    assert (lock_path(config).read_bytes() if lock_path(config).exists() else None) == before
    assert len(read_register().locks) == earlier
    lock(config, amend="another threshold" if earlier else None)
    assert len(read_register().locks) == 1 + earlier, "the register goes on"


def test_a_lock_that_cannot_be_stamped_is_refused_before_model_and_studies_are_read(tmp_path, camaudit, monkeypatch):
    config = plant(tmp_path / "audit", 3)
    monkeypatch.delattr("flows.commands.check.open_auditor")
    code, _, err = camaudit("lock", config, "--timestamp", "tsa.example")
    assert (code, err.count("\n")) == (2, 1)
    assert "--timestamp: must be the URL" in err


def test_an_amendment_is_stamped_anew(tmp_path, signer):
    config = plant(tmp_path / "audit", 3)
    with serving(signer.reply) as url:
        lock(config, authority=Authority(url))
        first = read_lock(config)
        lock(config, amend="the same again", authority=Authority(url))
    second = read_lock(config)
    assert second.time_stamp.sha256 != first.time_stamp.sha256
    assert second.amendments[0].previous == first.digest
    lock(config, amend="without a stamp")
    assert read_lock(config).time_stamp is None
