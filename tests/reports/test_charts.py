"""Charts: axes that hold their values."""

import pytest

from reports.charts import axis


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ([0.3, 0.7], (0, 1)),
        ([12.0, 29.4], (0, 30)),
        ([-0.4, 0.9], (-0.5, 1.0)),
        ([0.01, 0.04], (0, 0.04)),
        ([0.0], (0, 1)),
    ],
)
def test_an_axis_holds_its_values(values, ends):
    low, high, ticks = axis(values)
    assert (low, high) == pytest.approx(ends)
    assert low <= min(values)
    assert high >= max(values) - 1e-9
    assert ticks == sorted(ticks)
    assert 3 <= len(ticks) <= 7
