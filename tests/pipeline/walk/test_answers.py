"""In a wrong case the map of the label that was called stands beside that of the reference's label."""

from dataclasses import replace

import nibabel
import numpy as np
import pytest
import torch

from pipeline.checks.model_check import check_model
from pipeline.config import ModelConfig
from pipeline.evidence.answers import answered_wrongly
from pipeline.evidence.cohort.classifier import classification
from pipeline.evidence.cohort.confusion import confusion_matrix
from pipeline.evidence.cohort.estimating import Bootstrap
from pipeline.evidence.cohort.units import units_of
from pipeline.models.outputs import answers_of
from pipeline.walk import explaining
from pipeline.walk.sources import find_sources
from pipeline.walk.study_walk import audit_studies
from tests.pipeline.conclusions.planted_answers import CASES, RIGHT, plant_answers
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
    studies, _ = audited(planted, *settings)
    both = studies["malignant_found"]
    assert both.predicted == ("benign", "malignant")
    assert roles(both) == {("malignant", "reference"), ("benign", "answered")}
    every = studies["malignant_called_benign"]  # all labels that matter are wrong: one missed, one called
    assert roles(every) == {("malignant", "reference"), ("benign", "answered")}
    assert roles(studies["malignant_called_clear"]) == {("malignant", "reference")}  # a miss is its own map


@pytest.mark.parametrize("threshold", [0.5, 0.05])
def test_what_is_answered_follows_the_threshold_of_two_labels(threshold):
    model = ModelConfig.model_validate(
        {"name": "m", "factory": "a:b", "labels": ["clear", "lesion"], "threshold": threshold}
    )
    (answer,) = answers_of(torch.tensor([[1.0, -1.0]]), model, as_returned=False)  # 12 % lesion
    assert answered_wrongly(model, ("lesion",), answer.predicted) == (("clear",) if threshold == 0.5 else ())
    assert answered_wrongly(model, (), answer.predicted) == (() if threshold == 0.5 else ("lesion",))


DAMAGE = {
    "unreadable": lambda path: path.write_bytes(b"no image"),
    "empty": lambda path: nibabel.save(blank(nibabel.load(path)), path),
    "missing": lambda path: path.unlink(),
}


def blank(image):
    return nibabel.Nifti1Image(np.zeros(image.shape, np.uint8), image.affine)


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_the_classifier_is_judged_on_every_study_with_a_reference_whatever_its_masks(tmp_path, output):
    """Of three wrong answers the masks cannot be used, in three ways; a fourth study has none at all."""
    config = plant_answers(tmp_path, tuple(CASES))
    archive = tmp_path / "archive"
    damaged = dict(zip((2, 3, 4), DAMAGE, strict=True))
    for number, how in damaged.items():
        for reader in ("anna", "ben"):
            DAMAGE[how](archive / f"study{number:02}_{reader}.nii.gz")
    manifest = archive / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("study00_anna.nii.gz", "").replace("study00_ben.nii.gz", ""))
    settings = [f"model.output={output}"]
    settings += ["model.labels=[other,benign,malignant]"] if output == "sigmoid" else []
    studies, _ = audited(config, *settings)
    audits = list(studies.values())
    assert {audit.status for audit in audits} == {"analysed"}
    assert [bool(audit.masks) for audit in audits[:5]] == [False, True, False, False, False]
    labels = ("benign", "malignant") if output == "softmax" else ("other", "benign", "malignant")
    figures = classification(audits, labels, Bootstrap(200, 0))
    assert all(figure.missing_studies == 0 for figure in figures)
    accuracy = next(figure for figure in figures if figure.metric == "accuracy")
    assert accuracy.studies == len(CASES)
    counted = {"sensitivity": 3, "specificity": 4, "auroc": 7}  # of malignant
    for metric, count in counted.items():
        (figure,) = [each for each in figures if (each.metric, each.group) == (metric, "label=malignant")]
        assert figure.studies == count
    confusion = confusion_matrix(audits, units_of(audits, labels=labels), (), model_labels(output), None if output ==
                                 "sigmoid" else "clear", Bootstrap(200, 0))  # fmt: skip
    assert confusion.studies == len(CASES)


def model_labels(output):
    return ("other", "benign", "malignant") if output == "sigmoid" else ("clear", "benign", "malignant")


def test_an_answered_map_whose_masks_cannot_be_used_says_why(tmp_path):
    config = plant_answers(tmp_path, ("benign_called_malignant", "malignant_called_benign", "benign_found"))
    for number, how in enumerate(("unreadable", "empty")):
        DAMAGE[how](tmp_path / "archive" / f"study{number:02}_anna.nii.gz")
    DAMAGE["empty"](tmp_path / "archive" / "study01_ben.nii.gz")
    studies, _ = audited(config, cases=("unreadable", "empty", "found"))
    assert scores(studies["unreadable"], "malignant", "answered") == [0.0, "unsupported_format"]
    assert scores(studies["unreadable"], "benign", "reference") == [1.0, "unsupported_format"]
    assert scores(studies["empty"], "benign", "answered") == ["mask_empty_for_positive"] * 2


def test_a_label_that_only_the_reference_has_leaves_the_study_out_and_counts_against_each_claim(tmp_path):
    config = plant_answers(tmp_path, ("benign_found", "benign_called_malignant", "clear"))
    manifest = tmp_path / "archive" / "manifest.csv"
    rows = manifest.read_text().splitlines()
    rows[2] = rows[2].replace("benign", "benign;granuloma")
    manifest.write_text("\n".join(rows))
    studies, _ = audited(config, cases=("found", "unknown", "clear"))
    unknown = studies["unknown"]
    assert (unknown.status, unknown.reason, unknown.reference) == ("excluded", "unknown_label", ("benign",))
    audits, labels = list(studies.values()), ("benign", "malignant")
    confusion = confusion_matrix(audits, units_of(audits, labels=labels), (), model_labels("softmax"), "clear",
                                 Bootstrap(200, 0))  # fmt: skip
    assert (confusion.studies, confusion.unanswered) == (2, 1)
    figures = classification(audits, labels, Bootstrap(200, 0))
    assert [figure.missing_studies for figure in figures if figure.metric == "sensitivity"] == [1, 1]


def test_several_findings_of_a_reader_are_held_against_together(tmp_path):
    """A third label is called where the reference names two: its map is held against both masks at once."""
    config = plant_answers(tmp_path, ("malignant_called_benign",))
    archive = tmp_path / "archive"
    image = nibabel.load(archive / "study00_anna.nii.gz")
    beside = np.zeros(image.shape, np.uint8)
    beside[12:15, 14:17, 8:11] = 1
    nibabel.save(nibabel.Nifti1Image(beside, image.affine), archive / "beside.nii.gz")
    (archive / "manifest.csv").write_text(
        "study,patient,image,label,mask:anna:malignant,mask:anna:other\n"
        "study00,patient00,study00.nii.gz,malignant;other,study00_anna.nii.gz,beside.nii.gz\n"
    )
    settings = ["model.output=sigmoid", "model.labels=[other,benign,malignant]", "model.arguments.independent=true"]
    (audit,) = audited(config, *settings, cases=("both",))[0].values()
    assert audit.predicted == ("benign",)
    assert roles(audit) == {("other", "reference"), ("malignant", "reference"), ("benign", "answered")}
    (entry,) = [e for e in audit.map_scores if (e.target_role, e.method) == ("answered", "gradcam")]
    own = {e.target: e.mask_share for e in audit.map_scores if e.target_role == "reference" and e.method == "gradcam"}
    assert entry.mask_share == pytest.approx(own["other"] + own["malignant"])
    assert scores(audit, "benign", "answered") == [1.0]


@pytest.mark.parametrize("case", ["not in the reference", "unreadable"])
def test_only_what_a_reader_marked_whole_of_the_references_findings_counts(tmp_path, case):
    config = plant_answers(tmp_path, ("malignant_called_benign",))
    archive = tmp_path / "archive"
    (archive / "beside.nii.gz").write_bytes((archive / "study00_ben.nii.gz").read_bytes())
    if case == "unreadable":
        DAMAGE["unreadable"](archive / "beside.nii.gz")
    label = "malignant" if case == "not in the reference" else "malignant;other"
    (archive / "manifest.csv").write_text(
        "study,patient,image,label,mask:anna:malignant,mask:anna:other\n"
        f"study00,patient00,study00.nii.gz,{label},study00_anna.nii.gz,beside.nii.gz\n"
    )
    settings = ["model.output=sigmoid", "model.labels=[other,benign,malignant]", "model.arguments.independent=true"]
    (audit,) = audited(config, *settings, cases=("study",))[0].values()
    (entry,) = [e for e in audit.map_scores if (e.target_role, e.method) == ("answered", "gradcam")]
    if case == "unreadable":
        assert scores(audit, "benign", "answered") == ["unsupported_format"]
    else:
        (own,) = [e for e in audit.map_scores if (e.target, e.method) == ("malignant", "gradcam")]
        assert entry.mask_share == own.mask_share


def test_a_study_that_nobody_knows_the_truth_of_is_not_explained(tmp_path, monkeypatch):
    config = plant_answers(tmp_path, ("false_alarm",))
    manifest = tmp_path / "archive" / "manifest.csv"
    manifest.write_text("study,patient,image\nstudy00,patient00,study00.nii.gz\n")
    auditor, sources = opened(config)
    explained, _ = counted(auditor, monkeypatch)
    (audit,), maps = audit_studies(auditor, sources)
    assert (audit.reference, audit.predicted, audit.map_scores) == (None, ("malignant",), ())
    assert (explained, maps) == ([], {})
