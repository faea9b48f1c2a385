"""Rules that answer many cohorts at once: the exact one, and a wrong one that the harness has to find out."""

import numpy as np

from pipeline.evidence.exact.tail import tail

ALPHA = 0.025
FEW = 40


def exact(scores, bound):
    """Return whether each cohort of (cohorts, patients) scores is MET and NOT MET for "at least ``bound``"."""
    return p_low(scores, bound) <= ALPHA, p_low(1 - scores, 1 - bound) <= ALPHA


def p_low(scores, bound):
    """Return (cohorts,) the exact p-values; cohorts with the same counts of the same few values share one."""
    if bound <= 0:
        return np.zeros(len(scores))
    values, place = np.unique(scores, return_inverse=True)
    if len(values) > FEW:
        return tail(np.pad(scores - bound, ((0, 0), (0, 1)), constant_values=-bound))
    rows = np.arange(len(scores))[:, None] * len(values) + place.reshape(scores.shape)
    counts = np.bincount(rows.ravel(), minlength=len(scores) * len(values)).reshape(len(scores), -1)
    different, again = np.unique(counts, axis=0, return_inverse=True)
    lam = np.broadcast_to(np.append(values - bound, -bound), (len(different), len(values) + 1))
    return tail(lam, np.pad(different, ((0, 0), (0, 1)), constant_values=1).astype(float))[again.ravel()]


def percentile_bootstrap(scores, bound, replicates=400):
    """The same by the percentile bootstrap, which errs far too often: to show that the harness finds it."""
    generator = np.random.default_rng(1)
    patients = scores.shape[1]
    drawn = generator.multinomial(patients, np.full(patients, 1 / patients), replicates) / patients
    low, high = np.percentile(scores @ drawn.T, [100 * ALPHA, 100 * (1 - ALPHA)], axis=1)
    return low >= bound, high < bound
