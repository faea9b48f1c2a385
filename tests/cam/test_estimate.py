"""What a call costs is told before: never less than it then takes."""

import pytest
import torch
from torch import nn

from cam import METHODS, estimate, explain
from cam.estimate import Cost
from tests.cam.inputs.test_arguments import FEW
from tests.cam.networks import ATTENTIVE_METHODS, images, small

CONVOLUTIONAL = [name for name in METHODS if name != "cam" and name not in ATTENTIVE_METHODS]


def shown(model, call):
    """Return how many images a call shows the model."""
    rows = []
    with model.register_forward_pre_hook(lambda _module, given: rows.append(len(given[0]))):
        call()
    return sum(rows)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_no_method_shows_the_model_more_than_was_told(name, axes):
    model, x = small(axes, rectified=False, affine=False), images(axes)
    layers = ["trunk", "layer"] if METHODS[name].at == "layers" else ["layer"]
    settings = {"methods": name, "layers": layers, "options": {name: FEW.get(name, {})}}
    ((_, cost),) = estimate(model, x, targets=2, **settings).items()
    shared = shown(model, lambda: explain(model, x, [0, 1], methods="gradcam", layers=layers))
    taken = shown(model, lambda: explain(model, x, [0, 1], **settings)) - shared
    trials = 4 * len(x) if name in ("ablationcam", "reciprocam") else 0  # whether the tail alone gives the same
    assert taken <= cost.images + trials
    if name == "scorecam":
        assert taken == cost.images == 3 * 3
    if METHODS[name].is_formula:
        assert cost.images == 0


def test_the_options_the_batch_and_the_targets_count():
    model, x = small(2, rectified=False, affine=False, channels=5), images(2, batch=2)

    def count(method, targets=1, **options):
        return estimate(model, x, targets=targets, methods=method, layers="layer", options={method: options})[
            method, place(method)
        ].images

    def place(method):
        return "input" if METHODS[method].at == "input" else "layer"

    assert count("scorecam") == 10
    assert count("scorecam", max_channels=3) == 6
    assert count("iscam", steps=4, max_channels=3) == 24
    assert count("sscam", samples=4, max_channels=9) == 40
    assert count("faster_scorecam", count=2) == 4
    assert count("rise", count=7) == 14
    assert count("reciprocam") == 2 * 16
    assert count("lime", targets=3, samples=7) == 42
    assert count("occlusion", patch=3, stride=3) == 2 * 4
    assert count("occlusion", patch=2, stride=1) == 2 * 25


@pytest.mark.parametrize("name", ["scorecam", "iscam", "sscam"])
@pytest.mark.parametrize("axes", [2, 3])
def test_fewer_channels_are_those_that_vary_most_and_the_note_says_so(name, axes):
    model, x = small(axes, rectified=False, affine=False, channels=6), images(axes)

    def explained(method, **options):
        given = {method: FEW.get(method, {}) | options}
        return explain(model, x, target=1, methods=method, layers="layer", options=given)

    found, whole = explained(name, max_channels=2), explained(name, max_channels=6)
    assert found.notes[name, "layer"].startswith("approximate: 2 of 6 channels, those that vary most; entropy")
    if name == "scorecam":
        assert torch.equal(found["scorecam"], explained("faster_scorecam", count=2)["faster_scorecam"])
    assert torch.equal(whole[name], explained(name)[name])
    assert not whole.notes[name, "layer"].startswith("approximate")


def test_the_cost_is_a_sentence_and_what_is_at_the_input_needs_no_layer():
    model, x = nn.Sequential(nn.Flatten(), nn.Linear(36, 3)).double().eval(), images(2)
    costs = estimate(model, x, methods=["rise", "saliency"], layers="no such layer")
    assert list(costs) == [("rise", "input"), ("saliency", "input")]
    assert str(Cost(3072, 12.3456, 5 * 2**20)) == "3072 images through the model, about 12.3 s and 5 MiB"
    assert costs["rise", "input"].seconds > 0
    assert costs["rise", "input"].bytes == 64 * 3 * x[0].nbytes
    for wrong in (0, True, 1.5):
        with pytest.raises(ValueError, match=r"estimate.targets is the number of targets, at least 1"):
            estimate(model, x, methods="rise", targets=wrong)
