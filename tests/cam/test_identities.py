"""What must hold of the methods from one capture, whatever computes them, beyond their oracles."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from monai.networks.blocks.activation import MemoryEfficientSwish
from monai.networks.nets import DenseNet, resnet18
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from cam import METHODS, Difference, Region, Target, explain
from cam.methods.eigencam import first_component
from cam.methods.fullgrad import full_gradients
from cam.methods.gradcampp import gradcampp
from cam.methods.xgradcam import xgradcam
from cam.procedures.attribution import score_of
from tests.cam.networks import conv, images, normed, pool, small
from tests.cam.test_capture import Breaking, furnished, state_of
from tests.cam.test_methods import detector, pointwise
from tests.oracles import by_oracle

PLACES = {
    "cam": ("1",),
    "smoothgradcampp": ("1",),
    "layercam_fusion": ("0", "1"),
    "eigencam": ("1",),
    "finercam": ("1",),
    "randomcam": ("1",),
    "fullgrad": (),
}
"""The methods that are no formula of A and G, and the layers of a detector to take them from."""
NO_TARGET = {"eigencam", "randomcam"}


def explained(name, model, x, targets, *layers, rows=None, **options):
    """Return the maps (T, B, *S) of one method."""
    found = explain(model, x, targets, methods=[name], layers=layers or ["layer"], options={name: options}, rows=rows)
    return torch.stack(list(found.maps.values()))


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("axes", [2, 3])
def test_with_a_pooled_linear_tail_cam_gradcam_xgradcam_and_hirescam_are_one(axes, rectified):
    model, x = small(axes, rectified=rectified, affine=True), images(axes)
    names = ["cam", "gradcam", "xgradcam", "hirescam"]
    found = explain(model, x, [0, 1], methods=[*names, "gradcampp", "layercam", "eigencam"], layers=["layer"])
    maps = {name: found.maps[name, "layer", 1] for name in names}
    cells = maps["cam"][0].numel()
    torch.testing.assert_close(maps["cam"] / cells, maps["hirescam"])
    for rectifying in ("gradcam", "xgradcam"):
        torch.testing.assert_close(maps[rectifying], maps["cam"].relu() / cells)
    assert found.equivalent == {"layer": (tuple(names),)}


@pytest.mark.parametrize("axes", [2, 3])
def test_the_mean_of_cam_is_the_logit_without_its_bias(axes):
    model, x = small(axes, rectified=True, affine=True), images(axes)
    found = explain(model, x, list(map(Target, [0, 1, 2])), methods=["cam"], layers=["layer"])
    for label in range(3):
        mean = found.maps["cam", "layer", label].flatten(1).mean(1)
        torch.testing.assert_close(mean, found.logits[:, label] - model.tail[2].bias[label])


NO_CAM = {
    "the gradient varies in space": [nn.Flatten(), nn.Linear(3 * 16, 3)],
    "the logits are not an affine function of A": [pool(2), nn.Flatten(), nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)],
}


@pytest.mark.parametrize("reason", NO_CAM)
def test_cam_refuses_another_tail_and_names_what_to_take(reason):
    model = small(2, rectified=True, affine=True)
    model.tail = nn.Sequential(*NO_CAM[reason]).double().eval()
    with pytest.raises(ValueError, match=f"'cam' needs .* at layer 'layer' {reason}, .* take 'hirescam' or 'gradcam'"):
        explain(model, images(2), [0], methods=["cam"], layers=["layer"])


def scaled_head(axes, factor):
    model = small(axes, rectified=True, affine=False)
    model.tail[3].weight.data *= factor
    return model


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("name", ["gradcampp", "smoothgradcampp"])
def test_gradcampp_of_tiny_gradients_is_half_the_sum_of_the_positive_ones(axes, name):
    """2 + S g is 2 then; an epsilon in the denominator would be larger than g^2."""
    model, x = scaled_head(axes, 1e-9), images(axes)
    still = {"noise": 0.0} if name == "smoothgradcampp" else {}
    found = explained(name, model, x, [1], **still)
    A = model.layer(model.trunk(x)).detach().requires_grad_()
    (G,) = torch.autograd.grad(model.tail(A)[:, 1].sum(), A)
    weights = G.relu().flatten(2).sum(2) / 2
    expected = torch.einsum("bc,bc...->b...", weights, A).relu()
    torch.testing.assert_close(found[0], expected.detach(), rtol=1e-6, atol=0)
    assert expected.max() > 0


@pytest.mark.parametrize("axes", [2, 3])
def test_gradcampp_and_xgradcam_do_not_depend_on_how_a_network_is_scaled_inside(axes):
    model, x = small(axes, rectified=True, affine=False), images(axes)
    rescaled = copy.deepcopy(model)
    for parameter in rescaled.layer[0].parameters():
        parameter.data *= 1e-5
    rescaled.tail[0].weight.data *= 1e5
    for name in ("gradcampp", "xgradcam", "eigengradcam"):
        torch.testing.assert_close(explained(name, rescaled, x, [1]), explained(name, model, x, [1]))


def test_at_the_pole_of_gradcampp_the_weight_is_0_and_beyond_it_negative():
    A = torch.tensor([[[[-3.0, 1.0]], [[1.0, 1.0]]]])  # sums -2 and 2
    G = torch.tensor([[[[1.0, 0.0]], [[2.0, 0.0]]]])
    torch.testing.assert_close(gradcampp(A, G), torch.full((1, 1, 2), 2 / (2 + 2 * 2)))
    G[0, 0] = torch.tensor([2.0, 0.0])  # 2 / (2 - 4) = -1
    torch.testing.assert_close(gradcampp(A, G).relu(), torch.tensor([[[3 + 1 / 3, 0.0]]]))


def test_xgradcam_leaves_out_a_channel_whose_activations_cancel():
    A = torch.tensor([[[[-1.0, 1.0]], [[1.0, 3.0]]]])
    G = torch.tensor([[[[5.0, 7.0]], [[2.0, 6.0]]]])
    weight = (1 * 2 + 3 * 6) / 4
    torch.testing.assert_close(xgradcam(A, G), weight * A[:, 1])


@pytest.mark.parametrize("axes", [2, 3])
def test_smoothgradcampp_without_noise_is_gradcampp(axes):
    model, x = small(axes, rectified=False, affine=False), images(axes)
    smooth = explained("smoothgradcampp", model, x, [Target([2, 0, 1]), 1], samples=3, noise=0.0)
    torch.testing.assert_close(smooth, explained("gradcampp", model, x, [Target([2, 0, 1]), 1]))


class SmallMemory(nn.Module):
    """Runs out of memory above so many rows."""

    def __init__(self, model, rows):
        super().__init__()
        self.model, self.rows, self.seen = model, rows, []

    def forward(self, x):
        self.seen.append(len(x))
        if len(x) > self.rows:
            raise torch.OutOfMemoryError
        return self.model(x)


@pytest.mark.parametrize("rows", [1, 2, 5, 100])
def test_smoothgradcampp_is_the_same_however_many_rows_fit(rows):
    model, x = small(2, rectified=False, affine=False), images(2)
    targets = [Target([2, 0, 1]), Difference(0, [1, 2, 2])]
    expected = explained("smoothgradcampp", model, x, targets, samples=4)
    torch.testing.assert_close(explained("smoothgradcampp", model, x, targets, samples=4, rows=rows), expected)
    narrow = SmallMemory(model, max(rows, len(x))).eval()
    found = explained("smoothgradcampp", narrow, x, targets, "model.layer", samples=4, rows=rows)
    torch.testing.assert_close(found, expected)
    assert max(narrow.seen[1:]) <= max(rows, 1)


def test_smoothgradcampp_halves_its_rows_when_memory_runs_out():
    model, x = small(2, rectified=False, affine=False), images(2)
    narrow = SmallMemory(model, 3).eval()
    found = explained("smoothgradcampp", narrow, x, [1], "model.layer", samples=8)
    assert max(narrow.seen) > 3
    assert narrow.seen[-8:] == [3] * 8
    torch.testing.assert_close(found, explained("smoothgradcampp", model, x, [1], samples=8))


def test_smoothgradcampp_gives_up_when_not_even_one_row_fits():
    narrow = SmallMemory(small(2, rectified=False, affine=False), 3).eval()
    narrow.register_forward_hook(lambda *_: setattr(narrow, "rows", 0))  # what the one forward left does not fit again
    with pytest.raises(torch.OutOfMemoryError):
        explained("smoothgradcampp", narrow, images(2), [1], "model.layer")
    assert narrow.seen[-1] == 1


SEEDED = ["smoothgradcampp", "randomcam"]


@pytest.mark.parametrize("name", SEEDED)
def test_another_seed_is_another_map_and_the_same_seed_the_same(name):
    model, x = small(2, rectified=True, affine=False), images(2)
    maps = [explained(name, model, x, [1], seed=seed) for seed in (0, 1, 0)]
    assert not torch.allclose(maps[0], maps[1])
    assert torch.equal(maps[0], maps[2])


@pytest.mark.parametrize("name", [*PLACES, *(name for name, one in METHODS.items() if one.is_formula)])
def test_the_model_and_the_generators_are_left_as_they_were_found(name):
    model, x = furnished(), images(2)
    layers = ["layer", "trunk"] if name == "layercam_fusion" else ["layer"]
    if name == "cam":
        model.act, model.tail = (
            nn.Identity().eval(),
            nn.Sequential(pool(2), nn.Flatten(), nn.Linear(3, 3)).double().eval(),
        )
    for around in (torch.no_grad, torch.enable_grad, torch.inference_mode):
        with around():
            before = copy.deepcopy(state_of(model))
            explained(name, model, x, [0, 1], *layers)
            assert state_of(model) == before
    model.tail = Breaking().eval()
    before = copy.deepcopy(state_of(model))
    with pytest.raises(RuntimeError, match="broken on purpose"):
        explained(name, model, x, [0], *layers)
    assert state_of(model) == before


@pytest.mark.parametrize("axes", [2, 3])
def test_randomcams_weights_are_uniform_and_the_same_for_every_sample_and_target(axes):
    side = {2: 16, 3: 8}[axes]
    x = torch.eye(side**axes)[: 2 * 128].reshape(1, 256, *[side] * axes)  # channel k is 1 in cell k alone
    model = nn.Sequential(nn.Identity(), pool(axes), nn.Flatten(), nn.Linear(256, 2)).eval()
    found = explained("randomcam", model, torch.cat([x, 3 * x]), [Target(0), Target(1)], "0")
    weights = found[0, 0].flatten()[:256]
    assert float(weights.min()) < -0.95
    assert float(weights.max()) > 0.95
    assert bool((weights.abs() < 1).all())
    np.testing.assert_allclose(weights.sort().values, torch.linspace(-1, 1, 256), atol=0.12)
    torch.testing.assert_close(found[0, 1], 3 * found[0, 0])
    assert torch.equal(found[0], found[1])


@pytest.mark.parametrize("axes", [2, 3])
def test_fusion_scales_every_layer_resizes_to_the_finest_and_takes_the_largest(axes):
    model, x = small(axes, rectified=True, affine=False), images(axes)
    found = explained("layercam_fusion", model, x, [2, 0], "tail.0", "layer", "trunk")
    assert found.shape == (2, *x[:, 0].shape)
    torch.testing.assert_close(found, explained("layercam_fusion", model, x, [2, 0], "trunk", "tail.0", "layer"))
    torch.testing.assert_close(found.flatten(2).amax(2), torch.full((2, 3), math.tanh(2.0), dtype=x.dtype))
    alone = [explained("layercam", model, x, [2, 0], "trunk"), explained("layercam", model, x, [2, 0], "trunk")]
    shallow = torch.tanh(2 * alone[0] / alone[0].flatten(2).amax(2)[..., *[None] * axes])
    assert bool((found >= shallow).all())
    assert not torch.allclose(found, shallow)


def test_fusion_of_a_dead_layer_is_empty_and_of_one_layer_is_refused():
    model, x = detector(2, -1.0), torch.ones(1, 1, 4, 4, dtype=torch.float64)
    assert not explained("layercam_fusion", model, x, [1], "0", "1").any()
    for layers in (["1"], ["1", "1"]):
        with pytest.raises(ValueError, match=r"'layercam_fusion' needs at least two layers, not \['1'\]"):
            explained("layercam_fusion", model, x, [1], *layers)


@pytest.mark.parametrize("channels", [3, 40])
@pytest.mark.parametrize("axes", [2, 3])
def test_both_gram_matrices_give_the_singular_value_decomposition(axes, channels):
    """40 channels are more than the 16 and 27 cells, 3 are fewer."""
    model, x = small(axes, rectified=False, affine=True, channels=channels), images(axes)
    assert model.layer(model.trunk(x)).flatten(2).shape[2] in range(4, 40)
    expected = by_oracle("eigencam", model, x, [0, 0, 0])
    np.testing.assert_allclose(explained("eigencam", model, x, [0])[0], expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("shape", [(5, 4, 3), (5, 2, 2)])
def test_one_pattern_in_all_channels_is_the_component_and_has_its_sign(shape):
    generator = torch.Generator().manual_seed(0)
    pattern, strengths = torch.rand(2, 1, *shape, generator=generator), torch.rand(2, 20, 1, 1, 1, generator=generator)
    length = strengths.flatten(1).norm(dim=1).view(2, 1, 1, 1)
    torch.testing.assert_close(first_component(pattern * strengths), pattern[:, 0] * length)
    torch.testing.assert_close(first_component(-pattern * strengths), -pattern[:, 0] * length)
    assert not first_component(0 * pattern * strengths).any()


def test_the_first_component_is_not_centred_and_not_negative_where_the_values_are_not():
    model, x = small(3, rectified=True, affine=True), images(3)
    for name in ("eigencam", "eigengradcam"):
        maps = explained(name, model, x, [0])
        if name == "eigencam":
            assert float(maps.min()) >= -1e-12
        assert float(maps.mean().abs()) > 1e-3
    summed = explained("hirescam", model, x, [0])
    assert bool(((explained("eigengradcam", model, x, [0]) * summed).flatten(2).sum(2) > 0).all())


class Allocations(TorchDispatchMode):
    """The bytes of everything that is made while it is on."""

    def __init__(self):
        super().__init__()
        self.bytes, self.known = 0, set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for one in made if isinstance(made, tuple) else (made,):
            if isinstance(one, torch.Tensor) and one.untyped_storage().data_ptr() not in self.known:
                given = {a.untyped_storage().data_ptr() for a in args if isinstance(a, torch.Tensor)}
                if one.untyped_storage().data_ptr() not in given:
                    self.bytes += one.untyped_storage().nbytes()
        return made


@pytest.mark.parametrize("shape", [(128, 28, 28, 28), (4096, 2, 2, 2)])
def test_eigencam_of_many_cells_or_channels_stays_far_below_200_megabytes(shape):
    values = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
    with Allocations() as made:
        found = first_component(values)
    assert found.shape == (1, *shape[1:])
    assert made.bytes < 10e6, "a matrix of all cells would be 1.9 GB, one of all channels 67 MB, a copy 11 MB"


@pytest.mark.parametrize("axes", [2, 3])
def test_finercam_without_comparison_is_gradcam_and_of_one_rival_that_of_the_difference(axes):
    model, x, labels = small(axes, rectified=False, affine=False, labels=5), images(axes), [2, 0, 4]
    with torch.no_grad():
        logits = model(x)
    for number, label in enumerate(labels):
        logits[number, label] = -torch.inf
    rivals = logits.argsort(dim=1, descending=True)
    free = explained("finercam", model, x, [Target(labels)], gamma=0.0)
    torch.testing.assert_close(free, explained("gradcam", model, x, [Target(labels)]))
    one = explained("finercam", model, x, [Target(labels)], gamma=1.0, compare=1)
    torch.testing.assert_close(one, explained("gradcam", model, x, [Difference(labels, rivals[:, 0].tolist())]))
    G = {label: explained_gradient(model, x, label) for label in range(5)}
    for options, count in (({}, 3), ({"compare": 99}, 4)):
        expected = [
            G[label][number] - 0.6 * sum(G[int(rival)][number] for rival in rivals[number, :count]) / count
            for number, label in enumerate(labels)
        ]
        weights = torch.stack(expected).flatten(2).mean(2)
        A = model.layer(model.trunk(x)).detach()
        maps = torch.einsum("bc,bc...->b...", weights, A).relu()
        torch.testing.assert_close(explained("finercam", model, x, [Target(labels)], **options)[0], maps)


def explained_gradient(model, x, label):
    A = model.layer(model.trunk(x)).detach().requires_grad_()
    return torch.autograd.grad(model.tail(A)[:, label].sum(), A)[0]


def test_finercam_refuses_what_has_no_rival():
    x = images(2)
    with pytest.raises(ValueError, match=r"'finercam' compares .* at least two a sample, not \(3, 1\)"):
        explained("finercam", small(2, rectified=True, affine=True, labels=1), x, [1])
    model = small(2, rectified=True, affine=True)
    with pytest.raises(ValueError, match="'finercam' explains a label, not Difference"):
        explained("finercam", model, x, [Difference(0, 1)])
    with pytest.raises(ValueError, match=r"finercam\.compare must be at least 1, not 0"):
        explained("finercam", model, x, [0], compare=0)
    with pytest.raises(ValueError, match=r"must lie in 0\.\.2 .* not 3"):
        explained("finercam", model, x, [3])
    dense = nn.Sequential(conv(2, 1, 2, 3, padding=1), conv(2, 2, 3, 1)).double().eval()
    with pytest.raises(ValueError, match=r"at least two a sample, not \(3, 3, 6, 6\)"):
        explained("finercam", dense, x, [Region(0, torch.ones(3, 6, 6))], "0")


@pytest.mark.parametrize("options", [{"samples": 0}, {"noise": -0.1}])
def test_smoothgradcampp_refuses_what_is_no_noise(options):
    with pytest.raises(ValueError, match=r"smoothgradcampp\.samples must be at least 1 and noise at least 0, not"):
        explained("smoothgradcampp", small(2, rectified=True, affine=True), images(2), [0], **options)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("name", PLACES)
def test_flipping_and_permuting_the_image_flips_and_permutes_the_map(axes, name):
    model = pointwise(axes)
    x = torch.randn(2, 1, *range(4, 4 + axes), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    layers = ("0", "2") if name == "layercam_fusion" else ("2",)
    still = {"noise": 0.0} if name == "smoothgradcampp" else {}

    def maps(image):
        return explained(name, model, image, [1], *layers, **still)[0]

    upright = maps(x)
    for axis in range(axes):
        torch.testing.assert_close(maps(x.flip(2 + axis)), upright.flip(1 + axis))
    for order in itertools.permutations(range(axes)):
        moved = maps(x.permute(0, 1, *(2 + axis for axis in order)))
        torch.testing.assert_close(moved, upright.permute(0, *(1 + axis for axis in order)))


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("name", PLACES)
def test_the_map_of_a_blob_detector_peaks_in_the_blob(axes, name):
    blob = (1, 4, 2)[:axes]
    x = torch.zeros(1, 1, *(6, 7, 5)[:axes], dtype=torch.float64)
    x[(0, 0, *blob)] = 1
    found = explained(name, detector(axes, 1.0), x, [1], *PLACES[name])[0]
    assert np.unravel_index(int(found[0].abs().argmax()), found[0].shape) == blob
    assert float(found[0][blob]) > 0 or name == "randomcam"
    assert int((found != 0).sum()) == 1

    against = explained(name, detector(axes, -1.0), x, [1], *PLACES[name])[0]
    if name in NO_TARGET | {"fullgrad"}:  # psi takes magnitudes
        torch.testing.assert_close(against, found)
    elif METHODS[name].signed:
        torch.testing.assert_close(against, -found)
    else:
        assert not against.any()


@pytest.mark.parametrize("name", PLACES)
def test_the_sign_is_the_declared_one(name):
    model, x = small(2, rectified=False, affine=name == "cam"), images(2, batch=16)
    layers = ("layer", "trunk") if name == "layercam_fusion" else ("layer",)
    assert (float(explained(name, model, x, [0, 1, 2], *layers).min()) < 0) == METHODS[name].signed


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("axes", [2, 3])
def test_a_batch_is_its_samples_one_by_one(axes, name):
    model, x = small(axes, rectified=True, affine=name == "cam"), images(axes, batch=2)
    layers = ("layer", "trunk") if name == "layercam_fusion" else ("layer",)
    whole = explained(name, model, x, [Target([2, 0]), Target([1, 1])], *layers)
    for number, labels in enumerate([(2, 1), (0, 1)]):
        torch.testing.assert_close(whole[:, [number]], explained(name, model, x[[number]], labels, *layers))


def completed(model, x, label):
    """Return the scores and the sums of FullGrad's terms."""
    score = score_of(model, Target(label))
    with torch.enable_grad():
        scores, terms = full_gradients(model, score, x.clone(), torch.arange(len(x)))
    return scores, sum(term.flatten(1).sum(dim=1) for term in terms), terms


def float64_of(model):
    torch.manual_seed(1)
    for module in model.modules():
        if getattr(module, "running_mean", None) is not None:
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
        if getattr(module, "bias", None) is not None:
            nn.init.normal_(module.bias, std=0.1)
    return model.double().eval()


def thin_resnet(axes, **options):
    return resnet18(spatial_dims=axes, n_input_channels=1, num_classes=3, widen_factor=0.125, **options)


def swish(axes):
    layers = [conv(axes, 1, 3, 3), MemoryEfficientSwish(), conv(axes, 3, 3, 2), nn.SiLU(inplace=True)]
    return nn.Sequential(*layers, pool(axes), nn.Flatten(), nn.Linear(3, 3))


COMPLETE = {
    "normed": normed,
    "swish": swish,
    "densenet": lambda axes: DenseNet(
        spatial_dims=axes, in_channels=1, out_channels=3, init_features=8, growth_rate=4, block_config=(2, 2)
    ),
    "resnet18": thin_resnet,
    "resnet18-instance": lambda axes: thin_resnet(axes, norm=("instance", {"affine": True})),
}


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("kind", COMPLETE)
def test_fullgrads_terms_add_up_to_the_logit(kind, axes):
    torch.manual_seed(0)
    model, x = float64_of(COMPLETE[kind](axes)), images(axes, batch=2).repeat_interleave(4, 2).repeat_interleave(4, 3)
    scores, sums, terms = completed(model, x, 1)
    torch.testing.assert_close(sums, scores, rtol=1e-9, atol=1e-9)
    biases = sum(float(term.flatten(1).sum(dim=1).abs().sum()) for term in terms[1:])
    assert biases > 1e-3, "biases that are nothing prove nothing"
    found = explain(model, x, [1], methods=["fullgrad"])
    assert found["fullgrad", "input"].shape == x[:, 0].shape
    assert found.notes == {}


class Position(nn.Module):
    """Adds a parameter that is no module's bias."""

    def __init__(self, model, axes):
        super().__init__()
        self.model, self.place = model, nn.Parameter(torch.full((1, 1, *[1] * axes), 5.0).double())

    def forward(self, x):
        return self.model(x + self.place)


@pytest.mark.parametrize("axes", [2, 3])
def test_fullgrad_tells_when_a_part_of_the_score_is_in_no_module(axes):
    model, x = small(axes, rectified=True, affine=False), images(axes)
    found = explain(Position(model, axes).eval(), x, [1], methods=["fullgrad"])
    scores, sums, terms = completed(Position(model, axes).eval(), x, 1)
    size = sum(term.flatten(1).sum(dim=1).abs() for term in terms)
    missed = float(((scores - sums).abs() / torch.maximum(size, scores.abs())).max())
    assert missed > 0.01
    assert found.notes["fullgrad", "input"].startswith(f"the terms miss the score by up to {missed:.1%} of")


def test_fullgrad_of_a_network_without_biases_is_the_rescaled_input_times_gradient():
    torch.manual_seed(0)
    model = nn.Sequential(
        conv(2, 2, 3, 3, bias=False), nn.LeakyReLU(0.1), pool(2), nn.Flatten(), nn.Linear(3, 2, bias=False)
    )
    model.double().eval()
    x = torch.randn(2, 2, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(model(x)[:, 1].sum(), x)
    size = (x * gradient).detach().abs()
    low, high = size.flatten(1).amin(1).view(-1, 1, 1, 1), size.flatten(1).amax(1).view(-1, 1, 1, 1)
    expected = ((size - low) / (high - low)).sum(dim=1)
    torch.testing.assert_close(explained("fullgrad", model, x, [1])[0], expected)


class ChannelsLast(nn.Module):
    """Pointwise layers on (B, *S, C) for what else stands on (B, C, *S)."""

    def __init__(self, first, second):
        super().__init__()
        self.first, self.act, self.second = first, nn.GELU(), second
        self.end = nn.Sequential(nn.Flatten(), nn.Linear(3, 2))

    def forward(self, x):
        if isinstance(self.first, nn.Linear):
            x = self.second(self.act(self.first(x.movedim(1, -1)))).movedim(-1, 1)
        else:
            x = self.second(self.act(self.first(x)))
        return self.end(x.flatten(2).mean(2))


@pytest.mark.parametrize("axes", [2, 3])
def test_fullgrad_finds_the_place_of_layers_that_have_their_channels_last(axes):
    torch.manual_seed(0)
    last = ChannelsLast(nn.Linear(2, 4), nn.Linear(4, 3)).double().eval()
    first = ChannelsLast(conv(axes, 2, 4, 1), conv(axes, 4, 3, 1)).double().eval()
    first.load_state_dict(
        {
            name: value.view(*value.shape, *[1] * axes) if name in ("first.weight", "second.weight") else value
            for name, value in last.state_dict().items()
        }
    )
    x = torch.randn(2, 2, *(6, 5, 4)[:axes], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(explained("fullgrad", last, x, [1]), explained("fullgrad", first, x, [1]))


class Windows(nn.Module):
    """A linear layer on windows, which stand side by side in the batch."""

    def __init__(self):
        super().__init__()
        self.layer, self.end = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        windows = x.reshape(len(x) * 9, 4)
        return self.end(self.layer(windows).relu().reshape(len(x), 9, 4).mean(1))


def test_fullgrad_counts_windows_for_their_sample():
    torch.manual_seed(0)
    model, x = Windows().double().eval(), images(2)
    scores, sums, _ = completed(model, x, 1)
    torch.testing.assert_close(sums, scores)
    whole = explained("fullgrad", model, x, [1])
    torch.testing.assert_close(whole[:, [1]], explained("fullgrad", model, x[[1]], [1]))


class Coordinates(nn.Module):
    """A layer that sees no sample, but a grid of coordinates that all share."""

    def __init__(self, model):
        super().__init__()
        self.model, self.own = model, nn.Conv2d(1, 1, 2)

    def forward(self, x):
        grid = torch.linspace(0, 1, 49, dtype=x.dtype).view(1, 1, 7, 7)
        return self.model(x + 9 * self.own(grid))


def test_fullgrad_leaves_out_what_belongs_to_no_sample_and_tells():
    torch.manual_seed(0)
    model, x = Coordinates(small(2, rectified=True, affine=False)).double().eval(), images(2, batch=5)
    found = explain(model, x, [1], methods=["fullgrad"])
    assert found["fullgrad", "input"].shape == x[:, 0].shape
    assert "a part of it is in no module" in found.notes["fullgrad", "input"]


class Attending(nn.Module):
    """Patches, attention, a class token: much of the score is in no module's bias."""

    def __init__(self, axes):
        super().__init__()
        self.patches, self.token = conv(axes, 1, 4, 2, stride=2), nn.Parameter(torch.randn(1, 1, 4))
        self.norm, self.attention = nn.LayerNorm(4), nn.MultiheadAttention(4, 2, batch_first=True)
        self.end = nn.Linear(4, 2)

    def forward(self, x):
        patches = self.patches(x).flatten(2).mT
        tokens = self.norm(torch.cat([self.token.expand(len(x), -1, -1), patches], dim=1))
        return self.end(self.attention(tokens, tokens, tokens)[0][:, 0])


@pytest.mark.parametrize("axes", [2, 3])
def test_fullgrad_of_a_transformer_has_a_map_and_tells_what_it_lacks(axes):
    torch.manual_seed(0)
    model, x = Attending(axes).double().eval(), images(axes)
    found = explain(model, x, [1], methods=["fullgrad"])
    assert found["fullgrad", "input"].shape == x[:, 0].shape
    assert "a part of it is in no module" in found.notes["fullgrad", "input"]
