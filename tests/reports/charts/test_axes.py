"""Charts: axes that hold their values."""

import pytest

from reports.charts.frame import axis


@pytest.mark.parametrize(
    ("values", "span", "ends"),
    [
        ([0.3, 0.7], (0.0, 1.0), (0, 1)),
        ([0.3, 0.7], (0.0, None), (0, 0.8)),
        ([12.0, 29.4], (0.0, None), (0, 30)),
        ([12.0, 29.4], (None, None), (0, 30)),
        ([-0.4, 0.9], (-1.0, 1.0), (-1, 1)),
        ([-0.4, 0.9], (None, None), (-0.5, 1.0)),
        ([0.01, 0.04], (0.0, 1.0), (0, 0.04)),
        ([-0.9, -0.8], (-1.0, 1.0), (-1, 1)),
        ([-0.1, 0.05], (-1.0, 1.0), (-0.1, 0.05)),
        ([0.0], (0.0, None), (0, 1)),
    ],
)
def test_an_axis_holds_its_values(values, span, ends):
    low, high, ticks = axis(values, span)
    assert (low, high) == pytest.approx(ends)
    assert low <= min(values)
    assert high >= max(values) - 1e-9
    assert ticks == sorted(ticks)
    assert 3 <= len(ticks) <= 7
