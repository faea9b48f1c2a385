"""In a wrong case the map of the label that was called stands beside that of the reference's label."""

from dataclasses import replace

import pytest

from pipeline.checks.model_check import check_model
from pipeline.walk import explaining
from pipeline.walk.sources import find_sources
from pipeline.walk.study_walk import audit_studies
from tests.pipeline.planted_answers import CASES, RIGHT, plant_answers
from tests.pipeline.steps import open_auditor


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("CAMAUDIT_KEY", "k" * 32)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return plant_answers(tmp_path_factory.mktemp("answers"))


def opened(config, *settings):
    auditor = open_auditor(config, list(settings))
    sources = find_sources(auditor.config, auditor.pseudonyms)
    probe = check_model(auditor, [source.row for source in sources])
    return replace(auditor, layers=tuple(layer.name for layer in probe.layers)), sources


def audited(config, *settings, cases=tuple(CASES)):
    auditor, sources = opened(config, *settings)
    audits, maps = audit_studies(auditor, sources)
    return dict(zip(cases, audits, strict=True)), maps


def roles(audit):
    return {(entry.target, entry.target_role) for entry in audit.map_scores}


def scores(audit, target, role, metric="hit_rate", method="gradcam"):
    return [
        score.value if score.value is not None else score.reason
        for entry in audit.map_scores
        if (entry.target, entry.target_role, entry.method) == (target, role, method)
        for score in entry.scores
        if score.name == metric
    ]


@pytest.fixture(scope="module")
def studies(planted):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAMAUDIT_KEY", "k" * 32)
        return audited(planted)[0]


def test_the_planted_network_answers_as_the_cases_say(studies):
    called = {name: audit.predicted for name, audit in studies.items()}
    assert called == {
        "benign_found": ("benign",),
        "malignant_found": ("malignant",),
        "benign_called_malignant": ("malignant",),
        "malignant_called_benign": ("benign",),
        "malignant_called_clear": (),
        "false_alarm": ("malignant",),
        "clear": (),
    }


def test_only_a_wrong_answer_has_a_map_of_what_was_answered(studies):
    assert {name: roles(audit) for name, audit in studies.items()} == {
        "benign_found": {("benign", "reference")},
        "malignant_found": {("malignant", "reference")},
        "benign_called_malignant": {("benign", "reference"), ("malignant", "answered")},
        "malignant_called_benign": {("malignant", "reference"), ("benign", "answered")},
        "malignant_called_clear": {("malignant", "reference"), ("clear", "answered")},
        "false_alarm": {("malignant", "answered")},
        "clear": set(),
    }


def test_the_answered_map_is_held_against_the_finding_that_is_there(studies):
    confused = studies["benign_called_malignant"]
    assert scores(confused, "benign", "reference") == [1.0, 1.0]
    assert scores(confused, "malignant", "answered") == [0.0, 0.0]  # it lies on the artefact
    swapped = studies["malignant_called_benign"]
    assert scores(swapped, "benign", "answered") == [1.0, 1.0]
    readers = {entry.reader for entry in swapped.map_scores if entry.target_role == "answered"}
    assert readers == {"anna", "ben"}


def test_a_false_alarm_has_no_overlap_and_a_place(studies):
    entries = [entry for entry in studies["false_alarm"].map_scores if entry.method == "gradcam"]
    (entry,) = entries
    assert {score.reason for score in entry.scores} == {"no_finding"}
    assert {score.value for score in entry.scores} == {None}
    assert entry.placement is not None
    assert entry.placement.reason is None
    assert all(0 <= share <= 1 for share in entry.placement.peak)
    middle = [(start + 2.5) / (size - 1) for start, size in zip((12, 14, 8), (20, 24, 16), strict=True)]
    assert entry.placement.peak == pytest.approx(middle, abs=0.2)


def test_only_answered_maps_have_a_place(studies):
    for audit in studies.values():
        for entry in audit.map_scores:
            assert (entry.placement is not None) == (entry.target_role == "answered" and entry.map is not None)


def test_no_study_is_shown_twice_and_a_wrong_answer_costs_no_forward(planted, monkeypatch):
    auditor, sources = opened(planted)
    explained, shown = counted(auditor, monkeypatch)
    audit_studies(auditor, sources)
    assert sum(shown) == len(CASES)
    # those with a label to explain beforehand, with a second target for the wrong ones; and those without
    assert sorted(explained) == [(2, 1), (5, 2)]


def counted(auditor, monkeypatch):
    explained, shown = [], []
    original = explaining.explain

    def counting(model, x, targets, **more):
        made = original(model, x, targets, **more)
        explained.append((len(x), len(made.targets)))
        return made

    monkeypatch.setattr(explaining, "explain", counting)
    auditor.network.register_forward_pre_hook(lambda _module, given: shown.append(len(given[0])))
    return explained, shown


def test_an_audit_without_wrong_answers_costs_what_it_did(tmp_path, monkeypatch):
    auditor, sources = opened(plant_answers(tmp_path, RIGHT))
    explained, shown = counted(auditor, monkeypatch)
    audits, maps = audit_studies(auditor, sources)
    assert sum(shown) == len(RIGHT)
    assert sorted(explained) == [(1, 0), (2, 1)]  # nothing is explained of the study without a finding
    assert len(maps) == 2 * 2  # a map and its affine of each finding
    assert all(entry.placement is None for audit in audits for entry in audit.map_scores)


def test_a_method_that_runs_the_model_again_does_so_for_wrong_answers_only(planted, monkeypatch):
    auditor, sources = opened(planted, "explain.methods=[scorecam]")
    explained, _ = counted(auditor, monkeypatch)
    audits, _ = audit_studies(auditor, sources)
    assert explained == [(5, 1), (4, 1)]
    assert roles(audits[2]) == {("benign", "reference"), ("malignant", "answered")}
    assert roles(audits[5]) == {("malignant", "answered")}


def test_both_ways_of_explaining_give_the_same_maps(planted, monkeypatch):
    _, once = audited(planted)
    monkeypatch.setattr(explaining, "_how", lambda _: explaining._by_reference)
    _, apart = audited(planted)
    assert once.keys() == apart.keys()
    for name, values in once.items():
        assert values == pytest.approx(apart[name], rel=1e-5, abs=1e-7), name


def test_predicted_labels_keep_their_rows_and_a_miss_gets_both_maps(planted):
    studies, _ = audited(planted, "explain.targets=predicted")
    assert roles(studies["benign_found"]) == {("benign", "reference")}
    assert roles(studies["false_alarm"]) == {("malignant", "reference"), ("malignant", "answered")}
    assert roles(studies["malignant_called_clear"]) == {("malignant", "reference"), ("clear", "answered")}
    maps = {entry.map for entry in studies["false_alarm"].map_scores if entry.map}
    assert len(maps) == 1  # two roles, one map


def test_a_label_by_name_asks_for_the_answers_that_miss_it(planted):
    studies, _ = audited(planted, "explain.targets=[malignant]")
    assert roles(studies["malignant_called_benign"]) == {("malignant", "reference"), ("benign", "answered")}
    assert roles(studies["benign_called_malignant"]) == {("malignant", "reference"), ("malignant", "answered")}
    assert roles(studies["clear"]) == roles(studies["benign_found"]) == {("malignant", "reference")}


def test_of_independent_labels_each_wrong_one_has_its_map(planted):
    settings = ["model.output=sigmoid", "model.labels=[other,benign,malignant]", "model.arguments.independent=true"]
    manifest = planted.parent / "archive" / "manifest.csv"
    rows = manifest.read_text()
    other = planted.parent / "archive" / "other.csv"
    other.write_text(rows)
    studies, _ = audited(planted, *settings, "archive.manifest=archive/other.csv")
    both = studies["malignant_found"]
    assert both.predicted == ("benign", "malignant")
    assert roles(both) == {("malignant", "reference"), ("benign", "answered")}
    every = studies["malignant_called_benign"]  # all labels that matter are wrong: one missed, one called
    assert roles(every) == {("malignant", "reference"), ("benign", "answered")}
    assert roles(studies["malignant_called_clear"]) == {("malignant", "reference")}  # a miss is its own map


@pytest.mark.parametrize("threshold", [0.5, 0.05])
def test_what_is_answered_follows_the_threshold_of_two_labels(tmp_path, threshold):
    from pipeline.config import ModelConfig
    from pipeline.evidence.answers import answered_wrongly
    from pipeline.models.outputs import answers_of

    model = ModelConfig.model_validate(
        {"name": "m", "factory": "a:b", "labels": ["clear", "lesion"], "threshold": threshold}
    )
    import torch

    (answer,) = answers_of(torch.tensor([[1.0, -1.0]]), model, as_returned=False)  # 12 % lesion
    assert answered_wrongly(model, ("lesion",), answer.predicted) == (("clear",) if threshold == 0.5 else ())
    assert answered_wrongly(model, (), answer.predicted) == (() if threshold == 0.5 else ("lesion",))
