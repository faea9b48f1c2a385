"""``auto`` is the last layer that all of the evidence passes: networks whose last layer with cells is another thing."""

import copy

import pytest
import torch
from monai.networks.nets import UNet, VNet
from torch import nn

from cam import Region, TokenGrid, choose_layer, explain, find_layer
from cam.layers.passage import Passage
from tests.cam.networks import conv, pool
from tests.cam.test_capture import state_of


def convolutions(axes=2, width=8):
    return nn.Sequential(
        conv(axes, 1, 4, 3, stride=2, padding=1), nn.ReLU(), conv(axes, 4, width, 3, padding=1), nn.ReLU()
    )


class NamedParts(nn.Module):
    """Parts by name, and a forward that is given them and the image."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.run = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.run(self, x)


def network(forward, **parts):
    torch.manual_seed(0)
    for part in parts.values():
        for parameter in part.parameters():
            nn.init.normal_(parameter, 0, 0.3)
    return NamedParts(forward, **parts).double().eval()


def gated(net, x):
    z = net.features(x)
    gate = net.gate(z)
    return net.head((z * gate).flatten(2).sum(2) / gate.flatten(2).sum(2))


def squeezed(net, x):
    z = net.features(x)
    return net.head((z * net.scale(z.mean((2, 3), keepdim=True)).expand_as(z)).mean((2, 3)))


def residual(net, x):
    z = net.features(x)
    return net.head((z + net.branch(z)).mean((2, 3)))


def padded(net, x):
    return net.head(net.last(net.pad(net.features(x))).relu().flatten(1))


def upsampled(net, x):
    return net.head(net.grow(net.features(x)).mean((2, 3)))


def skipped(net, x):
    """An identity stands beside the branch: what is held fast there still goes round by the branch."""
    z = net.features(x)
    return net.head((net.beside(z) + net.branch(z)).mean((2, 3)))


def split_in_two(net, x):
    left, right = net.halves(net.features(x))
    return net.head(torch.cat([net.one(left), right], 1).mean((2, 3)))


class Halves(nn.Module):
    def forward(self, x):
        return x.chunk(2, dim=1)


def plainly(net, x):
    return net.head(net.features(x).mean((2, 3)))


def positions(net, x):
    table = net.table(torch.arange(64, device=x.device)).T.reshape(1, 8, 8, 8)
    return net.head((net.features(x) + net.after(table)).mean((2, 3)))


def attended(net, x):
    tokens = net.features(x).flatten(2).transpose(1, 2)
    weights = net.dropout((tokens @ tokens.transpose(1, 2)).softmax(-1)[:, None])
    return net.head((weights[:, 0] @ tokens).mean(1))


def frozen_probe(net, x):
    with torch.no_grad():
        z = net.features(x)
    return net.head(z.detach().mean((2, 3)))


def adapter_beside_frozen(net, x):
    with torch.no_grad():
        z = net.features(x)
    return net.head((z + net.branch(x)).mean((2, 3)))


HEAD = {"head": nn.Linear(8, 3)}
CUTS = {
    "the gate of an attention pooling": (
        lambda: network(gated, features=convolutions(), gate=nn.Sequential(conv(2, 8, 1, 1), nn.Sigmoid()), **HEAD),
        "features",
    ),
    "a gate for each channel": (
        lambda: network(squeezed, features=convolutions(), scale=nn.Sequential(conv(2, 8, 8, 1), nn.Sigmoid()), **HEAD),
        "features",
    ),
    "a branch beside the residual path": (
        lambda: network(residual, features=convolutions(), branch=conv(2, 8, 8, 3, padding=1), **HEAD),
        "features",
    ),
    "an identity beside a branch": (
        lambda: network(
            skipped, features=convolutions(), branch=conv(2, 8, 8, 3, padding=1), beside=nn.Identity(), **HEAD
        ),
        "features",
    ),
    "padding": (
        lambda: network(padded, features=convolutions(), pad=nn.ZeroPad2d(1), last=conv(2, 8, 8, 3, stride=8), **HEAD),
        "features",
    ),
    "upsampling": (
        lambda: network(upsampled, features=convolutions(), grow=nn.Upsample(scale_factor=2), **HEAD),
        "features",
    ),
    "pooling": (
        lambda: network(upsampled, features=convolutions(), grow=nn.MaxPool2d(2), **HEAD),
        "features",
    ),
    "pooling that keeps the cells": (
        lambda: network(upsampled, features=convolutions(), grow=nn.MaxPool2d(3, 1, 1), **HEAD),
        "features",
    ),
    "pooling at the end of a block": (
        lambda: network(plainly, features=convolutions().append(nn.AvgPool2d(2)), **HEAD),
        "features.3",
    ),
    "half of the channels": (
        lambda: network(
            split_in_two,
            features=convolutions(width=16),
            halves=Halves(),
            one=conv(2, 8, 8, 3, padding=1),
            head=nn.Linear(16, 3),
        ),
        "features",
    ),
    "a table of positions": (
        lambda: network(positions, features=convolutions(), table=nn.Embedding(64, 8), after=nn.Tanh(), **HEAD),
        "features",
    ),
    "the weights of an attention": (
        lambda: network(attended, features=convolutions(), dropout=nn.Dropout(0.1), **HEAD),
        "features",
    ),
    "features under no_grad": (lambda: network(frozen_probe, features=convolutions(), **HEAD), "features"),
}  # fmt: skip


def image(batch=2, side=16, axes=2):
    return torch.rand(batch, 1, *[side] * axes, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def past(model, x, layer):
    """The share of the input's gradient that is left when the layer's output is cut off, by two forwards."""

    def size(cut):
        hook = model.get_submodule(layer).register_forward_hook(lambda _m, _i, out: out.detach() if cut else None)
        probe = x.clone().requires_grad_()
        score = model(probe)[:, 1].sum()
        hook.remove()
        found = torch.autograd.grad(score, probe, allow_unused=True)[0] if score.requires_grad else None
        return 0.0 if found is None else float(found.abs().sum())

    return size(True) / size(False)


@pytest.mark.parametrize("kind", CUTS)
def test_auto_is_the_last_cut_and_not(kind):
    make, expected = CUTS[kind]
    model = make()
    before = copy.deepcopy(state_of(model))
    assert choose_layer(model, image()) == expected
    assert state_of(model) == before
    choice = find_layer(model, image())
    assert choice.past == 0
    if "no_grad" not in kind:
        assert past(model, image(), expected) == 0
    found = explain(model, image(), [1], methods=["gradcam", "hirescam"])
    assert found.notes["auto", expected].endswith("goes past it: 0.000")
    assert bool(found["hirescam", expected].any())  # Grad-CAM is rectified and may be empty


def test_the_features_of_a_linear_probe_have_the_gradient_of_its_head():
    model, x = CUTS["features under no_grad"][0](), image()
    with torch.no_grad():
        weighted = torch.einsum("bchw,c->bhw", model.features(x), model.head.weight[1])
    found = explain(model, x, [1], methods=["hirescam"])["hirescam", "features"]
    torch.testing.assert_close(found, weighted / 64)


def in_inference_mode(net, x):
    with torch.inference_mode():
        z = net.features(x)
    return net.head(z.mean((2, 3)))


@pytest.mark.parametrize("layer", ["auto", "features"])
def test_features_in_inference_mode_are_refused_by_its_name(layer):
    model = network(in_inference_mode, features=convolutions(), **HEAD)
    with pytest.raises(ValueError, match=r"torch.inference_mode\(\) block, .* write torch.no_grad\(\) there instead"):
        explain(model, image(), [1], layers=[layer])


NO_CUT = {
    "an ensemble": lambda: network(
        lambda net, x: net.head(net.a(x).mean((2, 3)) + net.b(x).mean((2, 3))),
        a=convolutions(),
        b=convolutions(),
        **HEAD,
    ),
    "a frozen and a trained path": lambda: network(
        adapter_beside_frozen, features=convolutions(), branch=convolutions(), **HEAD
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", NO_CUT)
def test_where_no_layer_is_a_cut_the_nearest_are_named_with_their_shares(kind):
    model = NO_CUT[kind]()
    with pytest.raises(
        ValueError, match="found no layer in NamedParts that all of the evidence passes; name a layer"
    ) as error:
        choose_layer(model, image())
    names = ("a", "b") if kind == "an ensemble" else ("features", "branch")
    passage = Passage(model, image(1), dict.fromkeys(names, TokenGrid((8, 8), channels="first")))
    shares = [passage.past(name) for name in names]
    assert all(0.05 < share < 0.95 for share in shares)
    for name, share in zip(names, shares, strict=True):
        assert f"{name} ({share:.2f})" in str(error.value)


def test_a_layer_called_twice_is_named_when_evidence_goes_past_its_calls():
    model = network(
        lambda net, x: net.head(net.features(x).mean((2, 3)) - net.features(x.flip(3)).mean((2, 3)) + x.mean()),
        features=convolutions(),
        **HEAD,
    )
    with pytest.raises(
        ValueError,
        match=r"found no layer with spatial extent in NamedParts; called more than once .*layers=\['features#0'",
    ):
        choose_layer(model, image())


def test_a_stem_with_the_network_behind_it_is_refused():
    parts = {"stem": conv(2, 1, 4, 3, padding=1)}
    parts |= {name: nn.Sequential(conv(2, 4, 4, 3), nn.ReLU(), conv(2, 4, 8, 3)) for name in ("a", "b")}
    model = network(
        lambda net, x: net.head(two(net, x)),
        **parts,
        **HEAD,
    )
    with pytest.raises(
        ValueError, match=r"'stem' is the last in NamedParts .* but 80% of the layers with weights lie behind"
    ):
        choose_layer(model, image())


def two(net, x):
    z = net.stem(x)
    return net.a(z).mean((2, 3)) + net.b(z).mean((2, 3))


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("make", [
    lambda axes: UNet(axes, 1, 3, (4, 8, 16), (2, 2)),
    lambda axes: UNet(axes, 1, 3, (4, 8, 16), (2, 2), num_res_units=1),
    lambda axes: VNet(axes, 1, 2),
], ids=["unet", "unet with residual units", "vnet"])  # fmt: skip
def test_auto_of_a_segmentation_network_lies_before_the_classifying_convolution(axes, make):
    torch.manual_seed(0)
    model, x = make(axes).double().eval(), image(1, 16, axes)
    choice = find_layer(model, x)
    assert choice.past == 0
    assert Passage(model, x, {choice.name: TokenGrid((1,) * axes, channels="first")})
    found = explain(model, x, [Region(1, torch.ones(1, *x.shape[2:], dtype=x.dtype))], methods=["hirescam"])
    activation = found["hirescam", choice.name]
    logits = found.logits[:, 1]
    assert activation.shape != logits.shape or not torch.allclose(activation, logits)


def test_an_output_without_a_path_of_gradients_is_refused_with_what_does():
    model = network(
        lambda net, x: net.head(net.features(x).mean((2, 3)).round()).argmax(1, keepdim=True).double(),
        features=convolutions(),
        **HEAD,
    )
    with pytest.raises(
        ValueError, match=r"does not depend on its input through operations with gradients .* occlusion and rise"
    ):
        choose_layer(model, image())


def test_a_network_of_a_frozen_backbone_is_as_one_that_is_not():
    model = CUTS["a branch beside the residual path"][0]()
    assert choose_layer(model.requires_grad_(False), image()) == "features"


def test_the_whole_of_what_a_pooled_convolution_returns_is_a_class_map_where_nothing_else_has_cells():
    model = nn.Sequential(conv(2, 1, 3, 3), pool(2), nn.Flatten()).double().eval()
    assert choose_layer(model, image()) == "0"


def through_numpy(net, x):
    return torch.from_numpy(net.head(net.features(x).mean((2, 3))).detach().numpy())


def probed_by_detach(net, x):
    return net.head(net.features(x).detach().mean((2, 3)))


def checkpointed(net, x):
    return net.head(torch.utils.checkpoint.checkpoint(net.features, x, use_reentrant=True).mean((2, 3)))


def test_a_detached_backbone_has_the_gradient_from_its_features_on():
    model, x = network(probed_by_detach, features=convolutions(), **HEAD), image()
    found = explain(model, x, [1], methods=["hirescam"])["hirescam", "features"]
    plain = network(plainly, features=convolutions(), **HEAD)
    torch.testing.assert_close(found, explain(plain, x, [1], methods=["hirescam"])["hirescam", "features"])
    with pytest.raises(ValueError, match="does not depend on its input through operations with gradients"):
        explain(model, x, [1], methods=["saliency"])


def test_a_model_that_leaves_torch_is_refused():
    model = network(through_numpy, features=convolutions(), **HEAD)
    with pytest.raises(ValueError, match="does not depend on its input through operations with gradients"):
        choose_layer(model, image())


def test_a_reentrant_checkpoint_is_refused_by_its_name():
    model = network(checkpointed, features=convolutions(), **HEAD)
    with pytest.raises(ValueError, match=r"give torch.utils.checkpoint use_reentrant=False"):
        choose_layer(model, image())


def test_a_compiled_model_is_explained_as_the_one_that_it_was_made_from():
    model, x = network(plainly, features=convolutions(), **HEAD), image()
    expected = explain(model, x, [1], methods=["gradcam", "scorecam"]).maps
    found = explain(torch.compile(model, backend="eager"), x, [1], methods=["gradcam", "scorecam"]).maps
    for (method, layer, number), maps in expected.items():
        torch.testing.assert_close(found[method, f"_orig_mod.{layer}", number], maps)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("size", "grid"), [((24, 36), (4, 6)), ((16, 16), (2, 2)), ((12, 20, 24), (3, 5, 6))])
def test_tokens_of_overlapping_patches_are_read_by_their_order(size, grid, turned):
    """A second convolution makes each token see its neighbours, so no token looks at a tile of its own."""
    axes, stride = len(size), tuple(side // cells for side, cells in zip(size, grid, strict=True))
    embed = nn.Sequential(conv(axes, 1, 7, stride, stride=stride), conv(axes, 7, 7, 3, padding=1))

    def forward(net, x):
        cells = net.embed(x).mT if turned else net.embed(x)
        return net.head(net.norm(cells.flatten(2).transpose(1, 2)).mean(1))

    model = network(forward, embed=embed, norm=nn.LayerNorm(7), head=nn.Linear(7, 3))
    with torch.no_grad():
        embed[1].weight += 30 * nn.init.dirac_(torch.empty_like(embed[1].weight))
    x = torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    if turned:
        assert choose_layer(model, x) == "embed", "the tokens run down the columns first: not read"
    else:
        assert choose_layer(model, x) == "norm"
        assert explain(model, x, [1])["gradcam", "norm"].shape == (2, *grid)
