"""The search for a bound: as many p-values as it takes, and the bound that a search that knows nothing leads to."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import ndtri

from pipeline.evidence.exact import means
from pipeline.evidence.exact.crossing import approximate_crossing, zeros_nearby

CASES = {
    "rates": np.repeat([0.0, 1.0], [30, 170]),
    "all alike": np.full(120, 0.3),
    "skewed": np.random.default_rng(1).beta(3, 0.5, 400),
    "few high": np.where(np.random.default_rng(2).random(300) < 0.95, 0.0, 0.9),
    "close to 1": 1 - np.random.default_rng(3).random(150) * 1e-6,
    "two patients": np.array([0.2, 0.9]),
}


@pytest.mark.parametrize("start", [0.001, 0.4, 0.999, 7.0, math.nan], ids=str)
@pytest.mark.parametrize("slope", [0.0, 1e-3, 3.0, 1e9, -2.0, math.nan], ids=str)
def test_the_zero_is_reached_from_any_start(start, slope):
    *_, last = zeros_nearby(lambda place: math.expm1(8 * (place - 0.7315)), start, slope)
    assert last == pytest.approx(0.7315, abs=1e-9)


def test_where_nothing_rises_but_a_step_halves_lead_to_it():
    *_, last = zeros_nearby(lambda place: 1.0 if place > 0.25 else -1.0, 0.9, 1.0)
    assert last == pytest.approx(0.25, abs=1e-9)


@pytest.mark.parametrize("alpha", [0.025, 0.0005])
@pytest.mark.parametrize("scores", CASES.values(), ids=CASES)
def test_a_bound_is_that_of_a_search_that_knows_nothing(scores, alpha):
    root = brentq(lambda bound: ndtri(means.p_low(scores, bound)) - ndtri(alpha), 1e-9, 1 - 1e-9, xtol=1e-13)
    bound = means.lower_bound(scores, alpha)
    assert bound == math.floor(root * 10**8) / 10**8


@pytest.mark.parametrize("scores", [CASES[name] for name in ("rates", "skewed")], ids=["rates", "skewed"])
def test_a_bound_takes_few_p_values(scores, monkeypatch):
    asked, p_low = [], means.p_low
    monkeypatch.setattr(means, "p_low", lambda *given, **named: asked.append(given[1]) or p_low(*given, **named))
    means.lower_bound(scores, 0.025)
    assert len(asked) <= 7


@pytest.mark.parametrize("start", [(0.0, 0.0), (0.5, math.nan), (1.0, 1e12)], ids=str)
def test_a_wrong_start_leads_to_the_same_bound(start, monkeypatch):
    expected = means.lower_bound(CASES["skewed"], 0.025)
    monkeypatch.setattr(means, "approximate_crossing", lambda *_: start)
    assert means.lower_bound(CASES["skewed"], 0.025) == expected


def test_the_start_is_near_where_many_patients_weigh_alike():
    scores = CASES["skewed"]
    start, slope = approximate_crossing(scores, np.ones(len(scores)), 1.0, float(ndtri(0.025)))
    assert start == pytest.approx(means.lower_bound(scores, 0.025), abs=1e-3)
    rise = ndtri(means.p_low(scores, start + 1e-5)) - ndtri(means.p_low(scores, start - 1e-5))
    assert slope == pytest.approx(rise / 2e-5, rel=0.05)
