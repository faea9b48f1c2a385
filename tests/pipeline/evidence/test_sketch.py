"""What is recorded of a model's input: NumPy's own figures, of values of any size."""

import numpy as np
import pytest

from pipeline.evidence.sketch import input_facts


@pytest.mark.parametrize("shape", [(1, 7, 9), (3, 40, 50, 60)])
@pytest.mark.parametrize("unit", [1.0, 1e-40, 1e30, 1e37])
def test_the_figures_are_those_of_double_precision(shape, unit):
    x = (np.random.default_rng(0).normal(3, 2, shape) * unit).astype(np.float32)
    facts, wide = input_facts(x), x.astype(np.float64)
    assert facts.shape == shape
    assert (facts.minimum, facts.maximum) == (wide.min(), wide.max())
    assert (facts.mean, facts.deviation) == pytest.approx((wide.mean(), wide.std()), rel=1e-9)


def test_an_input_that_is_the_same_everywhere_does_not_vary():
    facts = input_facts(np.full((1, 300, 400), 0.1, np.float32))
    assert (facts.deviation, facts.sketch) == (0.0, "")
