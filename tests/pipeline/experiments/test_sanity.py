"""The family ``sanity`` on a small network: what it finds of controls, what it costs, and how it leaves the model."""

import copy
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import nn

from pipeline.config_experiments import SanityConfig
from pipeline.evidence.sanity.rules import sanity_findings
from pipeline.experiments.sanity import sanity
from tests.pipeline.experiments.controls import SmallNet, bench_of, pictures, register
from tests.pipeline.planted import plant
from tests.pipeline.steps import open_auditor

ORDER = ("repeatability", "shuffled_picture", "weight_randomisation")


@pytest.fixture(scope="module")
def auditor(tmp_path_factory):
    return open_auditor(plant(tmp_path_factory.mktemp("bench"), 3))


def answers(rows, studies=8, **settings):
    findings = sanity_findings(rows, SanityConfig(**settings), [f"S-{number}" for number in range(studies)])
    return {(check.method, check.check): check for check in findings.checks}, findings


@pytest.mark.parametrize("axes", [2, 3])
def test_controls_fail_where_they_must_and_sound_maps_pass(auditor, monkeypatch, axes):
    register(monkeypatch)
    methods = (
        "gradcam",
        "hirescam",
        "layercam",
        "edge_picture",
        "centre_blob",
        "fixed_noise",
        "fresh_noise",
        "edge_mix",
    )
    bench = bench_of(auditor, SmallNet(axes), methods, studies=pictures(8, axes, 32 if axes == 2 else 16))
    checks, _ = answers(sanity(bench))
    by_method = {name: tuple(checks[name, check].answer for check in ORDER) for name in methods}
    for name in ("gradcam", "hirescam", "layercam"):
        assert by_method[name] == ("MET", "MET", "MET"), name
    assert by_method["edge_picture"] == ("MET", "MET", "NOT MET")
    assert by_method["edge_mix"] == ("MET", "MET", "NOT MET")
    assert by_method["fixed_noise"] == ("MET", "MET", "NOT MET")
    assert by_method["centre_blob"] == ("MET", "NOT MET", "NOT MET")
    assert by_method["fresh_noise"] == ("NOT MET", "INCONCLUSIVE", "INCONCLUSIVE")
    assert checks["edge_picture", "weight_randomisation"].value == 1.0
    assert checks["fresh_noise", "weight_randomisation"].reason.startswith("not done: the map does not come out")
    assert all(check.strikes == (check.answer == "NOT MET") for check in checks.values())


def test_what_an_inverted_map_cannot_be_told_by(auditor, monkeypatch):
    """It depends on the model like the map itself: these checks say nothing of whether a map is right."""
    register(monkeypatch)
    checks, _ = answers(sanity(bench_of(auditor, SmallNet(), ("inverted",))))
    assert {check.answer for check in checks.values()} == {"MET"}


def test_the_cost_is_counted_in_maps(auditor, monkeypatch):
    register(monkeypatch, edge_picture=500)
    rows = sanity(bench_of(auditor, SmallNet(), ("gradcam", "edge_picture", "fresh_noise")))
    assert rows.calls == {"gradcam": 8 + 8 + 8 + 5 * 8, "edge_picture": 8 + 8 + 8 + 3 * 4, "fresh_noise": 8 + 8}
    assert abs(rows.calls["gradcam"] - 65) <= 6.5
    assert {name: (plan.studies, plan.draws) for name, plan in rows.plans.items()} == {
        "gradcam": (8, 5), "edge_picture": (4, 3), "fresh_noise": (8, 5),
    }  # fmt: skip
    answers(rows)  # no rule refuses them


def test_the_same_seed_gives_the_same_rows(auditor):
    first, second = (sanity(bench_of(auditor, SmallNet(), ("gradcam",))) for _ in range(2))
    assert first == second


def test_another_draw_is_another_model(auditor):
    rows = sanity(bench_of(auditor, SmallNet(), ("gradcam", "hirescam")))
    of_weights = [row for row in rows.rows if (row.check, row.method) == ("weight_randomisation", "hirescam")]
    assert len({row.similarity for row in of_weights}) > 30  # of 40


def test_the_model_is_left_as_it_came_also_after_a_fault(auditor, monkeypatch):
    register(monkeypatch)
    network = SmallNet()
    before = copy.deepcopy(network.state_dict())
    objects = [id(parameter) for parameter in network.parameters()]
    state = torch.get_rng_state()
    rows = sanity(bench_of(auditor, network, ("gradcam", "broken")))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert [id(parameter) for parameter in network.parameters()] == objects
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    assert rows.not_done == {"broken": "the model or a map raised ValueError"}
    checks, _ = answers(rows)
    assert checks["gradcam", "weight_randomisation"].answer == "MET"
    assert checks["broken", "repeatability"].answer == "INCONCLUSIVE"
    assert checks["broken", "repeatability"].reason == "not done: the model or a map raised ValueError"


class WithBareWeights(SmallNet):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(12))

    def forward(self, x):
        values = self.trunk(x) * self.scale.view(1, 12, 1, 1)
        return self.head(values.flatten(2).mean(dim=2))


def test_weights_that_cannot_be_drawn_are_no_pass(auditor):
    rows = sanity(bench_of(auditor, WithBareWeights(), ("gradcam",)))
    checks, findings = answers(rows)
    weights = checks["gradcam", "weight_randomisation"]
    assert (weights.answer, weights.value, weights.strikes) == ("INCONCLUSIVE", None, False)
    assert "12 of" in weights.reason
    assert "WithBareWeights" in weights.reason
    assert findings.weights.left == ("WithBareWeights",)
    assert checks["gradcam", "shuffled_picture"].answer == "MET"


def test_a_study_without_a_map_is_counted_and_not_compared(auditor):
    studies = list(pictures())
    flat = torch.zeros_like(studies[0].x)
    studies[2] = replace(studies[2], x=flat)
    network = SmallNet()
    with torch.no_grad():
        for name in ("0", "3"):
            network.trunk[int(name)].bias.zero_()
        for name in ("1", "4"):
            network.trunk[int(name)].bias.fill_(-0.1)
            network.trunk[int(name)].running_mean.zero_()
    checks, findings = answers(sanity(bench_of(auditor, network, ("gradcam",), studies=tuple(studies))))
    (figure,) = [figure for figure in findings.figures if figure.check == "repeatability"]
    assert (figure.studies, figure.without_map) == (7, 1)
    assert checks["gradcam", "repeatability"].answer == "MET"


def test_maps_at_the_input_are_summed_up_by_cells(auditor):
    rows = sanity(bench_of(auditor, SmallNet(), ("saliency",)))
    checks, _ = answers(rows)
    assert checks["saliency", "repeatability"].value == 1.0
    assert checks["saliency", "weight_randomisation"].value is not None


def test_nothing_readable_is_no_answer(auditor):
    bench = bench_of(auditor, SmallNet(), ("gradcam",), studies=())
    bench.failures.update({f"S-{number}": "truncated" for number in range(8)})
    checks, findings = answers(sanity(bench))
    assert {check.answer for check in checks.values()} == {"INCONCLUSIVE"}
    assert len(findings.failures) == 8


def configured(bench, **changes):
    """Return the bench of another kind of model."""
    config = bench.auditor.config
    config = config.model_copy(update={"model": config.model.model_copy(update=changes)})
    return replace(bench, auditor=replace(bench.auditor, config=config))


def test_maps_at_several_layers_are_checked_each(auditor):
    bench = bench_of(auditor, SmallNet(), ("gradcam",))
    bench = replace(bench, auditor=replace(bench.auditor, layers=("trunk.2", "trunk.5")))
    checks, _ = answers(sanity(bench))
    assert {method for method, _ in checks} == {"gradcam@trunk.2", "gradcam@trunk.5"}
    assert {check.answer for check in checks.values()} == {"MET"}


class VoxelNet(SmallNet):
    """Says something of every cell."""

    def forward(self, x):
        return self.head(self.trunk(x).movedim(1, -1)).movedim(-1, 1)


@pytest.mark.parametrize(
    ("network", "model"),
    [
        (SmallNet, {"output": "regression", "labels": ("volume", "lesion")}),
        (SmallNet, {"output": "sigmoid", "labels": ("effusion", "lesion")}),
        (VoxelNet, {"segmentation": True}),
    ],
    ids=["regression", "independent labels", "segmentation"],
)
def test_other_kinds_of_models(auditor, network, model):
    bench = configured(bench_of(auditor, network(), ("gradcam", "hirescam")), **model)
    checks, _ = answers(sanity(bench))
    assert checks["hirescam", "repeatability"].answer == "MET"
    assert checks["hirescam", "weight_randomisation"].value is not None
    logits = bench.logits([study.x for study in bench.studies()])
    assert logits.shape == (8, 2)


def test_a_model_that_is_shown_one_study_at_a_time(auditor):
    bench = bench_of(auditor, SmallNet(), ("gradcam",))
    alone = replace(bench, auditor=replace(bench.auditor, one_by_one=True), calls=Counter())
    together, single = answers(sanity(bench))[0], answers(sanity(alone))[0]
    for key, check in together.items():
        assert single[key].value == pytest.approx(check.value, abs=1e-3)


def test_pictures_of_different_shapes(auditor):
    studies = (*pictures(4), *pictures(8, size=40)[4:])
    checks, _ = answers(sanity(bench_of(auditor, SmallNet(), ("gradcam",), studies=studies)))
    assert {check.answer for check in checks.values()} == {"MET"}
