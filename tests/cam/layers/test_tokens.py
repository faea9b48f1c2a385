"""Token layers: every patch keeps its place, axes are never swapped, and what is not certain is refused."""

import copy
from math import prod

import pytest
import torch
from monai.networks.nets.swin_unetr import SwinTransformer
from torch import nn

from cam import Target, TokenGrid, capture, choose_layer, explain, spatial_layers
from cam.layers.axis_layout import _by_evidence, _Seen
from cam.layers.tokens import measured
from cam.memory import Memory
from tests.cam.networks import First, conv, encoder, pool, vit, vivid
from tests.cam.test_capture import full_graph, state_of

# unequal sides, unequal patches, unequal grids: (size, patch, grid)
PLACES = {2: ((8, 9), (4, 3), (2, 3)), 3: ((4, 9, 8), (2, 3, 2), (2, 3, 4))}


def image(size, batch=2, channels=1, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels, *size, generator=generator, dtype=torch.float64)


def made(axes, **options):
    size, patch, grid = PLACES[axes]
    return vit(size, patch, **options), image(size), grid


def raw(model, x, layer):
    kept = []
    hook = model.get_submodule(layer).register_forward_hook(lambda _m, _i, output: kept.append(output.clone()))
    with torch.no_grad():
        model(x)
    hook.remove()
    return kept[0]


def by_hand(tokens, prefix, grid):
    """Lay (B, N, C) out as (B, C, *grid), token by token."""
    laid_out = torch.zeros(len(tokens), tokens.shape[2], *grid, dtype=tokens.dtype)
    for number, place in enumerate(torch.cartesian_prod(*map(torch.arange, grid)).tolist()):
        laid_out[(slice(None), slice(None), *place)] = tokens[:, prefix + number]
    return laid_out


@pytest.mark.parametrize("proj_type", ["conv", "perceptron"])
@pytest.mark.parametrize("axes", [2, 3])
def test_a_marked_patch_keeps_its_place(axes, proj_type):
    model, x, grid = made(axes, proj_type=proj_type)
    patch = PLACES[axes][1]
    before = capture(model, x, ["network.blocks.0.norm1"]).activations["network.blocks.0.norm1"]
    assert before.shape == (2, 8, *grid)
    for cell in torch.cartesian_prod(*map(torch.arange, grid)).tolist():
        marked = x.clone()
        box = tuple(slice(at * side, (at + 1) * side) for at, side in zip(cell, patch, strict=True))
        marked[(0, 0, *box)] += 3
        after = capture(model, marked, ["network.blocks.0.norm1"]).activations["network.blocks.0.norm1"]
        assert (after != before).any(dim=1).nonzero().tolist() == [[0, *cell]]


@pytest.mark.parametrize("layer", ["network.blocks.1.norm1", "network.blocks.0.mlp", "network.blocks.1.attn"])
@pytest.mark.parametrize("axes", [2, 3])
def test_activations_and_gradients_of_tokens_are_those_of_the_whole_network(axes, layer):
    model, x, grid = made(axes)
    logits, tokens, gradients = full_graph(model, x, layer, [0, 2])
    passed = capture(model, x, [layer])
    assert torch.equal(passed.logits, logits)
    assert torch.equal(passed.activations[layer], by_hand(tokens, 1, grid))
    found = passed.gradients([Target(0), Target(2)])[layer]
    for one, expected in zip(found, gradients, strict=True):
        torch.testing.assert_close(one, by_hand(expected, 1, grid))
    assert bool(found.any()) == (layer != "network.blocks.1.attn")


@pytest.mark.parametrize("axes", [2, 3])
def test_several_token_layers_at_once_with_a_convolution_before_them(axes):
    model, x, grid = made(axes)
    layers = ["network.patch_embedding.patch_embeddings", "network.blocks.0", "network.blocks.1.norm1"]
    whole = [full_graph(model, x, name, [1])[2][0] for name in layers]
    found = capture(model, x, layers).gradients([Target(1)])
    expected = [whole[0], by_hand(whole[1], 1, grid), by_hand(whole[2], 1, grid)]
    for one, gradient in zip(expected, found.values(), strict=True):
        torch.testing.assert_close(gradient[0], one)


@pytest.mark.parametrize("axes", [2, 3])
def test_gradcam_on_tokens_is_the_formula_over_the_patches_alone(axes):
    model, x, grid = made(axes, seed=2)
    layer, labels = "network.blocks.1.norm1", [0, 1, 2]
    _, tokens, gradients = full_graph(model, x, layer, labels)
    found = explain(model, x, labels, layers=["auto"]).maps
    for label, gradient in zip(labels, gradients, strict=True):
        weights = gradient[:, 1:].mean(dim=1, keepdim=True)
        expected = by_hand((weights * tokens).sum(dim=2, keepdim=True).relu(), 1, grid)[:, 0]
        torch.testing.assert_close(found["gradcam", layer, label], expected.detach())
    assert any(bool(one.any()) for one in found.values())


@pytest.mark.parametrize("axes", [2, 3])
def test_a_method_without_gradients_measures_the_tokens_of_a_layer_that_is_named(axes):
    model, x, grid = made(axes)
    maps = explain(model, x, Target(1), methods=["eigencam"], layers=["network.blocks.0.norm1"])
    assert maps["eigencam"].shape == (2, *grid)


@pytest.mark.parametrize("axes", [2, 3])
def test_auto_takes_what_the_last_attention_reads_where_only_the_class_token_goes_on(axes):
    model, x, grid = made(axes)
    assert spatial_layers(model, x)["network.norm"] == grid
    empty = explain(model, x, [0], layers=["network.norm"]).empty
    assert [entry[:4] for entry in empty] == [("gradcam", "network.norm", 0, sample) for sample in (0, 1)]
    assert choose_layer(model, x) == "network.blocks.1.norm1"


def test_auto_of_a_network_that_pools_its_tokens_is_its_last_layer():
    model, x = encoder((4, 3)), image((8, 9))
    assert choose_layer(model, x) == "encoder"
    assert spatial_layers(model, x)["encoder.layers.0.norm2"] == (2, 3)
    assert explain(model, x, [0], methods=["hirescam"])["hirescam", "encoder"].shape == (2, 2, 3)


class ClassToken(nn.Module):
    """A class token in front of, or behind, the patches of a stem; one attention; a head on that token."""

    def __init__(self, stem, *, behind=False, registers=0, width=8):
        super().__init__()
        self.stem, self.behind = stem, behind
        self.token = nn.Parameter(torch.zeros(1, 1 + registers, width))
        self.start, self.block = nn.Identity(), nn.TransformerEncoderLayer(width, 2, 8, 0.0, batch_first=True)
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        patches = self.stem(x).flatten(2).transpose(1, 2)
        token = self.token.expand(len(x), -1, -1)
        tokens = self.block(self.start(torch.cat([patches, token] if self.behind else [token, patches], dim=1)))
        return self.head(tokens[:, -1 if self.behind else 0])


def with_token(stem, **options):
    torch.manual_seed(0)
    return vivid(ClassToken(stem, **options))


def strided(axes=2, width=8):
    return conv(axes, 1, width, PLACES[axes][1], stride=PLACES[axes][1])


def test_registers_are_counted_and_auto_without_a_normalisation_before_the_attention_is_the_last_that_is_read():
    model, x = with_token(strided(), registers=2), image((8, 9))
    assert capture(model, x, ["start"]).grids["start"] == TokenGrid((2, 3), prefix=3)
    assert choose_layer(model, x) == "start"


def overlapping():
    return nn.Sequential(conv(2, 1, 8, 3, stride=2, padding=1), conv(2, 8, 8, 3, stride=2, padding=1))


@pytest.mark.parametrize("registers", [0, 3])
def test_patches_that_overlap_behind_tokens_that_look_nowhere_are_read_by_their_order(registers):
    model, x = with_token(overlapping(), registers=registers), image((16, 24))
    assert capture(model, x, ["start"]).grids["start"] == TokenGrid((4, 6), prefix=1 + registers)
    with pytest.raises(ValueError, match="layer 'start' returns tokens"):
        capture(with_token(nn.Sequential(overlapping(), Turned()), registers=registers), x, ["start"])


def test_the_order_of_overlapping_patches_is_right_or_not_told():
    """Kernel, stride, padding and image by many weights: what is not clear is refused, and nothing is wrong."""
    told = 0
    for seed in range(6):
        for kernel, stride, padding, size in ((3, 2, 1, (16, 24)), (4, 3, 0, (16, 22)), (7, 4, 3, (32, 24))):
            torch.manual_seed(seed)
            stem = conv(2, 1, 8, kernel, stride=stride, padding=padding)
            model, x = vivid(ClassToken(stem, registers=seed % 3)), image(size)
            try:
                grid = capture(model, x, ["start"]).grids["start"]
            except ValueError:
                continue
            assert grid == TokenGrid(tuple(stem(x).shape[2:]), prefix=1 + seed % 3)
            told += 1
    assert told >= 3


class Turned(nn.Module):
    def forward(self, x):
        return x.transpose(2, 3)


UNKNOWN = {
    "behind": (lambda: with_token(strided(), behind=True), (8, 9)),
    "turned": (lambda: with_token(nn.Sequential(strided(), Turned())), (8, 9)),
    "as many as channels": (lambda: with_token(strided(width=14), width=14, registers=7), (8, 9)),
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_tokens_whose_places_are_not_certain_are_refused_and_may_be_stated(kind):
    make, size = UNKNOWN[kind]
    model, x = make(), image(size)
    tokens = raw(model, x, "start").shape
    with pytest.raises(ValueError, match=rf"layer 'start' returns tokens, shape \({tokens[0]}, {tokens[1]}, .*grids="):
        capture(model, x, ["start"])
    assert "start" not in spatial_layers(model, x)
    stated = {"start": TokenGrid((tokens[1] - 1, 1), prefix=1)}
    assert capture(model, x, ["start"], grids=stated).activations["start"].shape == (2, tokens[2], tokens[1] - 1, 1)
    found = explain(model, x, [0], methods=["hirescam"], layers=["auto"], grids=stated)
    assert [layer for (_, layer, _), _ in found] == ["start"]


def test_tokens_of_a_batch_as_long_as_the_sequence_are_refused_when_sequences_may_come_first():
    model = encoder((4, 3), batch_first=False)
    with pytest.raises(ValueError, match="layer 'encoder' returns tokens"):
        capture(model, image((8, 9), batch=6), ["encoder"])
    with pytest.raises(ValueError, match=r"layer 'encoder' returns shape \(6, 2, 8\) for 2 samples"):
        capture(model, image((8, 9), batch=2), ["encoder"])


@pytest.mark.parametrize(
    ("grids", "fault"),
    [
        ({"start": TokenGrid((3, 3), prefix=1)}, r"grids\['start'\] is TokenGrid\(.*does not fit .* \(2, 7, 8\)"),
        ({"start": TokenGrid((6,), prefix=1)}, r"grids\['start'\] is TokenGrid\(.*does not fit"),
        ({"nowhere": TokenGrid((2, 3))}, r"grids must name layers of ClassToken, not \['nowhere'\]"),
    ],
)
def test_a_stated_grid_that_cannot_be_is_refused(grids, fault):
    with pytest.raises(ValueError, match=fault):
        capture(with_token(strided()), image((8, 9)), ["start"], grids=grids)


@pytest.mark.parametrize(
    "arguments", [((),), ([2, 3],), ((2, 0),), ((2, 1.5),), ((2, 3), -1), ((2, 3), 0, "middle")], ids=str
)
def test_a_token_grid_that_cannot_be_is_refused(arguments):
    with pytest.raises(ValueError, match="token_grid"):
        TokenGrid(*arguments)


LAID_OUT = {
    "tokens": (TokenGrid((2, 3), 2), (4, 8, 5)),
    "grid": (TokenGrid((2, 3)), (4, 2, 3, 5)),
    "volume": (TokenGrid((2, 3, 4)), (4, 2, 3, 4, 5)),
    "channels first": (TokenGrid((2, 3), channels="first"), (4, 5, 2, 3)),
    "tokens last": (TokenGrid((2, 3), 1, "first"), (4, 5, 7)),
}


@pytest.mark.parametrize("kind", LAID_OUT)
def test_putting_back_what_was_laid_out_gives_the_output_again(kind):
    grid, shape = LAID_OUT[kind]
    output = image(shape[1:], batch=shape[0])[:, 0]
    laid_out = grid.lay_out(output)
    assert laid_out.shape == (4, 5, *grid.shape)
    back = grid.put_back(laid_out, output)
    assert torch.equal(back, output)
    assert back.is_contiguous()
    assert back.data_ptr() != output.data_ptr()
    one = grid.put_back(laid_out.float(), output[:1])
    assert one.dtype is torch.float64
    assert torch.equal(grid.lay_out(one), laid_out.float().double())


@pytest.mark.parametrize("axes", [2, 3])
def test_as_outputs_puts_rows_back_with_the_prefix_tokens_of_their_sample(axes):
    model, x, _ = made(axes)
    layer, samples = "network.blocks.0", torch.tensor([1, 0, 1])
    passed = capture(model, x, [layer])
    (rows,) = passed.as_outputs(layer, passed.activations[layer].detach()[samples].float(), samples)
    assert rows.dtype is torch.float64
    hook = model.get_submodule(layer).register_forward_hook(lambda *_: rows)
    with torch.no_grad():
        logits = model(x[samples])
    hook.remove()
    torch.testing.assert_close(logits, passed.logits.detach()[samples], rtol=1e-5, atol=1e-5)


class Swin(nn.Module):
    """MONAI's Swin transformer, pooled."""

    def __init__(self, axes, embed, patch):
        super().__init__()
        self.swin = SwinTransformer(
            1, embed, (2,) * axes, patch, (2, 1, 1, 1), (2,) * 4, spatial_dims=axes, patch_norm=True, drop_path_rate=0.1
        )
        self.head = nn.Sequential(pool(axes), nn.Flatten(), nn.Linear(embed * 16, 3))

    def forward(self, x):
        return self.head(self.swin(x)[-1])


def swin(axes, embed=4, patch=None):
    pytest.importorskip("einops", reason="MONAI's transformers need einops")
    torch.manual_seed(0)
    return vivid(Swin(axes, embed, patch or (2,) * axes))


SWIN = {2: (16, 24), 3: (8, 16, 12)}  # stages of 8 x 12, 4 x 6, 2 x 3, 1 x 2 cells, and 4 x 8 x 6, 2 x 4 x 3, ...


@pytest.mark.parametrize("axes", [2, 3])
def test_no_layer_of_a_swin_transformer_is_read_with_an_axis_of_space_as_channels(axes):
    model, x = swin(axes), image(SWIN[axes], batch=1)
    stages = [tuple(-(-side // 2**stage) for side in SWIN[axes]) for stage in (1, 2, 3, 4)]
    found = spatial_layers(model, x)
    assert set(found.values()) == {grid for grid in stages if prod(grid) > 1}
    for layer in ("layers1.0.blocks.0", "layers1.0.blocks.1.norm2", "layers2.0.blocks.0.mlp", "layers1.0", "pos_drop"):
        output = raw(model, x, f"swin.{layer}")
        last = "blocks" in layer
        assert found[f"swin.{layer}"] == tuple(output.shape[1:-1] if last else output.shape[2:])
        assert capture(model, x, [f"swin.{layer}"]).grids[f"swin.{layer}"].channels == ("last" if last else "first")
    assert choose_layer(model, x) == f"swin.layers{6 - axes}.0.blocks.0"


@pytest.mark.parametrize("layer", ["layers1.0.blocks.1", "layers1.0.blocks.0.norm1", "layers2.0.blocks.0.mlp"])
@pytest.mark.parametrize("axes", [2, 3])
def test_gradients_of_a_channels_last_layer_are_those_of_the_whole_network(axes, layer):
    model, x, layer = swin(axes), image(SWIN[axes]), f"swin.{layer}"
    logits, activation, (gradient,) = full_graph(model, x, layer, [1])
    passed = capture(model, x, [layer])
    assert torch.equal(passed.logits, logits)
    assert torch.equal(passed.activations[layer], activation.permute(0, -1, *range(1, activation.ndim - 1)))
    expected = gradient.permute(0, -1, *range(1, gradient.ndim - 1))
    torch.testing.assert_close(passed.gradients([Target(1)])[layer][0], expected)


@pytest.mark.parametrize("axes", [2, 3])
def test_a_shape_that_reads_the_same_both_ways_is_refused_unless_the_layer_itself_or_the_caller_tells(axes):
    model, x = swin(axes, embed=8), image((16,) * axes)
    for layer in ("swin.layers1.0.blocks.0", "swin.pos_drop"):
        with pytest.raises(ValueError, match=rf"layer '{layer}' .*state which: grids="):
            capture(model, x, [layer])
    assert capture(model, x, ["swin.patch_embed.proj"]).grids["swin.patch_embed.proj"].channels == "first"
    assert (
        capture(model, x, ["swin.layers1.0.blocks.0.norm1"]).grids["swin.layers1.0.blocks.0.norm1"].channels == "last"
    )
    for channels in ("first", "last"):
        stated = {"swin.layers1.0.blocks.0": TokenGrid((8,) * axes, channels=channels)}
        activation = capture(model, x, list(stated), grids=stated).activations["swin.layers1.0.blocks.0"]
        output = raw(model, x, "swin.layers1.0.blocks.0")
        assert torch.equal(activation, output.movedim(-1, 1) if channels == "last" else output)


def test_attention_weights_are_not_taken_for_a_picture():
    model, x = vit((8, 12), (2, 3)), image((8, 12))
    assert raw(model, x, "network.blocks.0.attn.drop_weights").shape == (2, 2, 17, 17)
    assert "network.blocks.0.attn.drop_weights" not in spatial_layers(model, x)
    with pytest.raises(ValueError, match=r"layer 'network.blocks.0.attn.drop_weights' returns shape \(2, 2, 17, 17\)"):
        capture(model, x, ["network.blocks.0.attn.drop_weights"])


FIRST, LAST, ODD = _Seen("first", (7, 4, 5)), _Seen("last", (4, 5, 9)), _Seen("last", (3, 8))


@pytest.mark.parametrize(
    ("shape", "seen", "channels"),
    [
        ((7, 4, 5), [FIRST, LAST], "first"),
        ((4, 5, 9), [FIRST, LAST], "last"),
        ((2, 4, 5), [FIRST, LAST], "first"),  # by the grid
        ((4, 5, 2), [FIRST], "last"),  # by the grid: a permutation of a convolution's output
        ((6, 6, 2), [FIRST], "first"),  # nothing works on a last axis
        ((6, 6, 2), [FIRST, LAST], None),
        ((6, 6, 2), [FIRST, ODD], None),
        ((4, 4, 4), [FIRST, _Seen("last", (4, 4, 4))], None),
        ((4, 4, 4), [_Seen("first", (4, 4, 4))], "first"),
        ((7, 4, 5), [FIRST, _Seen("last", (7, 4, 5))], None),
    ],
)
def test_channels_by_evidence(shape, seen, channels):
    assert _by_evidence(shape, seen) == channels


class Late(nn.Module):
    """What tells that channels come last is seen only after the layer."""

    def __init__(self):
        super().__init__()
        self.layer, self.norm = nn.Identity(), nn.LayerNorm(6)

    def forward(self, x):
        return self.norm(self.layer(x.permute(0, 2, 3, 1))).mean((1, 2))


def test_a_reading_that_the_rest_of_the_forward_speaks_against_is_refused():
    model, x = Late().double().eval(), image((6, 6), channels=6)
    with pytest.raises(ValueError, match=r"layer 'layer' .*grids="):
        capture(model, x[:, :, :, :6], ["layer"])


@pytest.mark.parametrize("axes", [2, 3])
def test_measuring_leaves_the_model_and_the_random_numbers_as_they_were(axes):
    model, x, grid = made(axes)
    before = copy.deepcopy(state_of(model))
    assert measured(model, x, 1 + grid[0] * 3 * (grid[2] if axes == 3 else 1), Memory()) == TokenGrid(grid, 1)
    assert measured(model, x, 99, Memory()) is None
    explain(model, x, [Target(0), Target(1)], methods=["hirescam"], layers=["auto", "network.blocks.0"])
    assert state_of(model) == before


def test_the_model_is_left_as_it_was_found_when_the_layer_is_refused():
    model, x = with_token(strided(), behind=True), image((8, 9))
    before = copy.deepcopy(state_of(model))
    with pytest.raises(ValueError, match="returns tokens"):
        explain(model, x, [0], layers=["start"])
    assert state_of(model) == before


def test_an_input_that_the_network_writes_to_is_measured_all_the_same():
    class Standardised(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = with_token(strided())

        def forward(self, x):
            return self.inner(x.sub_(0.5))

    assert measured(Standardised().eval(), image((8, 9)), 7, Memory()) == TokenGrid((2, 3), 1)


def test_wrapping_a_network_changes_nothing():
    model, x, grid = made(2)
    assert spatial_layers(First(model.network).eval(), x)["network.blocks.0"] == grid


class Positioned(nn.Module):
    """Positions looked up in a table: a sequence of the tokens' length that knows nothing of the image."""

    def __init__(self, patch, count):
        super().__init__()
        self.patches, self.positions = conv(len(patch), 1, 8, patch, stride=patch), nn.Embedding(count, 8)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x):
        positions = self.positions(torch.arange(self.positions.num_embeddings, device=x.device)[None])
        return self.head(self.norm(self.patches(x).flatten(2).transpose(1, 2) + positions).mean(1))


@pytest.mark.parametrize("axes", [2, 3])
def test_a_table_of_positions_is_not_taken_for_the_tokens(axes):
    size, patch, grid = PLACES[axes]
    model = vivid(Positioned(patch, prod(grid)))
    assert choose_layer(model, image(size)) == "norm"
    assert capture(model, image(size), ["norm"]).grids["norm"] == TokenGrid(grid)
