"""``check`` and ``lock`` look before anything is frozen; ``run`` says what was lost."""

import csv
import json
import shutil

import nibabel
import numpy as np
import pytest

from tests.pipeline.planted import plant, write_manifest


@pytest.fixture
def audit(tmp_path):
    """A sound audit of six studies: positives 0, 1, 3, 4 with two readers each, three patients."""
    return plant(tmp_path, 6)


def rewritten(audit, change):
    manifest = audit.parent / "archive" / "manifest.csv"
    with manifest.open() as file:
        rows = list(csv.DictReader(file))
    change(rows)
    write_manifest(manifest.parent, rows)


def checked(camaudit, audit, *options):
    code, out, err = camaudit("check", audit, "--json", *options)
    return code, json.loads(out.splitlines()[-1]), err


def shift(path):
    image = nibabel.load(path)
    affine = image.affine.copy()
    affine[:3, 3] += 5
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), affine), path)


def fill(path):
    image = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(np.ones(image.shape, np.uint8), image.affine), path)


def test_a_sound_archive_passes_and_is_locked(audit, camaudit):
    code, answer, err = checked(camaudit, audit)
    assert (code, err) == (0, "")
    archive = answer["archive"]
    assert (archive["found"], archive["patients"], archive["masks_usable"]) == (6, 3, 8)
    assert (archive["holes"], archive["doubts"]) == ([], [])
    assert archive["references"] == {"lesion": 4, "none": 2}
    assert answer["layers"][0]["name"] == "2"
    assert answer["estimate"]["maps"] == 18
    assert answer["input"]["shape"] == [1, 48, 48, 48]
    assert camaudit("lock", audit)[0] == 0


HOLES = {
    "an image that is missing": (
        lambda folder: (folder / "study03.nii.gz").unlink(),
        "1 of 6 studies cannot be used",
        ("studies", "missing_file"),
    ),
    "an image that is no image": (
        lambda folder: (folder / "study03.nii.gz").write_bytes(b"none"),
        "1 of 6 studies cannot be used",
        ("studies", None),
    ),
    "a mask that is missing": (
        lambda folder: (folder / "study03_anna.nii.gz").unlink(),
        "1 of 8 masks cannot be used",
        ("masks", "missing_file"),
    ),
    "a mask at another place": (
        lambda folder: shift(folder / "study03_anna.nii.gz"),
        "1 of 8 masks cannot be used",
        ("masks", "other_grid"),
    ),
    "one image under two patients": (
        lambda folder: shutil.copy(folder / "study02.nii.gz", folder / "study05.nii.gz"),
        "1 images stand under two patients",
        None,
    ),
}


@pytest.mark.parametrize("hole", HOLES)
def test_an_archive_with_a_hole_is_refused_unless_told(hole, audit, camaudit):
    make, words, place = HOLES[hole]
    make(audit.parent / "archive")
    code, answer, err = checked(camaudit, audit)
    assert code == 2
    assert f"the archive has holes: {words}" in err
    if place is not None:
        losses = answer["archive"][place[0]]
        (reason,) = losses["counts"]
        assert place[1] in (None, reason)
        assert losses["first"][reason].startswith("S-")
    code, _, err = camaudit("lock", audit)
    assert (code, words in err) == (2, True)
    assert not audit.with_name("audit.lock.yaml").exists()
    assert camaudit("lock", audit, "--allow-missing")[0] == 0
    assert audit.with_name("audit.lock.yaml").exists()


def test_a_label_that_the_model_does_not_have_is_a_hole(audit, camaudit):
    rewritten(audit, lambda rows: rows[0].update(label="leision"))
    code, answer, _ = checked(camaudit, audit)
    assert (code, answer["archive"]["studies"]["counts"]) == (2, {"unknown_label": 1})


def one_patient(audit):
    rewritten(audit, lambda rows: [row.update(patient="one") for row in rows])


def no_masks(audit):
    rewritten(audit, lambda rows: [row.update({"mask:anna": "", "mask:ben": ""}) for row in rows])


def positives_only(audit):
    def change(rows):
        rows[:] = [row for row in rows if row["label"]]

    rewritten(audit, change)


def a_mask_of_everything(audit):
    fill(audit.parent / "archive" / "study03_anna.nii.gz")


def one_expert_twice(audit):
    rewritten(audit, lambda rows: [row.update({"mask:ben": row["mask:anna"]}) for row in rows])


def nobody_says_whose(audit):
    archive = audit.parent / "archive"
    for path in archive.glob("study*_*.nii.gz"):
        path.unlink()
    (archive / "manifest.csv").unlink()
    audit.write_text(audit.read_text().replace("  manifest: archive/manifest.csv\n", ""))


ODD = [
    (one_expert_twice, "4 of 4 masks of the readers anna and ben are the same to the voxel"),
    (nobody_says_whose, "no manifest states patients: each study counts as another's"),
    (a_mask_of_everything, "covers more than half of the picture in 1 studies: S-"),
    (one_patient, "all 6 studies are one patient's"),
    (no_masks, "no study has a mask"),
    (positives_only, "every study with a reference has the same one: lesion"),
]


@pytest.mark.parametrize(("change", "words"), ODD)
def test_what_looks_odd_is_told_and_not_refused(change, words, audit, camaudit):
    change(audit)
    code, answer, _ = checked(camaudit, audit)
    assert code == 0
    assert any(words in doubt for doubt in answer["archive"]["doubts"])


def test_first_looks_at_no_further_study(audit, camaudit, monkeypatch):
    for path in (audit.parent / "archive").glob("study0[1-5]*"):
        path.unlink()
    code, answer, _ = checked(camaudit, audit, "--first")
    assert (code, answer["archive"]) == (0, None)


def test_mistakes_are_told_to_machines_too(audit, camaudit):
    code, answer, err = checked(camaudit, audit, "--set", "run.sead=1", "--set", "explain.methods=[gradcm]")
    assert code == 2
    told = {(fault["place"], fault["key"]) for fault in answer["faults"]}
    assert told == {("--set run.sead=1", "run.sead"), ("--set explain.methods=[gradcm]", "explain.methods")}
    assert len(err.splitlines()) == len(answer["faults"]) == 2


def test_overrides_reach_the_check(audit, camaudit):
    assert (
        checked(camaudit, audit, "--first", "--set", "explain.methods=[gradcam]", "--set", "criteria=[]")[1][
            "estimate"
        ]["maps"]
        == 6
    )


def test_a_run_says_what_it_lost_and_ends_as_it_was_asked_to(audit, camaudit):
    for number in (0, 1):
        (audit.parent / "archive" / f"study0{number}.nii.gz").unlink()
    shift(audit.parent / "archive" / "study03_anna.nii.gz")
    code, out, err = camaudit("run", audit, "--set", "run.engine=local", "--fail-on", "lost-studies,not-met")
    assert code == 1
    assert "planted: 6 studies = 4 analysed + 0 excluded + 2 failed" in out
    assert "failed         2 missing file, first S-" in out
    assert "mask refused   1 other grid, first S-" in out
    assert "input          1 x 48 x 48 x 48, values -0.0" in out
    last = err.strip().splitlines()[-1]
    assert last == "camaudit: 2 of 6 studies were lost (33 %), more than run.lost_at_most allows (5 %)"
    code, out, err = camaudit(
        "run", audit, "--set", "run.engine=local", "--json", "--set", "run.lost_at_most=0.5", "--set", "run.seed=1"
    )
    answer = json.loads(out)
    assert (code, answer["warning"]) == (0, None)
    (reason,) = answer["reasons"]
    assert (reason["status"], reason["reason"], reason["studies"]) == ("failed", "missing_file", 2)


def test_quiet_prints_the_path_alone(audit, camaudit):
    code, out, _ = camaudit("run", audit, "--set", "run.engine=local", "--quiet")
    assert code == 0
    assert out.strip().endswith("report.pdf")
    assert len(out.splitlines()) == 1


def test_the_version(camaudit):
    code, out, _ = camaudit("--version")
    assert code == 0
    assert out.startswith("camaudit ")


@pytest.mark.parametrize("change", [{"unit": "study"}, {"readers": "random"}])
def test_what_no_growing_cohort_can_be_judged_by_is_refused_before_the_lock(change, camaudit, tmp_path):
    audit = plant(tmp_path, 2, criteria=[{"metric": "iou", "method": "gradcam", "at_least": 0.1, **change}])
    code, _, err = camaudit("lock", audit, "--open-cohort")
    assert code == 2
    assert f"criteria.0.{next(iter(change))}: " in err
    assert "without --open-cohort" in err
