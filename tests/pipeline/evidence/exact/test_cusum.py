"""The cumulative sum over runs: its averages against simulated runs, and against what is known by hand."""

import math

import numpy as np
import pytest

from pipeline.evidence.exact.cusum import LONGEST, Cusum, average_run_length, cusum_of


def simulated(rule, patients, scores, chains, runs=40_000):
    """Return the mean number of runs to the alarm, ``runs`` at most, and its standard error.

    ``scores`` draws (chains, patients).
    """
    totals, lengths = np.zeros(chains), np.full(chains, float(runs))
    waiting = np.ones(chains, dtype=bool)
    for run in range(1, runs):
        means = scores((int(waiting.sum()), patients)).mean(axis=1)
        totals[waiting] = [
            rule.after(total, patients, mean) for total, mean in zip(totals[waiting], means, strict=True)
        ]
        ended = waiting & np.array([rule.alarms(total) for total in totals])
        lengths[ended] = run
        waiting &= ~ended
        if not waiting.any():
            break
    return lengths.mean(), lengths.std() / math.sqrt(chains)


@pytest.mark.parametrize(
    ("reference", "patients", "mean"),
    [(0.8, 5, 0.8), (0.8, 5, 0.7), (0.6, 20, 0.6), (0.6, 20, 0.4), (0.95, 3, 0.95), (0.3, 8, 0.2)],
)
def test_the_average_is_that_of_simulated_runs(reference, patients, mean):
    generator = np.random.default_rng(11)
    rule = cusum_of(reference, 5)
    length, error = simulated(rule, patients, lambda shape: generator.random(shape) < mean, chains=700)
    assert average_run_length(rule, mean, patients) == pytest.approx(length, abs=4 * error)


@pytest.mark.parametrize("reference", [0.05, 0.3, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("patients", [1, 7, 60])
def test_a_false_alarm_is_as_rare_as_was_accepted(reference, patients):
    rule = cusum_of(reference, 100)
    assert average_run_length(rule, reference, patients) >= 100
    delays = [average_run_length(rule, reference - fall, patients) for fall in (0, 0.02, 0.05)]
    assert delays == sorted(delays, reverse=True)


@pytest.mark.parametrize("spread", [0.5, 3.0, 50.0])
def test_graded_scores_give_no_more_false_alarms_than_were_accepted(spread):
    generator = np.random.default_rng(3)
    rule, mean = cusum_of(0.7, 8), 0.7
    length, error = simulated(
        rule, 4, lambda shape: generator.beta(spread * mean, spread * (1 - mean), shape), chains=100, runs=200
    )
    assert length - 2 * error >= 8


def test_the_guarantee_is_that_the_expected_factor_is_one():
    """E exp(theta (miss - allowance)) = 1 for rates at the reference: theta is log(accepted) over the limit."""
    for reference in (0.2, 0.6, 0.9):
        rule = cusum_of(reference, 1e6)
        theta = math.log(1e6) / rule.limit
        factors = [math.exp(theta * (miss - rule.allowance)) for miss in (0, 1)]
        assert reference * factors[0] + (1 - reference) * factors[1] == pytest.approx(1, abs=2e-3)


def test_averages_by_hand():
    """One patient a run, half an allowance and a limit of one half: the first miss alarms."""
    rule = Cusum(0.75, 0.5, 0.5)
    assert average_run_length(rule, 0.75, 1) == pytest.approx(4)
    two = Cusum(0.75, 0.5, 1.0)
    # from 0: a miss leads to 1/2; from there a miss alarms, a hit leads back: a = 1 + b/4 + 3a/4, b = 1 + 3a/4
    assert average_run_length(two, 0.75, 1) == pytest.approx(20)
    assert average_run_length(two, 1.0, 1) == LONGEST


def test_the_sum_never_lies_below_zero_and_alarms_at_its_limit():
    rule = Cusum(0.75, 0.5, 1.0)
    assert rule.after(0.2, 10, 1.0) == 0
    assert rule.after(0.2, 4, 0.25) == pytest.approx(1.2)
    assert not rule.alarms(0.99)
    assert rule.alarms(0.1 + 0.2 + 0.7)


def test_where_nothing_can_be_charted():
    assert cusum_of(1.0, 100) is None
    assert cusum_of(0.0, 100) is None
    assert cusum_of(0.001, 100) is None
    for reference, accepted in ((1.2, 100), (0.5, 1), (0.5, math.nan)):
        with pytest.raises(ValueError, match="reference lies within"):
            cusum_of(reference, accepted)
    with pytest.raises(ValueError, match="patients is 1 or more"):
        average_run_length(cusum_of(0.5, 100), 0.5, 0)
