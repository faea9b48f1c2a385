"""AttnLRP on MONAI's own ViT, as it is used: relevance is conserved, and an attention that has no rule is refused."""

import pytest
import torch
from monai.networks.nets import ViT
from torch import nn
from torch.nn import functional

from cam import explain
from cam.procedures import relevance

SIZES = {2: (32, 32), 3: (24, 16, 32)}


class Read(nn.Module):
    """The class token's logits, or a linear layer on the mean of the patches' tokens."""

    def __init__(self, axes, *, pools, fused, **options):
        super().__init__()
        torch.manual_seed(5)
        settings = {"hidden_size": 24, "mlp_dim": 48, "num_layers": 3, "num_heads": 4, "num_classes": 3} | options
        settings |= {"spatial_dims": axes, "classification": not pools, "post_activation": "none"}
        self.network, self.pools = ViT(1, SIZES[axes], 8, **settings), pools
        self.head = nn.Linear(24, 3)
        for block in self.network.blocks:
            block.attn.use_flash_attention = fused

    def forward(self, x):
        read = self.network(x)[0]
        return self.head(read.mean(1)) if self.pools else read


def attnlrp(model, x, **options):
    return explain(model.eval(), x, target=1, methods="attnlrp", options={"attnlrp": options})


def image(axes, samples=2):
    return torch.randn(samples, 1, *SIZES[axes], generator=torch.Generator().manual_seed(7))


@pytest.fixture
def missing(monkeypatch):
    """What the account of every pass lacks of the relevance that started, as a share of the most that passed."""
    shares, close = [], relevance._close

    def noted(first, second, scale):
        shares.append(float(((first - second).abs().amax() / scale.abs().amax()).detach()))
        return close(first, second, scale)

    monkeypatch.setattr(relevance, "_close", noted)
    return shares


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("pools", [False, True])
def test_what_reaches_the_image_and_what_biases_and_softmaxes_keep_is_the_score(pools, fused, axes, missing):
    """Measured: 1e-14 of what passes in float64, 5e-6 in float32."""
    model, x = Read(axes, pools=pools, fused=fused), image(axes)
    single = attnlrp(model, x)
    assert max(missing) < 5e-6
    missing.clear()
    explanation = attnlrp(model.double(), x.double())
    assert missing
    assert max(missing) < 1e-13
    maps = explanation["attnlrp", "input"]
    shares = maps.flatten(1).sum(1) / explanation.logits[:, 1]
    assert explanation.notes["attnlrp", "input"].startswith(f"{shares.min():.0%} to {shares.max():.0%} of the score")
    torch.testing.assert_close(
        single["attnlrp", "input"].double(), maps, rtol=1e-3, atol=1e-3 * float(maps.abs().max())
    )


@pytest.mark.parametrize("axes", [2, 3])
def test_a_projection_of_patches_as_a_perceptron_and_biases_of_the_queries_are_conserved_too(axes, missing):
    attnlrp(Read(axes, pools=False, fused=False, proj_type="perceptron", qkv_bias=True).double(), image(axes).double())
    assert max(missing) < 1e-12


class TokensMixedBy(nn.Module):
    """Tokens without biases, and an attention that ``mix`` forms of queries, keys and values."""

    def __init__(self, mix):
        super().__init__()
        torch.manual_seed(2)
        self.patches, self.qkv = nn.Conv2d(1, 8, 4, 4, bias=False), nn.Linear(8, 24, bias=False)
        self.norm, self.head, self.mix = nn.LayerNorm(8, bias=False), nn.Linear(8, 3, bias=False), mix

    def forward(self, x):
        tokens = self.norm(self.patches(x).flatten(2).mT)
        mixed = self.mix(*(part[:, None] for part in self.qkv(tokens).chunk(3, -1)))[:, 0]
        return self.head((tokens + mixed).mean(1))


def test_without_biases_and_with_weights_that_are_not_the_images_all_of_the_score_reaches_it():
    weights = torch.rand(16, 16, dtype=torch.float64).softmax(-1)
    model, x = TokensMixedBy(lambda _q, _k, value: weights @ value).double(), image(2)[:, :, :16, :16].double()
    explanation = attnlrp(model, x, epsilon=1e-12)
    torch.testing.assert_close(explanation["attnlrp", "input"].flatten(1).sum(1), explanation.logits[:, 1])


fused = functional.scaled_dot_product_attention
REFUSED = {
    "causal": (lambda q, k, v: fused(q, k, v, is_causal=True), "a causal, grouped or random attention has no rule"),
    "of sigmoids": (lambda q, k, v: (q @ k.mT).sigmoid() @ v, "no rule for 'sigmoid'"),
    "divided by its sum": (
        lambda q, k, v: ((w := (q @ k.mT).relu()) / w.sum(-1, keepdim=True)) @ v,
        "no rule is known",
    ),
    "sharpened": (lambda q, k, v: (q @ k.mT / q.norm(dim=-1, keepdim=True)).softmax(-1) @ v, "no rule for 'norm'"),
    "of the largest alone": (lambda q, k, v: (q @ k.mT).topk(3).values.softmax(-1) @ v[:, :, :3], "no rule for 'topk'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_attention_that_has_no_rule_is_refused_in_one_line(name):
    mix, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as refusal:
        attnlrp(TokensMixedBy(mix), image(2)[:, :, :16, :16])
    assert "\n" not in str(refusal.value)
