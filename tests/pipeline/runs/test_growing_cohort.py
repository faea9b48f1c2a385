"""Be the vendor who saw the scores of a growing cohort, and corrects what it was judged by: the run says so.

Whatever is moved, renamed or deleted meanwhile. And be the hospital that moved its archive, and has nothing to explain.
"""

import csv
import os
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from pipeline.findings.lock import read_lock
from pipeline.runs import reuse
from pipeline.verify.register import check_register
from pipeline.verify.run_folder import open_run_folder
from tests.pipeline.planted import plant, write_manifest
from tests.pipeline.runs.test_locking import add, after_a_start, drop
from tests.pipeline.runs.test_run import change
from tests.pipeline.steps import begin, lock, read_run


@pytest.fixture
def looked(tmp_path, monkeypatch):
    """A growing cohort of three, locked, and a fourth that came after the lock, in a run; configuration and run."""
    monkeypatch.setenv("CAMAUDIT_KEY", "k" * 32)
    config = plant(tmp_path / "first", 3)
    lock(config, cohort_open=True)
    add(config, 4)
    return config, begin(config)


def in_another_output(config, _):
    change(config, run={"output": "elsewhere"})
    return config


def under_another_name(config, _):
    change(config, name="renamed")
    return config


def in_another_folder(config, _):
    other = config.parents[1] / "second"
    shutil.copytree(config.parent, other, ignore=shutil.ignore_patterns("runs"))
    return other / config.name


def without_the_run(config, run):
    shutil.rmtree(run)
    return config


def with_a_damaged_list(config, run):
    with (run / "cohort.json").open("ab") as file:
        file.write(b" ")
    return config


def with_masks_elsewhere(config, _):
    """Move every mask into a folder of its own, under another name."""
    archive = config.parent / "archive"
    (archive / "corrected").mkdir()
    rows = drop(config, lambda row: True)
    for number, row in enumerate(rows):
        for reader in [name for name in row if name.startswith("mask:") and row[name]]:
            name = f"corrected/{number}{reader[-1]}.nii.gz"
            (archive / row[reader]).rename(archive / name)
            row[reader] = name
    write_manifest(archive, rows)
    return config


def in_place(config, _):
    return config


MOVES = (
    in_place, in_another_output, under_another_name, in_another_folder, without_the_run, with_a_damaged_list,
    with_masks_elsewhere,
)  # fmt: skip


def rows_of(config):
    return list(csv.DictReader((config.parent / "archive" / "manifest.csv").open()))


def mask_of(config, study, reader="anna"):
    (name,) = (row[f"mask:{reader}"] for row in rows_of(config) if row["study"] == study)
    return config.parent / "archive" / name


def edited(config, study, **columns):
    rows = [row | (columns if row["study"] == study else {}) for row in rows_of(config)]
    write_manifest(config.parent / "archive", rows)


def with_another_mask(config):
    shutil.copy(mask_of(config, "study04", "ben"), mask_of(config, "study04"))


def with_a_coarser_mask(config):
    """Lower the resolution of a mask: each block of eight voxels is marked where one of them was."""
    path = mask_of(config, "study04", "ben")
    image = nibabel.load(path)
    blocks = image.get_fdata().reshape(10, 2, 12, 2, 8, 2).max(axis=(1, 3, 5))
    coarse = np.repeat(np.repeat(np.repeat(blocks, 2, 0), 2, 1), 2, 2).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(coarse, image.affine), path)


def with_readers_exchanged(config):
    row = next(row for row in rows_of(config) if row["study"] == "study04")
    edited(config, "study04", **{"mask:anna": row["mask:ben"], "mask:ben": row["mask:anna"]})


def with_another_reference(config):
    edited(config, "study04", **{"label": "", "mask:anna": "", "mask:ben": ""})


def in_another_group(config):
    edited(config, "study04", site="b")


def with_a_third_reader(config):
    """Add a mask by a reader who had read nothing of the study when it was looked at."""
    write_manifest(
        config.parent / "archive",
        [row | {"mask:carl": row["mask:ben"] if row["study"] == "study04" else ""} for row in rows_of(config)],
    )


def under_another_study_name(config):
    edited(config, "study04", study="study04 again")


ALTERATIONS = (
    with_another_mask, with_a_coarser_mask, with_readers_exchanged, with_another_reference, in_another_group,
    with_a_third_reader,
)  # fmt: skip

ALTERED = "altered in the cohort after a run under the lock"


def assert_one_study_is_altered(config):
    """Begin a run; it must be EXPLORATORY for that alone."""
    (reason,) = after_a_start(config)
    assert reason.startswith("1 study was (first S-")
    assert reason.endswith(ALTERED)


@pytest.mark.parametrize("move", MOVES)
def test_masks_that_are_altered_between_two_looks_are_seen_wherever_they_and_the_runs_lie(looked, move):
    config = move(*looked)
    with_another_mask(config)
    assert_one_study_is_altered(config)


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_whatever_a_study_is_judged_by_is_seen_in_another_folder_too(looked, alteration):
    config = in_another_folder(*looked)
    alteration(config)
    assert_one_study_is_altered(config)


@pytest.mark.parametrize("move", MOVES)
def test_what_was_moved_and_is_the_same_has_nothing_to_explain(looked, move):
    """Nor does a patient count as newer than he was."""
    run = looked[1].name
    spec, members = read_run(begin(move(*looked)))
    assert spec.lock.exploratory == ()
    assert [member.first_seen for member in members] == [run] * 4


def test_a_reader_who_reads_what_comes_later_alters_nothing(looked):
    config, _ = looked
    add(config, 7)
    write_manifest(
        config.parent / "archive",
        [row | {"mask:carl": row["mask:ben"] if row["study"] == "study07" else ""} for row in rows_of(config)],
    )
    assert after_a_start(config) == ()


def test_references_that_two_patients_exchange_are_seen(looked):
    config, _ = looked
    add(config, 7, positive=False)
    begin(config)
    config = in_another_folder(config, None)
    masks = {name: row[name] for row in rows_of(config) if row["study"] == "study04" for name in row if ":" in name}
    edited(config, "study07", label="lesion", **masks)
    edited(config, "study04", label="", **dict.fromkeys(masks, ""))
    (reason,) = after_a_start(config)
    assert reason.startswith("2 studies were (first S-")
    assert reason.endswith(ALTERED)


@pytest.mark.parametrize("move", [in_place, in_another_folder])
def test_a_patient_whose_studies_are_given_to_two_is_seen(looked, move):
    """Who makes two patients of one has twice the evidence."""
    config, _ = looked
    add(config, 5)  # study04 and study05 are one patient's
    begin(config)
    config = move(config, None)
    edited(config, "study05", patient="somebody else")
    *removed, altered = after_a_start(config)
    assert altered.endswith(ALTERED)
    assert [reason.partition(") ")[2] for reason in removed] == (
        ["removed from the cohort after a run under the lock"] if move is in_place else []
    )
    assert after_a_start(config) == (altered,), "the night after it is no better"


@pytest.mark.parametrize("locked_with", [False, True])
def test_a_hit_that_is_added_again_as_another_patient_is_seen(tmp_path, locked_with):
    """Who has the image of one patient count as that of ten has ten times the evidence; what was locked so is said."""
    config = plant(tmp_path / "first", 3)
    copy = {"study": "again", "patient": "somebody else"}

    def add_copy():
        write_manifest(config.parent / "archive", [*rows_of(config), rows_of(config)[0] | copy])

    if locked_with:
        add_copy()
    lock(config, cohort_open=True)
    if not locked_with:
        assert after_a_start(config) == ()
        add_copy()
    reasons = after_a_start(config)
    assert [reason.partition(") ")[2] for reason in reasons] == (
        [] if locked_with else ["added with the image of another patient after the lock"]
    )


def test_a_patient_who_is_two_from_the_first_look_on_is_two(looked):
    """The limit: whose studies they are is what the archive says, and nothing else tells."""
    config, _ = looked
    add(config, 5)
    edited(config, "study05", patient="somebody else")
    spec, members = read_run(begin(config))
    assert spec.lock.exploratory == ()
    assert len({member.patient for member in members}) == 4


def test_masks_that_are_put_back_do_not_undo_that_others_were_looked_at_and_an_amendment_tells(looked):
    config, _ = looked
    mask = mask_of(config, "study04")
    before = mask.read_bytes()
    with_another_mask(config)
    (reason,) = after_a_start(config)
    mask.write_bytes(before)
    assert after_a_start(in_another_output(config, None)) == (reason,)
    lock(config, cohort_open=True, amend="masks were exchanged for a night")
    result = read_run(begin(config))[0].lock
    assert result.exploratory == ()
    assert result.amendments[0].changed == (reason,)


def test_other_weights_are_seen_at_the_next_look(looked):
    config, _ = looked
    change(config, model={"arguments": {"sign": -1.0}})
    assert "the model's weights changed after the lock" in after_a_start(config)


def test_a_run_that_hides_what_was_altered_does_not_verify(looked):
    config = in_another_folder(*looked)
    with_another_mask(config)
    run = open_run_folder(begin(config))
    assert [*check_register(run)] == []
    lock_facts = run.spec.lock.model_copy(update={"exploratory": ()})
    (failure,) = check_register(replace(run, spec=run.spec.model_copy(update={"lock": lock_facts})))
    assert failure.sentence.startswith("runs under the lock had 1 of the images before, with other masks,")
    first = open_run_folder(looked[1])
    assert [*check_register(first)] == [], "what comes later is nothing to an earlier run"


def test_an_older_register_that_is_put_back_is_seen_beside_the_runs_that_it_does_not_know(looked, tmp_path):
    config, run = looked
    register = Path(os.environ["CAMAUDIT_REGISTER"])
    shutil.copytree(register, tmp_path / "backup")
    add(config, 7)
    newest = begin(config)
    shutil.rmtree(register)
    shutil.copytree(tmp_path / "backup", register)
    assert after_a_start(config) == (
        f"the register of looks is not the one that run {newest.name} under the lock was entered in",
    )
    for folder in run.parent.iterdir():
        if folder != run:
            shutil.rmtree(folder)
    assert after_a_start(config) == (), "the limit: a backup of all of it knows no more than it did"


def test_a_look_on_another_machine_is_known_to_nobody_here(looked, tmp_path, monkeypatch):
    """The limit: who copies key and register to a second machine can look there as well, and keep the better."""
    config, run = looked
    here = os.environ["CAMAUDIT_REGISTER"]
    shutil.copytree(here, tmp_path / "there")
    monkeypatch.setenv("CAMAUDIT_REGISTER", str(tmp_path / "there"))
    there = in_another_folder(config, run)
    add(there, 7)
    assert after_a_start(there) == ()
    monkeypatch.setenv("CAMAUDIT_REGISTER", here)
    assert after_a_start(config) == ()


def test_the_lists_of_earlier_nights_are_read_once_and_no_older_one(looked, monkeypatch):
    config, _ = looked
    newest = begin(config)
    read = []
    read_members = reuse.read_members
    monkeypatch.setattr(reuse, "read_members", lambda run: read.append(run.name) or read_members(run))
    assert after_a_start(config) == ()
    assert read == [newest.name]


def test_a_lock_that_is_amended_asks_no_run_from_before_it(looked, monkeypatch):
    config, _ = looked
    begin(config)
    lock(config, cohort_open=True, amend="another look")
    asked = []
    read_spec = reuse.read_spec
    monkeypatch.setattr(reuse, "read_spec", lambda run: asked.append(run.name) or read_spec(run))
    trust = reuse.EarlierRuns(read_lock(config).public)
    runs = reuse.earlier_runs(config.parent / "runs" / "planted")
    assert reuse.changed_since(runs, trust, read_lock(config), {}) == reuse.NOTHING_CHANGED
    assert asked == [runs[0].name]
