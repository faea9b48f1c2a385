"""One picture's maps and opponents: what they cost, and that right maps win and wrong ones lose."""

import pytest
import torch

from cam import Target
from pipeline.evidence.faithfulness.blocks import block_grid
from pipeline.evidence.faithfulness.curves import curves_of
from pipeline.evidence.faithfulness.fills import blur_fill, blurred
from pipeline.evidence.faithfulness.findings import share_of_best
from pipeline.evidence.faithfulness.opponents import opponents_of
from pipeline.evidence.faithfulness.picture import MapOfPicture, picture_result
from tests.pipeline.evidence.faithfulness.scorers import Linear, rescore
from tests.pipeline.evidence.faithfulness.test_curves import picture, scorer

CHANCE = (0, "a digest")


def right_map(model, x):
    """Return what each voxel adds to a linear scorer's answer."""
    return (model.weights[0] * (x - blurred(x))[0]).sum(dim=0)


@pytest.mark.parametrize("shape", [(8, 8), (9, 7), (5, 6, 7)])
@pytest.mark.parametrize("methods", [1, 2, 5])
def test_the_first_method_costs_72_forwards_and_each_further_one_14(shape, methods):
    x = picture(shape)
    model = scorer(x, Linear)
    maps = [MapOfPicture(f"method {number}", 0, torch.randn(shape)) for number in range(methods)]
    picture_result(x, maps, rescore(model, x), CHANCE)
    assert model.rows == 72 + 14 * (methods - 1)


def test_opponents_serve_all_targets_and_the_best_order_costs_a_forward_a_block():
    x = picture((8, 8))
    model = scorer(x, Linear, 2)
    maps = [MapOfPicture("a", target, torch.randn(8, 8)) for target in (0, 1)]
    result = picture_result(x, maps, rescore(model, x, (Target(0), Target(1))), CHANCE, with_best=True)
    assert model.rows == 72 + 14 + 16 + 2 * 14
    assert len(result.opponents) == 2
    assert all(len(opponents.random) == 3 for opponents in result.opponents)
    assert result.opponents[0] != result.opponents[1]
    for target in (0, 1):  # a target's own order of one-block occlusions, and its own curve
        alone = picture_result(x, maps[:1], rescore(model, x, (Target(target),)), CHANCE, with_best=True)
        assert result.opponents[target].best == pytest.approx(alone.opponents[0].best)
        assert result.opponents[target].centre == pytest.approx(alone.opponents[0].centre)


def test_a_maps_area_is_that_of_its_own_target():
    x, values = picture((8, 8)), torch.randn(8, 8)
    model = scorer(x, Linear, 2)
    maps = [MapOfPicture("a", target, values) for target in (0, 1)]
    result = picture_result(x, maps, rescore(model, x, (Target(0), Target(1))), CHANCE)
    for own in result.maps:
        alone = picture_result(x, [MapOfPicture("a", 0, values)], rescore(model, x, (Target(own.target),)), CHANCE)
        assert own.area == pytest.approx(alone.maps[0].area)
    assert result.maps[0].area != pytest.approx(result.maps[1].area)


def test_the_centre_blobs_area_is_that_of_a_map_that_is_the_blob():
    x, grid = picture((8, 8)), block_grid((8, 8), torch.device("cpu"))
    model = scorer(x, Linear)
    result = picture_result(x, [], rescore(model, x), CHANCE)
    areas = curves_of(grid, opponents_of(grid, *CHANCE)[None], blur_fill(x), rescore(model, x)).areas[0, 0]
    assert result.opponents[0].centre == pytest.approx(float(areas[0]))
    assert result.opponents[0].random == pytest.approx(tuple(areas[1:].tolist()))


def test_rows_go_through_the_model_together():
    x = picture((8, 8))
    model = scorer(x, Linear)
    picture_result(x, [MapOfPicture("a", 0, torch.randn(8, 8))], rescore(model, x), CHANCE)
    assert model.chunks == 2  # of 72 rows, 64 together


@pytest.mark.parametrize("shape", [(8, 12), (4, 8, 4)])
def test_the_right_map_beats_all_and_backwards_none(shape):
    x = picture(shape)
    model = scorer(x, Linear)
    right = right_map(model, x)
    maps = [MapOfPicture("right", 0, right), MapOfPicture("inverted", 0, -right)]
    result = picture_result(x, maps, rescore(model, x), CHANCE, with_best=True)
    (own, inverted), opponents = result.maps, result.opponents[0]
    assert own.area > max(opponents.centre, *opponents.random)
    assert inverted.area < min(opponents.centre, *opponents.random)
    assert own.area == pytest.approx(opponents.best)
    assert share_of_best(own.area, opponents.best) == pytest.approx(1)
    assert share_of_best(inverted.area, opponents.best) == pytest.approx(-1)
    assert own.insertion[0] == own.deletion[-1]
    assert own.insertion[-1] == own.deletion[0]


def test_a_map_of_one_value_has_no_order_costs_nothing_and_has_no_area():
    x = picture((8, 8))
    model = scorer(x, Linear)
    maps = [MapOfPicture("empty", 0, torch.zeros(8, 8)), MapOfPicture("a", 0, torch.randn(8, 8))]
    result = picture_result(x, maps, rescore(model, x), CHANCE)
    assert (result.maps[0].area, result.maps[0].insertion) == (None, ())
    assert result.maps[1].area is not None
    assert model.rows == 72


def test_opponents_are_drawn_anew_for_each_study_and_the_same_when_asked_again():
    grid = block_grid((8, 8), torch.device("cpu"))
    first, again, other = (opponents_of(grid, 0, study) for study in ("a", "a", "b"))
    assert torch.equal(first, again)
    assert not torch.equal(first[1:], other[1:])
    assert not torch.equal(opponents_of(grid, 1, "a")[1:], first[1:])
    assert all(sorted(order.tolist()) == list(range(16)) for order in first)


def test_the_centre_blob_takes_the_middle_first_and_the_corners_last():
    for study in ("a", "b", "c"):
        blob = opponents_of(block_grid((32, 32), torch.device("cpu")), 0, study)[0].tolist()
        assert set(blob[:4]) == {5, 6, 9, 10}
        assert set(blob[-4:]) == {0, 3, 12, 15}
    blobs = {tuple(opponents_of(block_grid((32, 32), torch.device("cpu")), 0, study)[0].tolist()) for study in "abcdef"}
    assert len(blobs) > 1  # the middle's blocks are tied, and the rounding of a Gaussian ranks none of them


def test_no_share_of_a_best_order_that_is_none():
    assert share_of_best(1.0, 0.0) is None
    assert share_of_best(1.0, -2.0) is None
