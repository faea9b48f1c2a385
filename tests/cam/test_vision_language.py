"""Networks that read an image and a text: a word of the answer as target, or a text's features."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from cam import AnswerToken, Similarity, explain, find_layer
from tests.cam.networks import vivid
from tests.cam.procedures.test_attention_tracing import PLACES, WIDTH, SelfAttention, Transformer, eager, fused, image
from tests.zoo.torchvision_operators import undeclared

WORDS, QUESTION = 11, (3, 1, 4)
METHODS = ["gradcam", "xgradcam", "hirescam", "scorecam", "ablationcam", "attention_relevance", "occlusion"]


class TextDecoder(nn.Module):
    """A text decoder: causal attention, and, where it is given the image's tokens apart, attention to those."""

    def __init__(self, length, crossed):
        super().__init__()
        mask = torch.full((length, length), -torch.inf, dtype=torch.float64).triu(1)
        self.attention = SelfAttention(fused, mask)
        self.cross = nn.MultiheadAttention(WIDTH, 2, batch_first=True) if crossed else None
        self.norm, self.grow = nn.LayerNorm(WIDTH), nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.GELU())
        self.shrink = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, words, seen=None):
        words = words + self.attention(words)[0]
        words = words if seen is None else words + self.cross(words, seen, seen, need_weights=False)[0]
        return words + self.shrink(self.grow(self.norm(words)))


class Answering(nn.Module):
    """A question is part of the network; it answers (B, T, vocabulary), as Hugging Face's do, in a dict."""

    def __init__(self, axes, way=eager, readers=3):
        super().__init__()
        self.vision, self.words = Transformer(axes, way), nn.Embedding(WORDS, WIDTH)
        self.readers = nn.ModuleList([TextDecoder(*self.reading(axes)) for _ in range(readers)])
        self.lm_head = nn.Linear(WIDTH, WORDS, bias=False)
        self.register_buffer("question", torch.tensor(QUESTION))

    def seen(self, x):
        return self.vision.blocks(self.vision.embed(x))

    def forward(self, x):
        return self.answered(self.seen(x))


class Blip(Answering):
    """The words attend to the image's tokens, class token and all, as BLIP's decoder."""

    def reading(self, _axes):
        return len(QUESTION), True

    def answered(self, tokens):
        seen = self.vision.norm(tokens)
        words = self.words(self.question).expand(len(seen), -1, -1)
        for reader in self.readers:
            words = reader(words, seen)
        return {"logits": self.lm_head(words), "image_embeds": seen}


class Llava(Answering):
    """The image's patches stand among the words, as LLaVA's: the class token is dropped."""

    def __init__(self, axes, **options):
        super().__init__(axes, **options)
        self.projector = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))

    def reading(self, axes):
        return len(QUESTION) + torch.Size(PLACES[axes][2]).numel(), False

    def answered(self, tokens):
        seen = self.projector(tokens[:, 1:])
        words = self.words(self.question).expand(len(seen), -1, -1)
        words = torch.cat([words[:, :1], seen, words[:, 1:]], dim=1)
        for reader in self.readers:
            words = reader(words)
        return {"logits": self.lm_head(words), "image_hidden_states": seen}


KINDS = {"cross attention": (Blip, "vision.norm"), "among the words": (Llava, "vision.blocks")}


def made(kind, axes=2, **options):
    torch.manual_seed(0)
    model = vivid(KINDS[kind][0](axes, **options))
    return model, image(axes)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_the_last_features_of_the_image_are_taken_and_their_map_is_that_by_hand(kind, axes):
    model, x = made(kind, axes)
    layer = KINDS[kind][1]
    if kind == "among the words" and axes == 3:  # eight tokens lie in a volume in one way only, so they are read there
        layer = "projector.2"
    found = explain(model, x, target=AnswerToken(5), methods=["gradcam", "hirescam", "xgradcam"], rectify=False)
    assert {name for _, name, _ in found.maps} == {layer}
    kept = {}
    hook = model.get_submodule(layer).register_forward_hook(lambda _m, _g, value: kept.setdefault("A", value))
    logits = model(x)["logits"]
    hook.remove()
    (G,) = torch.autograd.grad(logits[:, -1, 5].sum(), kept["A"])
    cells = torch.Size(PLACES[axes][2]).numel()
    A, G = (each.detach()[:, -cells:].mT.unflatten(2, PLACES[axes][2]) for each in (kept["A"], G))
    space = tuple(range(2, 2 + axes))
    torch.testing.assert_close(found["hirescam"].clone(), (A * G).sum(1))
    torch.testing.assert_close(found["gradcam"].clone(), (A * G.mean(space, keepdim=True)).sum(1))
    weights = (A * G).sum(space, keepdim=True) / A.sum(space, keepdim=True)
    torch.testing.assert_close(found["xgradcam"].clone(), (A * weights).sum(1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_decoder_is_no_network_behind_the_image(kind):
    model, x = made(kind, readers=6)
    assert find_layer(model, x).name == KINDS[kind][1]


@pytest.mark.parametrize("kind", KINDS)
def test_every_method_answers_for_a_word(kind):
    model, x = made(kind)
    targets = [AnswerToken(5), AnswerToken(2, position=0), AnswerToken([1, 7], position=[-1, 1])]
    found = explain(model, x, targets, methods=METHODS, rectify=False)
    for method in METHODS:
        maps = [found[method, target].clone() for target in targets]
        assert any(bool(values.any()) for values in maps)
        assert not torch.equal(maps[0], maps[2])
    for sample, (token, position) in enumerate([(1, -1), (7, 1)]):
        alone = explain(model, x[[sample]], target=AnswerToken(token, position), methods=METHODS, rectify=False)
        for method in METHODS:
            torch.testing.assert_close(found[method, targets[2]][[sample]].clone(), alone[method].clone())


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_relevance_goes_through_the_attentions_of_the_image(kind, axes):
    """Its rows are those of the tokens that the decoder reads; attentions of words and to the image are passed over."""
    weights = []

    def kept(q, k, v, mask):
        weights.append((q @ k.transpose(2, 3) * q.shape[-1] ** -0.5).softmax(-1))
        return weights[-1] @ v

    model, x = made(kind, axes, way=kept)
    found = explain(model, x, target=AnswerToken(5), methods=["attention_relevance", "attention_rollout"])
    weights.clear()
    logits = model(x)["logits"]
    gradients = torch.autograd.grad(logits[:, -1, 5].sum(), weights)
    relevance = torch.eye(weights[0].shape[-1]).to(x).expand(len(x), -1, -1)
    for weight, gradient in zip(weights, gradients, strict=True):
        relevance = relevance + (weight * gradient).detach().relu().mean(1) @ relevance
    rows = relevance if kind == "cross attention" else relevance[:, 1:]
    expected = rows.mean(1)[:, 1:].reshape(2, *PLACES[axes][2])
    torch.testing.assert_close(found["attention_relevance"].clone(), expected)
    passed_over = 6 if kind == "cross attention" else 3
    assert f"{passed_over} attentions of words are passed over" in found.notes["attention_relevance", "input"]


def test_attentions_of_a_text_that_is_read_first_are_no_attentions_of_the_image():
    class TextFirst(Blip):
        def forward(self, x):
            self.readers[0](self.words(self.question)[None].expand(len(x), -1, -1))
            return super().forward(x)

    torch.manual_seed(0)
    model, x = vivid(TextFirst(2)), image(2)
    torch.manual_seed(0)
    plain = vivid(Blip(2))
    maps = [explain(each, x, target=AnswerToken(5), methods="attention_relevance") for each in (model, plain)]
    torch.testing.assert_close(maps[0]["attention_relevance"].clone(), maps[1]["attention_relevance"].clone())


LOGITS = torch.arange(24.0).view(2, 3, 4)


def test_the_score_is_the_logit_of_the_word_at_its_position():
    assert AnswerToken(1).scores(LOGITS).tolist() == [9, 21]
    assert AnswerToken(0, position=0).scores(LOGITS).tolist() == [0, 12]
    assert AnswerToken([1, 3], position=[-1, 1]).scores(LOGITS).tolist() == [9, 19]
    assert AnswerToken([1, 3], position=[-1, 1]).select(torch.tensor([1, 1, 0])) == AnswerToken((3, 3, 1), (1, 1, -1))
    assert AnswerToken(torch.tensor([1, 3])) == AnswerToken([1, 3])


REFUSED = [
    (AnswerToken(4), LOGITS, r"answer_token.token must lie in 0..3 for a vocabulary of 4, not 4"),
    (AnswerToken(-1), LOGITS, r"answer_token.token must lie in 0..3 for a vocabulary of 4, not -1"),
    (AnswerToken(1, 3), LOGITS, r"answer_token.position must lie in -3..2 for an answer of 3 tokens, not 3"),
    (AnswerToken(1, -4), LOGITS, r"answer_token.position must lie in -3..2 for an answer of 3 tokens, not -4"),
    (AnswerToken([1, 2, 3]), LOGITS, r"answer_token.token must be one number, or one for each of 2 samples"),
    (AnswerToken(1), LOGITS[0], r"needs logits of shape \(batch, tokens, vocabulary\), not \(3, 4\)"),
]


@pytest.mark.parametrize(("target", "logits", "message"), REFUSED)
def test_a_word_that_does_not_fit_is_refused(target, logits, message):
    with pytest.raises(ValueError, match=message):
        target.scores(logits)


def test_a_word_is_named_by_its_number():
    with pytest.raises(ValueError, match=r"answer_token.token must be a whole number, .*convert_tokens_to_ids"):
        AnswerToken("yes")
    with pytest.raises(ValueError, match=r"answer_token.position must be a whole number"):
        AnswerToken(1, position=0.5)


@pytest.mark.parametrize("target", [1, None])
def test_other_targets_of_an_answer_name_the_one_that_does(target):
    model, x = made("cross attention")
    with pytest.raises(ValueError, match=r"of the words of an answer say AnswerToken\(token, position\)"):
        explain(model, x, target=target)


class Siglip(nn.Module):
    """An image encoder whose tokens a learnt query pools, as SigLIP's, and rows of unit length."""

    def __init__(self, axes):
        super().__init__()
        self.vision = Transformer(axes, eager, prefix=0)
        self.probe = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.pool = nn.MultiheadAttention(WIDTH, 2, batch_first=True)

    def forward(self, x):
        tokens = self.vision.norm(self.vision.blocks(self.vision.embed(x)))
        pooled = self.pool(self.probe.expand(len(x), -1, -1), tokens, tokens, need_weights=False)[0][:, 0]
        return {"image_embeds": functional.normalize(pooled, dim=-1), "last_hidden_state": tokens}


def test_a_text_is_a_target_of_an_encoder_that_pools_by_attention():
    axes = 2
    torch.manual_seed(0)
    model, x = vivid(Siglip(axes)), image(axes)
    texts = [Similarity(text) for text in torch.randn(2, WIDTH, dtype=torch.float64)]
    methods = ["gradcam", "xgradcam", "hirescam", "scorecam", "attention_relevance", "attention_rollout"]
    found = explain(model, x, texts, methods=methods, rectify=False)
    A = model.vision.norm(model.vision.blocks(model.vision.embed(x))).detach().requires_grad_()
    pooled = model.pool(model.probe.expand(2, -1, -1), A, A, need_weights=False)[0][:, 0]
    (G,) = torch.autograd.grad(functional.cosine_similarity(pooled, texts[1].text_features[None]).sum(), A)
    expected = (A * G).sum(2).detach().reshape(2, *PLACES[axes][2])
    torch.testing.assert_close(found["hirescam", "vision.norm", texts[1]].clone(), expected)
    for method in methods:
        first, second = (values for (name, _, _), values in found if name == method)
        assert bool(first.any())
        assert method == "attention_rollout" or not torch.equal(first, second)


TEXT = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
VISION = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}


def llava():
    import transformers

    vision, text = transformers.CLIPVisionConfig(**VISION), transformers.LlamaConfig(**TEXT)
    config = transformers.LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=31, vision_feature_layer=-1
    )
    return transformers.LlavaForConditionalGeneration(config), [1, 5, *[31] * 16, 7, 9]


def blip():
    import transformers

    text = TEXT | {"encoder_hidden_size": 16, "sep_token_id": 2, "is_decoder": True}
    config = transformers.BlipConfig(text_config=text, vision_config=VISION, projection_dim=8)
    return transformers.BlipForConditionalGeneration(config), [1, 5, 7, 9]


class Asked(nn.Module):
    """A network of Hugging Face and its question: what a user writes."""

    def __init__(self, network, question):
        super().__init__()
        self.network = network
        self.register_buffer("question", torch.tensor([question]))

    def forward(self, x):
        return self.network(pixel_values=x, input_ids=self.question.expand(len(x), -1)).logits


@pytest.mark.parametrize("make", [llava, blip])
def test_networks_of_hugging_face_that_answer_questions(make):
    with undeclared():
        pytest.importorskip("transformers")
        torch.manual_seed(0)
        model = Asked(*make()).eval()
    x = torch.randn(2, 3, 32, 32)
    found = explain(model, x, target=AnswerToken(5), methods=METHODS)
    for method in METHODS:
        assert found[method].shape in ((2, 4, 4), (2, 32, 32))
        assert bool(found[method].isfinite().all())
    layer = next(name for method, name, _ in found.maps if method == "hirescam")
    kept = {}
    hook = model.get_submodule(layer).register_forward_hook(lambda _m, _g, value: kept.setdefault("A", value))
    logits = model(x)
    hook.remove()
    (G,) = torch.autograd.grad(logits[:, -1, 5].sum(), kept["A"])
    expected = (kept["A"] * G).sum(2)[:, -16:].reshape(2, 4, 4)
    torch.testing.assert_close(found["hirescam"].clone(), expected.detach(), rtol=1e-3, atol=1e-6)
