"""Attentions as Hugging Face, timm and hand-written networks form them: traced, and the same maps as by hand."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from cam import Similarity, Target, TokenGrid, explain
from cam.procedures.attention import attended
from tests.cam.networks import conv, vivid
from tests.zoo.torchvision_operators import undeclared

PLACES = {2: ((8, 9), (4, 3), (2, 3)), 3: ((4, 4, 6), (2, 2, 3), (2, 2, 2))}
BOTH = ["attention_rollout", "attention_relevance"]
HEADS, WIDTH = 2, 8


def eager(q, k, v, mask):
    """As Hugging Face's ``eager_attention_forward``: a softmax in float32, a cast, a dropout, a product."""
    scores = torch.matmul(q, k.transpose(2, 3)) * q.shape[-1] ** -0.5
    scores = scores if mask is None else scores + mask
    weights = functional.softmax(scores, dim=-1).to(q.dtype)
    return torch.matmul(functional.dropout(weights, p=0.1, training=False), v)


def fused(q, k, v, mask):
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def scaled_first(q, k, v, mask):
    """As timm's ``Attention`` without its fused kernel."""
    weights = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    weights = weights if mask is None else weights + mask
    return weights.softmax(dim=-1) @ v


def heads_in_the_batch(q, k, v, mask):
    """As CLIP and old fairseq: (batch x heads, tokens, tokens) and ``bmm``."""
    flat = [each.flatten(0, 1) for each in (q, k, v)]
    scores = torch.bmm(flat[0], flat[1].transpose(1, 2)) / math.sqrt(q.shape[-1])
    scores = scores if mask is None else scores + mask
    return torch.bmm(torch.softmax(scores, -1), flat[2]).view(q.shape)


def by_einsum(q, k, v, mask):
    scores = torch.einsum("bhnd,bhmd->bhnm", q, k) * q.shape[-1] ** -0.5
    scores = scores if mask is None else scores + mask
    return torch.einsum("bhnm,bhmd->bhnd", nn.Softmax(dim=-1)(scores), v)


WAYS = {function.__name__: function for function in (eager, fused, scaled_first, heads_in_the_batch, by_einsum)}


class SelfAttention(nn.Module):
    def __init__(self, way, mask):
        super().__init__()
        self.qkv, self.out, self.way, self.mask = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH), way, mask

    def forward(self, tokens):
        q, k, v = self.qkv(tokens).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        mixed = self.way(q, k, v, self.mask)
        return self.out(mixed.transpose(1, 2).flatten(2)), None


class Block(nn.Module):
    def __init__(self, way, mask):
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(WIDTH), SelfAttention(way, mask)

    def forward(self, tokens):
        return tokens + self.attention(self.norm(tokens))[0]


class Transformer(nn.Module):
    """Patches, ``prefix`` tokens in front (class, registers), blocks, and the class token or the mean."""

    def __init__(self, axes, way, prefix=1, bias=False, blocks=2):
        super().__init__()
        patch, count = PLACES[axes][1], math.prod(PLACES[axes][2])
        self.patches, self.prefix = (
            conv(axes, 1, WIDTH, patch, stride=patch),
            nn.Parameter(torch.zeros(1, prefix, WIDTH)),
        )
        self.positions = nn.Parameter(torch.zeros(1, prefix + count, WIDTH))
        mask = torch.linspace(-2, 2, (prefix + count) ** 2).double().view(prefix + count, -1) if bias else None
        self.blocks = nn.Sequential(*[Block(way, mask) for _ in range(blocks)])
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3)

    def embed(self, x):
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        return torch.cat([self.prefix.expand(len(x), -1, -1), tokens], dim=1) + self.positions

    def read(self, tokens):
        return self.head(self.norm(tokens)[:, 0] if self.prefix.shape[1] else self.norm(tokens).mean(1))

    def forward(self, x):
        return self.read(self.blocks(self.embed(x)))


def network(axes, way="eager", **options):
    torch.manual_seed(0)
    return vivid(Transformer(axes, WAYS.get(way, way), **options))


def image(axes, batch=2):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 1, *PLACES[axes][0], generator=generator, dtype=torch.float64)


def by_hand(model, axes, x, label):
    """Return rollout and relevance (B, *S) from the weights of a forward written out, in the order of the formulas."""
    tokens, weights = model.embed(x), []
    for whole in model.blocks:
        block = whole.attention
        q, k, v = block.qkv(whole.norm(tokens)).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        scores = torch.einsum("bhnd,bhmd->bhnm", q, k) / math.sqrt(q.shape[-1])
        exponents = torch.exp(scores if block.mask is None else scores + block.mask)
        weights.append(exponents / exponents.sum(-1, keepdim=True))
        weights[-1].retain_grad()
        tokens = tokens + block.out(torch.einsum("bhnm,bhmd->bnhd", weights[-1], v).flatten(2))
    model.read(tokens)[:, label].sum().backward()
    count = weights[0].shape[-1]
    rollout = relevance = torch.eye(count, dtype=x.dtype).expand(len(x), -1, -1)
    for values in weights:
        mean = values.detach().mean(1)
        rollout = (0.5 * mean + 0.5 * torch.eye(count, dtype=x.dtype)) @ rollout
        relevance = relevance + (values.grad * values.detach()).clamp(min=0).mean(1) @ relevance
    model.zero_grad()
    prefix = model.prefix.shape[1]
    rows = [(each[:, 0] if prefix else each.mean(1))[:, prefix:] for each in (rollout, relevance)]
    return [row.reshape(len(x), *PLACES[axes][2]) for row in rows]


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "options", [{}, {"prefix": 0}, {"prefix": 3, "bias": True}], ids=["class", "mean", "registers"]
)
def test_both_methods_are_those_by_hand(axes, way, options):
    model, x = network(axes, way, **options), image(axes)
    found = explain(model, x, target=2, methods=BOTH)
    for name, expected in zip(BOTH, by_hand(model, axes, x, 2), strict=True):
        torch.testing.assert_close(found.maps[name, "input", 2], expected)
        assert float(expected.std()) > 1e-4, "an even map proves nothing"


@pytest.mark.parametrize("way", WAYS)
def test_the_logits_are_those_of_the_model_and_it_is_left_as_it_was(way):
    model, x = network(2, way), image(2)
    passed = attended(model, x, differentiable=True)
    torch.testing.assert_close(passed.logits, model(x))
    assert passed.names == ("blocks.0.attention", "blocks.1.attention")
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    whole = explain(model, x, target=Target([2, 0]), methods=BOTH)
    frozen = explain(model.requires_grad_(False), x[[1]], target=0, methods=BOTH)
    for name in BOTH:
        torch.testing.assert_close(whole[name][[1]].clone(), frozen[name].clone())


def test_a_causal_mask_and_a_boolean_one_count():
    causal = network(2, lambda q, k, v, _: functional.scaled_dot_product_attention(q, k, v, is_causal=True), prefix=0)
    seen = torch.ones(6, 6, dtype=torch.bool).tril()
    masked = network(2, lambda q, k, v, _: functional.scaled_dot_product_attention(q, k, v, seen), prefix=0)
    plain, x = network(2, "fused", prefix=0), image(2)
    maps = [explain(model, x, target=1, methods=BOTH) for model in (causal, masked, plain)]
    for name in BOTH:
        torch.testing.assert_close(maps[0][name].clone(), maps[1][name].clone())
        assert not torch.allclose(maps[0][name], maps[2][name])


def mixed_heads(q, k, v, _mask):
    """Talking heads, as in CaiT: the weights of one head go into another's."""
    weights = (q @ k.transpose(2, 3)).softmax(-1)
    return (weights + weights.flip(1)) / 2 @ v


def pooled_keys(q, k, v, _mask):
    return (q @ k[:, :, ::2].transpose(2, 3)).softmax(-1) @ v[:, :, ::2]


def linear(q, k, v, _mask):
    return q @ (k.softmax(2).transpose(2, 3) @ v)


def dropping(q, k, v, _mask):
    return functional.scaled_dot_product_attention(q, k, v, dropout_p=0.5)


REFUSED = [
    (mixed_heads, "attention 'blocks.0.attention' changes its weights between the softmax and the values"),
    (pooled_keys, "attention 'blocks.0.attention' attends from 7 tokens to 4; known"),
    (linear, "attention of type SelfAttention forms no weights; known are"),
    (dropping, "draws a dropout of 0.5 in evaluation mode|gives other logits"),
]


@pytest.mark.parametrize(("way", "message"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("method", BOTH)
def test_what_cannot_be_traced_is_refused(way, message, method):
    with pytest.raises(ValueError, match=message):
        explain(network(2, way), image(2), target=1, methods=method)


class Pooled(nn.Module):
    """A transformer whose tokens are pooled by an attention with one query, as SigLIP's and timm's heads do."""

    def __init__(self, is_module):
        super().__init__()
        self.encoder, self.query, self.head = (
            Transformer(2, eager, prefix=0),
            nn.Parameter(torch.zeros(1, 1, WIDTH)),
            nn.Linear(WIDTH, 3),
        )
        self.pooling = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True) if is_module else None

    def forward(self, x):
        tokens = self.encoder.blocks(self.encoder.embed(x))
        query = self.query.expand(len(x), -1, -1)
        if self.pooling is not None:
            return self.head(self.pooling(query, tokens, tokens)[0][:, 0])
        return self.head(((query @ tokens.transpose(1, 2)).softmax(-1) @ tokens)[:, 0])


@pytest.mark.parametrize("is_module", [True, False])
def test_a_pooling_attention_is_passed_over_and_the_note_says_so(is_module):
    torch.manual_seed(0)
    model, x = vivid(Pooled(is_module)), image(2)
    found = explain(model, x, target=1, methods=BOTH)
    for name in BOTH:
        assert found.notes[name, "input"] == "mean over the rows of 6 tokens; one attention that pools is passed over"
    torch.testing.assert_close(found["attention_rollout"].clone(), by_hand(model.encoder, 2, x, 1)[0])


def test_a_softmax_that_is_no_attention_is_let_be():
    """Channels, a gate over tokens and the weights' own picture are no attention."""

    def watched(q, k, v, mask):
        weights = (q @ k.transpose(2, 3) * q.shape[-1] ** -0.5).softmax(-1)
        watched.seen = weights.detach().mean(1)
        return weights @ v

    model, x = network(2, watched), image(2)
    head = model.head
    model.head = nn.Sequential(nn.Softmax(dim=1), head)
    model.patches = nn.Sequential(model.patches, nn.Softmax(dim=1))
    assert attended(model.eval(), x, differentiable=True).names == ("blocks.0.attention", "blocks.1.attention")


class Clip(nn.Module):
    """An image encoder as CLIP's: a transformer whose class token is projected to where texts lie."""

    def __init__(self, axes):
        super().__init__()
        self.encoder, self.visual_projection = Transformer(axes, fused), nn.Linear(3, 5, bias=False)

    def forward(self, x):
        features = self.visual_projection(self.encoder(x))
        return {"image_embeds": features / features.norm(dim=-1, keepdim=True), "last_hidden_state": x}


@pytest.mark.parametrize("axes", [2, 3])
def test_a_text_is_a_target_of_every_kind_of_method(axes):
    torch.manual_seed(0)
    model, x = vivid(Clip(axes)), image(axes)
    texts = torch.randn(2, 5, dtype=torch.float64)
    methods = ["gradcam", "xgradcam", "scorecam", *BOTH, "occlusion"]
    found = explain(model, x, [Similarity(text) for text in texts], methods=methods, rectify=False)
    for method in methods:
        first, second = (values for (name, _, _), values in found if name == method)
        assert first.shape[1:] in (PLACES[axes][2], x.shape[2:])
        assert method in ("attention_rollout",) or not torch.equal(first, second)
    embeds = model(x)["image_embeds"].detach()
    expected = (embeds * texts[0] / texts[0].norm()).sum(1)
    torch.testing.assert_close(Similarity(texts[0]).scores(found.logits), expected)


def of_hugging_face(name, attention):
    transformers = pytest.importorskip("transformers")
    settings = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
    settings |= {} if "Dino" in name else {"intermediate_size": 16}
    text = {
        "vocab_size": 16,
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
    }
    text |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    given = {"vision_config": settings, "text_config": text} if name in ("CLIP", "Siglip") else settings
    with undeclared():
        config = getattr(transformers, f"{name}Config")(num_labels=3, attn_implementation=attention, **given)
        return getattr(transformers, f"{name}ForImageClassification")(config).eval()


@pytest.mark.parametrize("name", ["ViT", "DeiT", "Dinov2", "Dinov2WithRegisters", "CLIP", "Siglip", "Beit"])
def test_networks_of_hugging_face_are_traced_however_they_attend(name):
    with undeclared():
        pytest.importorskip("transformers")
    x, maps = torch.randn(2, 3, 32, 32), {}
    for attention in ("eager", "sdpa"):
        torch.manual_seed(0)
        model = of_hugging_face(name, attention)
        maps[attention] = explain(model, x, target=1, methods=BOTH)
    for method in BOTH:
        assert maps["eager"][method].shape == (2, 4, 4)
        torch.testing.assert_close(maps["eager"][method].clone(), maps["sdpa"][method].clone(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "vit_small_patch14_reg4_dinov2"]
)
def test_networks_of_timm_are_traced_however_they_attend(name):
    with undeclared():
        timm = pytest.importorskip("timm")
        torch.manual_seed(0)
        model = timm.create_model(name, pretrained=False, num_classes=3, img_size=56, patch_size=14, depth=2).eval()
    nn.init.normal_(model.head.weight)
    x, maps = torch.randn(2, 3, 56, 56), []
    for is_fused in (True, False):
        for block in model.blocks:
            block.attn.fused_attn = is_fused
        maps.append(explain(model, x, target=1, methods=BOTH))
    for method in BOTH:
        assert maps[0][method].shape == (2, 4, 4)
        torch.testing.assert_close(maps[0][method].clone(), maps[1][method].clone(), rtol=1e-3, atol=1e-5)


def test_where_the_tokens_lie_may_be_stated_by_the_traced_modules_name():
    model, x = network(2, prefix=0), image(2)
    shuffled = model.embed
    model.embed = lambda images: shuffled(images).flip(1)
    with pytest.raises(
        ValueError, match=r"attends to 6 tokens whose places .* grids=\{'blocks.1.attention': TokenGrid"
    ):
        explain(model, x, target=1, methods="attention_rollout")
    found = explain(model, x, target=1, methods="attention_rollout", grids={"blocks.1.attention": TokenGrid((2, 3))})
    assert found["attention_rollout"].shape == (2, 2, 3)
