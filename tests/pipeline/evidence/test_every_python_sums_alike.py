"""From Python 3.12 on sum() carries what rounding loses. A run's numbers are summed as every version does it."""

import builtins
from itertools import accumulate

import numpy as np
import pytest

from pipeline.evidence.faithfulness.rule import PictureAreas
from pipeline.evidence.groups.group_differences import population_difference
from pipeline.evidence.plotted.region_shares import _divided

TENTHS = [0.1] * 10  # one after the other .9999999999999999, and 1 where nothing is lost


def carried(values, start=0):
    """Return what sum() gives from Python 3.12 on, of floats (Neumaier)."""
    values = list(values)
    if not any(isinstance(value, float) for value in values):
        return list(accumulate(values, initial=start))[-1]
    total = lost = 0.0
    for value in (float(start), *values):
        new = total + value
        lost += (total - new) + value if abs(total) >= abs(value) else (value - new) + total
        total = new
    return total + lost


@pytest.fixture(params=["this", "3.12"])
def _python(request, monkeypatch):
    if request.param == "3.12":
        assert carried(TENTHS) == 1
        monkeypatch.setattr(builtins, "sum", carried)


class Ten:
    """Ten patients with a score each."""

    patient = scored = np.arange(10)

    def __init__(self, first):
        self.patient = self.patient + first

    def patient_means(self):
        return np.array(TENTHS)


@pytest.mark.usefixtures("_python")
def test_means_of_groups():
    named = {"metric": "iou", "method": "gradcam", "among": "all", "column": "sex", "group": "sex=F"}
    difference = population_difference((Ten(0), Ten(10)), (None, None), 0.95, named)
    assert (difference.own, difference.rest) == (0.09999999999999999, 0.09999999999999999)


@pytest.mark.usefixtures("_python")
def test_shares_of_regions():
    shares = _divided(0.0, dict(enumerate(TENTHS)))
    assert set(shares.values()) == {0.1 / 0.9999999999999999}


@pytest.mark.usefixtures("_python")
def test_the_mean_of_random_orders():
    assert PictureAreas("P-1", 0.1, tuple(TENTHS), 0.1).outcome("random") == 1
