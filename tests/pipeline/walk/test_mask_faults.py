"""A mask that cannot be used costs its own row, never the study: the classifier is judged on every study."""

import csv
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from pipeline.config import OverlapConfig
from pipeline.errors import Reason
from pipeline.runs.reuse import run_answers
from pipeline.studies.untrusted.workers import Limits
from pipeline.walk import reading
from pipeline.walk.sources import find_sources
from pipeline.walk.study_walk import audit_studies
from tests.pipeline.hostile import deadly_mask, deadly_together
from tests.pipeline.models.test_prepared_studies import opened
from tests.pipeline.planted import plant, write_manifest
from tests.pipeline.runs.test_run import change, complete
from tests.pipeline.steps import open_auditor, read_run

CLASSIFIER = ("accuracy", "sensitivity", "specificity", "auroc")


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("CAMAUDIT_KEY", "k" * 32)


def rows_of(config):
    return list(csv.DictReader((config.parent / "archive" / "manifest.csv").open()))


def rewrite(config, alter):
    """Write the manifest again, each row (by number) altered."""
    rows = rows_of(config)
    for number, row in enumerate(rows):
        alter(number, row)
    write_manifest(config.parent / "archive", rows)


def audits_of(folder, config):
    """Return the run's studies by the archive's own names."""
    auditor = open_auditor(config)
    names = {source.study: source.row.study for source in find_sources(auditor.config, auditor.pseudonyms)}
    answers = run_answers(folder, read_run(folder)[1])
    return {names[study]: found for study, found in answers.items()}


def classifier(results):
    return [(one.metric, one.value, one.low, one.high, one.studies) for one in results.classification]


def scores(found, reader, method="gradcam"):
    (entry,) = [one for one in found.map_scores if (one.reader, one.method) == (reader, method)]
    return {score.name: score.value if score.reason is None else score.reason for score in entry.scores}


def test_the_classifier_is_judged_on_the_same_studies_whatever_becomes_of_the_masks(tmp_path):
    """Every normal's mask file is refused, and one reader's mask of every third positive."""
    sound, broken = plant(tmp_path / "sound", 15), plant(tmp_path / "broken", 15)

    def spoil(number, row):
        if not row["label"]:
            row["mask:anna"] = "gone.nii.gz"
        elif number % 2:
            row["mask:ben"] = "gone.nii.gz"

    rewrite(broken, spoil)
    _, expected = complete(sound)
    folder, results = complete(broken)
    assert classifier(results) == classifier(expected)
    assert results.flow.analysed == 15
    assert results.flow.mask_faults == {"missing_file": 10}
    assert results.flow.without_mask == 5
    assert sum(len(faults) for faults in results.mask_faults.values()) == 10
    rows = list(csv.DictReader((folder / "per_study.csv").open()))
    assert {row["mask_faults"] for row in rows} == {"", "missing_file=1"}
    assert {row["iou_undefined"] for row in rows if row["reader"] == "ben" and row["mask_faults"]} == {"missing_file"}


def test_one_readers_fault_leaves_the_other_readers_scores_as_they_are(tmp_path):
    sound, broken = plant(tmp_path / "sound", 4), plant(tmp_path / "broken", 4)
    moved = nibabel.load(broken.parent / "archive" / "study00_ben.nii.gz")
    nibabel.save(
        nibabel.Nifti1Image(moved.get_fdata().astype(np.uint8), moved.affine @ np.diag([1, 1, 1.1, 1])),
        broken.parent / "archive" / "study00_ben.nii.gz",
    )
    expected = audits_of(complete(sound)[0], sound)["study00"]
    folder, results = complete(broken)
    found = audits_of(folder, broken)["study00"]
    assert scores(found, "anna") == scores(expected, "anna")
    for method in ("gradcam", "random_map"):
        assert scores(found, "ben", method) == dict.fromkeys(OverlapConfig().metrics, "other_grid")
    assert (found.masks, [fault.reason for fault in found.mask_faults]) == (1, ["other_grid"])
    assert results.flow.without_mask == 0


def test_a_vendor_who_refuses_the_masks_of_bad_maps_is_seen(tmp_path):
    """The mean rises, and beside it stand the studies that were not compared."""
    config = plant(tmp_path, 6)

    def spoil(number, row):
        if number in (0, 1):
            row["mask:anna"] = row["mask:ben"] = "gone.nii.gz"

    rewrite(config, spoil)
    _, results = complete(config)
    primary = [one for one in results.estimates if one.among == "reference_positive" and one.group is None]
    assert {(one.studies, tuple(one.undefined.items())) for one in primary} == {(2, (("missing_file", 2),))}
    assert {tuple(one.estimate.undefined.items()) for one in results.verdicts if one.method == "gradcam"} == {
        (("missing_file", 2),)
    }
    assert all(one.estimate.missing_studies == 2 for one in results.verdicts if one.method == "gradcam")
    assert results.flow.without_mask == 2


def test_a_label_of_a_mask_that_the_model_lacks_is_the_masks_fault_one_of_the_reference_excludes(tmp_path):
    config = plant(tmp_path, 5)
    rows = rows_of(config)
    for row in rows:
        row["mask:anna:lesion"], row["mask:ben:leison"] = row.pop("mask:anna"), row.pop("mask:ben")
    rows[1]["label"] = "leison"
    write_manifest(config.parent / "archive", rows)
    folder, results = complete(config)
    assert results.flow.excluded == {"unknown_label": 1}
    assert results.flow.mask_faults == {"unknown_label": 3}
    found = audits_of(folder, config)["study00"]
    assert scores(found, "ben") == dict.fromkeys(OverlapConfig().metrics, "unknown_label")
    assert isinstance(scores(found, "anna")["iou"], float)
    assert "leison" not in (folder / "results.json").read_text()


def test_no_consensus_is_put_in_the_place_of_one_that_lacks_a_reader(tmp_path):
    config = plant(
        tmp_path, 3, archive={"path": "archive", "manifest": "archive/manifest.csv", "consensus": "majority"}
    )
    (config.parent / "archive" / "study00_ben.nii.gz").unlink()
    folder, results = complete(config)
    found = audits_of(folder, config)
    assert scores(found["study00"], "consensus:majority") == dict.fromkeys(OverlapConfig().metrics, "no_consensus")
    assert isinstance(scores(found["study00"], "anna")["iou"], float)
    assert isinstance(scores(found["study01"], "consensus:majority")["iou"], float)
    primary = [one for one in results.estimates if (one.metric, one.method) == ("iou", "gradcam")]
    assert {one.undefined.get("no_consensus", 0) for one in primary if one.group is None} >= {1}


@pytest.mark.parametrize(
    ("read", "faults", "masks"),
    [
        (deadly_mask, [("ben", Reason.CRASHED)], 1),
        (deadly_together, [("anna", Reason.CRASHED), ("ben", Reason.CRASHED)], 0),
    ],
)
def test_masks_that_end_the_process_do_not_cost_the_study(read, faults, masks, tmp_path, monkeypatch):
    auditor, sources = opened(plant(tmp_path, 2, run={"batch_size": 2, "device": "cpu", "workers": 1}))
    monkeypatch.setattr(reading, "read_study", read)
    monkeypatch.setattr(reading, "DECODING", Limits(4 * 1024**3, cpu_seconds=60, wall_seconds=120))
    (first, second), _ = audit_studies(auditor, sources)
    assert (first.status, first.masks, second.status, second.masks) == ("analysed", masks, "analysed", 2)
    assert [(fault.reader, fault.reason) for fault in first.mask_faults] == faults
    assert second.mask_faults == ()
    assert scores(first, "ben")["iou"] == "crashed"
    assert isinstance(scores(first, "anna")["iou"], float) == (masks == 1)


def test_what_may_pass_is_neither_kept_nor_carried_over(tmp_path, monkeypatch):
    run = {"device": "cpu", "replicates": 200, "workers": 1, "cache": "cache"}
    config = plant(tmp_path, 3, run=run, report={})  # no picture: each would be read once more
    monkeypatch.setattr(reading, "read_study", deadly_mask)
    _, first = complete(config)
    assert first.flow.mask_faults == {"crashed": 1}
    monkeypatch.undo()
    monkeypatch.setenv("CAMAUDIT_KEY", "k" * 32)
    _, second = complete(config)
    assert (second.flow.computed, second.flow.reused, second.flow.mask_faults) == (1, 2, {})


def test_what_the_file_itself_is_guilty_of_is_carried_over_until_the_file_changes(tmp_path):
    config = plant(tmp_path, 3)
    mask = config.parent / "archive" / "study00_ben.nii.gz"
    content = mask.read_bytes()
    mask.unlink()
    complete(config)
    _, again = complete(config)
    assert (again.flow.computed, again.flow.mask_faults) == (0, {"missing_file": 1})
    mask.write_bytes(content)
    _, mended = complete(config)
    assert (mended.flow.computed, mended.flow.mask_faults) == (1, {})


def test_kept_studies_remember_the_faults_of_their_masks(tmp_path):
    config = plant(tmp_path, 2, run={"device": "cpu", "workers": 0, "cache": "cache"})
    (config.parent / "archive" / "study00_ben.nii.gz").unlink()
    auditor, sources = opened(config)
    first, _ = audit_studies(auditor, sources)
    assert auditor.prepared_cache.load(sources[0].study, sources[0].sha256).mask_faults
    again, _ = audit_studies(auditor, sources)
    assert again == first
    assert [fault.reason for fault in again[0].mask_faults] == ["missing_file"]


def test_a_model_of_other_labels_does_not_take_what_was_kept_for_this_one(tmp_path):
    """The masks of labels that a model lacks are not read, so what is kept is the model's own."""
    config = plant(tmp_path, 2, run={"device": "cpu", "workers": 0, "cache": "cache"})
    auditor, sources = opened(config)
    audit_studies(auditor, sources)
    change(config, model={"labels": ["lesion", "clear"]})
    other = open_auditor(config)
    assert auditor.prepared_cache.holds(sources[0].study, sources[0].sha256)
    assert not replace(other).prepared_cache.holds(sources[0].study, sources[0].sha256)
