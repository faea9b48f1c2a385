"""Rules that answer many cohorts at once: the exact one, and a wrong one that the harness has to find out."""

import numpy as np

from pipeline.evidence.exact.means import p_low_of_cohorts

ALPHA = 0.025


def exact(scores, bound):
    """Return whether each cohort of (cohorts, patients) scores is MET and NOT MET for "at least ``bound``"."""
    return p_low_of_cohorts(scores, bound) <= ALPHA, p_low_of_cohorts(1 - scores, 1 - bound) <= ALPHA


def percentile_bootstrap(scores, bound, replicates=400):
    """The same by the percentile bootstrap, which errs far too often: to show that the harness finds it."""
    generator = np.random.default_rng(1)
    patients = scores.shape[1]
    drawn = generator.multinomial(patients, np.full(patients, 1 / patients), replicates) / patients
    low, high = np.percentile(scores @ drawn.T, [100 * ALPHA, 100 * (1 - ALPHA)], axis=1)
    return low >= bound, high < bound
