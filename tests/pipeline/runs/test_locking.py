"""Whoever looked before the lock, changed what was locked, or touched the lock: the run says so."""

import csv
import json
import shutil
from dataclasses import replace

import pytest
import yaml

from pipeline.errors import ConfigError, OutputError
from pipeline.findings.lock import lock_path, read_lock
from pipeline.verify.register import check_register
from pipeline.verify.rows import check_arrival
from pipeline.verify.run_folder import open_run_folder
from tests.pipeline.planted import plant, write_manifest, write_study
from tests.pipeline.runs.test_run import change, complete
from tests.pipeline.steps import begin, lock, read_run


@pytest.fixture
def small(tmp_path):
    return plant(tmp_path / "first", 3)


def reasons(config):
    return complete(config)[1].lock.exploratory


def test_a_run_that_was_locked_first_is_not_exploratory_and_names_register_and_key(small):
    lock(small)
    result = complete(small)[1].lock
    assert result.exploratory == ()
    assert (result.register_mark.length, len(result.site_key.split())) == (3, 8)  # opened, lock, look
    assert complete(small)[1].lock.exploratory == (), "a look after the lock is what the lock is for"


CHANGES = {
    "the configuration": {"overlap": {"threshold": 0.5}},
    "the acceptance criteria": {"criteria": [{"metric": "iou", "method": "gradcam", "at_least": 0.01}]},
    "the number of replicates or the seed": {"run": {"replicates": 300}},
    "the choice of the cases that are shown": {"report": {"cases": {"worst": 0, "best": 2, "random": 0}}},
    "the model's weights": {"model": {"arguments": {"sign": -1.0}}},
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_changes_after_the_lock_is_named(small, what):
    lock(small)
    change(small, **CHANGES[what])
    assert f"{what} changed after the lock" in reasons(small)


def test_the_code_of_the_model_and_of_camaudit_is_locked(small, monkeypatch):
    lock(small)
    factory = small.parent / "planted_network.py"
    factory.write_text(factory.read_text() + "\n# another code\n")
    assert reasons(small) == ("the code that builds the model changed after the lock",)
    monkeypatch.setattr("pipeline.runs.locking.program_digest", lambda: "0" * 64)
    assert "camaudit itself changed after the lock" in reasons(small)


def test_studies_that_are_removed_added_or_altered_are_counted_and_named(small):
    lock(small, cohort_open=True)
    manifest = small.parent / "archive" / "manifest.csv"
    rows = list(csv.DictReader(manifest.open()))
    (small.parent / "archive" / rows[0]["mask:anna"]).write_bytes(b"another mask")
    write_manifest(manifest.parent, rows[:2])
    removed, altered = reasons(small)
    assert removed.startswith("1 study was (first S-")
    assert removed.endswith("removed from the cohort after the lock")
    assert altered.endswith("altered in the cohort after the lock")


EVASIONS = ("as it is", "name", "folder", "seed", "method", "threshold", "masks", "manifest row")


@pytest.mark.parametrize("evasion", EVASIONS)
def test_an_earlier_look_makes_a_later_lock_exploratory_whatever_the_run_was_called(small, tmp_path, evasion):
    """Be the vendor who looks first, and locks what came out well."""
    folder, _ = complete(small)
    config = small
    if evasion == "folder":
        shutil.copytree(small.parent, tmp_path / "second", ignore=shutil.ignore_patterns("runs"))
        config = tmp_path / "second" / "audit.yaml"
    elif evasion == "masks":  # of every study that has one: by its files no study is what it was
        for mask in (small.parent / "archive").glob("*_anna.nii.gz"):
            shutil.copy(mask.with_name(mask.name.replace("_anna", "_ben")), mask)
        manifest = small.parent / "archive" / "manifest.csv"
        write_manifest(manifest.parent, [row for row in csv.DictReader(manifest.open()) if row["mask:anna"]])
    elif evasion == "manifest row":
        manifest = small.parent / "archive" / "manifest.csv"
        rows = list(csv.DictReader(manifest.open()))
        write_manifest(manifest.parent, [{**row, "study": f"other-{row['study']}"} for row in rows[:2]])
    keys = {"name": {"name": "renamed"}, "seed": {"run": {"seed": 7}}, "threshold": {"overlap": {"threshold": 0.5}},
            "method": {"explain": {"methods": ["layercam", "gradcam"]}}}  # fmt: skip
    change(config, **keys.get(evasion, {}))
    shutil.rmtree(folder)
    lock(config)
    (reason,) = reasons(config)
    assert reason == f"run {folder.name} looked at these weights on studies of this cohort before the lock was set"


def test_a_look_at_other_weights_or_another_cohort_is_no_look(small, tmp_path):
    change(small, model={"arguments": {"sign": -1.0}})
    begin(small)
    change(small, model={"arguments": {}})
    lock(small)
    assert reasons(small) == ()


def test_a_lock_that_was_edited_is_refused(small):
    path = lock(small)
    content = json.loads(path.read_text())
    for key, value in (("locked_at", "2020-01-01T00:00:00+00:00"), ("open_cohort", True), ("studies", {})):
        path.write_text(json.dumps({**content, key: value}))
        with pytest.raises(ConfigError, match="is not as it was signed"):
            begin(small)
    path.write_text(yaml.safe_dump({"recipe": "old"}))
    with pytest.raises(ConfigError, match="is not a lock of this version"):
        begin(small)


def test_a_lock_that_the_register_does_not_know_proves_nothing(small, tmp_path, monkeypatch):
    lock(small)
    monkeypatch.setenv("CAMAUDIT_REGISTER", str(tmp_path / "another register"))
    assert reasons(small) == ("there is no register of looks here that knows this lock",)
    assert reasons(small) == ("the register of looks does not know this lock",)


def test_an_amendment_is_possible_and_told(small):
    lock(small)
    first, _ = complete(small)
    change(small, criteria=[{"metric": "iou", "method": "gradcam", "at_least": 0.01}])
    lock(small, amend="the threshold was mistyped")
    result = complete(small)[1].lock
    assert result.exploratory == ()
    (amendment,) = result.amendments
    assert amendment.reason == "the threshold was mistyped"
    assert amendment.changed == ("the acceptance criteria changed",)
    assert amendment.seen == (first.name,)
    change(small, run={"replicates": 300})
    lock(small, amend="more replicates")
    assert [one.reason for one in complete(small)[1].lock.amendments] == [
        "the threshold was mistyped",
        "more replicates",
    ]
    assert complete(small)[1].lock.exploratory == ()


def test_an_amendment_does_not_hide_a_look_before_the_first_lock(small):
    folder, _ = complete(small)
    lock(small)
    lock(small, amend="a reason")
    (reason,) = reasons(small)
    assert folder.name in reason


def test_nothing_can_be_amended_without_a_lock_or_a_reason(small):
    with pytest.raises(ConfigError, match="has no lock to amend"):
        lock(small, amend="a reason")
    lock(small)
    with pytest.raises(ConfigError, match="needs a reason"):
        lock(small, amend=" ")


def test_a_lock_says_what_it_fixes(small):
    path = lock(small)
    assert (path.name, path) == ("audit.lock.yaml", lock_path(small))
    locked = read_lock(small)
    assert len(locked.studies) == 3
    assert yaml.safe_load(path.read_text())["fixed"] == locked.fixed.model_dump()


def test_two_runs_of_one_audit_do_not_run_at_once(small):
    from pipeline.checks.config_checks import checked_config
    from pipeline.runs.run import Run
    from pipeline.runs.start_watch import StartWatch
    from tests.pipeline.shared_pool import POOL

    with (
        Run.create(checked_config(small), "c", watch=StartWatch(POOL)),
        pytest.raises(OutputError, match="is held by process"),
    ):
        begin(small)
    begin(small)


def after_a_start(config):
    """Return why a run that is only begun, and so has looked, is exploratory."""
    return read_run(begin(config))[0].lock.exploratory


def add(config, number, positive=True):
    archive = config.parent / "archive"
    rows = list(csv.DictReader((archive / "manifest.csv").open()))
    write_manifest(archive, [*rows, write_study(archive, number, positive)])


def drop(config, keep):
    archive = config.parent / "archive"
    rows = list(csv.DictReader((archive / "manifest.csv").open()))
    write_manifest(archive, [row for row in rows if keep(row)])
    return rows


GONE = "1 image is gone that a run under the lock had"


def test_a_study_that_came_after_the_lock_cannot_be_taken_out_again(small):
    """Be the vendor who lets a cohort grow, looks, and takes out the patients who missed: every claim would be MET."""
    lock(small, cohort_open=True)
    add(small, 4)
    assert after_a_start(small) == ()
    rows = drop(small, lambda row: row["study"] != "study04")
    removed, image = after_a_start(small)
    assert removed.startswith("1 study was (first S-")
    assert removed.endswith("removed from the cohort after a run under the lock")
    assert image == GONE
    assert after_a_start(small) == (image,), "a run that says so does not make it good"
    shutil.rmtree(small.parent / "runs" / "planted")
    assert after_a_start(small) == (GONE,), "the register remembers what the folder does not"
    write_manifest(small.parent / "archive", rows)
    assert after_a_start(small) == ()


@pytest.mark.parametrize("way", ["taken out", "another folder", "another name"])
def test_a_study_that_comes_back_or_is_renamed_is_no_newer(small, way):
    """Be the vendor who wants the hits of a night first: he takes out the rest for a night, or draws new names."""
    lock(small, cohort_open=True)
    add(small, 4)
    before = begin(small)
    rows = drop(small, lambda row: row["study"] != "study04")
    if way == "another folder":
        shutil.rmtree(small.parent / "runs" / "planted")
    if way == "another name":
        rows[3]["patient"] = "somebody else"
    else:
        begin(small)
    write_manifest(small.parent / "archive", rows)
    _, members = read_run(begin(small))
    assert [member.first_seen for member in members] == [before.name] * 4


def test_a_run_that_hides_what_was_taken_out_does_not_verify(small):
    lock(small, cohort_open=True)
    add(small, 4)
    before = begin(small)
    drop(small, lambda row: row["study"] != "study04")
    run = open_run_folder(begin(small))
    assert [*check_arrival(run), *check_register(run)] == []
    hidden = replace(
        run, spec=run.spec.model_copy(update={"lock": run.spec.lock.model_copy(update={"exploratory": ()})})
    )
    (arrival,), (register,) = check_arrival(hidden), check_register(hidden)
    assert f"of run {before.name} is removed or altered, and the run does not say EXPLORATORY" in arrival.sentence
    assert register.sentence.startswith("1 of the images that earlier runs under the lock had are gone")
    first = open_run_folder(before)
    assert [*check_arrival(first), *check_register(first)] == [], "what comes later is nothing to an earlier run"


def test_a_study_that_came_after_the_lock_cannot_be_marked_or_called_otherwise(small):
    lock(small, cohort_open=True)
    add(small, 4)
    assert after_a_start(small) == ()
    archive = small.parent / "archive"
    rows = drop(small, lambda row: True)
    changed = {"label": "", "mask:anna": "", "mask:ben": ""}
    write_manifest(archive, [row | (changed if row["study"] == "study04" else {}) for row in rows])
    (altered,) = after_a_start(small)
    assert altered.endswith("altered in the cohort after a run under the lock")
    write_manifest(archive, [row | ({"patient": "new"} if row["study"] == "study04" else {}) for row in rows])
    renamed, otherwise = after_a_start(small)
    assert renamed.endswith("removed from the cohort after a run under the lock")
    assert otherwise.endswith("altered in the cohort after a run under the lock")
    lock(small, cohort_open=True, amend="study04 is another patient's")
    assert after_a_start(small) == ()


def test_an_amendment_tells_that_images_are_gone_that_came_after_the_lock(small):
    lock(small, cohort_open=True)
    add(small, 4)
    begin(small)
    drop(small, lambda row: row["study"] != "study04")
    lock(small, cohort_open=True, amend="maintenance")
    result = read_run(begin(small))[0].lock
    assert result.exploratory == ()
    assert result.amendments[0].changed == (GONE,)
