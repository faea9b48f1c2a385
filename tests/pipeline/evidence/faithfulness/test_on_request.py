"""What reviewers ask for, by hand."""

import pytest
import torch

from pipeline.evidence.faithfulness.blocks import block_grid
from pipeline.evidence.faithfulness.fills import mean_fill
from pipeline.evidence.faithfulness.on_request import (
    SETS,
    DropAndIncrease,
    drop_and_increase,
    mean_fill_deletion,
    sensitivity_n,
    shown_by_map,
)
from tests.pipeline.evidence.faithfulness.scorers import Linear, rescore
from tests.pipeline.evidence.faithfulness.test_curves import picture, scorer


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (0.8, 0.6, DropAndIncrease(pytest.approx(25), False)),
        (0.5, 0.75, DropAndIncrease(0.0, True)),
        (0.5, 0.5, DropAndIncrease(0.0, False)),
        (0.4, 0.0, DropAndIncrease(pytest.approx(100), False)),
    ],
)
def test_drop_is_in_percent_of_what_was_there_and_a_rise_is_none(before, after, expected):
    assert drop_and_increase(before, after) == expected


@pytest.mark.parametrize(("before", "after"), [(0.0, 0.5), (1.2, 0.5), (0.5, -0.1), (0.5, float("nan"))])
def test_what_is_no_probability_is_refused(before, after):
    with pytest.raises(ValueError, match="probabilities lie within 0 and 1"):
        drop_and_increase(before, after)


def test_what_a_map_shows_of_a_picture_is_scaled_from_0_to_1():
    x = torch.full((2, 2, 2), 4.0)
    shown = shown_by_map(x, torch.tensor([[-1.0, 0.0], [1.0, 3.0]]))
    torch.testing.assert_close(shown, torch.tensor([[0.0, 1.0], [2.0, 4.0]]).expand(2, 2, 2))
    assert not shown_by_map(x, torch.ones(2, 2)).any()


def test_deletion_with_a_mean_fill_takes_the_maps_highest_cells_first():
    x = picture((16, 16))
    model = scorer(x, Linear)
    gone = (model.weights[0] * (x - x.mean(dim=(2, 3), keepdim=True))[0]).sum(dim=0)
    curve = mean_fill_deletion(x, gone, rescore(model, x), torch.Generator())[0]
    parts = gone.flatten().sort(descending=True).values
    for step, score in enumerate(curve):
        left = float(model(x)[0, 0]) - float(
            parts[: (step * 256) // 10 if step <= 5 else 256 - ((10 - step) * 256) // 10].sum()
        )
        assert float(score) == pytest.approx(left)
    assert model.rows - 11 == 20  # both directions and their ends
    assert mean_fill_deletion(x, torch.ones(16, 16), rescore(model, x), torch.Generator()) is None


@pytest.mark.parametrize("shape", [(8, 8), (5, 7), (4, 5, 6)])
def test_of_a_linear_scorer_the_right_map_is_sensitive_and_its_opposite_is_not(shape):
    x = picture(shape)
    model, grid = scorer(x, Linear), block_grid(shape, torch.device("cpu"))
    right = (model.weights[0] * (x - mean_fill(x)(torch.tensor([0]), torch.zeros(1, *shape, dtype=torch.bool)))[0]).sum(
        0
    )
    maps = torch.stack([right, -2 * right])
    sensitivity = sensitivity_n(x, maps, grid, rescore(model, x), torch.Generator().manual_seed(0))
    assert model.rows == SETS + 1
    assert sensitivity[0][:2] == (pytest.approx(1), pytest.approx(-1))
    assert len(sensitivity) == 1


def test_a_map_that_says_the_same_of_every_set_has_no_sensitivity():
    x = picture((8, 8))
    model, grid = scorer(x, Linear), block_grid((8, 8), torch.device("cpu"))
    maps = torch.stack([torch.ones(8, 8).double(), picture((8, 8))[0, 0]])
    flat, varied = sensitivity_n(x, maps, grid, rescore(model, x), torch.Generator().manual_seed(0))[0]
    assert flat is None
    assert -1 <= varied <= 1
