"""What cohorts are drawn from: laws of scores in [0, 1] with a known mean, one study a patient or one to five."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

KEPT = 0.5**0.5
"""A study repeats its patient's draw so often: two studies of a patient then correlate by one half."""
MOST_STUDIES = 5


@dataclass(frozen=True)
class Law:
    """``draw(generator, shape)`` gives independent scores with this mean; of a rate they are 0 and 1."""

    name: str
    mean: float
    draw: Callable
    rate: bool = False


def rate(mean):
    return Law(f"rate {mean:g}", mean, lambda generator, shape: (generator.random(shape) < mean).astype(float), True)


def beta(a, b):
    return Law(f"beta({a:g}, {b:g})", a / (a + b), lambda generator, shape: generator.beta(a, b, shape))


def points(name, values, weights):
    mean = float(np.dot(values, weights))
    return Law(name, mean, lambda generator, shape: generator.choice(values, size=shape, p=weights))


def mostly_zero(generator, shape):
    return generator.random(shape) * (generator.random(shape) < 0.2)


RATES = tuple(rate(mean) for mean in (0.02, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.98))
MEANS = (
    beta(4, 4),
    beta(0.3, 3),
    beta(3, 0.3),
    Law("80 % zeros", 0.1, mostly_zero),
    points("0.9, 4 % zeros", (0.9, 0.0), (0.96, 0.04)),
    points("0.02, 5 % ones", (0.02, 1.0), (0.95, 0.05)),
    points("0, 0.7, 1 by 1:6:3", (0.0, 0.7, 1.0), (0.1, 0.6, 0.3)),
)


def patients_of(law, generator, cohorts, patients, repeated):
    """Return (cohorts, patients) each patient's mean score."""
    if not repeated:
        return law.draw(generator, (cohorts, patients))
    sizes = generator.integers(1, MOST_STUDIES + 1, (cohorts, patients))
    if law.rate:  # beta-binomial, correlation one half
        own = generator.beta(law.mean, 1 - law.mean, (cohorts, patients))
        return generator.binomial(sizes, own) / sizes
    own = law.draw(generator, (cohorts, patients))[..., None]
    shape = (cohorts, patients, MOST_STUDIES)
    studies = np.where(generator.random(shape) < KEPT, own, law.draw(generator, shape))
    counted = np.arange(MOST_STUDIES) < sizes[..., None]
    return np.clip((studies * counted).sum(axis=-1) / sizes, 0, 1)
