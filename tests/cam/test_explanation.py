"""How a map is asked for: by its method, its layer, its target, in the words that callers have for them."""

import numpy as np
import pytest
import torch

from cam import Difference, NoSuchMapError, PerSample, Predicted, Region, Similarity, Target, explain
from cam.spelling import method_name
from tests.cam.networks import images, small

NAMES = ["none", "tumour", "cyst"]
BOTH = ["gradcam", "hirescam"]


def network():
    return small(2, rectified=False, affine=False)


def asked(targets, batch=2, **settings):
    return explain(network(), images(2, batch=batch), targets, **{"methods": BOTH, "layers": "layer"} | settings)


SPELLINGS = {
    "gradcam": ["GradCAM", "Grad-CAM", "grad_cam", "GRADCAM", "grad cam"],
    "gradcampp": ["GradCAM++", "gradcam++", "Grad-CAM++", "GradCAMpp", "GradCAMPlusPlus"],
    "smoothgradcampp": ["SmoothGradCAMpp", "Smooth Grad-CAM++"],
    "xgradcam": ["XGradCAM"],
    "hirescam": ["HiResCAM"],
    "scorecam": ["ScoreCAM"],
    "sscam": ["SSCAM"],
    "iscam": ["ISCAM"],
    "faster_scorecam": ["FasterScoreCAM"],
    "gradcam_elementwise": ["GradCAMElementWise"],
    "fullgrad": ["FullGrad"],
    "finercam": ["FinerCAM"],
    "guided_gradcam": ["GuidedGradCam"],
    "guided_backprop": ["GuidedBackprop", "guided backpropagation"],
    "integrated_gradients": ["IntegratedGradients"],
    "gradient_shap": ["GradientShap"],
    "kernel_shap": ["KernelShap"],
    "saliency": ["VanillaGrad", "Saliency"],
    "occlusion": ["OcclusionSensitivity"],
    "attention_rollout": ["rollout", "AttentionRollout"],
}


@pytest.mark.parametrize(("name", "written"), [(name, each) for name, all_ in SPELLINGS.items() for each in all_])
def test_a_method_goes_by_the_names_that_others_give_it(name, written):
    assert method_name(written) == name


@pytest.mark.parametrize("written", ["gradcam+", "", "++", "cam++"])
def test_a_name_that_is_none_is_not_guessed(written):
    with pytest.raises(ValueError, match=r"method '.*' is not known"):
        method_name(written)


def test_the_same_method_written_twice_is_there_once():
    assert [key[0] for key, _ in asked([1], methods=["GradCAM", "grad-cam", "gradcam"])] == ["gradcam"]


@pytest.mark.parametrize(
    "label", [2, np.int64(2), np.array(2), torch.tensor(2), "cyst", Target(2), Target("cyst")], ids=str
)
def test_one_label_is_one_label_however_it_is_written(label):
    expected = asked([Target(2)])
    found = asked(None, target=label, labels=NAMES)
    assert found.targets == (Target(2),)
    for key in (2, np.int64(2), torch.tensor(2), "cyst", Target(2), Target("cyst"), label):
        assert torch.equal(found["gradcam", key], expected["gradcam", 2])
        assert ("gradcam", key) in found
    assert ("gradcam", 1) not in found
    assert ("gradcam", True) not in asked([1])


def test_maps_go_by_the_target_and_not_by_its_place():
    found = asked([2, 0, "tumour"], labels=NAMES)
    assert list(found.maps) == [(name, "layer", key) for name in BOTH for key in (2, 0, "tumour")]
    assert found.targets == (Target(2), Target(0), Target(1))
    for label in (2, 0):
        assert torch.equal(found["hirescam", label], asked([label])["hirescam"])
    assert torch.equal(found["hirescam", 1], asked([1])["hirescam"])


EACH = [PerSample([2, 0]), PerSample(np.array([2, 0])), PerSample(torch.tensor([2, 0])), PerSample(["cyst", "none"])]


@pytest.mark.parametrize(
    "given", [{"targets": target} for target in EACH] + [{"target": torch.tensor([2, 0])}], ids=str
)
def test_a_label_for_each_sample(given):
    found = asked(given.pop("targets", None), labels=NAMES, **given)
    assert found.targets == (Target([2, 0]),)
    assert torch.equal(found["gradcam", Target([2, 0])], found["gradcam"])
    assert torch.equal(found["gradcam"][1], asked([0])["gradcam"][1])


def test_without_a_target_it_is_the_predicted_label():
    found = asked(None)
    assert found.targets == (Target(found.logits.argmax(1).tolist()),)
    assert torch.equal(found["gradcam", Predicted()], found["gradcam"])


def test_as_many_bare_names_as_samples_are_refused_too():
    with pytest.raises(
        ValueError, match=r"PerSample\(\['cyst', 'none'\]\), or .*\[Target\('cyst'\), Target\('none'\)\]"
    ):
        asked(["cyst", "none"], labels=NAMES)


def test_a_region_is_its_own_key_and_two_masks_are_two():
    mask = torch.ones(2, 3, 3)
    assert Region(1, mask) == Region(np.int64(1), mask.clone())
    assert hash(Region(1, mask)) == hash(Region(1, mask.clone()))
    assert Region(1, mask) != Region(1, 2 * mask)
    assert Region(1, mask) != Region(0, mask)
    assert len({Region(1, mask), Region(1, 2 * mask), Region(1, mask.clone())}) == 2


def test_a_target_of_ones_own_must_be_hashable():
    class Mean:
        __hash__ = None

        def scores(self, logits):
            return logits.mean(1)

        def select(self, _samples):
            return self

    with pytest.raises(ValueError, match="target of type Mean must be hashable"):
        asked([Mean()])
    Mean.__hash__ = object.__hash__
    target = Mean()
    assert asked([target])["gradcam", target].shape == (2, 4, 4)


def test_a_map_is_found_by_layer_or_target_and_both():
    model = network()
    found = explain(model, images(2), [0, Difference(1, 2)], layers=[model.layer, "tail.0"])
    assert list(dict.fromkeys(layer for _, layer, _ in found.maps)) == ["layer", "tail.0"]
    assert torch.equal(found["GradCAM", "tail.0", 0], found.maps["gradcam", "tail.0", 0])
    assert torch.equal(found["gradcam", "layer", Difference(1, 2)], found.maps["gradcam", "layer", Difference(1, 2)])
    for key, said in [
        ("gradcam", "'gradcam' names more than one map; there are"),
        (("gradcam", "layer"), "names more than one map"),
        (("gradcam", 0), "names more than one map"),
        (("gradcam", "layr", 0), "names no map"),
        (("gradcam", 3), r"names no map; there are \['gradcam', 'layer', 0\]"),
        (("gradcam", "layer", 0, 0), "names no map"),
        ("gradcan", "did you mean 'gradcam'"),
        (7, "names no map"),
    ]:
        assert key not in found or "more" in said
        with pytest.raises(NoSuchMapError, match=said):
            found[key]
    assert len(found) == 4
    assert issubclass(NoSuchMapError, KeyError)


def test_a_name_that_is_a_layer_and_a_label_has_to_be_told_apart():
    found = asked([2, 0, "layer"], methods="gradcam", labels=["none", "layer", "cyst"])
    with pytest.raises(NoSuchMapError, match="more than one map"):
        found["gradcam", "layer"]
    assert torch.equal(found["gradcam", "layer", "layer"], asked([1])["gradcam"])


def test_a_module_is_a_layer_and_a_shared_one_goes_by_its_first_name():
    model = network()
    model.again = model.layer
    assert [key[1] for key, _ in explain(model, images(2), [0], layers=model.layer)] == ["layer"]


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("instead", [False, True])
def test_a_text_is_a_target_by_its_cosine(axes, each, instead):
    """The gradient of the cosine by its quotient, written out."""
    model, x = small(axes, rectified=False, affine=False, labels=5), images(axes)
    generator = torch.Generator().manual_seed(3)
    texts = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64)
    given = [text if each else text[0] for text in texts]
    target = Similarity(given[0], instead=given[1] if instead else None)
    found = explain(model, x, target=target, methods="hirescam", layers="layer")
    activation = model.layer(model.trunk(x)).detach().requires_grad_()
    features = model.tail(activation)
    direction = torch.zeros_like(features)
    for text, sign in zip(given, (1, -1 if instead else 0), strict=True):
        unit = (text / text.square().sum(-1, keepdim=True).sqrt()).expand(3, 5)
        length = features.detach().square().sum(1, keepdim=True).sqrt()
        own = features.detach() / length
        direction = direction + sign * (unit - (unit * own).sum(1, keepdim=True) * own) / length
    (gradient,) = torch.autograd.grad(features, activation, direction)
    torch.testing.assert_close(found.maps["hirescam", "layer", target], (gradient * activation.detach()).sum(1))
    chosen = explain(model, x, target=target, methods="scorecam", layers="layer", rows=2)
    assert bool(chosen["scorecam"].any())
