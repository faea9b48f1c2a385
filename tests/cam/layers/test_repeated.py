"""``auto`` in networks that call a layer several times, or show it slices or instances: nothing has to be stated."""

import pytest
import torch
from torch import nn

from cam import Memory, Slices, capture, cell_shift, choose_layer, estimate, explain, find_layer
from cam.layers.slice_order import measured_slices
from tests.cam.layers.test_calls import WAYS, Bag, SliceBySlice, TwoViews, by_hand, sliced, views
from tests.cam.networks import conv, images, pool

METHODS = ["hirescam", "gradcam"]


@pytest.mark.parametrize("axes", [2, 3])
def test_two_views_have_a_map_of_each_call(axes):
    model, x = views(axes)
    found = explain(model, x, target=1, methods="hirescam", rectify=False)
    assert [layer for _, layer, _ in found.maps] == ["features#0", "features#1"]
    for number, (A, G) in enumerate(zip(*by_hand(model, x, 1), strict=True)):
        torch.testing.assert_close(found.maps["hirescam", f"features#{number}", 1], (A * G).sum(1).detach())
        note = found.notes["auto", f"features#{number}"]
        assert "2 calls of 'features', one or another of which all of the evidence passes" in note
        assert "'features#sum'" in note
        assert note.endswith("goes past them: 0.000")


def test_a_choice_of_several_calls_has_no_one_name():
    model, x = views(2)
    choice = find_layer(model, x)
    assert choice.names == ("features#0", "features#1")
    with pytest.raises(ValueError, match=r"stands for 2 calls .*name one of features#0, features#1, .*'features#sum'"):
        choose_layer(model, x)
    assert [layer for _, layer in estimate(model, x)] == ["features#0", "features#1"]


class Tied(nn.Module):
    """A block whose weights are used three times in a row, and whose activation is shared with all else."""

    def __init__(self):
        super().__init__()
        self.stem, self.block, self.act = conv(2, 1, 4, 3), conv(2, 4, 4, 3, padding=1), nn.Tanh()
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        z = self.act(self.stem(x))
        for _ in range(3):
            z = self.act(self.block(z))
        return self.head(z.mean((2, 3)))


def test_of_a_block_with_tied_weights_the_last_call_is_taken():
    torch.manual_seed(0)
    model, x = Tied().double().eval(), images(2)
    found = explain(model, x, target=1, methods="hirescam")
    assert list(found.maps) == [("hirescam", "block#2", 1)]
    z = model.act(model.stem(x))
    for _ in range(3):
        A = model.block(z).detach().requires_grad_()
        z = model.act(A)
    (G,) = torch.autograd.grad(model.head(z.mean((2, 3)))[:, 1].sum(), A)
    torch.testing.assert_close(found["hirescam"].clone(), (A * G).sum(1).detach())
    assert "the last call of 'block', which all of the evidence passes" in found.notes["auto", "block#2"]


class TiedViews(Tied):
    """The tied block on two views: the last call of each is what all of the evidence passes."""

    def forward(self, x):
        both = []
        for view in (x[:, :1], x[:, 1:]):
            z = self.act(self.stem(view))
            for _ in range(2):
                z = self.act(self.block(z))
            both.append(z.mean((2, 3)))
        return self.head(both[0] * both[1])


def test_of_tied_weights_on_two_views_the_last_call_of_each_is_taken():
    torch.manual_seed(0)
    model, x = TiedViews().double().eval(), torch.cat([images(2), images(2, seed=5)], dim=1)
    assert find_layer(model, x).names == ("block#1", "block#3")


class Pyramid(nn.Module):
    """A tower of convolutions shared by the levels of a pyramid: its calls have other shapes."""

    def __init__(self):
        super().__init__()
        self.stem, self.tower, self.out = conv(2, 1, 4, 3, padding=1), conv(2, 4, 4, 3, padding=1), conv(2, 4, 3, 1)
        self.last = nn.Tanh()

    def forward(self, x):
        z = self.stem(x)
        levels = [z, nn.functional.avg_pool2d(z, 2), nn.functional.avg_pool2d(z, 3)]
        return torch.stack([self.last(self.out(self.tower(level))).amax((2, 3)) for level in levels]).sum(0)


def test_calls_of_other_shapes_have_maps_of_other_shapes():
    torch.manual_seed(0)
    model, x = Pyramid().double().eval(), images(2)
    found = explain(model, x, target=1)
    assert {layer: tuple(maps.shape) for (_, layer, _), maps in found} == {
        "tower#0": (3, 6, 6),
        "tower#1": (3, 3, 3),
        "tower#2": (3, 2, 2),
    }
    assert "#sum" not in found.notes["auto", "tower#0"]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("way", WAYS)
def test_slices_are_measured_and_give_the_maps_of_those_that_are_stated(axis, way):
    model, x, grids = sliced(axis, way)
    expected = explain(model, x, target=1, methods=METHODS, layers="features", grids=grids)
    for layers in ("auto", "features"):
        found = explain(model, x, target=1, methods=METHODS, layers=layers)
        assert [layer for _, layer, _ in found.maps] == ["features", "features"]
        for method in METHODS:
            torch.testing.assert_close(found[method].clone(), expected[method].clone())
    assert f"slices along spatial axis {axis}, as measured" in explain(model, x, target=1).notes["auto", "features"]


def test_two_views_are_no_instances_of_a_bag():
    assert measured_slices(*views(2)) == {}


def test_rows_finer_than_the_image_are_no_slices():
    """Each plane of the first axis gives two rows, of which one reacts."""

    class Doubled(SliceBySlice):
        def forward(self, x):
            rows = (
                x.movedim(2, 1).repeat_interleave(2, 1)
                * torch.tensor([1.0, 0]).to(x).repeat(x.shape[2])[:, None, None, None]
            )
            return self.head(self.features(rows.flatten(0, 1)).unflatten(0, rows.shape[:2]).flatten(3).mean((1, 3)))

    assert measured_slices(Doubled(0, "").double().eval(), torch.randn(1, 1, 3, 5, 6, dtype=torch.float64)) == {}


class Neighbouring(SliceBySlice):
    """Each slice is seen with its two neighbours (2.5D)."""

    def __init__(self):
        super().__init__(0, "rows")
        self.features = nn.Sequential(conv(2, 3, 4, 3, padding=1), nn.ReLU())

    def forward(self, x):
        padded = nn.functional.pad(x[:, 0], (0, 0, 0, 0, 1, 1))
        rows = padded.unfold(1, 3, 1).movedim(4, 2)
        pooled = self.features(rows.flatten(0, 1)).unflatten(0, rows.shape[:2]).flatten(3).mean(3)
        return self.head((self.gate(pooled).softmax(1) * pooled).sum(1))


def test_slices_that_are_seen_with_their_neighbours_are_slices():
    torch.manual_seed(0)
    model, x = Neighbouring().double().eval(), torch.randn(2, 1, 9, 5, 6, dtype=torch.float64)
    found = explain(model, x, target=1, methods="hirescam")
    stated = explain(model, x, target=1, methods="hirescam", layers="features", grids={"features": Slices(0)})
    assert found["hirescam"].shape == (2, 9, 5, 6)
    torch.testing.assert_close(found["hirescam"].clone(), stated["hirescam"].clone())


class OverSlices(SliceBySlice):
    """A recurrent network over the slices, from the last to the first, or shuffled."""

    def __init__(self, order):
        super().__init__(0, "rows")
        self.order, self.read = order, nn.GRU(4, 4, batch_first=True)

    def forward(self, x):
        slices = x.movedim(2, 1)[:, self.order]
        pooled = self.features(slices.flatten(0, 1)).flatten(2).mean(2).unflatten(0, slices.shape[:2])
        return self.head(self.read(pooled)[0][:, -1])


@pytest.mark.parametrize("order", [[4, 3, 2, 1, 0], [0, 2, 1, 3, 4], [0, 1, 2, 4, 3]])
def test_slices_in_another_order_than_the_image_are_refused(order):
    torch.manual_seed(0)
    model, x = OverSlices(order).double().eval(), torch.randn(1, 1, 5, 5, 6, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"found no layer .* has 5 rows for one sample"):
        explain(model, x, target=1)
    model.order = [0, 1, 2, 3, 4]
    assert explain(model, x, target=1)["gradcam"].shape == (1, 5, 5, 6)


def looped(bag):
    """Let a bag go through its backbone one by one."""

    def forward(x):
        pooled = torch.stack([bag.features(x[:, place]).flatten(2).mean(2) for place in range(x.shape[1])], dim=1)
        return bag.head((bag.attention(pooled).softmax(1) * pooled).sum(1))

    bag.forward = forward
    return bag


@pytest.mark.parametrize("in_a_loop", [False, True])
@pytest.mark.parametrize("batch", [1, 2])
def test_the_instances_of_a_bag_are_measured(batch, in_a_loop):
    torch.manual_seed(0)
    bag = Bag().double().eval()
    model, x = looped(bag) if in_a_loop else bag, torch.randn(batch, 5, 3, 6, 7, dtype=torch.float64)
    found = explain(model, x, target=1, methods="hirescam")
    A = model.features(x.flatten(0, 1)).detach().requires_grad_()
    pooled = A.flatten(2).mean(2).unflatten(0, (batch, 5))
    (G,) = torch.autograd.grad(model.head((model.attention(pooled).softmax(1) * pooled).sum(1))[:, 1].sum(), A)
    torch.testing.assert_close(found["hirescam"].clone(), (A * G).sum(1).unflatten(0, (batch, 5)).detach())
    assert "the instances of a bag, as measured" in found.notes["auto", "features"]
    with pytest.raises(ValueError, match="sees instances that are no axis of the image"):
        explain(model, x, target=1, methods="scorecam")


def test_what_is_measured_is_remembered():
    model, x, _ = sliced(0, "rows by sample")
    calls, memory = [], Memory()
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    explain(model, x, target=1, memory=memory)
    first = len(calls)
    for layers in ("auto", "features"):
        explain(model, x, target=1, layers=layers, memory=memory)
    assert len(calls) == first + 2
    assert capture(model, x, ["features"], memory=memory).activations["features"].shape == (2, 4, 3, 5, 6)
    assert len(calls) == first + 3


class Wrapped(SliceBySlice):
    """The slices go through a module that takes them apart and puts them together."""

    def __init__(self):
        super().__init__(0, "rows")

        class Apart(nn.Module):
            def __init__(self, backbone):
                super().__init__()
                self.backbone = backbone

            def forward(self, x):
                return self.backbone(x.movedim(2, 1).flatten(0, 1)).unflatten(0, (len(x), -1))

        self.stem, self.backbone = conv(3, 1, 1, 1), Apart(self.features)
        del self.features

    def forward(self, x):
        return self.head(self.backbone(self.stem(x)).mean((1, 3, 4)))


def test_a_wrapper_that_puts_the_slices_before_the_channels_is_not_read_as_channels():
    torch.manual_seed(0)
    model, x = Wrapped().double().eval(), torch.randn(2, 1, 5, 5, 6, dtype=torch.float64)
    found = explain(model, x, target=1)
    assert list(found.maps) == [("gradcam", "backbone.backbone", 1)]
    assert found["gradcam"].shape == (2, 5, 5, 6)
    with pytest.raises(ValueError, match="whose channels may be first or last"):
        explain(model, x, target=1, layers="backbone")


class TokensOfSlices(nn.Module):
    """A transformer on each slice: its rows are tokens, not images."""

    def __init__(self):
        super().__init__()
        self.patches, self.norm, self.head = conv(2, 1, 6, 2, stride=2), nn.LayerNorm(6), nn.Linear(6, 3)

    def forward(self, x):
        rows = self.patches(x.movedim(2, 1).flatten(0, 1))
        tokens = self.norm(rows.flatten(2).transpose(1, 2)).unflatten(0, (len(x), -1))
        return self.head(tokens.mean((1, 2)))


def test_rows_of_tokens_are_not_taken_for_channels():
    torch.manual_seed(0)
    model, x = TokensOfSlices().double().eval(), torch.randn(1, 1, 3, 4, 6, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"'norm' .*tokens"):
        explain(model, x, target=1, layers="norm", grids={"norm": Slices(0)})
    assert list(explain(model, x, target=1).maps) == [("gradcam", "patches", 1)]


@pytest.mark.parametrize("number", [0, 1])
def test_where_a_call_looks_is_measured_at_that_call(number):
    """The second view is shifted by two voxels before the backbone sees it."""

    class Shifted(TwoViews):
        def forward(self, x):
            return super().forward(torch.cat([x[:, :1], x[:, 1:].roll(2, 3)], dim=1))

    torch.manual_seed(0)
    model, x = Shifted(2).double().eval(), torch.randn(1, 2, 8, 8, dtype=torch.float64)
    shift = cell_shift(model, f"features#{number}", x)
    assert shift == pytest.approx((0, -2 * number), abs=0.3)


def test_where_the_cells_of_slices_look_is_measured():
    for way in ("rows by sample", "a loop"):
        model, x, _ = sliced(0, way, batch=1)
        assert cell_shift(model, "features", x) == pytest.approx((0, 0, 0), abs=0.6)


def test_the_pool_of_a_view_is_not_taken_for_its_features():
    """What pools every call has more than one cell, and is resampled all the same."""
    model, x = views(2)
    model.pool = nn.Sequential(nn.AvgPool2d(2), pool(2), nn.Flatten()).eval()
    assert find_layer(model, x).names == ("features#0", "features#1")


def test_patches_in_rows_are_no_slices_of_the_image():
    """As TNT's pixels: a row for each patch of a grid, so a plane of the image lies in a whole row of patches."""

    class Pixels(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.inner, self.head = conv(2, 1, 6, 3, padding=1), nn.Identity(), nn.Linear(6, 3)

        def forward(self, x):
            patches = self.embed(x).unfold(2, 16, 16).unfold(3, 16, 16).permute(0, 2, 3, 4, 5, 1).reshape(-1, 256, 6)
            return self.head(self.inner(patches).tanh().mean(1).unflatten(0, (len(x), -1)).mean(1))

    torch.manual_seed(0)
    model, x = Pixels().double().eval(), torch.randn(1, 1, 80, 80, dtype=torch.float64)
    assert measured_slices(model, x) == {}
    assert find_layer(model, x).names == ("embed",)
