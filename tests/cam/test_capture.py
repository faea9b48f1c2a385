"""Capture: the right numbers, nothing kept in the trunk, and a model that never notices."""

import copy
from contextlib import nullcontext

import pytest
import torch
from monai.networks.nets import DenseNet121, resnet18
from torch import nn

from cam import Capture, Target, capture, explain
from tests.cam.networks import conv, images, pool, small

SHAPES = {2: (2, 1, 64, 64), 3: (1, 1, 64, 40, 32)}


def densenet(axes):
    return DenseNet121(spatial_dims=axes, in_channels=1, out_channels=3)


def resnet(axes):
    return resnet18(spatial_dims=axes, n_input_channels=1, num_classes=3, widen_factor=0.25)


NETWORKS = [
    pytest.param(densenet, 2, "features.norm5", id="densenet121-2d"),
    pytest.param(densenet, 3, "features.norm5", id="densenet121-3d"),
    pytest.param(resnet, 2, "layer4.1.bn2", id="resnet18-2d"),  # an in-place sum and ReLU follow
    pytest.param(resnet, 3, "layer3.0.bn1", id="resnet18-3d"),  # an in-place ReLU follows
]


def built(make, axes):
    torch.manual_seed(0)
    model = make(axes).eval()
    return model, torch.randn(SHAPES[axes], generator=torch.Generator().manual_seed(1))


def state_of(model):
    """Everything that a visitor could leave behind."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "hooks": [len(getattr(module, kind)) for module in model.modules() for kind in hooks],
        "modes": [module.training for module in model.modules()],
        "inplace": [getattr(module, "inplace", None) for module in model.modules()],
        "trainable": [parameter.requires_grad for parameter in model.parameters()],
        "gradients": [None if p.grad is None else p.grad.tolist() for p in model.parameters()],
        "weights": {name: value.tolist() for name, value in model.state_dict().items()},
        "random": torch.get_rng_state().tolist(),
        "recording": torch.is_grad_enabled(),
    }


def furnished(**options):
    """A model with something in every drawer: a frozen parameter, a .grad, a foreign hook, dropout."""
    model = small(2, rectified=False, affine=False, inplace=True, **options)
    model.trunk.requires_grad_(False)
    model.tail[0].weight.grad = torch.full_like(model.tail[0].weight, 0.5)
    model.layer[1] = nn.Dropout(0.5).eval()
    model.layer.register_forward_hook(lambda *_: None)
    return model


@pytest.mark.parametrize("around", [nullcontext, torch.no_grad, torch.enable_grad], ids=lambda one: one.__name__)
def test_model_is_left_as_it_was_found(around):
    model, x = furnished(), images(2)
    with around():
        before = copy.deepcopy(state_of(model))
        explain(model, x, [0, 1], methods=["gradcam", "hirescam"], layers=["layer", "auto"])
        assert state_of(model) == before


@pytest.mark.parametrize("around", [nullcontext, torch.no_grad], ids=lambda one: one.__name__)
@pytest.mark.parametrize("layer", ["layer", "auto", "no such layer"])
def test_model_is_left_as_it_was_found_after_an_exception(around, layer):
    model, x = furnished(), images(2)
    tail, model.tail = model.tail, Breaking().eval()
    with around():
        before = copy.deepcopy(state_of(model))
        with pytest.raises(RuntimeError, match="broken on purpose"):
            explain(model, x, [0], layers=[layer])
        assert state_of(model) == before
    model.tail = tail
    explain(model, x, [0], layers=["layer"])


class Breaking(nn.Module):
    def forward(self, _x):
        raise RuntimeError("broken on purpose")


def test_model_in_training_mode_is_refused_before_anything_runs():
    model = nn.Sequential(conv(2, 1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5), pool(2), nn.Flatten(), nn.Linear(2, 2))
    model.eval()
    model[1].train()
    before = copy.deepcopy(state_of(model))
    for layers in (["auto"], ["0"], ["nowhere"]):
        with pytest.raises(
            ValueError, match=r"must be in evaluation mode \(call model.eval\(\)\); in training mode: 1"
        ):
            explain(model, torch.randn(3, 1, 6, 6, generator=torch.Generator()), [0], layers=layers)
    assert state_of(model) == before


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode], ids=lambda one: one.__name__)
def test_capture_works_where_gradients_are_off(around):
    model, x = small(2, rectified=False, affine=False), images(2)
    expected = explain(model, x, [1], methods=["hirescam"], layers=["layer"])
    with around():
        found = explain(model, x, [1], methods=["hirescam"], layers=["layer"])
    torch.testing.assert_close(found.maps, expected.maps)


def full_graph(model, x, layer, labels):
    """Return logits, activation and gradients by plain autograd over the whole network."""
    kept = []

    def keep(_module, _inputs, output):
        kept.append(output)
        return output.clone()

    hook = model.get_submodule(layer).register_forward_hook(keep)
    logits = model(x)
    hook.remove()
    return (
        logits,
        kept[0],
        [torch.autograd.grad(logits[:, k].sum(), kept[0], retain_graph=True)[0] for k in labels],
    )


@pytest.mark.parametrize("frozen", [False, True], ids=["free", "frozen"])
@pytest.mark.parametrize(("make", "axes", "layer"), NETWORKS)
def test_activations_and_gradients_are_those_of_the_whole_network(make, axes, layer, frozen):
    model, x = built(make, axes)
    logits, activation, gradients = full_graph(model, x, layer, [0, 2])
    passed = capture(model.requires_grad_(not frozen), x, [layer])
    assert torch.equal(passed.activations[layer], activation)
    assert torch.equal(passed.logits, logits)
    found = passed.gradients([Target(0), Target(2)])[layer]
    torch.testing.assert_close(found, torch.stack(gradients), rtol=1e-5, atol=1e-7)
    assert not any(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize(("make", "axes", "layer"), NETWORKS)
def test_nothing_is_kept_for_backward_before_the_layer(make, axes, layer):
    model, x = built(make, axes)
    reached, early, late = [], [], []
    hook = model.get_submodule(layer).register_forward_hook(lambda *_: reached.append(True))

    def pack(tensor):
        (late if reached else early).append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        capture(model, x, [layer])
        hook.remove()
        assert sum(early) == 0
        assert sum(late) > 0
        model(x)
    assert sum(late) > 50_000, "the counter sees what a plain forward keeps"


@pytest.mark.parametrize(("methods", "keeps"), [(["eigencam", "randomcam"], False), (["eigencam", "gradcam"], True)])
def test_the_tail_keeps_a_graph_only_where_a_method_differentiates_it(methods, keeps):
    model, x = built(resnet, 2)
    kept = []

    def pack(tensor):
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        explain(model, x, [0], methods=methods, layers=["layer3"])
    assert bool(kept) is keeps
    assert capture(model, x, ["layer3"], graph=keeps).logits.requires_grad is keeps


def test_an_in_place_relu_behind_the_layer_does_not_reach_the_activation():
    model, x = small(2, rectified=False, affine=True, inplace=True), images(2)
    activation = capture(model, x, ["layer"]).activations["layer"]
    assert torch.equal(activation, model.layer(model.trunk(x)))
    assert bool((activation < 0).any())


class PassedOn(nn.Module):
    """The layer hands its input on, and the input is overwritten afterwards."""

    def __init__(self):
        super().__init__()
        self.first, self.layer = conv(2, 1, 3, 1), nn.Identity()

    def forward(self, x):
        before = self.first(x)
        after = self.layer(before)
        before.relu_()
        return after.mean((2, 3)) + before.mean((2, 3))


def test_a_layer_whose_input_is_overwritten_after_it_is_refused():
    model = PassedOn().double().eval()
    with pytest.raises(ValueError, match="layer 'layer' returns a tensor that the model later changes in place"):
        capture(model, images(2), ["layer"])
    capture(model, images(2), ["first"])


class OddLayers(nn.Module):
    """Everything that a layer can be that a map cannot be taken from."""

    def __init__(self):
        super().__init__()
        self.twice, self.unused, self.dead, self.pair = (
            conv(2, 2, 2, 1),
            conv(2, 1, 1, 1),
            conv(2, 2, 2, 1),
            Pair(),
        )
        self.first, self.fold, self.pool, self.nan = conv(2, 1, 2, 1), Fold(), pool(2), Nan()
        self.flat, self.root = nn.Flatten(), Root()

    def forward(self, x):
        hidden = self.twice(self.twice(self.first(x)))
        self.dead(hidden), self.fold(hidden), self.nan(hidden)
        return self.flat(self.pool(self.root(self.pair(hidden)[0])))


class Pair(nn.Module):
    def forward(self, x):
        return x, x


class Fold(nn.Module):
    def forward(self, x):
        return x.flatten(0, 1)[:, None]


class Nan(nn.Module):
    def forward(self, x):
        return x * float("nan")


class Root(nn.Module):
    def forward(self, x):
        return (x - x).sqrt()


REFUSED = {
    "twice": "layer 'twice' is called 2 times in one forward: take a map of each, layers=",
    "unused": "layer 'unused' is never reached in one forward",
    "pair": "layer 'pair' must return one tensor, not tuple",
    "pool": r"layer 'pool' has no spatial extent: its output has shape \(3, 2, 1, 1\)",
    "flat": r"layer 'flat' has no spatial extent: its output has shape \(3, 2\)",
    "fold": r"layer 'fold' returns shape \(6, 1, 6, 6\) for 3 samples; a map needs one each",
    "nan": "layer 'nan' outputs NaN or infinity for this input",
    "nowhere": "layer 'nowhere' does not exist in OddLayers; layers that would do: first, dead, nan, root",
    "": "layer '' does not exist in OddLayers",
}


@pytest.mark.parametrize("layer", REFUSED)
def test_a_layer_that_does_not_do_is_refused(layer):
    with pytest.raises(ValueError, match=REFUSED[layer]):
        capture(OddLayers().double().eval(), images(2), [layer])


@pytest.mark.parametrize("frozen", [False, True], ids=["free", "frozen"])
def test_a_layer_that_the_output_does_not_depend_on_is_refused(frozen):
    model = OddLayers().double().eval().requires_grad_(not frozen)
    with pytest.raises(ValueError, match=r"layers \['dead'\] do not influence the model's output"):
        capture(model, images(2), ["dead"]).gradients([Target(0)])


def test_gradients_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="the gradients at layer 'first' hold NaN or infinity"):
        capture(OddLayers().double().eval(), images(2), ["first"]).gradients([Target(0)])


def test_no_layer_is_refused():
    with pytest.raises(ValueError, match="layers must name at least one layer"):
        explain(small(2, rectified=True, affine=True), images(2), [0], layers=[])


@pytest.mark.parametrize(("end", "shape"), [(nn.Flatten(0), r"\(9,\)")])
def test_output_that_is_not_batch_by_labels_is_refused(end, shape):
    model = nn.Sequential(small(2, rectified=True, affine=True), end).eval()
    with pytest.raises(ValueError, match=rf"the model's output must have shape \(3, labels\), not {shape}"):
        capture(model, images(2), ["0.layer"])


def test_nested_and_parallel_layers_get_their_own_gradients():
    model, x = small(2, rectified=True, affine=False), images(2)
    whole = [full_graph(model, x, name, [1])[2][0] for name in ("trunk", "layer.0", "layer", "tail.1")]
    found = capture(model, x, ["trunk", "layer.0", "layer", "tail.1"]).gradients([Target(1)])
    for expected, gradients in zip(whole, found.values(), strict=True):
        torch.testing.assert_close(gradients[0], expected)


REFUSED_MODELS = {
    "scripted": (torch.jit.script, "the model is TorchScript, which takes no hooks; pass the nn.Module"),
    "parallel": (nn.DataParallel, r"the model is wrapped in nn.DataParallel, .* pass its .module"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", REFUSED_MODELS)
@pytest.mark.parametrize("layer", ["auto", "layer", "nowhere"])
def test_a_model_whose_layers_cannot_be_watched_is_refused(kind, layer):
    wrap, fault = REFUSED_MODELS[kind]
    model = wrap(small(2, rectified=True, affine=True)).eval()
    with pytest.raises(ValueError, match=fault):
        explain(model, images(2), [0], layers=[layer])
    assert capture(model, images(2), []).logits.shape == (3, 3)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_part_in_torchscript_is_refused_as_a_layer_and_passed_over_otherwise():
    model, x = small(2, rectified=True, affine=False), images(2)
    expected = explain(model, x, [0], layers=["act"])["gradcam", "act"]
    model.layer = torch.jit.script(model.layer)
    with pytest.raises(ValueError, match="layer 'layer' is TorchScript, which takes no hooks"):
        capture(model, x, ["layer"])
    torch.testing.assert_close(explain(model, x, [0], layers=["act"])["gradcam", "act"], expected)
    assert explain(model, x, [0], layers=["auto"]).maps


class Branches(nn.Module):
    """Two layers side by side, neither behind the other, and one behind both."""

    def __init__(self):
        super().__init__()
        self.trunk, self.left, self.right, self.last = (conv(2, *size, 3, padding=1) for size in PLANES)

    def forward(self, x):
        hidden = self.trunk(x).relu_()
        both = torch.cat([self.left(hidden).relu_(), self.right(hidden).sigmoid()], dim=1)
        return self.last(both).relu_().mean((2, 3))


PLANES = [(1, 2), (2, 3), (2, 4), (7, 3)]


@pytest.mark.parametrize("frozen", [False, True], ids=["free", "frozen"])
def test_layers_side_by_side_get_their_own_gradients(frozen):
    torch.manual_seed(0)
    model, x = Branches().double().eval(), images(2)
    names = ["right", "last", "left"]
    whole = [full_graph(model, x, name, [0, 2])[1:] for name in names]
    passed = capture(model.requires_grad_(not frozen), x, names)
    gradients = passed.gradients([Target(0), Target(2)])
    for name, (activation, expected) in zip(names, whole, strict=True):
        assert torch.equal(passed.activations[name], activation)
        torch.testing.assert_close(gradients[name], torch.stack(expected))


@pytest.mark.parametrize(("make", "axes", "layer"), NETWORKS)
def test_autocast_is_what_the_whole_network_does_under_autocast(make, axes, layer):
    model, x = built(make, axes)
    with torch.autocast("cpu", torch.bfloat16):
        logits, activation, (gradient,) = full_graph(model, x, layer, [1])
        passed = capture(model, x, [layer])
        found = passed.gradients([Target(1)])[layer][0]
        maps = explain(model, x, [1], layers=[layer]).maps
    assert torch.equal(passed.logits, logits)
    assert torch.equal(passed.activations[layer], activation)
    torch.testing.assert_close(found, gradient, rtol=2e-2, atol=1e-2 * float(gradient.abs().max()))
    assert all(one.dtype is torch.float32 for one in maps.values())


@pytest.mark.parametrize(("make", "axes", "layer"), NETWORKS)
def test_the_channels_last_memory_format_changes_nothing(make, axes, layer):
    model, x = built(make, axes)
    expected = explain(model, x, [Target(0), Target(2)], methods=["gradcam", "layercam"], layers=[layer])
    memory_format = {2: torch.channels_last, 3: torch.channels_last_3d}[axes]
    model, x = model.to(memory_format=memory_format), x.to(memory_format=memory_format)
    found = explain(model, x, [Target(0), Target(2)], methods=["gradcam", "layercam"], layers=[layer])
    for key, maps in found:
        torch.testing.assert_close(maps, expected.maps[key], rtol=1e-3, atol=1e-4 * float(expected.maps[key].max()))


@pytest.mark.parametrize(("make", "axes", "layer"), NETWORKS)
def test_a_batch_of_targets_has_the_gradients_of_each_alone(make, axes, layer):
    model, x = built(make, axes)
    passed = capture(model, x, [layer])
    together = passed.gradients([Target(0), Target(2)])[layer]
    for number, label in enumerate([0, 2]):
        assert torch.equal(together[[number]], passed.gradients([Target(label)])[layer])


class FromKept(nn.Module):
    """Reads its features from what a hook of its own has kept, as Hugging Face's networks read hidden states."""

    def __init__(self):
        super().__init__()
        self.features, self.head, self.kept = nn.Sequential(conv(2, 1, 4, 3), nn.Tanh()), nn.Linear(4, 3), []
        self.features.register_forward_hook(lambda _module, _given, output: self.kept.append(output))

    def forward(self, x):
        self.kept.clear()
        self.features(x)
        return self.head(self.kept[-1].square().mean((2, 3)))


def test_a_network_that_reads_what_a_hook_kept_goes_on_with_ours():
    torch.manual_seed(0)
    model, x = FromKept().double().eval(), images(2)
    found = explain(model, x, [1], methods=["hirescam", "ablationcam"], rectify=False)
    A = model.features(x).detach().requires_grad_()
    (G,) = torch.autograd.grad(model.head(A.square().mean((2, 3)))[:, 1].sum(), A)
    torch.testing.assert_close(found["hirescam", "features"].clone(), (A * G).sum(1).detach())
    assert found.notes["ablationcam", "features"] == "tail resumed"


def test_methods_of_one_call_share_their_gradients(monkeypatch):
    """CAM, Ablation-CAM and Recipro-CAM behind an affine tail take those that the formulas took."""
    asked, gradients = [], Capture.gradients
    monkeypatch.setattr(Capture, "gradients", lambda self, targets: asked.append(targets) or gradients(self, targets))
    model, methods = small(2, rectified=True, affine=True), ["gradcam", "cam", "ablationcam", "reciprocam"]
    found = explain(model, images(2), [0, Target([1, 2, 0])], methods=methods, layers="layer")
    assert len(asked) == 1
    for method in methods:
        alone = explain(model, images(2), [0, Target([1, 2, 0])], methods=method, layers="layer")
        for key, maps in alone:
            torch.testing.assert_close(found.maps[key], maps, rtol=0, atol=0)
