"""What a model returns: the logits are found, brought to (B, K), and must be logits."""

from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
from monai.data import MetaTensor
from torch import nn
from torch.nn import functional

from cam import Difference, PerSample, Predicted, Region, Target, Value, as_logits, capture, explain, squashing
from cam.target_keys import plain_key
from tests.cam.networks import conv, images, small
from tests.cam.test_capture import state_of

Pair = namedtuple("Pair", ["features", "scores"])


@dataclass
class Answer:
    loss: None
    logits: torch.Tensor
    hidden_states: tuple


class Ending(nn.Module):
    """A network whose output a function makes something else of."""

    def __init__(self, end, **options):
        super().__init__()
        self.network = small(2, **{"rectified": True, "affine": True} | options)
        self.end = end

    def forward(self, x):
        return self.end(self.network(x))


def ending(end, **options):
    return Ending(end, **options).eval()


RETURNED = {
    "a dict": (lambda z: {"features": z[:, :, None], "logits": z}, None),
    "a dict of another name": (lambda z: {"embedding": 2 * z, "out": z}, None),
    "a dict of one tensor": (lambda z: {"anything": z}, None),
    "a dict that needs a name": (lambda z: {"aux": 2 * z, "main": z}, "main"),
    "a tuple with features": (lambda z: (z, [z[:, :, None]]), None),
    "a tuple of one (B, K)": (lambda z: (z[:, :, None], z), None),
    "a tuple that needs a place": (lambda z: (2 * z, z), 1),
    "a named tuple": (lambda z: Pair(2 * z, z), None),
    "a dataclass": (lambda z: Answer(None, z, (z,)), None),
    "(B, K, 1, 1)": (lambda z: z[:, :, None, None], None),
}


@pytest.mark.parametrize("kind", RETURNED)
@pytest.mark.parametrize("method", ["gradcam", "ablationcam", "scorecam", "saliency", "occlusion", "rise", "fullgrad"])
def test_the_logits_are_found_in(kind, method):
    end, output = RETURNED[kind]
    model, x = ending(end, affine=False), images(2)
    expected = explain(model.network, x, [1], methods=[method], layers=["layer"], options=FEW.get(method))
    before = state_of(model)
    found = explain(model, x, [1], methods=[method], layers=["network.layer"], output=output, options=FEW.get(method))
    assert state_of(model) == before
    torch.testing.assert_close(found.logits, expected.logits)
    torch.testing.assert_close(list(found.maps.values()), list(expected.maps.values()))


FEW = {"rise": {"rise": {"count": 8}}}


def test_auto_finds_the_layer_of_a_model_that_returns_a_dict():
    model, x = ending(lambda z: {"aux": 2 * z, "main": z}), images(2)
    assert explain(model, x, [1], output="main").targets == (Target(1),)
    with pytest.raises(ValueError, match=r"no logits are obvious; name them by output=: 'aux' \(.*\), 'main' \(.*\)"):
        explain(model, x, [1])
    with pytest.raises(ValueError, match=r"output='mian' is not in what the model returns: 'aux'"):
        explain(model, x, [1], output="mian")


@pytest.mark.parametrize("end", [lambda z: z[:, 0], lambda z: z.squeeze(), lambda z: z[..., None, None]])
def test_one_logit_without_or_with_more_axes_is_one_logit(end):
    model = ending(end, labels=1)
    for x in (images(2), images(2, batch=1)):
        expected = explain(model.network, x, [0], layers=["layer"])["gradcam", "layer"]
        found = explain(model, x, [0], layers=["network.layer"])
        assert found.logits.shape == (len(x), 1)
        torch.testing.assert_close(found["gradcam", "network.layer"], expected)


def test_a_segmentation_output_keeps_its_axes():
    assert as_logits(torch.zeros(2, 3, 4, 1), 2).shape == (2, 3, 4, 1)
    assert as_logits(torch.zeros(2, 3, 1, 1), 2).shape == (2, 3)


@pytest.mark.parametrize("wrong", [torch.zeros(3, 2), torch.zeros(2, 3).long(), torch.zeros(())])
def test_what_is_no_batch_of_logits_is_refused(wrong):
    with pytest.raises(ValueError, match=r"the model's output must have shape \(2, labels\), not \("):
        as_logits(wrong, 2)
    with pytest.raises(ValueError, match="no logits are obvious; name them by output=: no tensor"):
        as_logits("nothing", 2)


ENDS = {
    "sigmoid": torch.sigmoid,
    "softmax": lambda z: z.softmax(1),
    "log-softmax": lambda z: z.log_softmax(1),
    "tanh": torch.tanh,
    "hard sigmoid": functional.hardsigmoid,
    "clamp": lambda z: z.clamp(0, 1),
    "log-sigmoid": functional.logsigmoid,
}
BY_HAND = {
    "as a reciprocal": lambda z: 1 / (1 + torch.exp(-z)),
    "as a quotient": lambda z: torch.ones_like(z) / ((-z).exp() + 1),
    "of exponentials": lambda z: z.exp() / (1 + z.exp()),
    "by its tanh": lambda z: (1 + torch.tanh(z / 2)) / 2,
    "to a power": lambda z: (1 + torch.exp(-z)) ** -1,
    "by its softmax": lambda z: torch.stack([0 * z, z]).softmax(0)[1],
    "by its logarithm": lambda z: torch.exp(functional.logsigmoid(z)),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_sigmoid_that_is_written_by_hand_is_noticed(name):
    model, x = ending(BY_HAND[name], affine=False), images(2)
    with pytest.raises(ValueError, match=r"the model ends in a .*; a map explains the logit before it"):
        explain(model, x, [1], layers="network.layer")
    mapped = explain(model, x, [1], methods="hirescam", layers="network.layer", output="probability")
    expected = explain(model.network, x, [1], methods="hirescam", layers="layer")
    torch.testing.assert_close(mapped["hirescam"].clone(), expected["hirescam"].clone())


BEHIND = {
    "alone": lambda p: p,
    "a view": lambda p: p[:, :, None].squeeze(2),
    "a factor": lambda p: 0.5 * (p + 1),
    "both classes": lambda p: torch.cat([1 - p, p], dim=1),
    "a mean of members": lambda p: torch.stack([p, p]).mean(0),
}


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("method", ["gradcam", "eigencam", "saliency"])
def test_an_output_that_is_no_logit_is_named_and_refused(name, behind, method):
    model = ending(lambda z: BEHIND[behind](ENDS[name](z)))
    with pytest.raises(
        ValueError, match=f"the model ends in a {name}; a map explains the logit before it: leave it out"
    ):
        explain(model, images(2), [1], methods=[method], layers=["network.layer"])


LOGITS = {
    "logits": lambda z: z,
    "logits that are small": lambda z: 1e-3 * z,
    "logits that are not negative": torch.relu,
    "centred logits": lambda z: z - z.mean(1, keepdim=True),
    "a sigmoid inside": lambda z: functional.linear(z.sigmoid(), torch.eye(3).to(z)),
    "logits times a gate": lambda z: z * z.sigmoid(),
    "logits times a gate by hand": lambda z: z / (1 + torch.exp(-z)),
    "a quotient of logits": lambda z: z / (2 + z.square()),
    "an exponential's share of more": lambda z: z / (z.exp().sum(1, keepdim=True) + z.exp()),
    "a gate times logits": lambda z: z.sigmoid() * z,
    "logits weighed by an attention": lambda z: (z * z.softmax(1))[:, :2],
    "clipped below": lambda z: z.clamp(min=0),
}


@pytest.mark.parametrize("kind", LOGITS)
def test_logits_are_not_mistaken_for_probabilities(kind):
    model, x = ending(LOGITS[kind]), images(2)
    assert explain(model, x, [1], layers=["network.layer"]).maps
    assert squashing(capture(model, x, ["network.layer"]).logits) == ""


def test_numbers_alone_tell_what_sums_to_one():
    z = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    assert squashing(z) == ""
    assert squashing(z.softmax(1)) == "softmax"
    assert squashing(z.log_softmax(1)) == "log-softmax"
    assert squashing(z.softmax(1)[:, :1]) == ""


def test_probabilities_of_a_sigmoid_are_mapped_back_to_its_logits():
    model, x = ending(torch.sigmoid, affine=False), images(2)
    methods = ["gradcam", "hirescam", "ablationcam", "scorecam", "saliency"]
    expected = explain(model.network, x, [1], methods=methods, layers=["layer"])
    found = explain(model, x, [1], methods=methods, layers=["network.layer"], output_kind="probability")
    torch.testing.assert_close(found.logits, expected.logits)
    torch.testing.assert_close(list(found.maps.values()), list(expected.maps.values()))


def test_probabilities_of_a_softmax_are_mapped_back_up_to_what_all_labels_share():
    model, x = ending(lambda z: z.softmax(1)), images(2)
    found = explain(model, x, [Predicted()], layers=["auto"], output_kind="probability")
    logits = model.network(x)
    torch.testing.assert_close(found.logits - found.logits[:, :1], (logits - logits[:, :1]).detach())


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("end", [torch.sigmoid, lambda z: z.softmax(1)], ids=["sigmoid", "softmax"])
def test_a_saturated_probability_gives_an_empty_map_that_says_so_and_spares_the_other_samples(axes, end):
    """Of three images one is so bright that its probabilities are 0 and 1 to the last digit."""
    model, x = Ending(end), images(axes)
    model.network = small(axes, rectified=True, affine=True)
    with torch.no_grad():
        model.network.tail[-1].weight.copy_(torch.tensor([[-1.0], [0.5], [2.0]]).expand(3, 3))
        model.network.layer[0].bias += 1
    x[1] *= 1e6
    methods = ["gradcam", "hirescam", "scorecam"]
    found = explain(model.eval(), x, [0, 2], methods=methods, layers="network.layer", output="probability")
    told = {entry[2:4] for entry in found.empty if entry.reason.startswith("saturated: the probability is 0 or 1 to")}
    assert {sample for _, sample in told} == {1}
    assert (0, 1) in told
    assert (2, 1) in told
    assert all(bool(maps.isfinite().all()) for _, maps in found)
    assert bool(found.logits.isfinite().all())
    others = explain(
        model, x[[0, 2]], [Target(0), Target(2)], methods=methods, layers="network.layer", output="probability"
    )
    for key, maps in others:
        torch.testing.assert_close(found.maps[key][[0, 2]], maps)
        assert bool(maps.any(dim=1).any()) or key[2] == 0


def test_what_the_output_is_and_where_it_is_may_be_said_in_one_word_or_two():
    model, x = ending(lambda z: {"features": z, "probability": z.sigmoid()}, affine=False), images(2)
    expected = explain(model.network, x, [1], methods="hirescam", layers="layer")["hirescam"]
    for words in ({"output": "probability"}, {"output": "probability", "output_kind": "probability"}):
        found = explain(model, x, [1], methods="hirescam", layers="network.layer", **words)
        torch.testing.assert_close(found["hirescam"], expected)
    other = ending(lambda z: {"a": 2 * z, "p": z.sigmoid()}, affine=False)
    found = explain(other, x, [1], methods="hirescam", layers="network.layer", output="p", output_kind="probability")
    torch.testing.assert_close(found["hirescam"], expected)
    plain = explain(model.network, x, [1], methods="hirescam", layers="layer", output="logits")
    torch.testing.assert_close(plain["hirescam"], expected)
    with pytest.raises(ValueError, match="no logits are obvious"):
        explain(other, x, [1], layers="network.layer", output="probability")


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("target", [0, Target(0), PerSample([0, 0, 0]), Value(0), "years"], ids=str)
def test_the_one_output_of_a_regression_is_never_negated(axes, target):
    model, x = small(axes, rectified=False, affine=False, labels=1), images(axes)
    found = explain(model, x, target=target, methods="hirescam", layers="layer", output="regression", labels=["years"])
    activation = model.layer(model.trunk(x)).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(model.tail(activation).sum(), activation)
    torch.testing.assert_close(
        found.maps["hirescam", "layer", plain_key(target)], (gradient * activation.detach()).sum(1)
    )


def test_a_dense_regression_is_not_negated_and_one_output_has_no_difference():
    model, x = nn.Sequential(conv(2, 1, 2, 3, padding=1), nn.Tanh(), conv(2, 2, 1, 1)).double().eval(), images(2)
    region = Region(0, torch.ones(3, 6, 6))
    found = explain(model, x, target=region, methods="hirescam", layers="1", output="regression")
    logits = explain(model, x, target=Region(1, region.mask), methods="hirescam", layers="1")
    torch.testing.assert_close(found["hirescam", region], logits["hirescam"])
    single = small(2, rectified=False, affine=False, labels=1)
    with pytest.raises(ValueError, match="needs two outputs, and this regression has one"):
        explain(single, x, target=Difference(1, 0), layers="layer", output="regression")


def test_what_are_no_probabilities_is_refused():
    with pytest.raises(ValueError, match="needs outputs within 0 and 1; this model's are not"):
        explain(ending(lambda z: 3 + z), images(2), [1], layers=["network.layer"], output_kind="probability")


def test_the_first_output_of_a_regression_is_not_negated():
    model, x = small(2, rectified=True, affine=False, labels=1), images(2)
    found = explain(model, x, [0], methods=["hirescam"], layers=["layer"], output_kind="regression")
    assert found.targets == (Value(0),)
    higher = explain(model, x, [Target(1)], methods=["hirescam"], layers=["layer"])
    torch.testing.assert_close(found["hirescam"], higher["hirescam"])
    with pytest.raises(ValueError, match=r"must lie in 0..0"):
        explain(model, x, [1], layers=["layer"], output_kind="regression")
    with pytest.raises(ValueError, match="a regression has none"):
        explain(model, x, [Predicted()], layers=["layer"], output_kind="regression")


def test_a_tensor_with_an_affine_gives_plain_maps():
    affine = torch.diag(torch.tensor([2.0, 2.0, 3.0, 1.0], dtype=torch.float64))
    x = MetaTensor(images(3, batch=2), affine=affine)
    model = small(3, rectified=True, affine=False)
    methods = ["gradcam", "scorecam", "ablationcam", "saliency", "occlusion"]
    found = explain(model, x, [1], methods=methods, layers=["layer"])
    expected = explain(model, images(3, batch=2), [1], methods=methods, layers=["layer"])
    for key, maps in found:
        assert type(maps) is torch.Tensor
        torch.testing.assert_close(maps, expected.maps[key])
    assert type(found.logits) is torch.Tensor
    assert type(capture(model, x, ["layer"]).activations["layer"]) is torch.Tensor


def test_an_output_with_an_affine_gives_plain_maps():
    model = nn.Sequential(conv(2, 1, 2, 3, padding=1), nn.ReLU(), conv(2, 2, 3, 1)).double().eval()
    wrapped = ending(lambda z: z)
    wrapped.network, wrapped.end = model, MetaTensor
    found = explain(wrapped, images(2), [Region(1, torch.ones(3, 6, 6))], layers=["network.1"])
    assert type(found.logits) is torch.Tensor
    assert all(type(maps) is torch.Tensor for _, maps in found)


@pytest.mark.parametrize(
    "x", [torch.zeros(2, 3).double(), torch.zeros(2, 1, 6, 6).long(), torch.zeros(0, 1, 6, 6), "image"]
)
def test_what_is_no_batch_of_images_is_refused(x):
    with pytest.raises(ValueError, match="x must "):
        explain(small(2, rectified=True, affine=True), x, [1])


class Dropping(nn.Module):
    def forward(self, x):
        return functional.dropout(x, 0.5)


class CountingState(nn.Module):
    """Holds a state: what it returns depends on how often it ran."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return x * self.calls


@pytest.mark.parametrize("part", [Dropping, CountingState])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_model_that_answers_otherwise_each_time_is_refused(part, batch):
    torch.manual_seed(0)
    model = nn.Sequential(conv(2, 1, 8, 3), nn.ReLU(), part(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    with pytest.raises(ValueError, match="the model's logits differ between two passes of the same input"):
        explain(model.double().eval(), images(2, batch), [1])


class Centred(nn.Module):
    def forward(self, x):
        return x - x.mean(dim=0)


def test_a_model_that_mixes_the_samples_of_a_batch_is_refused():
    model = nn.Sequential(conv(2, 1, 2, 3), Centred(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3))
    with pytest.raises(ValueError, match="depend on the other samples of its batch: explain one sample at a time"):
        explain(model.double().eval(), images(2), [1])
    normed = nn.Sequential(conv(2, 1, 2, 3), nn.BatchNorm2d(2, track_running_stats=False), nn.ReLU(), nn.Flatten())
    normed = normed.append(nn.Linear(32, 3)).double().eval()
    with pytest.raises(ValueError, match="'1' has no running statistics and normalises over the batch"):
        explain(normed, images(2), [1], layers=["2"])


def test_a_single_sample_of_such_a_model_is_rescored_row_by_row():
    torch.manual_seed(0)
    model = nn.Sequential(conv(2, 1, 2, 3), nn.BatchNorm2d(2, track_running_stats=False), nn.ReLU(), nn.Flatten())
    model = model.append(nn.Linear(32, 3)).double().eval()
    x = images(2, batch=1)
    found = explain(model, x, [1], methods=["occlusion"], options={"occlusion": {"patch": 3, "stride": 3}})
    covered = x.clone()
    covered[..., :3, :3] = 0
    drop = (model(x) - model(covered))[0, 1].detach()
    torch.testing.assert_close(found["occlusion", "input"][0, 0, 0], drop)
