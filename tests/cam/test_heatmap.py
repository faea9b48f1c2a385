"""Pictures of maps: where nothing is drawn the image is as it was, and nothing but the picture is scaled."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from cam import Heatmap, NoSuchMapError, explain
from tests.cam.networks import images, small

RAMP = {2: torch.arange(16.0).view(1, 1, 4, 4), 3: torch.arange(64.0).view(1, 1, 4, 4, 4)}


def one_cell(axes, value):
    maps = torch.zeros(1, *[2] * axes)
    maps[(0, *[0] * axes)] = value
    return Heatmap.of(maps)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("value", [5.0, -5.0, 1e-20])
def test_a_map_is_laid_over_its_image_voxel_by_voxel(axes, value):
    overlay = one_cell(axes, value).overlay(RAMP[axes], strength=0.5).double().numpy()
    grey = (RAMP[axes][0, 0] / RAMP[axes].max()).double().numpy()
    along = np.array([1, 0.75, 0.25, 0])  # a cell of two voxels, its centre between them
    share = np.einsum("a,b->ab", along, along) if axes == 2 else np.einsum("a,b,c->abc", along, along, along)
    colours = [share > 0, share, 0 * share] if value > 0 else [0 * share, share, share > 0]
    for channel, colour in enumerate(colours):
        expected = (1 - 0.5 * share) * grey + 0.5 * share * colour
        np.testing.assert_allclose(overlay[0, channel], expected, atol=1e-6)


@pytest.mark.parametrize("axes", [2, 3])
def test_under_an_empty_map_the_image_is_as_it_was(axes):
    image = RAMP[axes]
    overlay = one_cell(axes, 0.0).overlay(image)
    torch.testing.assert_close(overlay, (image / image.max()).expand(-1, 3, *[-1] * axes))


def test_three_channels_of_a_picture_are_its_colours_and_others_are_grey():
    colours = torch.rand(1, 3, 4, 4)
    low, high = colours.min(), colours.max()
    torch.testing.assert_close(one_cell(2, 0.0).overlay(colours), (colours - low) / (high - low))
    two = colours[:, :2].mean(1, keepdim=True)
    expected = ((two - two.min()) / (two.max() - two.min())).expand(-1, 3, -1, -1)
    torch.testing.assert_close(one_cell(2, 0.0).overlay(colours[:, :2]), expected)


@pytest.mark.parametrize(
    "image",
    [
        torch.rand(4, 4),
        torch.rand(1, 4, 4),
        torch.rand(1, 1, 4, 4),
        torch.ones(1, 1, 4, 4).byte(),
        torch.full((1, 1, 4, 4), torch.nan),
    ],
)
def test_an_image_of_every_form_is_taken(image):
    overlay = one_cell(2, 1.0).overlay(image)
    assert overlay.shape == (1, 3, 4, 4)
    assert 0 <= float(overlay.min()) <= float(overlay.max()) <= 1


@pytest.mark.parametrize(
    "image",
    [torch.rand(2, 1, 4, 4), torch.rand(1, 1, 4, 4, 4), torch.rand(4), torch.rand(1, 0, 4, 4), np.ones((4, 4)), None],
)
def test_an_image_that_does_not_fit_is_refused(image):
    with pytest.raises(ValueError, match=r"overlay.image must"):
        one_cell(2, 1.0).overlay(image)


@pytest.mark.parametrize("strength", [-0.1, 1.1, "much", True, None, float("nan")])
def test_a_strength_out_of_range_is_refused(strength):
    with pytest.raises(ValueError, match=r"overlay.strength must lie within 0 and 1"):
        one_cell(2, 1.0).overlay(RAMP[2], strength=strength)


def test_what_is_computed_from_a_heatmap_is_a_plain_tensor():
    maps = one_cell(2, 1.0)
    assert type(maps * 2) is type(maps[0]) is type(maps.sum()) is type(torch.stack([maps])) is torch.Tensor
    assert isinstance(maps, torch.Tensor)
    assert np.array_equal(maps.numpy(), np.array([[[1, 0], [0, 0]]]))
    assert not maps.requires_grad
    assert torch.equal(pickle.loads(pickle.dumps(maps)), maps)
    assert torch.equal(copy.deepcopy(maps), maps)


@pytest.mark.parametrize("axes", [2, 3])
def test_a_grid_shows_every_sample_and_of_a_volume_the_plane_of_its_peak(axes):
    maps = torch.zeros(3, *[4] * axes)
    for sample in range(3):
        maps[(sample, *[sample] * axes)] = 1 + sample
    picture = Heatmap.of(maps).to_image_grid()
    assert picture.shape == (3, 4, 3 * 4 + 2 * 2)
    for sample in range(3):
        red = picture[0, :, 6 * sample : 6 * sample + 4]
        assert red.nonzero().tolist() == [[sample, sample]]
    assert bool((picture[:, :, 4:6] == 1).all())
    assert Heatmap.of(maps).to_image_grid(columns=2).shape == (3, 10, 10)
    over = torch.rand(3, 1, *[8] * axes)
    assert Heatmap.of(maps).to_image_grid(over).shape == (3, 8, 3 * 8 + 2 * 2)
    with pytest.raises(ValueError, match=r"to_image_grid.columns must be a whole number of at least 1, not 0"):
        Heatmap.of(maps).to_image_grid(columns=0)


@pytest.mark.parametrize("axes", [2, 3])
def test_an_explanation_of_one_map_is_drawn_itself_and_of_several_side_by_side(axes):
    model, x = small(axes, rectified=False, affine=False), images(axes, batch=2)
    found = explain(model, x, target=1, layers="layer")
    assert torch.equal(found.overlay(x), found["gradcam"].overlay(x))
    several = explain(model, x, target=1, methods=["gradcam", "saliency"], layers="layer")
    with pytest.raises(NoSuchMapError, match=r"overlay needs one map: name it, maps\['gradcam'\].overlay\(image\)"):
        several.overlay(x)
    side = x.shape[-1]
    assert several.to_image_grid(x).shape == (3, 2 * side + 2, 2 * side + 2)
    picture = several.to_image_grid()
    assert picture.shape == (3, 2 * side + 2, 2 * side + 2)
    expected = interpolate(several["gradcam"].planes()[:1], size=(side, side), mode="nearest")[0]
    torch.testing.assert_close(picture[:, :side, :side], expected)
    with pytest.raises(NoSuchMapError, match="needs a map, and there is none"):
        explain(model, x, [], layers="layer").to_image_grid()
