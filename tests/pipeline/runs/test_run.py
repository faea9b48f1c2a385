"""The whole walk over a small archive whose truth is planted, without Prefect."""

import csv
import json
import shutil
import stat
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import yaml

from pipeline.conclusions.per_study_csv import neutral
from pipeline.errors import ArchiveError, ConfigError, ModelError, OutputError
from pipeline.findings.custody.ledger import read_ledger
from pipeline.findings.members.table import MemberTable
from pipeline.findings.pictures.panels import load_panels
from pipeline.findings.results import load_results
from pipeline.findings.shards import load_map, read_shard
from pipeline.findings.spec import read_members
from pipeline.verify.rows import check_arrival
from pipeline.verify.run_folder import open_run_folder
from pipeline.walk.sources import find_sources
from tests.pipeline.planted import affine_of, plant, write_manifest, write_study
from tests.pipeline.shared_pool import POOL
from tests.pipeline.steps import begin, finish, lock, open_auditor, read_run, work


def complete(config):
    folder = begin(config, "camaudit run audit.yaml", pool=POOL)
    for shard in range(read_run(folder)[0].shards):
        work(folder, shard, pool=POOL)
    return folder, finish(folder, pool=POOL)


def change(config, **keys):
    content = yaml.safe_load(config.read_text())
    for name, value in keys.items():
        content[name] = {**content.get(name, {}), **value} if isinstance(value, dict) else value
    config.write_text(yaml.safe_dump(content))


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    config = plant(tmp_path_factory.mktemp("planted"))
    lock(config)
    return config, *complete(config)


@pytest.fixture
def small(tmp_path):
    return plant(tmp_path, 3)


def test_a_network_that_looks_right_meets_its_criteria(audited):
    _, _, results = audited
    assert [verdict.answer for verdict in results.verdicts] == ["MET", "MET", "MET"]
    assert results.flow.found == results.flow.analysed == 24
    assert results.lock.exploratory == ()


def test_the_map_peaks_where_the_truth_was_planted(audited):
    """World millimetres through oblique, flipped, anisotropic affines, the layer's grid and back."""
    config, folder, _ = audited
    auditor = open_auditor(config)
    names = {s.study: s.row.study for s in find_sources(auditor.config, auditor.pseudonyms)}
    audits = [audit for path in (folder / "shards").glob("*.parquet") for audit in read_shard(path)]
    checked = 0
    for audit in audits:
        entry = next((one for one in audit.map_scores if one.method == "hirescam"), None)
        if entry is None:
            continue
        number = int(names[audit.study].removeprefix("study"))
        mask = nibabel.load(config.parent / "archive" / f"study{number:02}_anna.nii.gz")
        truth = affine_of(number) @ [*np.argwhere(mask.get_fdata()).mean(axis=0), 1]
        values, affine = load_map(folder, entry)
        weights = np.maximum(values, 0)
        centroid = affine @ [*(np.argwhere(weights) * weights[weights > 0][:, None]).sum(axis=0) / weights.sum(), 1]
        assert np.linalg.norm((centroid - truth)[:3]) < 0.5 * max(affine_scale(affine))
        checked += 1
    assert checked == 16


def affine_scale(affine):
    return np.linalg.norm(affine[:3, :3], axis=0)


def test_a_network_with_its_sign_flipped_does_not(tmp_path):
    config = plant(tmp_path, 24)
    change(config, model={"arguments": {"sign": -1.0}})
    _, results = complete(config)
    assert results.verdicts[0].answer in ("NOT MET", "NOT EVALUATED")
    assert results.verdicts[2].answer == "NOT MET"


def test_the_folder_holds_what_the_design_says(audited):
    _, folder, results = audited
    names = {path.relative_to(folder).parts[0] for path in folder.rglob("*")}
    assert names >= {
        "run.json",
        "private",
        "cohort.json",
        "ledger.jsonl",
        "shards",
        "maps",
        "cases",
        "results.json",
        "per_study.csv",
    }
    assert load_results(folder) == results
    entries = read_ledger(folder / "ledger.jsonl")
    newest = entries[-1]  # the results are recorded behind what they know of
    assert (results.provenance.ledger_head, results.provenance.ledger_length) == (newest.previous, len(entries) - 1)
    events = [json.loads(line)["event"] for line in (folder / "ledger.jsonl").read_text().splitlines()]
    started = ["criteria.locked", "configuration.locked", "model.hashed", "cohort.locked", "inference.started"]
    assert events[1:6] == started


def test_the_csv_has_a_row_for_every_study_target_method_and_reader(audited):
    _, folder, _ = audited
    rows = list(csv.DictReader((folder / "per_study.csv").open()))
    # 16 positive studies x (3 methods + 2 baselines) x 2 readers, and one row for each of the 8 others
    assert len(rows) == 16 * 5 * 2 + 8
    assert {row["stratum_site"] for row in rows} == {"a", "b"}
    row = next(row for row in rows if row["method"] == "gradcam")
    assert 0.4 < float(row["iou"]) <= 1


def test_no_name_of_the_archive_leaves_the_loader(audited):
    _, folder, _ = audited
    for path in folder.rglob("*"):
        if path.is_file() and path.parent.name != "private":
            content = path.read_bytes()
            assert b"patient0" not in content, path
            assert b"study0" not in content.replace(b"per_study", b""), path
            assert "study0" not in path.name


def test_expert_agreement_is_reported_beside_the_maps(audited):
    results = audited[2]
    found = {one.metric: one.estimate.value for one in results.agreements}
    assert found["iou"] == pytest.approx(6**3 / 8**3)  # a cube of 6 in one of 8


def test_maps_that_are_one_piece_of_evidence_are_said_to_be(audited):
    assert audited[2].equivalent_methods == (("gradcam", "hirescam", "layercam"),)


SIGNED_NETWORK = """
import torch
from torch import nn


def build(sign: float = 1.0) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(1, 8, 3, stride=3), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(8, 2))
"""


def test_a_map_that_ends_in_a_relu_is_kept_signed_and_scored_and_shown_without_its_negative_part(tmp_path):
    config = plant(tmp_path, 6)
    (tmp_path / "signed_network.py").write_text(SIGNED_NETWORK)
    change(config, model={"factory": "signed_network:build"})
    folder, results = complete(config)
    audits = [audit for path in (folder / "shards").glob("*.parquet") for audit in read_shard(path) if audit.map_scores]
    for audit in audits:
        gradcam, hirescam = (
            [(one.reader, one.scores) for one in audit.map_scores if one.method == name]
            for name in ("gradcam", "hirescam")
        )
        assert gradcam == hirescam
        kept = {one.method: load_map(folder, one)[0] for one in audit.map_scores if one.map}
        assert kept["gradcam"].min() < 0
        assert np.array_equal(kept["gradcam"], kept["hirescam"])
    shown = [load_panels(folder / case.panels) for case in results.cases if case.panels]
    assert any(case.ranges["gradcam"][1] > 0 for case in shown)
    for case in shown:
        assert case.ranges["gradcam"][0] == 0 > case.ranges["hirescam"][0]
        assert case.ranges["gradcam"][1] == max(case.ranges["hirescam"][1], 0)
        assert case.thresholds["gradcam"] == case.thresholds["hirescam"]
        assert all((view.maps["gradcam"] >= 0).all() for view in case.views if "gradcam" in view.maps)
    assert results.equivalent_methods == (("gradcam", "hirescam"),)


def test_only_what_is_new_is_computed_again(tmp_path):
    config = plant(tmp_path, 6)
    first, _ = complete(config)
    archive = tmp_path / "archive"
    rows = list(csv.DictReader((archive / "manifest.csv").open()))
    write_manifest(archive, [*rows, write_study(archive, 7, True)])
    second, again = complete(config)
    assert (again.flow.found, again.flow.computed, again.flow.reused) == (7, 1, 6)
    assert again.provenance.previous_run == first.name
    carried = [one for audit in read_shard(second / "shards/reused.parquet") for one in audit.map_scores if one.map]
    assert all(one.map.startswith(f"../{first.name}/maps/") and load_map(second, one)[0].size for one in carried)
    change(config, overlap={"threshold": 0.5})
    rescored = complete(config)[1].flow
    assert (rescored.computed, rescored.maps, rescored.maps_reused) == (5, 15, 15)  # 2 studies have no map
    shutil.rmtree(first)  # with its maps, what refers to them is gone
    change(config, overlap={"threshold": 0.6})
    flow = complete(config)[1].flow
    assert (flow.maps, flow.maps_reused) == (15, 3)
    change(config, prepare=[{"_target_": "Resize", "spatial_size": [20, 24, 16]}])
    assert complete(config)[1].flow.computed == 7  # another input: nothing is


def test_a_changed_mask_or_label_is_a_new_study(tmp_path):
    config = plant(tmp_path, 4)
    complete(config)
    mask = tmp_path / "archive" / "study00_anna.nii.gz"
    image = nibabel.load(mask)
    nibabel.save(nibabel.Nifti1Image(np.roll(image.get_fdata(), 1, axis=0).astype(np.uint8), image.affine), mask)
    assert complete(config)[1].flow.computed == 1


def test_a_killed_run_is_taken_up_where_it_stopped(tmp_path):
    config = plant(tmp_path, 12)
    folder = begin(config, "c", pool=POOL)
    work(folder, 0, pool=POOL)  # killed after the first shard of five
    _, results = complete(config)
    assert (results.flow.computed, results.flow.reused) == (7, 5)


def test_a_run_with_a_missing_shard_has_no_conclusions(small):
    folder = begin(small, "c", pool=POOL)
    with pytest.raises(OutputError, match="3 of 3 studies were never audited"):
        finish(folder, pool=POOL)
    assert not (folder / "results.json").exists()


def test_each_label_is_held_against_its_own_masks(tmp_path):
    """A multi-label study: the map of one label must not be measured with the mask of another."""
    config = plant(tmp_path, 3)
    archive = tmp_path / "archive"
    rows = list(csv.DictReader((archive / "manifest.csv").open()))
    for row in rows[:2]:
        row["mask:anna:lesion"], row["mask:ben:clear"] = row.pop("mask:anna"), row.pop("mask:ben")
        row["label"] = "clear;lesion"
    write_manifest(archive, rows[:2])
    change(config, model={"output": "sigmoid"})
    folder, results = complete(config)
    audits = [audit for path in (folder / "shards").glob("*.parquet") for audit in read_shard(path)]
    readers = {(entry.target, entry.reader) for audit in audits for entry in audit.map_scores}
    assert readers == {("lesion", "anna"), ("clear", "ben")}
    by_target = {
        entry.target: {score.name: score.value for score in entry.scores}["hit_rate"]
        for entry in audits[0].map_scores
        if entry.method == "hirescam"
    }
    assert by_target["lesion"] == 1
    assert by_target["clear"] is None  # nothing in the picture speaks for this label: a constant map
    assert {one.metric for one in results.classification if one.group == "label=clear"} == {
        "sensitivity", "specificity", "auroc",
    }  # fmt: skip


def test_every_study_that_fails_is_a_row(tmp_path):
    config = plant(tmp_path, 9)
    archive = tmp_path / "archive"
    (archive / "study00.nii.gz").unlink()
    (archive / "study01.nii.gz").write_bytes(b"garbage")
    shifted = nibabel.load(archive / "study03_anna.nii.gz")
    nibabel.save(
        nibabel.Nifti1Image(shifted.get_fdata(), shifted.affine @ np.diag([1, 1, 1.1, 1])),
        archive / "study03_anna.nii.gz",
    )
    for reader in ("anna", "ben"):
        empty = nibabel.load(archive / f"study04_{reader}.nii.gz")
        nibabel.save(
            nibabel.Nifti1Image(np.zeros(empty.shape, np.uint8), empty.affine), archive / f"study04_{reader}.nii.gz"
        )
    rows = list(csv.DictReader((archive / "manifest.csv").open()))
    rows[6]["label"] = "leision"
    write_manifest(archive, rows)
    _, results = complete(config)
    assert results.flow.analysed == 6
    assert sum(results.flow.failed.values()) == 2
    assert results.flow.failed["missing_file"] == 1
    assert results.flow.excluded == {"unknown_label": 1}
    assert results.flow.mask_faults == {"mask_empty_for_positive": 2, "other_grid": 1}
    assert results.flow.without_mask == 1
    assert {audit.stage for audit in results.not_analysed} == {"read"}


def test_criteria_changed_after_the_lock_make_the_run_exploratory(small):
    lock(small)
    change(small, criteria=[{"metric": "iou", "method": "gradcam", "at_least": 0.01}])
    assert complete(small)[1].lock.exploratory == ("the acceptance criteria changed after the lock",)


def test_an_open_cohort_may_grow_a_closed_one_may_not(tmp_path, monkeypatch):
    for cohort_open, reasons in ((True, 0), (False, 1)):
        monkeypatch.setenv("CAMAUDIT_REGISTER", str(tmp_path / f"register {cohort_open}"))
        config = plant(tmp_path / str(cohort_open), 3)
        lock(config, cohort_open=cohort_open)
        archive = config.parent / "archive"
        rows = list(csv.DictReader((archive / "manifest.csv").open()))
        write_manifest(archive, [*rows, write_study(archive, 4, True)])
        assert len(complete(config)[1].lock.exploratory) == reasons


def grown(config, number):
    archive = config.parent / "archive"
    rows = list(csv.DictReader((archive / "manifest.csv").open()))
    write_manifest(archive, [*rows, write_study(archive, number, True)])


def first_seen(folder):
    return [member.first_seen for member in read_members(folder)]


def test_a_growing_cohort_knows_which_run_saw_a_study_first(tmp_path):
    config = plant(tmp_path, 3)
    lock(config, cohort_open=True)
    before, results = complete(config)
    assert results.lock.open_cohort
    assert "every look" in next(v.estimate.interval for v in results.verdicts if v.metric == "hit_rate")
    grown(config, 4)
    after, later = complete(config)
    control = next(verdict.control for verdict in later.verdicts if verdict.metric == "hit_rate")
    assert [(row.run, row.patients) for row in control.arrivals] == [(before.name, 1), (after.name, 1)]
    assert first_seen(before) == [before.name] * 3
    assert first_seen(after) == [before.name] * 3 + [after.name]
    folder = open_run_folder(after)
    assert not list(check_arrival(folder))
    for name in (after.name, before.name[:-1] + "x", ""):
        edited = MemberTable(member.model_copy(update={"first_seen": name}) for member in folder.members)
        assert list(check_arrival(replace(folder, members=edited)))
    lock(config, cohort_open=True, amend="another look")
    assert set(first_seen(complete(config)[0])) != {before.name, after.name}  # another lock starts afresh


def test_an_altered_cohort_tells_nothing_of_who_was_seen_first_but_the_register_does(tmp_path):
    config = plant(tmp_path, 3)
    lock(config, cohort_open=True)
    before, _ = complete(config)
    path = before / "cohort.json"
    path.write_text(path.read_text().replace(before.name, "20000101T000000000Z-00000000"))
    after, _ = complete(config)
    assert first_seen(after) == [before.name] * 3


@pytest.mark.parametrize(
    ("keys", "kind", "words"),
    [
        ({"explain": {"methods": ["gradcma"]}}, ConfigError, "did you mean 'gradcam'"),
        ({"explain": {"targets": ["lession"]}}, ConfigError, "lession"),
        ({"model": {"layers": ["9"]}}, ModelError, "layer '9' does not exist.*layers that would do: 0, 1, 2"),
        ({"model": {"layers": ["5"]}}, ModelError, "no spatial extent"),
        ({"model": {"labels": ["a", "b", "lesion"]}}, ModelError, "needs 3 output"),
        ({"model": {"labels": ["clear", "fracture"]}}, ConfigError, "'lesion' is not one of the model's labels"),
        ({"model": {"sha256": "0" * 64}}, ModelError, "have the hash"),
        ({"prepare": [{"_target_": "RandFlip"}]}, ConfigError, "is random"),
        ({"prepare": [{"_target_": "Resize", "spatial_size": [1, 1, 1]}]}, ModelError, "."),
        (
            {"criteria": [{"metric": "hit", "method": "gradcam", "at_least": 0.5}]},
            ConfigError,
            "did you mean 'hit_rate'",
        ),
        ({"archive": {"path": "nowhere"}}, ConfigError, "nowhere"),
        ({"run": {"device": "abacus"}}, ConfigError, "abacus"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_left_behind(small, keys, kind, words):
    change(small, **keys)
    with pytest.raises(kind, match=words) as caught:
        begin(small, "c", pool=POOL)
    assert "\n" not in str(caught.value)
    assert not (small.parent / "runs" / "planted").exists()


def test_an_archive_of_unreadable_studies_is_refused(small):
    for path in (small.parent / "archive").glob("*.nii.gz"):
        path.write_bytes(b"garbage")
    with pytest.raises(ArchiveError, match="none of the 3 studies can be read"):
        begin(small, "c", pool=POOL)


def test_a_configuration_changed_under_way_is_not_even_read(small):
    folder = begin(small, "c", pool=POOL)
    change(small, overlap={"threshold": 0.5}, criteria=[], name="renamed")
    assert work(folder, 0, pool=POOL) == 3
    small.unlink()
    assert [verdict.metric for verdict in finish(folder).verdicts] == ["hit_rate", "energy_in_mask", "accuracy"]


def test_a_model_changed_under_way_is_refused(small):
    folder = begin(small, "c", pool=POOL)
    factory = small.parent / "planted_network.py"
    factory.write_text(factory.read_text() + "\n# another code\n")
    with pytest.raises(ConfigError, match="the model was changed while the run was under way"):
        work(folder, 0, pool=POOL)


def test_batches_do_not_mix_studies(tmp_path):
    one, many = (
        plant(tmp_path / str(size), 6, run={"batch_size": size, "shard_size": 6, "device": "cpu"}) for size in (1, 6)
    )
    values = []
    for config in (one, many):
        folder, _ = complete(config)
        auditor = open_auditor(config)
        names = {s.study: s.row.study for s in find_sources(auditor.config, auditor.pseudonyms)}
        audits = read_shard(folder / "shards/0000.parquet")
        values.append({names[a.study]: load_map(folder, a.map_scores[0])[0] for a in audits if a.map_scores})
    assert values[0].keys() == values[1].keys()
    for name, array in values[0].items():
        assert np.allclose(array, values[1][name], rtol=1e-4, atol=1e-6)


def test_formulas_are_neutralised():
    assert [neutral(cell) for cell in ("=1+1", "@x", "-1", "plain", -1.0, None)] == [
        "'=1+1",
        "'@x",
        "'-1",
        "plain",
        -1.0,
        None,
    ]


def test_a_damaged_or_foreign_earlier_run_is_passed_over(tmp_path):
    config = plant(tmp_path, 4)
    first, _ = complete(config)
    (first / "maps" / "0000.npz").write_bytes(b"damaged")
    foreign = first.parent / "19990101T000000Z-old"
    foreign.mkdir()
    (foreign / "run.json").write_text('{"schema_version": 0}')
    lock(config)
    folder, results = complete(config)
    assert (results.flow.computed, results.flow.maps_reused) == (3, 0)  # one has no map
    (refused,) = read_run(folder)[0].not_carried
    assert "maps/0000.npz is not used: is not the file that the run wrote" in refused


def test_pictures_are_withheld_unless_a_header_or_the_user_vouches_for_them(small):
    change(small, report={"pictures": "not_burned_in"})
    folder, results = complete(small)
    assert results.cases
    assert all(case.panels is None for case in results.cases)
    assert {case.note for case in results.cases} == {
        "the pictures are withheld: the image's header does not say that no annotation is burned into the pixels "
        "(report.pictures)"
    }
    assert not (folder / "cases").exists()


def test_a_run_lists_the_archive_once_and_reads_its_configuration_once(small, monkeypatch):
    from pipeline.walk import sources

    listed = []
    archive_rows = sources.archive_rows

    def counted(*arguments):
        listed.append(arguments)
        return archive_rows(*arguments)

    monkeypatch.setattr(sources, "archive_rows", counted)
    complete(small)
    assert len(listed) == 1


def test_what_names_the_archive_is_its_owners_alone(audited):
    _, folder, _ = audited
    assert stat.S_IMODE((folder / "private").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder / "private").iterdir()} == {0o600}
    assert b"patient00" in (folder / "private" / "sources.json").read_bytes()


def test_nothing_but_the_pseudonyms_depends_on_their_key(tmp_path, monkeypatch):
    config = plant(tmp_path, 24)
    said = []
    for key in ("first" * 10, "second" * 10):
        monkeypatch.setenv("CAMAUDIT_KEY", key)
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)
        _, results = complete(config)
        cases = [(case.rule, case.audit.source_sha256) for case in results.cases]
        said.append((results.estimates, results.classification, results.agreements, results.verdicts, cases))
    assert said[0] == said[1]


def test_other_weights_under_the_same_code_compute_anew(tmp_path):
    from safetensors.torch import save_file

    from tests.pipeline.steps import open_auditor

    config = plant(tmp_path, 3)
    weights = {name: value.clone() for name, value in open_auditor(config).network.state_dict().items()}
    save_file(weights, tmp_path / "weights.safetensors")
    change(config, model={"weights": "weights.safetensors"})
    complete(config)
    assert complete(config)[1].flow.computed == 0
    weights["5.bias"] += 1
    save_file(weights, tmp_path / "weights.safetensors")
    assert complete(config)[1].flow.computed == 3


def test_another_place_for_a_study_under_way_is_refused(small):
    folder = begin(small, "c", pool=POOL)
    sources = folder / "private" / "sources.json"
    sources.write_bytes(sources.read_bytes().replace(b"study00.nii.gz", b"study01.nii.gz"))
    with pytest.raises(OutputError, match=r"private/sources\.json: is not the file that the run wrote"):
        work(folder, 0, pool=POOL)
