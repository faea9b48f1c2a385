"""The average mask in whole runs: whatever the shards, one result; nothing of a patient in his own; verified."""

import json
import shutil

import nibabel
import numpy as np
import pytest
from nibabel.orientations import apply_orientation, io_orientation, ornt_transform

from pipeline.errors import OutputError
from pipeline.evidence.localisation.average_mask import CELLS, filled_cells
from pipeline.evidence.metrics.map_evidence import MarkedVoxels, RegionOverlap
from pipeline.evidence.metrics.ranking import average_precision
from pipeline.evidence.metrics.registry import evidence_of
from pipeline.findings.custody.ledger import Ledger, read_ledger
from pipeline.findings.custody.recorded_files import record_files
from pipeline.findings.custody.site_key import load_site_key
from pipeline.runs.first_pass import masks_file
from pipeline.runs.measure import measure_run
from pipeline.runs.run import Run
from pipeline.runs.start_watch import StartWatch
from pipeline.runs.verify_archive import audit_anew, check_archive
from pipeline.studies.geometry import Geometry, cells, plan
from pipeline.studies.volume import Heatmap
from pipeline.verify.verify import verify_run
from pipeline.walk.sources import find_sources
from tests.pipeline.planted import plant
from tests.pipeline.runs.test_run import change, complete
from tests.pipeline.shared_pool import POOL
from tests.pipeline.steps import begin, finish, open_auditor, read_run, work

STUDIES = 15  # of 8 patients, 7 of whom have a mask


def planted(folder, count=STUDIES, **changes):
    criteria = [{"metric": "average_precision", "method": "gradcam", "better_than": "average_mask", "wins": 0.5}]
    return plant(
        folder,
        count,
        explain={"methods": ["gradcam"]},
        overlap={"baselines": ["average_mask"], "metrics": ["average_precision"]},
        criteria=criteria,
        **changes,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    config = planted(tmp_path_factory.mktemp("average"))
    return config, *complete(config)


def scores_of(folder):
    return {
        (audit.study, entry.reader): entry.scores[0].value
        for audit in Run.open(folder, pool=POOL).audits()
        for entry in audit.map_scores
        if entry.method == "average_mask"
    }


def failures_of(folder):
    """What a verification finds but for the register, which each test has of its own."""
    return [failure for failure in verify_run(folder).failures if failure.kind.name != "REGISTER"]


def without_run(folder):
    results = json.loads((folder / "results.json").read_text())
    return [results[name] for name in ("estimates", "verdicts", "curves", "lesion_trends")]


def test_a_study_is_scored_by_the_others_masks_alone(finished):
    """Written down again, with the files of the archive: the other patients' masks, averaged."""
    config, folder, _ = finished
    auditor = open_auditor(config)
    names = {s.study: s.row for s in find_sources(auditor.config, auditor.pseudonyms)}
    archive = config.parent / "archive"
    masks, patients = {}, {}
    for study, row in names.items():
        drawn = [nibabel.load(archive / source.path.name) for source in row.masks]
        masks[study] = [(np.asarray(mask.dataobj) > 0, mask.affine) for mask in drawn]
        patients[study] = row.patient
    checked = 0
    for (study, reader), score in scores_of(folder).items():
        if reader != "anna":
            continue
        sums, others = np.zeros((CELLS[3],) * 3), 0
        for patient in sorted(set(patients.values()) - {patients[study]}):
            own = [
                np.mean([filled_cells(array, Geometry(array.shape, affine)) for array, affine in masks[other]], axis=0)
                for other, of in patients.items()
                if of == patient and masks[other]
            ]
            if own:
                sums, others = sums + np.mean(own, axis=0), others + 1
        array, affine = masks[study][0]
        geometry = Geometry(array.shape, affine)
        back = ornt_transform(np.array([[0, 1], [1, 1], [2, 1]]), io_orientation(affine))
        mean = apply_orientation(sums / others, back).astype(np.float32)
        values = plan(cells(geometry, mean.shape), geometry).apply(mean)
        evidence = evidence_of(
            Heatmap(values, geometry, np.ones(array.shape, bool), "m", "", ""), auditor.config.overlap
        )
        expected = average_precision(RegionOverlap(evidence, MarkedVoxels(array, geometry)))
        assert score == pytest.approx(expected, rel=0.02)  # the model saw not quite all, and cells are whole numbers
        checked += 1
    assert checked == 10


def test_it_can_be_beaten_and_stands_beside_the_others(finished):
    _, _, results = finished
    (verdict,) = results.verdicts
    assert (verdict.against, verdict.answer) == ("average_mask", "MET")
    assert any(estimate.method == "average_mask" and estimate.value > 0 for estimate in results.estimates)
    assert any(curve.method == "average_mask" for curve in results.curves)


def test_shards_of_another_size_and_an_interrupted_run_give_the_same(finished, tmp_path):
    _, folder, _ = finished
    other = planted(tmp_path / "other", run={"batch_size": 2, "shard_size": 2, "device": "cpu", "replicates": 200})
    (tmp_path / "other" / "runs").mkdir()
    key = finished[0].parent / "runs" / "pseudonym.key"
    (tmp_path / "other" / "runs" / "pseudonym.key").write_bytes(key.read_bytes())
    (tmp_path / "other" / "runs" / "pseudonym.key").chmod(0o600)
    begun = begin(other, pool=POOL)
    work(begun, 3, pool=POOL)  # and nothing else: another process dies here
    again, _ = complete(other)
    assert scores_of(again) == scores_of(folder)
    assert without_run(again) == without_run(folder)
    assert (again / "per_study.csv").read_bytes() == (folder / "per_study.csv").read_bytes()
    with Run.open(again, pool=POOL) as run:
        assert all(member.shard is not None for member in run.members)  # all are scored anew
        assert sum(entry.map.startswith("../") for audit in run.audits() for entry in audit.map_scores if entry.map) > 0


def test_masks_are_read_once_before_the_first_score_and_the_run_verifies(finished):
    _, folder, _ = finished
    events = [entry.event for entry in read_ledger(folder / "ledger.jsonl")]
    shards = read_run(folder)[0].shards
    assert events.count("masks.surveyed") == shards == 3
    assert events.index("shard.finished") > max(n for n, event in enumerate(events) if event == "masks.surveyed")
    assert failures_of(folder) == []
    assert list(check_archive(folder)) == []
    assert list(audit_anew(folder, 2)) == []


def test_masks_that_are_not_the_archives_are_told(finished, tmp_path):
    """A vendor who has the key writes other masks: nothing but a second look at the archive can tell."""
    _, folder, _ = finished
    copied = tmp_path / "runs" / "planted" / folder.name
    shutil.copytree(folder, copied)
    path = copied / masks_file(0)
    arrays = dict(np.load(path).items())
    key = next(iter(arrays))
    np.savez_compressed(path, **{**arrays, key: arrays[key][::-1]})
    assert {failure.kind.name for failure in failures_of(copied)} == {"FILE_ALTERED"}
    record_files(Ledger(copied / "ledger.jsonl", load_site_key()), "masks.surveyed", copied, [masks_file(0)], shard=0)
    sentences = [failure.sentence for failure in failures_of(copied)]
    assert any("not all read before the first study was scored" in sentence for sentence in sentences)
    deep = [failure.sentence for failure in check_archive(copied)]
    assert any(sentence.startswith(f"{masks_file(0)}: the masks of study {key.partition('/')[0]}") for sentence in deep)


def test_masks_that_were_altered_meanwhile_are_not_used(tmp_path):
    folder = begin(planted(tmp_path, 12), pool=POOL)
    work(folder, 0, pool=POOL)
    path = folder / masks_file(1)
    path.write_bytes((folder / masks_file(0)).read_bytes())
    with pytest.raises(OutputError, match=r"masks/0001\.npz: is not the file that the run wrote"):
        work(folder, 1, pool=POOL)


def test_one_more_patient_changes_every_score_and_no_map_is_computed_again(tmp_path):
    config = planted(tmp_path, 15)
    first, _ = complete(config)
    rows = (tmp_path / "archive" / "manifest.csv").read_text().splitlines()
    (tmp_path / "archive" / "manifest.csv").write_text("\n".join([*rows[:1], *rows[3:]]) + "\n")
    second, results = complete(config)
    before, after = scores_of(first), scores_of(second)
    assert set(after) < set(before)
    assert all(before[key] != after[key] for key in after)
    assert results.flow.maps_reused == results.flow.maps > 0


def test_scored_again_without_the_model_it_is_the_same(finished):
    _, folder, _ = finished
    with measure_run(folder, "camaudit measure", ["overlap.threshold=0.4"], watch=StartWatch(POOL)) as run:
        for shard in range(run.spec.shards):
            run.work(shard)
        run.finish()
        again = run.folder
    assert scores_of(again) == scores_of(folder)
    assert failures_of(again) == []


@pytest.mark.parametrize("count", [STUDIES, 6])
def test_a_label_that_is_answered_wrongly_has_an_average_or_a_reason_in_that_role(tmp_path, count):
    """Nobody has drawn what is clear: its average mask does not exist, and is held against the finding's masks."""
    model = {"name": "p", "factory": "planted_network:build", "arguments": {"sign": -1.0}}
    folder, _ = complete(planted(tmp_path, count, model=model | {"labels": ["clear", "lesion"]}))
    rows = {
        method: [
            (audit.study, entry.target, entry.target_role, entry.reader)
            for audit in Run.open(folder, pool=POOL).audits()
            for entry in audit.map_scores
            if entry.method == method
        ]
        for method in ("average_mask", "gradcam")
    }
    assert sorted(rows["average_mask"], key=str) == sorted(rows["gradcam"], key=str)
    assert {role for _, target, role, _ in rows["average_mask"] if target == "clear"} == {"answered"}
    assert failures_of(folder) == []


def test_few_patients_have_no_average_and_the_reason_is_told(tmp_path):
    config = planted(tmp_path, 6)
    folder, results = complete(config)
    assert set(scores_of(folder).values()) == {None}
    (verdict,) = results.verdicts
    assert verdict.answer == "NOT EVALUATED"
    assert verdict.estimate.undefined == {"too_few_other_patients": 4}
    change(config, overlap={"baselines": ["random_map"]}, criteria=[])
    begun = begin(config, pool=POOL)
    for shard in range(read_run(begun)[0].shards):
        work(begun, shard, pool=POOL)
    finish(begun, pool=POOL)
    assert not (begun / "masks").exists()
