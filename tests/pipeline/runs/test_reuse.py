"""What an earlier run has answered is not computed again: map by map, and the answer is that of a run of its own."""

import csv
import json

import numpy as np
import pytest

from pipeline.errors import OutputError
from pipeline.findings.shards import iter_answers, load_map, load_maps
from pipeline.runs import reuse
from pipeline.runs.reuse import carried_answers
from pipeline.walk import explaining as audit
from pipeline.walk import reading
from tests.pipeline.planted import plant, write_manifest, write_study
from tests.pipeline.runs.test_run import change, complete
from tests.pipeline.steps import begin, finish, read_run, work
from tests.pipeline.walk.test_mask_faults import audits_of

METHODS = ["gradcam", "hirescam"]


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("CAMAUDIT_KEY", "k" * 32)


@pytest.fixture
def calls(monkeypatch):
    """What the model was asked for by the walk: (studies, methods, layers, targets) of each call."""
    seen = []
    explain = audit.explain

    def counting(network, x, targets, *, methods, layers, **others):
        seen.append((len(x), tuple(methods), tuple(layers), len(targets)))
        return explain(network, x, targets, methods=methods, layers=layers, **others)

    monkeypatch.setattr(audit, "explain", counting)
    return seen


def planted(folder, count=6, **explain):
    run = {"batch_size": 4, "shard_size": 4, "device": "cpu", "replicates": 200, "workers": 0}
    return plant(folder, count, explain={"methods": METHODS} | explain, criteria=[], run=run)


def audited(config):
    """Run an audit as far as its shards: the calls that follow are of the repeatability check."""
    folder = begin(config, "c")
    for shard in range(read_run(folder)[0].shards):
        work(folder, shard)
    return folder


def assert_same(folder, other, config, other_config):
    """Hold a run that carried maps over against one that computed all: rows, order and maps."""
    found, expected = audits_of(folder, config), audits_of(other, other_config)
    assert found.keys() == expected.keys()
    for name, study in found.items():
        alike = expected[name]
        assert (study.predicted, study.reference, study.facts) == (alike.predicted, alike.reference, alike.facts)
        assert study.probabilities == pytest.approx(dict(alike.probabilities), rel=1e-5)
        rows, others = study.map_scores, alike.map_scores
        places = [[(one.target, one.method, one.layer, one.reader) for one in of] for of in (rows, others)]
        assert places[0] == places[1]
        for row, one in zip(rows, others, strict=True):
            for score, same in zip(row.scores, one.scores, strict=True):
                assert (score.name, score.reason) == (same.name, same.reason)
                assert score.value == pytest.approx(same.value, rel=1e-4, abs=1e-6)
            if row.map:
                np.testing.assert_allclose(load_map(folder, row)[0], load_map(other, one)[0], rtol=1e-4)


def hashes(folder, config):
    return {
        (name, entry.target, entry.method, entry.layer): entry.map_sha256
        for name, study in audits_of(folder, config).items()
        for entry in study.map_scores
        if entry.map
    }


def test_a_new_method_is_all_that_the_model_is_asked_for(tmp_path, calls):
    config, alone = planted(tmp_path / "a"), planted(tmp_path / "b")
    first = audited(config)
    change(config, explain={"methods": ["layercam", *METHODS]})
    calls.clear()
    second = audited(config)
    assert {methods for _, methods, _, _ in calls} == {("layercam",)}
    assert sum(studies for studies, *_ in calls) == 4  # the two normals have no map and need none
    flow = finish(second).flow
    assert (flow.computed, flow.reused, flow.maps, flow.maps_reused) == (4, 2, 12, 8)
    change(alone, explain={"methods": ["layercam", *METHODS]})
    assert_same(second, audited(alone), config, alone)
    before, after = (hashes(folder, config) for folder in (first, second))
    assert len(before) == 4 * 2
    assert before.items() < after.items()  # what was carried over is what it was, to the bit


def test_nothing_new_asks_for_nothing_and_a_method_left_out_is_gone(tmp_path, calls):
    config = planted(tmp_path)
    first = audited(config)
    change(config, explain={"methods": METHODS[:1]})
    calls.clear()
    folder = audited(config)
    assert not calls
    found = audits_of(folder, config)
    assert {one.method for study in found.values() for one in study.map_scores} == {
        "gradcam", "random_map", "centre_prior",
    }  # fmt: skip
    kept = {one.map for study in found.values() for one in study.map_scores if one.map}
    assert len(kept) == 4
    assert all(name.startswith(f"../{first.name}/maps/") and "hirescam" not in name for name in kept)


def test_the_same_methods_in_another_order_are_the_same_answers(tmp_path, calls):
    config, alone = planted(tmp_path / "a"), planted(tmp_path / "b")
    audited(config)
    calls.clear()
    for one in (config, alone):
        change(one, explain={"methods": METHODS[::-1]})
    folder = audited(config)
    assert not calls
    assert_same(folder, audited(alone), config, alone)


def test_a_new_label_is_explained_by_all_methods_and_the_old_one_by_none(tmp_path, calls):
    config, alone = planted(tmp_path / "a"), planted(tmp_path / "b")
    audited(config)
    calls.clear()
    for one in (config, alone):
        change(one, explain={"targets": ["reference", "clear"]})
    folder = audited(config)
    assert {(methods, targets) for _, methods, _, targets in calls} == {(tuple(METHODS), 1)}
    assert_same(folder, audited(alone), config, alone)


def test_a_new_label_and_a_new_method_at_once(tmp_path, calls):
    config, alone = planted(tmp_path / "a"), planted(tmp_path / "b")
    audited(config)
    calls.clear()
    for one in (config, alone):
        change(one, explain={"targets": ["reference", "clear"], "methods": [*METHODS, "saliency"]})
    folder = audited(config)
    asked = {(methods, targets) for _, methods, _, targets in calls}
    assert asked == {((*METHODS, "saliency"), 1), (("saliency",), 1)}
    assert_same(folder, audited(alone), config, alone)


def test_a_new_layer_asks_for_that_layer(tmp_path, calls):
    config, alone = planted(tmp_path / "a"), planted(tmp_path / "b")
    for one in (config, alone):
        change(one, model={"layers": ["1"]}, explain={"methods": [*METHODS, "saliency"]})
    audited(config)
    calls.clear()
    for one in (config, alone):
        change(one, model={"layers": ["1", "2"]}, explain={"methods": [*METHODS, "saliency", "layercam_fusion"]})
    folder = audited(config)
    assert {(methods, layers) for _, methods, layers, _ in calls} == {
        (tuple(METHODS), ("2",)),
        (("layercam_fusion",), ("1", "2")),
    }
    assert_same(folder, audited(alone), config, alone)


def test_another_first_map_makes_the_baselines_anew(tmp_path, calls):
    """The random map lies on the grid of the first map: without it, the next one's grid counts."""
    config, alone = planted(tmp_path / "a"), planted(tmp_path / "b")
    for one in (config, alone):
        change(one, explain={"methods": ["gradcam", "saliency"]})
    audited(config)
    calls.clear()
    for one in (config, alone):
        change(one, explain={"methods": ["saliency"]})
    folder = audited(config)
    assert {methods for _, methods, _, _ in calls} == {("saliency",)}
    assert_same(folder, audited(alone), config, alone)


@pytest.mark.parametrize(
    "changed",
    [
        {"explain": {"methods": ["rise"], "options": {"rise": {"count": 8}}}},
        {"run": {"seed": 1}},
        {"model": {"threshold": 0.9}},
        {"model": {"arguments": {"sign": 0.5}}},
        {"prepare": [{"_target_": "Resize", "spatial_size": [20, 24, 16]}]},
    ],
)
def test_what_changes_an_answer_makes_it_anew(changed, tmp_path, calls):
    config = planted(tmp_path)
    change(config, explain={"methods": ["rise"], "options": {"rise": {"count": 4}}})
    audited(config)
    change(config, **changed)
    calls.clear()
    audited(config)
    assert sum(studies for studies, *_ in calls) >= 4


def test_new_studies_and_a_new_method_at_once(tmp_path, calls):
    config = planted(tmp_path, 4)
    audited(config)
    archive = tmp_path / "archive"
    rows = list(csv.DictReader((archive / "manifest.csv").open()))
    write_manifest(archive, [*rows, write_study(archive, 7, True)])
    change(config, explain={"methods": [*METHODS, "layercam"]})
    calls.clear()
    folder = audited(config)
    assert sorted(calls) == [(1, (*METHODS, "layercam"), ("2",), 1), (3, ("layercam",), ("2",), 1)]
    assert finish(folder).flow.analysed == 5


def test_a_run_that_was_killed_while_it_completed_others_is_taken_up(tmp_path, calls):
    config, alone = planted(tmp_path / "a", 9), planted(tmp_path / "b", 9)
    audited(config)
    for one in (config, alone):
        change(one, explain={"methods": [*METHODS, "layercam"]})
    broken_off = begin(config, "c")
    work(broken_off, 0)
    calls.clear()
    folder = audited(config)
    assert sum(studies for studies, *_ in calls) == 2  # of six positives, four were completed before
    assert_same(folder, audited(alone), config, alone)


def test_a_study_that_is_only_carried_in_part_is_not_taken_for_whole(tmp_path):
    config = planted(tmp_path)
    audited(config)
    change(config, explain={"methods": [*METHODS, "layercam"]})
    folder = begin(config, "c")
    spec, members = read_run(folder)
    studies = [member.study for member in members]
    assert len(carried_answers(folder, spec.recipes, studies)) == 6
    assert list(carried_answers(folder, spec.recipes, studies[2:4])) == studies[2:4]
    with pytest.raises(OutputError, match="4 of 6 studies were never audited"):
        finish(folder)


def test_maps_of_several_runs_come_together_by_reference(tmp_path, calls):
    config = planted(tmp_path)
    change(config, explain={"methods": METHODS[:1]})
    first = audited(config)
    change(config, explain={"methods": METHODS[1:]})
    second = audited(config)
    change(config, explain={"methods": METHODS})
    calls.clear()
    third = audited(config)
    assert not calls
    entries = [entry for audit in audits_of(third, config).values() for entry in audit.map_scores if entry.map]
    assert {entry.map.split("/")[1] for entry in entries} == {first.name, second.name}
    assert len(load_maps(third, entries)) == 4 * 2 * 2
    (first / "maps").rename(first / "gone")
    with pytest.raises(OutputError, match="missing or damaged"):
        load_maps(third, entries)


def test_a_file_that_reads_otherwise_than_its_name_promises_is_answered_anew(tmp_path, calls):
    """A server's study counts by its instances' names; what it holds is a fact that must be the same, too."""
    config = planted(tmp_path, 2)
    folder = audited(config)
    change(config, explain={"methods": [*METHODS, "layercam"]})
    folder = begin(config, "c")
    auditor_reads = reading.read_study

    def otherwise(row, pseudonyms, options, **how):
        study = auditor_reads(row, pseudonyms, options, **how)
        return study.__class__(**{**study.__dict__, "header": {**study.header, "files sha256": "another"}})

    calls.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "read_study", otherwise)
        work(folder, 0)
    assert {methods for _, methods, _, _ in calls} == {(*METHODS, "layercam")}
    assert {study.facts["files sha256"] for study in audits_of(folder, config).values()} == {"another"}


def test_the_ledger_counts_what_was_carried_over_whole(tmp_path):
    config = planted(tmp_path)
    complete(config)
    change(config, explain={"methods": [*METHODS, "layercam"]})
    folder, _ = complete(config)
    events = [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    (cohort,) = [event for event in events if event["event"] == "cohort.locked"]
    assert "'reused': 2" in str(cohort)


@pytest.mark.parametrize("changed", [{"overlap": {"threshold": 0.5}}, {"archive": {"consensus": "majority"}}])
def test_scores_made_again_from_kept_maps_are_those_of_a_run_of_its_own(changed, tmp_path, calls):
    config, alone = planted(tmp_path / "a"), planted(tmp_path / "b")
    audited(config)
    for one in (config, alone):
        change(one, **changed)
    calls.clear()
    folder = audited(config)
    assert not calls  # the model is not asked
    flow = finish(folder).flow
    assert flow.maps == flow.maps_reused == 8
    other = audited(alone)
    finish(other)
    assert (folder / "per_study.csv").read_bytes() == (other / "per_study.csv").read_bytes()


def grown(config, number):
    archive = config.parent / "archive"
    rows = list(csv.DictReader((archive / "manifest.csv").open()))
    write_manifest(archive, [*rows, write_study(archive, number, True)])
    return audited(config)


@pytest.fixture
def nights(tmp_path):
    """Three nights, each with a study more: configuration and runs."""
    config = planted(tmp_path, 2)
    return config, [audited(config), grown(config, 3), grown(config, 4)]


def test_older_runs_are_asked_for_what_they_computed_and_for_nothing_that_the_newest_took_over(nights, monkeypatch):
    """Else a start would go through nights times studies."""
    config, runs = nights
    read = []

    def counted(path, recipes, only=None):
        read.append((path.parents[1].name, path.name, len(only)))
        return iter_answers(path, recipes, only)

    monkeypatch.setattr(reuse, "iter_answers", counted)
    folder = grown(config, 6)
    own, taken = "0000.parquet", "reused.parquet"
    assert [file for file in read if file[0] != folder.name] == [
        (runs[2].name, own, 5),
        (runs[2].name, taken, 4),
        (runs[1].name, own, 1),
        (runs[0].name, own, 1),
    ]


def test_a_study_that_comes_back_is_answered_by_the_run_that_computed_it(nights, calls):
    config, _ = nights
    archive = config.parent / "archive"
    rows = list(csv.DictReader((archive / "manifest.csv").open()))
    write_manifest(archive, rows[1:])
    audited(config)
    write_manifest(archive, rows)
    folder = audited(config)
    assert calls == []
    assert read_run(folder)[0].shards == 0


def test_where_what_the_newest_run_took_over_does_not_hold_an_older_one_is_asked(nights, calls):
    config, runs = nights
    with (runs[2] / "shards" / "reused.parquet").open("ab") as file:
        file.write(b" ")
    folder = audited(config)
    assert calls == []
    (refused,) = read_run(folder)[0].not_carried
    assert "shards/reused.parquet is not used" in refused


def test_a_setting_that_is_taken_back_finds_the_answers_of_the_night_before(nights, calls):
    config, _ = nights
    change(config, explain={"methods": ["gradcam"]})
    audited(config)
    change(config, explain={"methods": METHODS})
    folder = audited(config)
    assert calls == []
    assert read_run(folder)[0].shards == 0
