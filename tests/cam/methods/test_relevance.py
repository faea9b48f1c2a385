"""Layer-wise relevance propagation: its composites, what it refuses, where the relevance stays, and zennit's maps."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from cam import Difference, Region, Similarity, explain
from cam.methods.lrp import COMPOSITES
from tests.cam.networks import KINDS, conv, encoder, images, normed, pool, vit
from tests.oracles import ORACLES
from tests.oracles.base import Case
from tests.oracles.relevance import relevance_of


def lrp(model, x, target=1, **options):
    (maps,) = explain(model.eval(), x, target=target, methods="lrp", options={"lrp": options}).maps.values()
    return maps


def rectified():
    """Every output that is not 0 has a positive term; no biases."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 3, 3, bias=False), nn.ReLU(), nn.Conv2d(3, 3, 2, bias=False), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(27, 3, bias=False)).double().eval()


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("composite", COMPOSITES)
def test_every_composite_equals_its_shares_written_out(composite, axes):
    model, x = KINDS["nonaffine-signed"](axes), images(axes, batch=1)
    options = {"composite": composite, "gamma": 0.6, "epsilon": 1e-3}
    expected = relevance_of(Case(model, x, ("layer",), 2, options)).sum(axis=0)
    np.testing.assert_allclose(lrp(model, x, 2, **options)[0], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("composite", COMPOSITES)
def test_without_biases_the_map_sums_to_the_score(composite):
    model, x = rectified(), images(2)
    found = explain(model, x, [0, 2], methods="lrp", options={"lrp": {"composite": composite, "epsilon": 1e-12}})
    for label in (0, 2):
        torch.testing.assert_close(found["lrp", "input", label].flatten(1).sum(1), found.logits[:, label])
    assert found.notes["lrp", "input"].startswith("100% to 100% of the score reach the image")


class Residual(nn.Module):
    """Convolution and batch normalisation, merged or not; a normalisation by itself, two branches, every pooling."""

    def __init__(self, axes, sums=torch.add):
        super().__init__()
        norm, most = {2: (nn.BatchNorm2d, nn.MaxPool2d), 3: (nn.BatchNorm3d, nn.MaxPool3d)}[axes]
        mean = {2: nn.AvgPool2d, 3: nn.AvgPool3d}[axes]
        self.stem, self.norm, self.relu = conv(axes, 1, 3, 3, padding=1, bias=False), norm(3), nn.ReLU(inplace=True)
        self.inner, self.inner_norm = conv(axes, 3, 3, 3, padding=1), norm(3)
        self.most, self.mean, self.alone = most(2, 1), mean(2, 1), norm(3)
        self.pool, self.head, self.sums = pool(axes), nn.Linear(3, 3), sums

    def forward(self, x):
        x = self.relu(self.norm(self.stem(x)))
        x = self.relu(self.sums(self.inner_norm(self.inner(x)), x))
        return self.head(torch.flatten(self.pool(self.alone(self.mean(self.most(x)))), 1))


def residual(axes, **options):
    torch.manual_seed(4)
    model = Residual(axes, **options).double().eval()
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point() and value.ndim == 1:
                value.uniform_(0.5, 1.5) if "var" in name else value.normal_()
    return model


def fused(convolution, norm):
    """A convolution that does what it and the batch normalisation behind it do, entry by entry."""
    made = type(convolution)(3 if convolution.in_channels == 3 else 1, 3, 3, padding=1).double()
    for channel in range(3):
        factor = norm.weight[channel] / (norm.running_var[channel] + norm.eps).sqrt()
        before = 0 if convolution.bias is None else convolution.bias[channel]
        made.weight.data[channel] = convolution.weight[channel] * factor
        made.bias.data[channel] = (before - norm.running_mean[channel]) * factor + norm.bias[channel]
    return made


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("composite", ["epsilon_plus_flat", "epsilon_gamma_box"])
def test_a_batch_normalisation_behind_a_convolution_is_a_part_of_it(composite, axes):
    model, whole = residual(axes), residual(axes)
    whole.stem, whole.norm = fused(model.stem, model.norm), nn.Identity()
    whole.inner, whole.inner_norm = fused(model.inner, model.inner_norm), nn.Identity()
    x = images(axes)
    torch.testing.assert_close(model(x), whole(x))
    torch.testing.assert_close(lrp(model, x, composite=composite), lrp(whole, x, composite=composite))


def iadd(first, second):
    first += second
    return first


@pytest.mark.parametrize("sums", [lambda a, b: a + b, iadd, lambda a, b: a.add_(b), lambda a, b: a - (-b)])
def test_a_sum_is_a_sum_however_it_is_written(sums):
    x = images(2)
    torch.testing.assert_close(lrp(residual(2, sums=sums), x), lrp(residual(2), x))


def test_a_residual_sum_divides_by_its_terms_and_a_bias_keeps_its_own():
    class Branches(nn.Module):
        def forward(self, x):
            return torch.flatten(3 * x + x.relu() + 2.0, 1)

    x = torch.tensor([[[[2.0, -1.0]]]], dtype=torch.float64)
    torch.testing.assert_close(lrp(Branches(), x, 0, epsilon=1e-12), torch.tensor([[[8.0, 0.0]]]).double())
    torch.testing.assert_close(lrp(Branches(), x, 1, epsilon=1e-12), torch.tensor([[[0.0, -3.0]]]).double())


class Functional(nn.Module):
    """The network of another, by functions: modules' hooks see nothing of it, and one layer is called twice."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 1, 3, padding=1), nn.Linear(36, 2)

    def forward(self, x):
        for _ in range(2):
            x = functional.relu(functional.conv2d(x, self.conv.weight, self.conv.bias, padding=1))
        return functional.linear(x.view(len(x), -1), self.head.weight, self.head.bias)


def test_functions_and_a_layer_called_twice_are_as_modules():
    torch.manual_seed(0)
    model = Functional().double().eval()
    unrolled = nn.Sequential(model.conv, nn.ReLU(), model.conv, nn.ReLU(), nn.Flatten(), model.head)
    for composite in COMPOSITES:
        torch.testing.assert_close(
            lrp(model, images(2), composite=composite), lrp(unrolled, images(2), composite=composite)
        )


class Gated(nn.Module):
    def __init__(self, gate):
        super().__init__()
        self.conv, self.gate = nn.Conv2d(1, 2, 3), gate

    def forward(self, x):
        x = self.conv(x)
        return (x * self.gate(x)).flatten(2).mean(2)


class Unseen(torch.autograd.Function):
    @staticmethod
    def forward(_ctx, x):
        return x * 2

    @staticmethod
    def backward(_ctx, gradient):
        return gradient * 2


def written(x):
    y = torch.zeros_like(x)
    y[:] = x
    return y


def overwritten(x):
    x.add_(1)
    return x


REFUSED = {
    "a gate": (Gated(torch.sigmoid), "no rule for 'sigmoid', which is used in the model itself"),
    "a gate of a module": (Gated(nn.Sigmoid()), "no rule for 'sigmoid', which is used in 'gate'"),
    "a square": (Gated(nn.Identity()), "of two values that both depend on the image"),
    "a normalisation": (normed(2), "no rule for 'group_norm', which is used in '3'"),
    "a softmax": (Gated(nn.Softmax(1)), "no rule for 'softmax', which is used in 'gate'"),
    "an autograd function": (Gated(Unseen.apply), "cannot follow 'mul' inside an autograd function"),
    "a number taken out": (Gated(lambda x: x.max().item()), "no rule for 'max'"),
    "a value written": (Gated(written), "no rule for '__setitem__'"),
    "a clamp that leaves out 0": (Gated(lambda x: x.clamp(0.1, 1)), "whose bounds 0.1, 1 leave out 0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_rule_is_refused_by_its_name(name):
    model, message = REFUSED[name]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=message) as refusal:
        lrp(model.double().eval(), images(2))
    assert "\n" not in str(refusal.value)
    assert all(torch.equal(value, before[key].double()) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_value_that_is_changed_where_it_is_read_elsewhere_is_refused():
    class Changed(nn.Module):
        def forward(self, x):
            y = x * 1
            y.add_(1)  # the sum is not taken
            return y.flatten(2).mean(2).expand(-1, 2)

    with pytest.raises(ValueError, match="changes the model's logits"):
        lrp(Changed(), images(2))


@pytest.mark.parametrize("target", [Difference(2, 0), Region(1, torch.ones(3, 3, 3, dtype=torch.bool))])
def test_any_weighted_sum_of_logits_is_a_target(target):
    model = rectified()[:3] if isinstance(target, Region) else rectified()
    found = explain(model.eval(), images(2), target=target, methods="lrp", options={"lrp": {"epsilon": 1e-12}})
    (maps,) = found.maps.values()
    torch.testing.assert_close(maps.flatten(1).sum(1), target.scores(found.logits))


def test_other_targets_are_refused():
    with pytest.raises(ValueError, match="method 'lrp' needs a target that is a weighted sum of logits"):
        lrp(KINDS["affine-signed"](2), images(2), Similarity(torch.ones(3).double()))


def test_a_detached_path_and_a_block_without_gradients_are_part_of_the_forward():
    class Frozen(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, x):
            with torch.no_grad():
                x = self.model[:2](x)
            return self.model[2:](x.detach())

    torch.testing.assert_close(lrp(Frozen(rectified()), images(2)), lrp(rectified(), images(2)))


def test_all_targets_come_from_one_forward():
    model, calls = KINDS["affine-signed"](2), []
    with model.register_forward_hook(lambda *_: calls.append(1)):
        explain(model, images(2), [0, 1], methods="lrp")
    assert len(calls) == 2, "the forward that all methods share, and one"


def test_the_oracle_is_one_of_the_composites_and_an_unknown_one_is_refused():
    assert ORACLES["lrp"].options["composite"] in COMPOSITES
    with pytest.raises(ValueError, match=r"lrp\.composite must be one of epsilon, zplus, gamma, epsilon_plus"):
        lrp(KINDS["affine-signed"](2), images(2), composite="zminus")
    with pytest.raises(
        ValueError, match=r"lrp\.epsilon must be above 0 and at most 1, gamma within 0 and 1000, not -1.0 and 0.25"
    ):
        lrp(KINDS["affine-signed"](2), images(2), epsilon=-1.0)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("composite", ["epsilon_plus", "epsilon_plus_flat", "epsilon_gamma_box"])
def test_zennit_gives_the_same_maps(composite, axes, zennit):
    composites, canonizers, layer = (zennit(name) for name in ("composites", "canonizers", "layer"))
    x, tiny = images(axes), {"epsilon": 1e-12, "stabilizer": 1e-12}
    merge = canonizers.CompositeCanonizer([canonizers.SequentialMergeBatchNorm()])
    edges = x.flatten(1).aminmax(dim=1)
    low, high = (edge.view(-1, *[1] * (axes + 1)).expand_as(x) for edge in edges)
    made = {
        "epsilon_plus": lambda: composites.EpsilonPlus(canonizers=[merge], **tiny),
        "epsilon_plus_flat": lambda: composites.EpsilonPlusFlat(canonizers=[merge], **tiny),
        "epsilon_gamma_box": lambda: composites.EpsilonGammaBox(low=low, high=high, canonizers=[merge], **tiny),
    }[composite]()
    ours, theirs = residual(axes), residual(axes)
    sums = layer.Sum()
    theirs.sums = lambda first, second: sums(torch.stack([first, second], dim=-1))
    theirs.add_module("zennit_sum", sums)
    ours.alone, theirs.alone = nn.Identity(), nn.Identity()  # by itself zennit lets it pass, without its bias
    for norm in (ours.norm, ours.inner_norm, theirs.norm, theirs.inner_norm):
        norm.eps = 1e-12  # which zennit divides by a second time
    shown = x.clone().requires_grad_()
    with made.context(theirs) as modified:
        logits = modified(shown)
        start = torch.zeros_like(logits)
        start[:, 1] = logits[:, 1].detach()
        (expected,) = torch.autograd.grad(logits, shown, start)
    torch.testing.assert_close(lrp(ours, x, composite=composite, epsilon=1e-12), expected.sum(1))


def attnlrp(model, x, target=1, **options):
    (maps,) = explain(model, x, target=target, methods="attnlrp", options={"attnlrp": options}).maps.values()
    return maps


def test_a_fused_attention_and_one_that_is_written_out_give_the_same_map():
    model, x = vit([6, 6], (2, 3)), images(2)
    expected = attnlrp(model, x)
    for block in model.network.blocks:
        block.attn.use_flash_attention = True
    torch.testing.assert_close(attnlrp(model, x), expected)


def test_the_order_of_axes_of_torchs_attention_makes_no_difference():
    torch.testing.assert_close(
        attnlrp(encoder((2, 3), batch_first=False), images(2)), attnlrp(encoder((2, 3)), images(2))
    )


class MaskedAttending(nn.Module):
    def __init__(self, **given):
        super().__init__()
        self.attention, self.given = nn.MultiheadAttention(6, 2, batch_first=True), given

    def forward(self, x):
        tokens = x[:, 0]
        return self.attention(tokens, tokens, tokens, need_weights=False, **self.given)[0].mean(1)


@pytest.mark.parametrize(
    "given", [{"key_padding_mask": torch.zeros(3, 6, dtype=torch.bool)}, {"attn_mask": torch.zeros(6, 6).double()}]
)
def test_an_attention_with_masks_is_refused(given):
    with pytest.raises(ValueError, match=rf"attention with \['{next(iter(given))}'\] has no rule, in 'attention'"):
        attnlrp(MaskedAttending(**given).double().eval(), images(2))


def test_without_attention_attnlrp_is_lrp_by_epsilon():
    model = KINDS["nonaffine-signed"](2)
    torch.testing.assert_close(attnlrp(model, images(2)), lrp(model, images(2), composite="epsilon"))
    torch.testing.assert_close(
        attnlrp(model, images(2), gamma=0.4), lrp(model, images(2), composite="gamma", gamma=0.4)
    )


def test_two_factors_share_alike_and_a_softmax_keeps_what_no_factor_gets():
    class Product(nn.Module):
        def forward(self, x):
            return (x[:, 0] * x[:, 0].softmax(dim=-1)).flatten(1)

    x = torch.tensor([[[[2.0, -1.0]]]], dtype=torch.float64)
    s = x.flatten().softmax(0)
    z = 2 * s[0]
    weighed = torch.stack([2 * (z / 2 - s[0] * z / 2), -1 * (0 - s[1] * z / 2)])
    expected = torch.tensor([z / 2, 0]) + weighed
    torch.testing.assert_close(attnlrp(Product().eval(), x, 0, epsilon=1e-12)[0, 0], expected)
