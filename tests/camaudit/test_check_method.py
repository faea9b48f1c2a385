"""Every method passes the checks that third parties get; each check refuses the method that it is there for."""

import pytest
import torch

from cam import METHODS
from cam.registry import method
from camaudit.testing.methods import Trial, check_method
from tests.cam.networks import ATTENTIVE_METHODS, KINDS, images
from tests.oracles import ORACLES

# what these look at is laid out beforehand, not by the image
FIXED = {"kernel_shap", "lime", "occlusion", "rise", "smoothgrad"}
# they refuse a network of another kind
PARTICULAR = {"cam": ("layer",), "attention_relevance": (), "attention_rollout": (), "grad_eclip": (), "legrad": ()}


@pytest.mark.parametrize("name", METHODS)
def test_our_own_methods_pass(name):
    oracle, changes = ORACLES[name], {}
    if name in PARTICULAR:
        changes["trial"] = lambda axes: Trial(KINDS[oracle.kinds[0]](axes), images(axes, batch=6), PARTICULAR[name])
    attentive = name in ATTENTIVE_METHODS  # a convolution has none to turn
    check_method(name, options=oracle.options, equivariant=name not in FIXED and not attentive, **changes)


@pytest.mark.parametrize("name", sorted(FIXED))
def test_a_method_that_does_not_turn_with_the_image_is_known(name):
    with pytest.raises(AssertionError, match="does not flip its map with the image along axis"):
        check_method(name, options=ORACLES[name].options)


COUNTER = []


def nan(A, _G):
    return (A * torch.nan).sum(1)


def negative(A, G):
    return (A * G).sum(1)


def positive(A, G):
    return (A * G).sum(1).abs()


def empty(A, _G):
    return torch.zeros_like(A[:, 0])


def unsteady(A, _G):
    return A.sum(1) * torch.rand(1).item()


def counted(A, _G):
    COUNTER.append(1)
    return A.sum(1) * len(COUNTER)


def of_the_batch(A, _G):
    return A.sum(1) - A.sum(1).mean(0)


def cut(A, _G):
    return A.sum(1)[:, 1:]


def one_sided(A, _G):
    return A.sum(1).cumsum(1)


def one_axis(A, _G):
    return A.sum(1) - A.sum(1).mean(1, keepdim=True)


def altering(A, _G):
    torch.manual_seed(5)
    return A.sum(1)


@pytest.mark.parametrize(
    ("function", "signed", "message"),
    [
        (nan, True, "holds NaN or infinity"),
        (negative, False, "and is declared not to be signed"),
        (positive, True, "is declared to be signed, and gives no value below 0"),
        (empty, False, "all its maps are empty"),
        (unsteady, True, "changes the random state"),
        (altering, True, "changes the random state"),
        (counted, True, "gives another map when it is asked again"),
        (of_the_batch, True, "gives a sample another map alone than in a batch"),
        (cut, True, r"has the shape \(6, 3, 4\), none of"),
        (one_sided, True, "does not flip its map with the image along axis"),
        (one_axis, True, r"does not permute its map with the image's axes \(1, 0\)"),
    ],
)
def test_a_wrong_method_is_refused_by_what_is_wrong(function, signed, message):
    declared = {"title": "Wrong", "paper": "none", "formula": "none", "limits": "all", "signed": signed}
    name = f"wrong_{function.__name__}"
    method(name, **declared)(function)
    try:
        with pytest.raises(AssertionError, match=f"method {name!r}: in 2D, .*{message}"):
            check_method(function)
    finally:
        del METHODS[name]


def test_what_a_reader_must_know_is_asked_for():
    method("mute", title="", paper="p", formula="f", limits="l", signed=True)(negative)
    try:
        with pytest.raises(AssertionError, match="method 'mute': says nothing of its title"):
            check_method(negative)
    finally:
        del METHODS["mute"]


def test_what_is_not_registered_is_told():
    with pytest.raises(AssertionError, match="is not registered; decorate its function"):
        check_method(negative)


@pytest.mark.parametrize("harm", ["weight", "mode", "gradient", "hook", "input", "requires_grad"])
def test_a_model_that_is_not_left_as_it_was_found_is_noticed(harm):
    """The harm is done by the method's own function, which gets hold of the model as a closure."""
    held = {}

    def trial(axes):
        from camaudit.testing.methods import small_trial

        held["trial"] = small_trial(axes)
        return held["trial"]

    def harmful(A, G):
        model = held["trial"].model
        with torch.no_grad():
            if harm == "weight":
                model[0].weight += 1e-6
            elif harm == "mode":
                model[3].train()
            elif harm == "gradient":
                model[0].weight.grad = torch.zeros_like(model[0].weight)
            elif harm == "hook":
                model[3].register_forward_hook(lambda *_: None)
            elif harm == "input":
                held["trial"].x.add_(1)
            else:
                model[0].weight.requires_grad_(False)
        return (A * G).sum(1)

    method("harmful", title="t", paper="p", formula="f", limits="l", signed=True)(harmful)
    try:
        with pytest.raises(AssertionError, match="the model has to be left as it was found"):
            check_method(harmful, trial=trial)
    finally:
        del METHODS["harmful"]
