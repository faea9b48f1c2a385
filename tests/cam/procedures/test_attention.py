"""Attention methods: the weights that the network used, on the patches that they belong to, and nothing guessed."""

import copy

import pytest
import torch
from monai.networks.blocks import SABlock
from torch import nn

from cam import Target, TokenGrid, explain
from cam.methods.attention_relevance import _relevance
from cam.procedures.attention import attended
from tests.cam.layers.test_tokens import PLACES, SWIN, ClassToken, by_hand, image, made, strided, swin, with_token
from tests.cam.networks import encoder, images, small, vit
from tests.cam.test_capture import Breaking, state_of

BOTH = ["attention_rollout", "attention_relevance"]


def maps_of(model, x, targets=(1,), methods=BOTH, **options):
    return explain(model, x, list(targets), methods=methods, **options).maps


@pytest.mark.parametrize("proj_type", ["conv", "perceptron"])
@pytest.mark.parametrize("axes", [2, 3])
def test_one_block_of_rollout_is_the_class_tokens_row_patch_by_patch(axes, proj_type):
    size, patch, grid = PLACES[axes]
    model, x = vit(size, patch, num_layers=1, proj_type=proj_type, save_attn=True), image(size)
    found = explain(model, x, [Target(0), Target(2)], methods=["attention_rollout"])
    model(x)
    weights = model.network.blocks[0].attn.att_mat.mean(dim=1)
    expected = by_hand(0.5 * weights[:, 0, :, None], 1, grid)[:, 0]
    assert not torch.allclose(expected, expected[:1].mean(), rtol=0.1)
    for label in (0, 2):
        torch.testing.assert_close(found.maps["attention_rollout", "input", label], expected)
    assert found.notes["attention_rollout", "input"] == "row of the class token"


def test_a_network_that_pools_is_shown_by_the_mean_over_its_rows():
    found = explain(encoder((4, 3)), image((8, 9)), [0], methods=BOTH)
    assert dict(found.notes) == {(name, "input"): "mean over the rows of 6 tokens" for name in BOTH}
    rollout = found["attention_rollout", "input"]
    torch.testing.assert_close(rollout.sum((1, 2)), torch.ones(2, dtype=torch.float64))


def test_the_mean_over_the_rows_is_each_tokens_share_of_all():
    model, x = encoder((4, 3), layers=1), image((8, 9))
    (weights,) = attended(model, x, differentiable=False).weights
    expected = 0.5 * weights.mean(dim=(1, 2)) + 0.5 / 6
    found = maps_of(model, x, methods=["attention_rollout"])["attention_rollout", "input", 1]
    torch.testing.assert_close(found.flatten(1), expected)
    assert not torch.allclose(weights.mean(dim=(1, 2)), weights[:, :, 0].mean(dim=1), rtol=0.05)


def parts(change):
    """The same ViT with its attentions changed in place."""
    model = made(2)[0]
    for block in model.network.blocks:
        change(block.attn)
    return model


def flash(attention):
    attention.use_flash_attention = True


def apart(attention):
    """Query, key and value by three linear layers of the same weights."""
    made_apart = SABlock(8, 2, use_combined_linear=False).double().eval()
    for one, weight in zip(("to_q", "to_k", "to_v"), attention.qkv.weight.chunk(3), strict=True):
        getattr(made_apart, one).weight = nn.Parameter(weight.detach().clone())
    attention.to_q, attention.to_k, attention.to_v = made_apart.to_q, made_apart.to_k, made_apart.to_v
    attention.input_rearrange, attention.use_combined_linear = made_apart.input_rearrange, False


@pytest.mark.parametrize("change", [flash, apart])
def test_how_monai_computes_its_attention_does_not_matter(change):
    model, x, _ = made(2)
    expected = maps_of(model, x)
    changed = parts(change)
    for key, maps in maps_of(changed, x).items():
        torch.testing.assert_close(maps, expected[key])


def test_relative_positions_count():
    model, x, _ = made(2)

    class Ramp(nn.Module):
        def forward(self, _x, scores, _query):
            return scores + torch.arange(scores.shape[-1])

    def relative(attention):
        attention.rel_positional_embedding = Ramp().eval()

    found, plain = maps_of(parts(relative), x), maps_of(model, x)
    assert all(not torch.allclose(found[key], plain[key]) for key in plain)


@pytest.mark.parametrize("options", [{"batch_first": False}, {"norm_first": True}], ids=str)
def test_torch_encoders_of_every_form(options):
    model, x = encoder((4, 3), **options), image((8, 9))
    found = maps_of(model, x)
    if options == {"batch_first": False}:
        expected = maps_of(encoder((4, 3)), x)
        for key in found:
            torch.testing.assert_close(found[key], expected[key])
    assert all(one.shape == (2, 2, 3) and bool(one.any()) for one in found.values())


@pytest.mark.parametrize("make", [lambda: made(3)[0], lambda: encoder(PLACES[3][1])], ids=["vit", "encoder"])
def test_a_batch_with_a_target_each_is_its_samples_one_by_one(make):
    model, x = make(), image(PLACES[3][0], batch=3)
    labels = [2, 0, 1]
    each = Target(labels)
    whole = maps_of(model, x, [each, 1])
    halved = maps_of(model, x, [each, 1], rows=2)
    for name in BOTH:
        for target in (each, 1):
            torch.testing.assert_close(halved[name, "input", target], whole[name, "input", target])
        for sample, label in enumerate(labels):
            alone = maps_of(model, x[[sample]], [label])[name, "input", label]
            torch.testing.assert_close(whole[name, "input", each][[sample]], alone)
    relevance = [whole["attention_relevance", "input", target] for target in (each, 1)]
    assert not torch.allclose(relevance[0][0], relevance[1][0])
    torch.testing.assert_close(relevance[0][2], relevance[1][2])


@pytest.mark.parametrize(
    "around", [torch.no_grad, torch.inference_mode, torch.enable_grad], ids=lambda one: one.__name__
)
def test_frozen_models_and_any_mode_around(around):
    model, x, _ = made(2)
    expected = maps_of(model, x)
    model.requires_grad_(False)
    with around():
        found = maps_of(model, x)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("make", [lambda: made(2)[0], lambda: encoder((4, 3))], ids=["vit", "encoder"])
def test_the_logits_are_those_of_the_model_and_nothing_is_left_behind(make):
    model, x = make(), image((8, 9))
    before = copy.deepcopy(state_of(model))
    passed = attended(model, x, differentiable=True)
    torch.testing.assert_close(passed.logits, model(x))
    assert all(one.requires_grad for one in passed.weights)
    assert not any(one.requires_grad for one in attended(model, x, differentiable=False).weights)
    maps_of(model, x)
    assert state_of(model) == before
    attributes = [sorted(vars(module)) for module in model.modules()]
    assert attributes == [sorted(vars(module)) for module in copy.deepcopy(model).modules()]


def test_nothing_is_left_behind_after_an_exception():
    model, x, _ = made(2)
    model.network.classification_head = Breaking().eval()
    before = copy.deepcopy(state_of(model))
    for name in BOTH:
        with pytest.raises(RuntimeError, match="broken on purpose"):
            attended(model, x, differentiable=name == BOTH[1])
        assert state_of(model) == before


class Crossed(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.embed, self.attention = strided(), nn.MultiheadAttention(8, 2, batch_first=True, **options)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        return self.head(self.attend(tokens).mean(dim=1))

    def attend(self, tokens):
        return self.attention(tokens, tokens.flip(1), tokens.flip(1))[0]


class Masked(Crossed):
    def attend(self, tokens):
        return self.attention(tokens, tokens, tokens, attn_mask=torch.ones(6, 6).triu(1).bool())[0]


class Sized(Crossed):
    def __init__(self):
        super().__init__(kdim=8, vdim=6)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, kdim=8, vdim=6)

    def attend(self, tokens):
        return self.attention(tokens, tokens, tokens[..., :6])[0]


class Uneven(Crossed):
    def attend(self, tokens):
        first = self.attention(tokens, tokens, tokens)[0]
        half = first[:, :4]
        return self.attention(half, half, half)[0]


class BatchOnly(Crossed):
    def forward(self, x):
        return self.head(self.attend(self.embed(x).mean((2, 3))[None])[0])

    def attend(self, tokens):
        return self.attention(tokens, tokens, tokens)[0]


class Mine(Crossed):
    def __init__(self):
        super().__init__()
        self.attention = LinearAttention()

    def attend(self, tokens):
        return self.attention(tokens)


class LinearAttention(nn.Module):
    def forward(self, x):
        return x.softmax(dim=1) * x


REFUSED = {
    Crossed: "attention 'attention' attends from one sequence to another; supported are nn.MultiheadAttention",
    Sized: "attention 'attention' attends from one sequence to another",
    Masked: "attention 'attention' does more than its weights and values tell",
    Uneven: r"every attention must see the same tokens of 2 samples; .* weights are \(2, 2, 6, 6\) at",
    BatchOnly: "every attention must see the same tokens of 2 samples",
    Mine: "attention of type LinearAttention forms no weights; known are nn.MultiheadAttention",
}


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("kind", REFUSED, ids=lambda one: one.__name__)
def test_an_attention_that_is_not_known_is_refused(kind, name):
    torch.manual_seed(0)
    model = kind().double().eval()
    before = copy.deepcopy(state_of(model))
    with pytest.raises(ValueError, match=REFUSED[kind]):
        maps_of(model, image((8, 9)), methods=[name])
    assert state_of(model) == before


def test_window_attention_is_refused():
    with pytest.raises(ValueError, match="every attention must see the same tokens of 2 samples; those of windows"):
        maps_of(swin(2), image(SWIN[2]))


def test_a_network_without_attention_is_refused():
    with pytest.raises(ValueError, match="Small uses no attention that can be explained"):
        maps_of(small(2, rectified=True, affine=True), images(2))


def test_tokens_without_known_places_are_refused_and_may_be_stated():
    model, x = with_token(nn.Sequential(strided(), nn.Identity()), behind=True), image((8, 9))
    with pytest.raises(ValueError, match=r"layer 'block.self_attn' attends to 7 tokens .* state them: grids="):
        maps_of(model, x)
    stated = maps_of(model, x, grids={"block.self_attn": TokenGrid((3, 2), 1)})
    assert all(one.shape == (2, 3, 2) for one in stated.values())
    with pytest.raises(ValueError, match="places in the image are not known"):
        maps_of(model, x, grids={"block.self_attn": TokenGrid((3, 3), 1)})


def test_the_tokens_that_the_classifier_reads_are_measured():
    """A class token beside patches that are pooled: the rows of all of them count."""

    class Pooled(ClassToken):
        def forward(self, x):
            patches = self.stem(x).flatten(2).transpose(1, 2)
            return self.head(self.block(torch.cat([self.token.expand(len(x), -1, -1), patches], 1))[:, 1:].mean(1))

    torch.manual_seed(0)
    found = explain(Pooled(strided()).double().eval(), image((8, 9)), [0], methods=BOTH)
    assert set(found.notes.values()) == {"mean over the rows of 6 tokens"}


def test_autocast():
    model, x = made(2)[0].float(), image((8, 9)).float()
    expected = maps_of(model, x)
    with torch.autocast("cpu", torch.bfloat16):
        found = maps_of(model, x)
    for key, maps in found.items():
        assert maps.dtype is torch.float32
        assert torch.corrcoef(torch.stack([maps.flatten(), expected[key].flatten()]))[0, 1] > 0.9


def test_the_products_keep_their_precision_under_autocast():
    passed = attended(made(2)[0].float(), image((8, 9)).float(), differentiable=True)
    expected = _relevance(passed, Target(1))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(_relevance(passed, Target(1)), expected)
