"""Maps beside those of the authors' own code, run as it is from clones of their repositories; skipped without.

What is equal and to what is in docs/methods-authors.md; where the two differ, the method's card says how.
"""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from cam import explain
from tests.cam.methods.authors import clones, forget, text_of, unpacked, without
from tests.cam.networks import conv, images, small

WIDTH, LABELS = 8, 3


@pytest.fixture(autouse=True)
def _clean():
    yield
    forget("legrad", "pytorch_grad_cam", "crp", "lxt", "zennit")


def ours(model, x, method, layers="auto", **options):
    maps = explain(model, x, target=1, methods=method, layers=layers, options={method: options}).maps
    return next(iter(maps.values()))


def projected(block, tokens, heads):
    """Return queries, keys and values (B, heads, N, d) of torch's attention."""
    values = functional.linear(tokens, block.attn.in_proj_weight, block.attn.in_proj_bias)
    return values.reshape(*tokens.shape[:2], 3, heads, WIDTH // heads).permute(2, 0, 3, 1, 4)


class PreNormBlock(nn.Module):
    def __init__(self, heads):
        super().__init__()
        self.attn = nn.MultiheadAttention(WIDTH, heads, batch_first=True)
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 16), nn.GELU(), nn.Linear(16, WIDTH))

    def forward(self, tokens):
        normed = self.ln_1(tokens)
        tokens = tokens + self.attn(normed, normed, normed, need_weights=False)[0]
        return tokens + self.mlp(self.ln_2(tokens))

    def by_hand(self, tokens, heads):
        """Return the tokens, and the weights (B * heads, N, N) that they hang on."""
        query, key, value = projected(self, self.ln_1(tokens), heads)
        weights = (query @ key.mT * math.sqrt(heads / WIDTH)).softmax(-1).flatten(0, 1)
        mixed = (weights.view(len(tokens), heads, *weights.shape[1:]) @ value).transpose(1, 2).flatten(2)
        tokens = tokens + functional.linear(mixed, self.attn.out_proj.weight, self.attn.out_proj.bias)
        return tokens + self.mlp(self.ln_2(tokens)), weights


class ImageEncoder(nn.Module):
    """As CLIP's image encoder: a class token, pre-norm blocks, and a likeness to texts or a linear layer."""

    def __init__(self, heads, reads):
        super().__init__()
        self.patches, self.token = nn.Conv2d(1, WIDTH, 2, 2), nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.blocks, self.ln_post = nn.ModuleList(PreNormBlock(heads) for _ in range(4)), nn.LayerNorm(WIDTH)
        self.proj, self.reads = nn.Parameter(torch.zeros(WIDTH, 5)), reads
        self.register_buffer("texts", functional.normalize(torch.randn(LABELS, 5), dim=1))

    def embedded(self, x):
        return torch.cat([self.token.expand(len(x), -1, -1), self.patches(x).flatten(2).mT], dim=1)

    def read(self, tokens):
        features = tokens.mean(1) if self.reads == "mean" else tokens[:, 0]
        return functional.normalize(self.ln_post(features) @ self.proj, dim=1) @ self.texts.T

    def forward(self, x):
        tokens = self.embedded(x)
        for block in self.blocks:
            tokens = block(tokens)
        return self.read(tokens)


def transformer(heads=2, reads="class token"):
    torch.manual_seed(3)
    model = ImageEncoder(heads, reads).double().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0, 0.6)
    return model, torch.randn(1, 1, 8, 8, dtype=torch.float64)


def scaled(values):
    return (values - values.min()) / (values.max() - values.min())


@pytest.mark.parametrize("reads", ["mean", "class token"])
def test_legrad(reads, tmp_path, monkeypatch):
    """Equal where the network reads the mean of its tokens, as the authors' score of a layer does of every network."""
    names = "torchvision torchvision.transforms cv2 open_clip open_clip.transformer open_clip.timm_model timm"
    without(monkeypatch, *names.split(), "timm.layers")
    unpacked("LeGrad", "legrad", tmp_path, monkeypatch)
    from legrad.wrapper import LeWrapper

    model, x = transformer(reads=reads)
    blocks = nn.Sequential(*model.blocks)

    def encoded(image):
        tokens = model.embedded(image)
        for block in blocks:
            tokens, block.attn.attention_maps = block.by_hand(tokens, 2)
            block.feat_post_mlp = tokens.transpose(0, 1)

    visual = nn.Module()
    visual.transformer, visual.ln_post, visual.proj = nn.Module(), model.ln_post, model.proj
    visual.transformer.resblocks = blocks
    wrapper = SimpleNamespace(visual=visual, starting_depth=0, patch_size=1, encode_image=encoded)
    theirs = LeWrapper.compute_legrad_clip(wrapper, model.texts[1:2], x)[0, 0].detach()
    apart = float((scaled(ours(model, x, "legrad")[0]) - theirs).abs().max())
    assert apart < 1e-12 if reads == "mean" else apart > 1e-3


@pytest.mark.parametrize("heads", [1, 2])
def test_grad_eclip(heads):
    """Equal where the last attention has one head: the authors' code gives it one, whatever it has."""
    notebook = json.loads(text_of(clones() / "Grad-Eclip", "gradeclip_adaptation_vit.ipynb"))
    (cell,) = (text for cell in notebook["cells"] if "def grad_eclip" in (text := "".join(cell["source"])))
    names = {"torch": torch, "F": functional}
    exec(cell.split("def visualize")[0], names)
    model, x = transformer(heads)
    tokens = model.embedded(x)
    for block in model.blocks[:-1]:
        tokens = block(tokens)
    last = model.blocks[-1]
    query, key, value = projected(last, last.ln_1(tokens), 1)
    mixed = ((query @ key.mT * math.sqrt(heads / WIDTH)).softmax(-1) @ value)[:, 0]
    tokens = tokens + functional.linear(mixed, last.attn.out_proj.weight, last.attn.out_proj.bias)
    score = model.read(tokens + last.mlp(last.ln_2(tokens)))[:, 1].sum()
    theirs = names["grad_eclip"](score, query.detach(), key.detach(), value.detach(), mixed, (4, 4))
    apart = float((ours(model, x, "grad_eclip")[0] - theirs).abs().max() / theirs.abs().max())
    assert apart < 1e-12 if heads == 1 else apart > 1e-6


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("affine", [True, False])
def test_shapleycam(affine, axes, tmp_path, monkeypatch):
    names = "cv2 ttach torchvision torchvision.ops torchvision.transforms sklearn sklearn.decomposition sklearn.cluster"
    without(monkeypatch, *names.split())
    unpacked("pytorch-grad-cam", "pytorch_grad_cam", tmp_path, monkeypatch)
    from pytorch_grad_cam import ShapleyCAM, base_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputReST

    kept = []
    monkeypatch.setattr(base_cam, "scale_cam_image", lambda values, _size=None: (kept.append(values.copy()), values)[1])
    model, x = small(axes, rectified=False, affine=affine), images(axes)
    ShapleyCAM(model, [model.layer])(x.clone(), [ClassifierOutputReST(1)] * len(x))
    np.testing.assert_allclose(ours(model, x, "shapleycam", "layer"), kept[0], rtol=1e-9, atol=1e-12)


def test_refinecam():
    """The authors' scaling and product, of our Grad-CAM++ (theirs has an epsilon), on the finest layer's grid."""
    names: dict = {"torch": torch, "__name__": "theirs"}
    code = text_of(clones() / "RefineCAM", "utils/util.py").split("\ndef min_max_normalize")[1].split("\ndef ")[0]
    exec("def min_max_normalize" + code, names)
    exec(text_of(clones() / "RefineCAM", "utils/mix_attributions.py"), names)
    model, x = small(2, rectified=False, affine=False), images(2)
    explanation = explain(model, x, target=1, methods=["refinecam", "gradcampp"], layers=["trunk", "layer"])
    maps = [names["min_max_normalize"](explanation["gradcampp", layer][:, None]) for layer in ("layer", "trunk")]
    size = maps[1].shape[2:]
    expected = names["MultiplierMix"]()([functional.interpolate(each, size, mode="bilinear") for each in maps])[:, 0]
    torch.testing.assert_close(explanation["refinecam", "trunk+layer"], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("channel", [0, 3])
def test_concept_relevance(channel, axes, zennit, tmp_path, monkeypatch):
    unpacked("zennit-crp", "crp", tmp_path, monkeypatch)
    from crp.attribution import CondAttribution

    layers = [conv(axes, 1, 4, 3, padding=1), nn.ReLU(), conv(axes, 4, 5, 3, padding=1), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(3)).double().eval()
    x = images(axes, batch=1)
    model(x)
    composite = zennit("composites").EpsilonPlusFlat(epsilon=1e-12, stabilizer=1e-12)
    theirs = CondAttribution(model)(x.clone().requires_grad_(), [{"y": [1], "2": [channel]}], composite).heatmap
    options = {"channel": channel, "composite": "epsilon_plus_flat", "epsilon": 1e-12}
    torch.testing.assert_close(ours(model, x, "concept_relevance", "2", **options), theirs)


class ByRules(nn.Module):
    """A pre-norm transformer whose operations are torch's, or those that ``rules`` gives."""

    def __init__(self, axes, reads):
        super().__init__()
        self.patches, self.token = conv(axes, 1, WIDTH, 2, 2), nn.Parameter(torch.randn(1, 1, WIDTH))
        self.linears = nn.ModuleList(nn.Linear(*s) for s in [(8, 24), (8, 8), (8, 16), (16, 8), (8, 3)])
        self.norms, self.reads = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(3)), reads

    def read(self, tokens, rules):
        qkv, out, up, down, head = self.linears
        normed = rules.norm(self.norms[0], tokens)
        query, key, value = rules.linear(qkv, normed).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = rules.attention(query, key, value).transpose(1, 2).flatten(2)
        tokens = rules.add(tokens, rules.linear(out, mixed))
        inner = rules.gelu(rules.linear(up, rules.norm(self.norms[1], tokens)))
        tokens = rules.norm(self.norms[2], rules.add(tokens, rules.linear(down, inner)))
        return rules.linear(head, tokens[:, 0] if self.reads == "class token" else rules.mean(tokens))

    def joined(self, patches):
        return torch.cat([self.token.expand(len(patches), -1, -1), patches.flatten(2).mT], dim=1)

    def forward(self, x):
        return self.read(self.joined(self.patches(x)), PLAIN)


PLAIN = SimpleNamespace(
    norm=lambda layer, x: layer(x),
    linear=lambda layer, x: layer(x),
    attention=functional.scaled_dot_product_attention,
    add=torch.add,
    gelu=functional.gelu,
    mean=lambda x: x.mean(1),
)


class Identity(torch.autograd.Function):
    """An activation passes its relevance on."""

    @staticmethod
    def forward(_ctx, x):
        return functional.gelu(x)

    @staticmethod
    def backward(_ctx, relevance):
        return relevance


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("reads", ["class token", "mean"])
def test_attnlrp(reads, axes):
    """The authors' explicit rules, operation by operation, around torch's fused attention here."""
    names: dict = {"__name__": "rules"}
    exec(compile(text_of(clones() / "LRP-eXplains-Transformers", "lxt/explicit/functional.py"), "lxt", "exec"), names)
    tiny = 1e-12

    def attention(query, key, value):
        scores = names["mul2"](names["matmul"](query, key.mT, False, tiny), WIDTH**-0.5 * 2**0.5)
        return names["matmul"](names["softmax"](scores, -1), value, False, tiny)

    rules = SimpleNamespace(
        norm=lambda layer, x: names["layer_norm_grad_fn"].apply(x, layer.weight, layer.bias, layer.eps, tiny),
        linear=lambda layer, x: names["linear_epsilon"](x, layer.weight, layer.bias, tiny),
        attention=attention,
        add=lambda first, second: names["add2"](first, second, False, tiny),
        gelu=Identity.apply,
        mean=lambda x: names["mean"](x, 1, True, tiny)[:, 0],
    )
    torch.manual_seed(1)
    model, x = ByRules(axes, reads).double().eval(), torch.randn(2, 1, *[4] * axes, dtype=torch.float64)
    shown = x.clone().requires_grad_()
    patches = model.patches(shown)
    leaf = patches.detach().requires_grad_()
    logits = model.read(model.joined(leaf), rules)
    torch.testing.assert_close(logits, model(x))
    (relevance,) = torch.autograd.grad(logits[:, 1], leaf, logits[:, 1].detach())
    (gradient,) = torch.autograd.grad(patches, shown, relevance / patches.detach())  # the patches' own epsilon rule
    expected = (gradient * x).sum(1)
    torch.testing.assert_close(ours(model, x, "attnlrp", epsilon=tiny), expected, rtol=1e-6, atol=1e-8)
