"""Networks as researchers write them: ``auto`` takes a cut, and its map is that of plain autograd; or a sentence."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from cam import Memory, explain, find_layer
from tests.cam.networks import conv
from tests.cam.test_cuts import HEAD, convolutions, image, network, plainly


def pooled(values):
    return values.flatten(2).mean(2)


def passed(model, x, layers, *, cut, label):
    """Return the score, the image's probe and what these layers returned, by name; cut off behind them if so wanted."""
    kept, handles = {}, []
    for name in layers:
        module, _, number = name.partition("#")
        count = iter(range(1000))

        def hook(_module, _given, output, name=name, number=number, count=count):
            if next(count) == int(number or 0) or not number:
                kept.setdefault(name, []).append(output)
                return output.detach() if cut else None
            return None

        handles.append(model.get_submodule(module).register_forward_hook(hook))
    probe = x.clone().requires_grad_()
    try:
        return model(probe)[:, label].sum(), probe, kept
    finally:
        for handle in handles:
            handle.remove()


def check(model, x, layers, label=1):
    """Nothing goes past these layers, and the sums of their HiResCAM maps are those of plain autograd."""
    assert find_layer(model, x).names == tuple(layers)
    found = explain(model, x, target=label, methods="hirescam")
    score, probe, _ = passed(model, x, layers, cut=True, label=label)
    past = torch.autograd.grad(score, probe, allow_unused=True)[0] if score.requires_grad else None
    assert past is None or not bool(past.any())
    score, _, kept = passed(model, x, layers, cut=False, label=label)
    for name in layers:
        gradients = torch.autograd.grad(score, kept[name], retain_graph=True)
        own = [(values * gradient).sum() for values, gradient in zip(kept[name], gradients, strict=True)]
        torch.testing.assert_close(found.maps["hirescam", name, label].sum(), torch.stack(own).sum().detach())
    return found


def capsules(net, x):
    """Routing by agreement: what is routed where depends on the image."""
    seen = net.primary(net.features(x)).unflatten(1, (4, 4)).flatten(3).permute(0, 3, 1, 2).flatten(2)
    votes = torch.einsum("bni,nijk->bnjk", seen, net.weight)
    routed = torch.zeros(votes.shape[:3], dtype=x.dtype)
    for _ in range(2):
        joined = (routed.softmax(2)[..., None] * votes).sum(1)
        joined = joined * joined.norm(dim=-1, keepdim=True) / (1 + joined.square().sum(-1, keepdim=True))
        routed = routed + (votes * joined[:, None]).sum(-1)
    return joined.norm(dim=-1)


def test_capsules():
    model = network(capsules, features=convolutions(), primary=conv(2, 8, 16, 3, stride=2, padding=1))
    model.weight = nn.Parameter(torch.randn(16, 16, 3, 6, dtype=torch.float64))
    check(model, image(), ["primary"])


def generalised_mean(net, x):
    return net.head(net.features(x).clamp(min=1e-6).pow(3).mean((2, 3)).pow(1 / 3))


def bilinear(net, x):
    cells = net.features(x).flatten(2)
    return net.head(nn.functional.normalize((cells @ cells.mT).flatten(1)))


def squeezed_at_the_end(net, x):
    cells = net.features(x)
    return net.head(pooled(cells * net.excite(pooled(cells)).sigmoid()[..., None, None]))


def prototypes(net, x):
    apart = torch.cdist(net.features(x).flatten(2).mT, net.table.weight.expand(len(x), -1, -1))
    return net.head(-apart.amin(1))


POOLED = {
    "generalised mean": lambda: network(generalised_mean, features=convolutions(), **HEAD),
    "bilinear": lambda: network(bilinear, features=convolutions(), head=nn.Linear(64, 3)),
    "squeeze and excite": lambda: network(
        squeezed_at_the_end, features=convolutions(), excite=nn.Linear(8, 8), head=nn.Linear(8, 3)
    ),
    "nearest prototype": lambda: network(prototypes, features=convolutions(), table=nn.Embedding(8, 8), **HEAD),
    "spectrum": lambda: network(
        lambda net, x: net.head(pooled(torch.fft.rfft2(net.features(x)).abs())), features=convolutions(), **HEAD
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", POOLED)
def test_poolings(kind):
    check(POOLED[kind](), image(), ["features"])


class Recurrent(nn.Module):
    """A convolutional LSTM over the slices of a volume."""

    def __init__(self):
        super().__init__()
        self.gates, self.norm, self.head = conv(2, 7, 24, 3, padding=1), nn.BatchNorm2d(6), nn.Linear(6, 3)

    def forward(self, x):
        hidden = cell = x.new_zeros(len(x), 6, *x.shape[3:])
        for number in range(x.shape[2]):
            keep, write, read, new = self.gates(torch.cat([x[:, :, number], hidden], 1)).chunk(4, 1)
            cell = keep.sigmoid() * cell + write.sigmoid() * new.tanh()
            hidden = read.sigmoid() * cell.tanh()
        return self.head(pooled(self.norm(hidden)))


def test_a_recurrence_over_slices():
    """Each call sees its own slice, and of those before what the memory kept: far less."""
    torch.manual_seed(0)
    model, x = Recurrent().double().eval(), torch.randn(2, 1, 6, 5, 4, dtype=torch.float64)
    found = check(model, x, ["gates"])
    assert found["hirescam"].shape == (2, 6, 5, 4)


def test_a_transformer_over_the_instances_is_no_network_behind_the_image():
    torch.manual_seed(0)
    parts = {"features": nn.Sequential(conv(2, 3, 8, 3), nn.Tanh())}
    parts["aggregate"] = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = network(
        lambda net, x: net.head(net.aggregate(pooled(net.features(x.flatten(0, 1))).unflatten(0, x.shape[:2])).mean(1)),
        **parts,
        **HEAD,
    )
    x = torch.randn(2, 5, 3, 6, 7, dtype=torch.float64)
    check(model, x, ["features"])


@pytest.mark.parametrize("normed", [True, False])
def test_as_many_tokens_as_channels_are_read_where_layers_of_that_shape_tell(normed):
    torch.manual_seed(0)
    parts = {"patches": conv(2, 1, 16, 4, stride=4), "last": nn.LayerNorm(16) if normed else nn.Tanh()}
    model = network(
        lambda net, x: net.head(net.last(net.patches(x).flatten(2).mT).square().mean(1)), **parts, head=nn.Linear(16, 3)
    )
    check(model, image(), ["last" if normed else "patches"])


def test_volumes_that_become_images_are_read_by_their_own_shape():
    """The volume's channels are as many as its slices, so its shape behind them is that of the images too."""
    torch.manual_seed(0)
    volume = nn.Sequential(conv(3, 1, 8, 3, padding=1), nn.ReLU())
    model = network(
        lambda net, x: net.head(pooled(net.after(net.volume(x).mean(2)).relu())),
        volume=volume,
        after=conv(2, 8, 8, 3, padding=1),
        **HEAD,
    )
    check(model, torch.randn(2, 1, 8, 5, 6, dtype=torch.float64), ["volume"])


FEWER = r"found no layer .* fewer axes than the image: take a method at the input, as occlusion or rise, or, where"


def test_layers_of_fewer_axes_than_the_image_name_what_does():
    x = torch.randn(2, 1, 4, 5, 6, dtype=torch.float64)
    channels = network(lambda net, x: net.head(pooled(net.a(x[:, 0]).relu())), a=conv(2, 4, 8, 3), **HEAD)
    planes = network(
        lambda net, x: net.head(sum(pooled(net.a(x.amax(axis)).relu()) for axis in (2, 3, 4))),
        a=conv(2, 1, 8, 3),
        **HEAD,
    )
    for model in (channels, planes):
        with pytest.raises(ValueError, match=FEWER) as caught:
            explain(model, x, target=1)
        assert "#0" not in str(caught.value)


def test_copies_of_the_image_in_rows_name_what_does():
    model = network(
        lambda net, x: net.head(pooled(net.features(torch.cat([x, x.flip(3)]))).unflatten(0, (2, -1)).mean(0)),
        features=convolutions(),
        **HEAD,
    )
    with pytest.raises(ValueError, match=r"of slices say .*Slices\(axis\)}, of instances or copies .*Slices\(None\)}"):
        explain(model, image(), target=1)


def exported():
    model = nn.Sequential(convolutions(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)).double().eval()
    rows = ({0: torch.export.Dim.DYNAMIC},)
    return model, torch.export.export(model, (image(),), dynamic_shapes=rows).module()


def test_an_exported_program_has_no_layers_but_the_methods_at_the_input():
    torch.manual_seed(0)
    model, program = exported()
    for layers in ("auto", "0"):
        with pytest.raises(ValueError, match=r"the model is a torch.export program, .* pass the nn.Module that it was"):
            explain(program, image(), target=1, layers=layers)
    found = explain(program, image(), target=1, methods=["occlusion", "saliency"])
    expected = explain(model, image(), target=1, methods=["occlusion", "saliency"])
    for method in ("occlusion", "saliency"):
        torch.testing.assert_close(found[method].clone(), expected[method].clone())


@pytest.mark.parametrize("method", ["gradcam", "saliency", "guided_backprop", "fullgrad"])
def test_a_reentrant_checkpoint_behind_the_layer_is_refused_by_its_name(method):
    model = network(
        lambda net, x: net.head(pooled(checkpoint(net.behind, net.features(x), use_reentrant=True))),
        features=convolutions(),
        behind=nn.Sequential(conv(2, 8, 8, 3, padding=1), nn.ReLU()),
        **HEAD,
    )
    with pytest.raises(
        ValueError, match=r"torch.utils.checkpoint with use_reentrant=True, .*: give it use_reentrant=False"
    ):
        explain(model, image(), target=1, methods=method, layers="features")


def test_a_compiled_model_is_looked_at_as_it_was_written():
    model = network(plainly, features=convolutions(), **HEAD)
    compiled = torch.compile(model, backend="eager")
    with torch.no_grad():
        compiled(image())
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert find_layer(compiled, image(), memory=Memory()).name == "_orig_mod.features"
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs
