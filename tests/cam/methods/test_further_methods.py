"""What the newer methods keep beside their oracles: identities, and targets and layers that they refuse."""

import pytest
import torch

from cam import Difference, explain
from cam.procedures.attention import attended
from tests.cam.networks import KINDS, images, small, vit


def mapped(method, model, x, target=1, layers=("layer",), **options):
    found = explain(model, x, target=target, methods=method, layers=layers, options={method: options})
    return next(iter(found.maps.values()))


def test_shapleycam_is_gradcam_where_the_softmax_has_saturated():
    model, x = small(2, rectified=True, affine=True), images(2)
    with torch.no_grad():
        model.tail[2].bias[1] = 60.0  # the label is certain: its log-probability is flat
    torch.testing.assert_close(mapped("shapleycam", model, x), mapped("gradcam", model, x))


def test_shapleycam_refuses_what_is_no_label():
    with pytest.raises(ValueError, match="method 'shapleycam' explains a label of one row of logits, not Difference"):
        mapped("shapleycam", KINDS["affine-signed"](2), images(2), Difference(0, 1))


def test_refinecam_needs_two_layers():
    with pytest.raises(ValueError, match=r"method 'refinecam' needs at least two layers, not \['layer'\]"):
        mapped("refinecam", KINDS["affine-signed"](2), images(2))


def test_refinecam_leaves_only_what_every_layer_marks():
    model, x = small(2, rectified=True, affine=False), images(2)
    found = explain(model, x, target=1, methods=["refinecam", "gradcampp"], layers=["trunk", "layer"])
    joint, coarse = found["refinecam", "trunk+layer"], found["gradcampp", "layer"]
    assert float(joint.min()) >= 0
    assert float(joint.max()) <= 1
    assert joint.shape == found["gradcampp", "trunk"].shape
    assert not joint[~coarse.flatten(1).any(dim=1)].any()


def test_the_maps_of_all_channels_sum_to_lrps():
    model, x = small(2, rectified=True, affine=False), images(2)
    every = [mapped("concept_relevance", model, x, channel=channel) for channel in range(3)]
    torch.testing.assert_close(sum(every), mapped("lrp", model, x))
    notes = explain(model, x, [1, 0], methods="concept_relevance", layers="layer").notes
    assert notes["concept_relevance", "layer"].count(", ") == 4
    assert notes["concept_relevance", "layer"].startswith("channels by target and sample: ")


def test_a_channel_that_is_none_and_a_layer_without_a_grid_are_refused():
    model, x = small(2, rectified=True, affine=False), images(2)
    with pytest.raises(ValueError, match=r"concept_relevance\.channel must lie within 0 and 2, not 3"):
        mapped("concept_relevance", model, x, channel=3)
    with pytest.raises(ValueError, match=r"must be called once and return channels on a grid \(B, C, \*S\)"):
        mapped("concept_relevance", Repeated().double().eval(), x, layers=["inner#0"])


class Repeated(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.head = torch.nn.Conv2d(1, 1, 3, padding=1), torch.nn.Linear(36, 3)

    def forward(self, x):
        return self.head(self.inner(self.inner(x).relu()).flatten(1))


def test_legrad_of_the_last_attention_alone_is_the_gradient_of_the_networks_own_score():
    model, x = vit([6, 6], (2, 3)), images(2)
    with torch.enable_grad():
        passed = attended(model, x, differentiable=True)
        (gradient,) = torch.autograd.grad(passed.logits[:, 1].sum(), passed.weights[-1])
    expected = gradient.relu().mean(dim=(1, 2))[:, 1:].reshape(3, 3, 2)
    torch.testing.assert_close(mapped("legrad", model, x, last=1), expected)
    assert not torch.allclose(mapped("legrad", model, x, last=2), expected)


def test_legrad_refuses_attentions_that_are_no_stack_of_blocks():
    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = torch.nn.Conv2d(1, 4, 2, stride=2), torch.nn.Linear(4, 2)
            self.first = torch.nn.MultiheadAttention(4, 1, batch_first=True)
            self.second = torch.nn.MultiheadAttention(4, 1, batch_first=True)

        def forward(self, x):
            x = self.embed(x).flatten(2).transpose(1, 2)
            x = x + self.first(x, x, x)[0]
            return self.head((x + self.second(x, x, x)[0]).mean(1))

    with pytest.raises(ValueError, match="needs the attentions of one stack of blocks; 'first' and 'second' are not"):
        mapped("legrad", Two().double().eval(), images(2))


class Fused(torch.nn.Module):
    """One attention by torch's fused function, with a class token in front."""

    def __init__(self, fused=True):
        super().__init__()
        self.embed, self.qkv, self.head = (
            torch.nn.Conv2d(1, 4, 2, stride=2),
            torch.nn.Linear(4, 12),
            torch.nn.Linear(4, 2),
        )
        self.token, self.fused = torch.nn.Parameter(torch.ones(1, 1, 4)), fused

    def forward(self, x):
        x = torch.cat([self.token.expand(len(x), -1, -1), self.embed(x).flatten(2).transpose(1, 2)], dim=1)
        query, key, value = self.qkv(x).reshape(*x.shape[:2], 3, 2, 2).permute(2, 0, 3, 1, 4)
        if self.fused:
            mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value)
        else:
            mixed = (query @ key.transpose(-2, -1)).softmax(dim=-1) @ value
        return self.head(mixed.transpose(1, 2).flatten(2)[:, 0])


def test_grad_eclip_weighs_the_values_with_the_gradient_at_the_class_tokens_output():
    torch.manual_seed(0)
    model, x = Fused().double().eval(), images(2)
    tokens = torch.cat([model.token.expand(3, -1, -1), model.embed(x).flatten(2).transpose(1, 2)], dim=1)
    query, key, value = model.qkv(tokens).detach().chunk(3, dim=2)
    worth = value @ model.head.weight[1].detach()
    alike = torch.nn.functional.cosine_similarity(query[:, :1], key, dim=2)[:, 1:]
    low, high = alike.aminmax(dim=1, keepdim=True)
    expected = (worth[:, 1:] * (alike - low) / (high - low)).relu().view(3, 3, 3)
    torch.testing.assert_close(mapped("grad_eclip", model, x), expected)


def test_grad_eclip_refuses_what_does_not_tell_its_queries_or_reads_many_tokens():
    with pytest.raises(ValueError, match="does not tell its queries and keys: take legrad"):
        mapped("grad_eclip", Fused(fused=False).double().eval(), images(2))
    with pytest.raises(ValueError, match="needs a network that reads one token, and 6 are read: take legrad"):
        mapped("grad_eclip", KINDS["encoder"](2), images(2))
