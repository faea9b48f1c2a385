"""Cells of the area under the ROC curve, drawn from two normal laws, with the rule's draws written as matrices.

The product sorts studies; here every pair of patients has its share of pairs won, and a draw is a bilinear form of the
weights. It is a second implementation, and the faster one for small cohorts. A test holds both to each other.
"""

import zlib
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from pipeline.evidence.exact.areas import DRAWS
from tests.coverage.cells import BEYOND, rates_of
from tests.coverage.laws import MOST_STUDIES
from tests.coverage.rules import ALPHA

SEED = 20_261_129


@dataclass(frozen=True)
class AreaCell:
    """Cohorts of so many positive and negative patients, with one study each or one to five, correlated by one half."""

    area: float
    positives: int
    negatives: int
    repeated: bool

    @property
    def name(self):
        studies = "1 to 5 studies" if self.repeated else "1 study"
        return f"AUROC {self.area:g}, {self.positives}+{self.negatives} patients, {studies} each"

    def simulated(self, replicates, draws=DRAWS):
        """Return the rates of this many cohorts; the seed is the cell's name."""
        generator = np.random.default_rng(zlib.crc32(self.name.encode()))
        weights = np.random.Generator(np.random.PCG64(SEED)).standard_exponential(
            (draws, self.positives + self.negatives + 1)
        )
        counts = np.zeros(2 + len(BEYOND))
        for _ in range(replicates):
            won = pairs_won(*self._cohort(generator))
            low, high = areas_of(won, weights)
            p_low = [_share(low <= self.area - beyond) for beyond in (0, *BEYOND)]
            p_high = _share(high >= self.area)
            counts += [p_low[0] <= ALPHA, p_high <= ALPHA, *(p <= ALPHA for p in p_low[1:])]
        return rates_of(self.name, counts, replicates, [True] * len(BEYOND))

    def _cohort(self, generator):
        """Return each class's scores, (patients, studies), NaN where a patient has fewer."""
        patients = self.positives + self.negatives
        if self.repeated:
            shape = (patients, MOST_STUDIES)
            scores = (generator.normal(size=(patients, 1)) + generator.normal(size=shape)) / 2**0.5
            sizes = generator.integers(1, MOST_STUDIES + 1, (patients, 1))
            scores = np.where(np.arange(MOST_STUDIES) < sizes, scores, np.nan)
        else:
            scores = generator.normal(size=(patients, 1))
        scores[: self.positives] += 2**0.5 * norm.ppf(self.area)
        return scores[: self.positives], scores[self.positives :]


def _share(refuting):
    """Return the share of draws that refute, one draw more among them, in the worse of the classes."""
    return (refuting.sum(axis=1).max() + 1) / (refuting.shape[1] + 1)


def pairs_won(positive, negative):
    """Return (positives, negatives) the share of pairs of studies that each pair of patients wins; no ties."""
    above = (positive[:, None, :, None] > negative[None, :, None, :]).sum(axis=(2, 3))
    sizes = (~np.isnan(positive)).sum(axis=1)[:, None] * (~np.isnan(negative)).sum(axis=1)[None, :]
    return above / sizes


def areas_of(won, weights):
    """Return (classes, draws) the areas with the worst-case patient, and with the best-case patient, unsorted."""
    of_positives, of_negatives = won.shape
    extra = weights[:, 0]
    positives, negatives = weights[:, 1 : 1 + of_positives], weights[:, 1 + of_positives :]
    wins = ((positives @ won) * negatives).sum(axis=1)
    p, n = positives.sum(axis=1), negatives.sum(axis=1)
    low, high = [], []
    if of_positives <= of_negatives:
        low.append(wins / ((p + extra) * n))
        high.append((wins + extra * n) / ((p + extra) * n))
    if of_negatives <= of_positives:
        low.append(wins / (p * (n + extra)))
        high.append((wins + extra * p) / (p * (n + extra)))
    return np.stack(low), np.stack(high)
