import pytest
import torch

from cam.finite import all_finite

INFINITE = torch.inf


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_largest_numbers_are_finite_though_their_sum_is_not(dtype):
    largest = torch.full((2, 3, 4), torch.finfo(dtype).max, dtype=dtype)
    assert not torch.isfinite(largest.sum())
    assert all_finite(largest)
    assert all_finite(-largest)


@pytest.mark.parametrize("wrong", [[torch.nan], [INFINITE], [-INFINITE], [INFINITE, -INFINITE]])
def test_one_number_that_is_not_finite_is_seen_among_many(wrong):
    values = torch.ones(1000)
    values[torch.arange(len(wrong)) * 500] = torch.tensor(wrong)
    assert not all_finite(values)
    assert not all_finite(torch.cat([values, torch.full((2,), 3e38)]))


def test_whole_numbers_are_finite():
    assert all_finite(torch.tensor([2**62, 2**62]))
    assert all_finite(torch.empty(0))
