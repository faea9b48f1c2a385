"""What a model's outputs are, end to end: the same network in other clothes gives the same answers and maps."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.checks.model_check import check_model
from pipeline.errors import ModelError
from pipeline.walk.sources import find_sources
from pipeline.walk.study_walk import audit_studies
from tests.pipeline.planted import plant
from tests.pipeline.steps import open_auditor
from tests.pipeline.walk import model_kinds

STUDIES = 6


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("CAMAUDIT_KEY", "k" * 32)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    config = plant(folder, STUDIES, explain={"methods": ["gradcam"]}, criteria=[])
    shutil.copy(model_kinds.__file__, folder / "kinds.py")
    return config


def settings(kind, labels=("clear", "lesion"), **more):
    given = {"model.factory": f"kinds:{kind}", "model.labels": list(labels), **more}
    return [f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in given.items()]


def checked(config, kind, **more):
    auditor = open_auditor(config, settings(kind, **more))
    sources = find_sources(auditor.config, auditor.pseudonyms)
    probe = check_model(auditor, [source.row for source in sources])
    names = tuple(layer.name for layer in probe.layers)
    return replace(auditor, layers=names, one_by_one=probe.one_by_one), sources, probe


def audited(config, kind, **more):
    auditor, sources, _ = checked(config, kind, **more)
    return audit_studies(auditor, sources)


def answers(audits):
    return [(audit.predicted, audit.probabilities) for audit in audits]


@pytest.fixture(scope="module")
def sound(planted):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAMAUDIT_KEY", "k" * 32)
        return audited(planted, "logits")


SAME = [
    ("softmax", {"model.output": "probability"}),
    ("one_logit", {"model.output": "single_logit"}),
    ("one_logit", {"model.output": "logits"}),
    ("logits", {"model.output": "logits"}),
    ("one_sigmoid", {"model.output": "probability"}),
    ("dictionary", {}),
    ("two_tensors", {"model.output_name": "first"}),
]


@pytest.mark.parametrize(("kind", "more"), SAME)
def test_the_same_network_in_other_clothes_calls_and_sees_the_same(planted, sound, kind, more):
    audits, maps = audited(planted, kind, **more)
    before, maps_before = sound
    assert [audit.predicted for audit in audits] == [audit.predicted for audit in before]
    for audit, other in zip(audits, before, strict=True):
        assert audit.probabilities == pytest.approx(other.probabilities, abs=1e-5)
    assert maps.keys() == maps_before.keys()
    for name, values in maps.items():  # up to a factor: a difference of logits, or their logarithms' slope
        scale = np.abs(maps_before[name]).max()
        assert np.allclose(values / np.abs(values).max(), maps_before[name] / scale, atol=1e-4), name


REFUSED = [
    ("softmax", {}, "it ends in a softmax: say output: probability, which"),
    ("softmax", {"model.output": "sigmoid"}, "it ends in a softmax: say output: probability, which"),
    ("one_sigmoid", {"model.output": "single_logit"}, "it ends in a sigmoid: say output: probability, which"),
    ("two_sigmoids", {"model.output": "sigmoid"}, "in a sigmoid: say output: probability, multi_label: true, which"),
    ("log_softmax", {}, "it ends in a log-softmax: leave that out"),
    ("tanh", {}, "it ends in a tanh: leave that out"),
    ("soft_sign", {}, r"it ends in a tanh \(all outputs lie within -1 and 1, whatever the input\): leave that out"),
    ("sigmoid_by_numbers", {}, r"\(all outputs lie within 0 and 1, whatever the input\): say output: probability"),
    ("logits", {"model.output": "probability"}, "'probability' needs outputs within 0 and 1, and the model's reach"),
    ("log_softmax", {"model.output": "probability"}, "'probability' needs outputs within 0 and 1"),
    ("tanh", {"model.output": "probability"}, "'probability' needs outputs within 0 and 1"),
    ("soft_sign", {"model.output": "probability"}, "'probability' needs outputs within 0 and 1"),
    ("softmax", {"model.output": "probability", "model.multi_label": True}, "sum to one, so its labels exclude each"),
    ("two_sigmoids", {"model.output": "probability"}, "sum to .*, not to one: .* say multi_label: true"),
    ("number", {}, "with 2 labels needs 2 output"),
    ("logits", {"model.output": "single_logit"}, "needs 1 output"),
    ("two_tensors", {}, "no logits are obvious"),
    ("segmenting", {}, "of a segmentation network say model.segmentation: true"),
    ("logits", {"model.segmentation": True}, "must have spatial axes, not shape"),
    ("noisy", {}, "change from call to call: it draws random numbers"),
    ("remembering", {}, "change from call to call: it draws random numbers"),
    (
        "boxes",
        {},
        "no logits are obvious; name them by model.output_name .*; of a detector or a generator, which has no",
    ),
    ("two_inputs", {}, r"needs 2 inputs \(image, previous\), and an audit shows it one image"),
    ("two_calls", {"model.layers": "features"}, "take a map of each"),
]


@pytest.mark.parametrize(("kind", "more", "words"), REFUSED)
def test_outputs_that_are_not_what_the_configuration_says_are_refused(planted, kind, more, words):
    torch.manual_seed(0)
    with pytest.raises(ModelError, match=words):
        checked(planted, kind, **more)


def test_independent_probabilities_are_labels_of_their_own(planted):
    audits, _ = audited(planted, "two_sigmoids", **{"model.output": "probability", "model.multi_label": True,
                                                    "explain.targets": "predicted"})  # fmt: skip
    for audit in audits:
        assert audit.predicted == tuple(label for label, value in audit.probabilities.items() if value > 0.5)
        assert {entry.target for entry in audit.map_scores} == set(audit.predicted)


def test_a_regression_has_values_and_calls_nothing(planted):
    audits, maps = audited(planted, "number", labels=("lesion",), **{"model.output": "regression"})
    assert all(audit.probabilities == {} and audit.predicted == () for audit in audits)
    assert [audit.values["lesion"] > 0 for audit in audits] == ["lesion" in audit.reference for audit in audits]
    values = next(values for name, values in maps.items() if not name.endswith("affine"))
    assert values.max() > 0  # target 0 is the number itself, never its negative


def test_a_classifier_that_is_said_to_be_a_regression_is_noted(planted):
    more = {"labels": ("lesion",), "model.output": "regression"}
    (note,) = checked(planted, "one_sigmoid", **more)[2].notes
    assert note.startswith(
        "the network ends in a sigmoid, as a classifier does: as a regression it is held to no accur"
    )
    assert checked(planted, "number", **more)[2].notes == ()


def test_a_saturated_probability_leaves_an_empty_map_and_no_number(planted):
    audits, _ = audited(planted, "saturated", **{"model.output": "probability"})
    scores = [entry for audit in audits for entry in audit.map_scores if entry.method == "gradcam" and entry.scores]
    assert scores
    assert all(score.value is None for entry in scores for score in entry.scores if score.name == "energy_in_mask")
    assert all(entry.degenerate for entry in scores)


def test_a_segmentation_explains_the_voxels_that_it_calls(planted):
    audits, maps = audited(planted, "segmenting", **{"model.segmentation": True})
    assert [audit.predicted for audit in audits] == [audit.reference for audit in audits]
    hits = [
        score.value
        for audit in audits
        for entry in audit.map_scores
        if entry.method == "gradcam"
        for score in entry.scores
        if score.name == "hit_rate"
    ]
    assert set(hits) == {1.0}
    assert len(hits) == 2 * sum(bool(audit.reference) for audit in audits)
    assert maps


def rows_shown(auditor):
    shown = []
    handle = auditor.network.register_forward_pre_hook(lambda _module, given: shown.append(len(given[0])))
    return shown, handle


@pytest.mark.parametrize("targets", ["predicted", "reference", "lesion"])
def test_no_study_is_shown_twice(planted, targets):
    auditor, sources, _ = checked(planted, "logits", **{"explain.targets": targets})
    shown, handle = rows_shown(auditor)
    audits, _ = audit_studies(auditor, sources)
    handle.remove()
    assert sum(shown) == STUDIES
    expected = {"predicted": lambda audit: audit.predicted, "reference": lambda audit: audit.reference}
    for audit in audits:
        wanted = expected.get(targets, lambda _: ("lesion",))(audit)
        assert {entry.target for entry in audit.map_scores} == set(wanted)


def test_a_study_without_a_target_is_not_shown_to_a_method_that_runs_the_model_again(planted):
    options = {"explain.methods": ["scorecam"], "explain.targets": "predicted", "run.batch_size": STUDIES}
    auditor, sources, probe = checked(planted, "logits", **options)
    shown, handle = rows_shown(auditor)
    audits, _ = audit_studies(auditor, sources)
    handle.remove()
    called = sum(bool(audit.predicted) for audit in audits)
    assert 0 < called < STUDIES
    assert sum(shown) <= STUDIES + called * (1 + probe.costs["scorecam"].images)


def test_a_batch_explains_each_studys_own_labels_only(planted, monkeypatch):
    from pipeline.walk import explaining

    explained = []
    original = explaining.explain

    def counting(model, x, targets, **more):
        made = original(model, x, targets, **more)
        explained.append((len(x), [target.label for target in made.targets]))
        return made

    options = {"model.output": "sigmoid", "explain.targets": "predicted", "run.batch_size": STUDIES}
    auditor, sources, _ = checked(planted, "logits", **options)
    monkeypatch.setattr(explaining, "explain", counting)
    audits, _ = audit_studies(auditor, sources)
    ((rows, targets),) = explained
    assert rows == STUDIES
    assert len(targets) == 1  # each study calls one of the two labels; both for all would be two
    assert {audit.predicted for audit in audits} == {("clear",), ("lesion",)}
    assert [audits[0].probabilities.keys()] == [{"clear", "lesion"}]
    for sample, audit in enumerate(audits):
        assert auditor.config.model.labels[targets[0][sample]] == audit.predicted[0]


def test_labels_of_several_studies_are_all_explained():
    from pipeline.config import ModelConfig
    from pipeline.walk.own_targets import batch_targets, label_for

    model = ModelConfig.model_validate(
        {"name": "m", "factory": "a:b", "labels": ["a", "b", "c"], "output": "sigmoid"})  # fmt: skip
    own = [("a", "c"), ("b",), ("c", "b", "a"), ()]
    targets = batch_targets(own, model)
    assert [target.label for target in targets] == [(0, 1, 2, 0), (2, 1, 1, 0), (2, 1, 0, 0)]
    for sample, labels in enumerate(own[:3]):
        assert {label_for(target, sample, model) for target in targets} == set(labels)
    assert batch_targets([(), ()], model) == ()


@pytest.mark.parametrize("kind", ["mixing", "one_at_a_time"])
def test_a_model_that_mixes_samples_is_shown_one_study_at_a_time(planted, sound, kind):
    auditor, sources, probe = checked(planted, kind, **{"run.batch_size": STUDIES})
    assert probe.one_by_one
    shown, handle = rows_shown(auditor)
    audits, _ = audit_studies(auditor, sources)
    handle.remove()
    assert set(shown) == {1}
    assert all(audit.status == "analysed" for audit in audits)
    if kind == "one_at_a_time":
        assert answers(audits) == answers(sound[0])


def test_a_steady_model_is_shown_batches(planted):
    assert not checked(planted, "logits")[2].one_by_one


def layer_of(planted, kind, **more):
    (layer,) = checked(planted, kind, **more)[2].layers
    return layer


def test_auto_tells_why_it_took_a_layer_and_what_goes_past(planted):
    layer = layer_of(planted, "branched")
    assert (layer.requested, layer.past, layer.reason) == (
        "auto", 0.0, "the last layer that all of the evidence passes")  # fmt: skip


def test_a_layer_given_by_name_has_its_share_measured(planted):
    assert layer_of(planted, "branched", **{"model.layers": "branch"}).past == pytest.approx(1 / 1.01, abs=1e-3)
    assert layer_of(planted, "branched", **{"model.layers": "features"}).past == 0.0
    assert layer_of(planted, "logits", **{"model.layers": "features.2"}).reason == "named in the configuration"


@pytest.mark.parametrize(("layer", "past"), [("features#sum", 0.0), ("features#0", 0.5), ("features#1", 0.5)])
def test_calls_of_a_layer_are_reached_from_the_configuration(planted, layer, past):
    facts = layer_of(planted, "two_calls", **{"model.layers": layer})
    assert facts.name == layer
    assert facts.past == pytest.approx(past, abs=0.1)
    audits, _ = audited(planted, "two_calls", **{"model.layers": layer})
    assert all(audit.status == "analysed" for audit in audits)


def test_slices_make_one_map_of_the_volume(planted):
    more = {"model.layers": "features", "model.grids": "{features: {slices: 2}}"}
    assert layer_of(planted, "by_slice", **more).shape == (24, 24, 48)
    audits, _ = audited(planted, "by_slice", **more)
    hits = [s.value for a in audits for e in a.map_scores if e.method == "gradcam" for s in e.scores
            if s.name == "hit_rate"]  # fmt: skip
    assert set(hits) == {1.0}


def test_the_cost_is_told_before_a_method_is_tried(planted, monkeypatch):
    from pipeline.checks import model_check

    events = []
    auditor = open_auditor(planted, settings("wide", **{"explain.methods": ["scorecam"]}))
    rows = [source.row for source in find_sources(auditor.config, auditor.pseudonyms)]
    tried = model_check._try_methods
    monkeypatch.setattr(model_check, "_try_methods", lambda *given: events.append("tried") or tried(*given))
    probe = check_model(auditor, rows, lambda costs: events.append(costs["scorecam"].images))
    assert events == [40, "tried"]
    assert probe.costs["scorecam"].images == 40


def test_the_most_channels_are_set_in_the_configuration(planted):
    more = {"explain.methods": ["scorecam"], "explain.options": "{scorecam: {max_channels: 8}}"}
    auditor, sources, probe = checked(planted, "wide", **more)
    assert probe.costs["scorecam"].images == 8
    shown, handle = rows_shown(auditor)
    audit_studies(auditor, sources[:1])
    handle.remove()
    assert sum(shown) <= 1 + 8


def test_the_negative_label_is_never_called():
    from pipeline.config import ModelConfig
    from pipeline.models.outputs import answers_of

    keys = {"name": "m", "factory": "a:b", "labels": ["none", "mass", "nodule"]}
    logits = torch.tensor([[5.0, 0.0, 0.0], [0.0, 5.0, 0.0]])
    exclusive, multi = (ModelConfig.model_validate({**keys, "output": output}) for output in ("softmax", "sigmoid"))
    assert [answer.predicted for answer in answers_of(logits, exclusive, as_returned=False)] == [(), ("mass",)]
    assert [answer.predicted for answer in answers_of(logits, multi, as_returned=False)] == [("none",), ("mass",)]


def test_what_a_region_is_where_nothing_is_called():
    from pipeline.config import ModelConfig
    from pipeline.models.outputs import region_of

    model = ModelConfig.model_validate(
        {"name": "m", "factory": "a:b", "labels": ["none", "mass"], "segmentation": True})  # fmt: skip
    low = torch.tensor([[0.9, 0.6, 0.8], [0.1, 0.4, 0.2]])
    high = torch.tensor([[0.9, 0.4, 0.3], [0.1, 0.6, 0.7]])
    assert region_of(torch.stack([low, high]), [1, 1], model).tolist() == [[False, True, False], [False, True, True]]
    assert region_of(torch.stack([low, high]), [0, 0], model).tolist() == [[True, True, True], [True, False, False]]
