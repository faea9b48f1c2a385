"""Tuned thresholds in whole runs: who tunes is never judged, others never tune, and a verification sees either."""

import csv
import json
import shutil
from dataclasses import replace

import pytest

from pipeline.errors import ConfigError, OutputError
from pipeline.findings.custody.ledger import Ledger
from pipeline.findings.custody.recorded_files import record_files
from pipeline.findings.custody.site_key import load_site_key
from pipeline.findings.localisation.curves import CURVE_SHARES
from pipeline.findings.scores import Score
from pipeline.findings.spec import read_members, write_members
from pipeline.runs.run import Run
from pipeline.runs.verify_archive import check_archive
from pipeline.verify.rows import check_tuning
from pipeline.verify.run_folder import open_run_folder
from tests.pipeline.planted import plant, write_manifest
from tests.pipeline.runs.test_average_mask import failures_of
from tests.pipeline.runs.test_run import complete
from tests.pipeline.shared_pool import POOL
from tests.pipeline.steps import begin, read_run, work

TUNING = {f"patient{number:02}" for number in (1, 3, 4)}
CRITERIA = [
    {"metric": "dice", "method": "gradcam", "at_least": 0.2},
    {"metric": "hit_rate", "method": "gradcam", "at_least": 0.2},
]


def planted(folder, count=20, *, threshold=None, **changes):
    threshold = threshold or {"tuned": "dice", "column": "split", "fewest": 3}
    overlap = {
        "threshold": threshold,
        "metrics": ["dice", "iou", "hd95", "hit_rate", "lesion_sensitivity"],
        "baselines": ["random_map"],
    }
    config = plant(folder, count, explain={"methods": ["gradcam"]}, overlap=overlap, criteria=CRITERIA, **changes)
    with (folder / "archive" / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["split"] = "tuning" if row["patient"] in TUNING else "test"
    write_manifest(folder / "archive", rows)
    return config


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    config = planted(tmp_path_factory.mktemp("tuned"))
    return config, *complete(config)


def sides_of(folder):
    """Return the rows of gradcam with a mask: of patients who tune, and of the others."""
    tuning = {member.patient for member in read_members(folder) if member.tuning}
    entries = [
        (audit.patient in tuning, {score.name: score for score in entry.scores}, entry)
        for audit in Run.open(folder, pool=POOL).audits()
        for entry in audit.map_scores
        if entry.reader is not None
    ]
    return [row for row in entries if row[0]], [row for row in entries if not row[0]]


def test_no_region_of_a_tuning_patient_has_a_score_and_the_others_have_the_tuned_one(finished):
    _, folder, results = finished
    tuning, others = sides_of(folder)
    assert tuning
    for _, scores, _ in tuning:
        assert {scores[name].reason for name in ("dice", "iou", "hd95")} == {"tuning_patient"}
        assert scores["hit_rate"].value is not None
    shares = {threshold.method: threshold.share for threshold in results.tuned}
    assert set(shares) == {"gradcam", "random_map"}
    for _, scores, entry in others:
        at = CURVE_SHARES.index(shares[entry.method])
        assert scores["dice"].value == 2 * entry.counts.common[at] / (entry.counts.region[at] + entry.counts.mask)
        assert scores["hd95"].value is not None or scores["hd95"].reason == "empty_region"
    threshold = next(threshold for threshold in results.tuned if threshold.method == "gradcam")
    assert (threshold.patients, threshold.at_edge, len(threshold.values)) == (3, False, 19)


def test_estimates_and_criteria_leave_them_out_and_say_so(finished):
    _, _, results = finished
    dice, hits = (
        next(
            estimate
            for estimate in results.estimates
            if (estimate.metric, estimate.method, estimate.group) == (metric, "gradcam", None)
        )
        for metric in ("dice", "hit_rate")
    )
    assert hits.patients - dice.patients == 3
    assert dice.missing_patients == 0
    assert dice.undefined == {"tuning_patient": hits.studies - dice.studies}
    assert [verdict.estimate.patients for verdict in results.verdicts] == [dice.patients, hits.patients]
    assert (results.flow.tuning_patients, results.flow.tuning) == (3, 6)
    assert {curve.patients for curve in (*results.curves, *results.froc_curves)} == {dice.patients}
    assert results.froc_curves
    assert "who count in nothing that follows from it" in results.overlap_rule


def test_tuning_comes_first_and_the_run_verifies(finished):
    _, folder, _ = finished
    members = read_members(folder)
    assert max(m.shard for m in members if m.tuning) < min(m.shard for m in members if not m.tuning)
    assert failures_of(folder) == []
    assert list(check_archive(folder)) == []


def test_another_shard_first_is_refused(tmp_path):
    config = planted(tmp_path)
    folder = begin(config, pool=POOL)
    with pytest.raises(OutputError, match="shard 0 has patients on whom thresholds are tuned; work it first"):
        work(folder, read_run(folder)[0].shards - 1, pool=POOL)


def test_a_second_run_scores_the_others_anew_and_gives_the_same(finished):
    config, folder, results = finished
    again, repeated = complete(config)
    assert repeated.tuned == results.tuned
    assert repeated.estimates == results.estimates
    assert repeated.flow.maps_reused == repeated.flow.maps
    assert (again / "per_study.csv").read_bytes() == (folder / "per_study.csv").read_bytes()
    assert failures_of(again) == []
    mapped = {audit.study for audit in Run.open(again, pool=POOL).audits() if audit.map_scores}
    scored_anew = {member.study for member in read_members(again) if member.shard is not None}
    assert scored_anew == {member.study for member in read_members(again) if not member.tuning} & mapped


@pytest.mark.parametrize("column", ["site", "nothing"])
def test_a_split_that_parts_a_patient_is_refused_before_anything_is_written(tmp_path, column):
    config = planted(tmp_path, 6, threshold={"tuned": "dice", "column": column, "value": "a"})
    with pytest.raises(ConfigError, match=r"overlap\.threshold\.column: "):
        begin(config, pool=POOL)
    assert not list((tmp_path / "runs").glob("planted/*/run.json"))


def test_a_label_with_too_few_has_no_score_and_no_verdict(tmp_path):
    config = planted(tmp_path, 12, threshold={"tuned": "iou", "column": "split", "fewest": 4})
    folder, results = complete(config)
    assert {threshold.reason for threshold in results.tuned} == {"too_few_tuning_patients"}
    assert {scores["dice"].reason for _, scores, _ in sides_of(folder)[1]} == {"too_few_tuning_patients"}
    assert [verdict.answer for verdict in results.verdicts] == ["NOT EVALUATED", "MET"]
    assert failures_of(folder) == []


def test_a_vendor_who_moves_the_split_afterwards_is_told(finished, tmp_path):
    """With the key, after looking: the worst patient tunes, or one who tuned is judged."""
    _, folder, _ = finished
    copied = tmp_path / "runs" / folder.name
    shutil.copytree(folder, copied)
    members = read_members(copied)
    moved = next(member.patient for member in members if not member.tuning)
    write_members(
        copied,
        [m.model_copy(update={"tuning": True}) if m.patient == moved else m for m in members],
    )
    record_files(Ledger(copied / "ledger.jsonl", load_site_key()), "engine.chosen", copied, ["cohort.json"])
    sentences = [failure.sentence for failure in failures_of(copied)]
    assert any(
        sentence.startswith("cohort.json: who tunes thresholds is not what the split says") for sentence in sentences
    )


def test_a_threshold_that_was_chosen_after_looking_is_told(finished, tmp_path):
    _, folder, _ = finished
    copied = tmp_path / "runs" / folder.name
    shutil.copytree(folder, copied)
    content = json.loads((copied / "results.json").read_text())
    content["tuned"][0]["share"] = 0.9
    (copied / "results.json").write_text(json.dumps(content, indent=1))
    sentences = [failure.sentence for failure in failures_of(copied)]
    assert any("tuned.0.share is not what follows from the rows" in sentence for sentence in sentences)


def test_a_region_that_was_drawn_by_another_threshold_is_told(finished):
    _, folder, _ = finished
    run = open_run_folder(folder)
    assert list(check_tuning(run)) == []
    for tunes in (True, False):
        tuning = {member.patient for member in run.members if member.tuning}
        shards = tuple(replace(shard, kept=bent(shard.kept or (), tuning, tunes=tunes)) for shard in run.shards)
        sentences = [failure.sentence for failure in check_tuning(replace(run, shards=shards))]
        assert sentences
        assert all("is not that of the threshold that was tuned on others" in sentence for sentence in sentences)


def bent(audits, tuning, *, tunes):
    """Give every Dice of one side another value than its threshold's."""
    return tuple(
        audit.model_copy(update={"map_scores": tuple(map(better, audit.map_scores))})
        if (audit.patient in tuning) == tunes
        else audit
        for audit in audits
    )


def better(entry):
    scores = [Score(name="dice", value=0.987) if score.name == "dice" else score for score in entry.scores]
    return entry.model_copy(update={"scores": tuple(scores)})
