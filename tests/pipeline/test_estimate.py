"""How long a run takes is told before it starts, and whose cost it is."""

import pytest

from pipeline.estimate import RunCost, in_words, run_cost, seconds_per_map


@pytest.mark.parametrize(
    ("seconds", "by_method", "words"),
    [
        (60.0, {"gradcam": 60.0}, None),
        (90.0, {"gradcam": 10.0, "hirescam": 10.0}, "about 2 min"),
        (7800.0, {"gradcam": 10.0, "scorecam": 7254.0}, "about 2 h 10 min: scorecam takes 93% of it"),
        (3599.0, {}, "about 1 h 0 min"),
        (200_000.0, {"rise": 100_000.0}, "about 2 d 8 h: rise takes 50% of it"),
    ],
)
def test_what_is_told(seconds, by_method, words):
    assert in_words(RunCost(seconds, by_method)) == words


def test_every_study_and_target_counts():
    costs = {"gradcam": 0.5, "scorecam": 4.0}
    found = run_cost(costs, studies=100, targets=2, per_study=1.0, sample_bytes=10, batch_size=8)
    assert found == RunCost(100 * (2 * 4.5 + 1), {"gradcam": 100.0, "scorecam": 800.0}, 80)
    assert run_cost({}, studies=0) == RunCost(0.0, {}, None)


@pytest.mark.parametrize("numbers", [{"studies": -1}, {"studies": 1, "targets": -1}, {"studies": 1, "per_study": -2}])
def test_nothing_is_negative(numbers):
    with pytest.raises(ValueError, match="must not be negative"):
        run_cost({"gradcam": 1.0}, **numbers)


def test_the_first_call_does_not_count(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("pipeline.estimate.time.perf_counter", lambda: clock[0])
    costs = {"gradcam": [9.0, 1.0], "scorecam": [20.0, 5.0]}

    def make_map(method):
        clock[0] += costs[method].pop(0)

    assert seconds_per_map(["gradcam", "scorecam"], make_map) == {"gradcam": 1.0, "scorecam": 5.0}
