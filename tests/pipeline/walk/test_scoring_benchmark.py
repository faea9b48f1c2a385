"""The benchmark's two ways give the same scores, and all baselines are among what it times."""

from pipeline.vocabulary import BASELINES
from tests.benchmarks.scoring import case, engine, largest_difference

SHAPE = (24, 20, 12)


def test_both_ways_give_the_same_scores():
    assert largest_difference(SHAPE) < 1e-12


def test_all_baselines_are_scored():
    rows = engine(*case(SHAPE, baselines=tuple(BASELINES)))()
    scored = {row.method for row in rows if all(score.value is not None for score in row.scores)}
    assert scored >= set(BASELINES)
