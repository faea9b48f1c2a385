"""Cohorts that grow, in the hands of somebody who wants a MET: he starts the runs, and chooses names, order and time.

A cell is the best of all that he may do, counted at the boundary. The last entries are what the product refuses, by
calling the run EXPLORATORY, and what it cannot see.
"""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.stats import norm

from pipeline.evidence.exact.claims import alpha_of
from pipeline.evidence.exact.looks import log_evidence, look_alpha, planned_looks
from pipeline.evidence.verdicts.open_cohort import FIRST_LOOK, GROWTH
from tests.coverage.areas import SEED
from tests.coverage.others import OtherCell, OtherRates
from tests.coverage.rules import ALPHA, exact

DRAWS = 2000
"""Weights in a cell of areas. The product has 10,000: at the last look here 1 in 2,001 stands for its 8 in 10,001."""
FEW = 250
"""Of these as many are drawn at first: most cohorts are nowhere near a MET."""
RATE = 0.7


@dataclass(frozen=True)
class LookCell:
    """Looks at an AUROC after each patient, wherever ``levels`` (patients) is not 0, who stops at the best.

    ``draw(generator, patients)`` returns scores and classes whose area is ``area``.
    """

    name: str
    area: float
    draw: Callable
    levels: Callable
    patients: tuple[int, ...] = (40, 100, 200)
    wrong: bool = False

    def simulated(self, replicates):
        """Return the rates of this many cohorts, each looked at up to each number; the seed is the cell's name."""
        generator, most = np.random.default_rng(zlib.crc32(self.name.encode())), self.patients[-1]
        weights = np.random.Generator(np.random.PCG64(SEED)).standard_exponential((DRAWS, 1 + most), np.float32)
        level, reached_at = self.levels(most) * (DRAWS + 1), np.full(replicates, most + 1)
        for cohort in range(replicates):
            scores, positive = self.draw(generator, most)
            if (refuting_after_each(scores, positive, self.area, weights[:FEW]) + 1 > level).all():
                continue  # so many of the first draws are too many of all of them
            met = np.flatnonzero(refuting_after_each(scores, positive, self.area, weights) + 1 <= level)
            reached_at[cohort] = met[0] + 1 if len(met) else most + 1
        rates = tuple(float(100 * np.mean(reached_at <= size)) for size in self.patients)
        return OtherRates(self.name, rates, replicates, self.wrong)


def level_of(patients):
    """Return what the product may spend on a look at an AUROC with so many patients, by their number alone."""
    looks = planned_looks([patients], FIRST_LOOK, GROWTH)
    return look_alpha(1 - 2 * ALPHA, looks[0][0]) if looks else 0.0


def refuting_after_each(scores, positive, bound, weights):
    """Return (patients,) how many draws have an area of at most ``bound`` after each patient, one study each.

    With one draw more, and over all and one, that is the p-value of "the area is above the bound". ``weights`` are
    (draws, 1 + patients), the worst-case patient's first.
    """
    extra, own = weights[:, :1], weights[:, 1:]
    apart = scores[:, None] - scores[None, :]
    wins = np.where(positive[:, None], apart > 0, apart < 0) + (apart == 0) / 2  # by a pair's positive one
    earlier = np.triu(wins * (positive[:, None] != positive[None, :]), 1).astype(weights.dtype)
    won = np.cumsum((own @ earlier) * own, axis=1)
    positives, negatives = np.cumsum(own * positive, axis=1), np.cumsum(own * ~positive, axis=1)
    counts = np.cumsum(positive), np.cumsum(~positive)
    counted = [
        _refuting(won, (positives + extra) * negatives, bound),
        _refuting(won, positives * (negatives + extra), bound),
    ]
    fewer_positives, fewer_negatives = counts[0] <= counts[1], counts[1] <= counts[0]
    return np.maximum(np.where(fewer_positives, counted[0], 0), np.where(fewer_negatives, counted[1], 0))


def _refuting(won, whole, bound):
    return (won <= bound * whole).sum(axis=0)


def normal_scores(area, share):
    """Return a draw of a patient's class and score, as many positives as ``share``, two normal laws."""

    def draw(generator, patients):
        positive = generator.random(patients) < share
        return generator.normal(size=patients) + positive * 2**0.5 * norm.ppf(area), positive

    return draw


def constant_negatives(area):
    """Return a draw of which every negative scores the same: the area is then a rate, and the rule at its tightest."""

    def draw(generator, patients):
        positive = generator.random(patients) < 0.5
        return np.where(positive, np.where(generator.random(patients) < area, 1.0, -1.0), 0.0), positive

    return draw


def by_patients(patients):
    """Return the level of a look after each patient: whichever run is started, it is one of these."""
    return np.array([level_of(size) for size in range(1, patients + 1)])


def nightly(patients):
    """Return the levels of the looks that there are where one patient comes each night and each night is a run."""
    levels = np.zeros(patients)
    for number, size in planned_looks(range(1, patients + 1), FIRST_LOOK, GROWTH):
        levels[size - 1] = look_alpha(1 - 2 * ALPHA, number)
    return levels


def first_of_all(patients):
    """Return the level that the first look had, alpha / 2, when looks were numbered as they came."""
    return np.where(np.arange(1, patients + 1) >= FIRST_LOOK, alpha_of(1 - 2 * ALPHA) / 2, 0)


def uncorrected(patients):
    return np.where(np.arange(1, patients + 1) >= FIRST_LOOK, ALPHA, 0)


@cache
def evidence_of(patients):
    """Return (hits, patients) the evidence of so many hits among so many patients, in whatever order they came."""
    table = np.full((patients + 1, patients + 1), -math.inf)
    for hits in range(patients + 1):
        table[hits, 1:] = log_evidence((np.arange(patients) < hits).astype(float), RATE)
    return np.where(np.arange(patients + 1) >= np.arange(patients + 1)[:, None], table, -math.inf)


def reached(hits, sizes, patients):
    return (evidence_of(patients)[hits, sizes] >= -math.log(ALPHA)).any(axis=-1)


def anew_each_run(generator, cohorts, patients):
    """A run after each patient, each the first that sees all of them: names are drawn anew, or the folder is another.

    Their order is that of the names of the night, which the evidence at the end of a run does not depend on.
    """
    hits = (generator.random((cohorts, patients)) < RATE).cumsum(axis=1)
    return reached(hits, np.arange(1, patients + 1), patients)


def references_come_late(generator, cohorts, patients):
    """One patient a night; his reference comes up to fifty nights later, and he counts in the place where he came.

    Whoever looks each night sees early patients put in between: the past is another each night.
    """
    hit = generator.random((cohorts, patients)) < RATE
    known = np.arange(patients) + generator.integers(0, 51, (cohorts, patients))
    met = np.zeros(cohorts, dtype=bool)
    for night in range(patients + 50):
        there = (known <= night) & (np.arange(patients) <= night)
        sizes, hits = there.cumsum(axis=1), (hit & there).cumsum(axis=1)
        met |= reached(hits, sizes, patients)
    return met


def who_missed_is_taken_out(generator, cohorts, patients):
    """After each run those who missed leave the archive: half of them, to be less conspicuous."""
    hit = generator.random((cohorts, patients)) < RATE
    stays = hit | (generator.random((cohorts, patients)) < 0.5)
    sizes = stays.cumsum(axis=1)
    return reached((hit & stays).cumsum(axis=1), sizes, patients)


def who_missed_comes_later(generator, cohorts, patients):
    """Who missed leaves the archive and comes back when all others are there: nobody is missing in the end."""
    hits = np.sort(generator.random((cohorts, patients)) < RATE, axis=1)[:, ::-1].cumsum(axis=1)
    return reached(hits, np.arange(1, patients + 1), patients)


def one_patient_under_five_names(generator, cohorts, patients):
    """Five studies a patient, correlated by one half, each under a name of its own: five times as many patients."""
    own = generator.beta(RATE, 1 - RATE, (cohorts, patients, 1))
    hits = generator.random((cohorts, patients, 5)) < own
    return exact(hits.reshape(cohorts, -1).astype(float), RATE)[0]


GROWN = (30, 100, 200)
GROWING = (
    LookCell(
        "AUROC 0.7, a run after each patient",
        0.7,
        normal_scores(0.7, 0.5),
        nightly,
    ),
    LookCell(
        "AUROC 0.7, each run may be the first (by names, folder, label or time): the best of all",
        0.7,
        normal_scores(0.7, 0.5),
        by_patients,
    ),
    LookCell(
        "AUROC 0.9, one in four positive, each run may be the first: the best of all",
        0.9,
        normal_scores(0.9, 0.25),
        by_patients,
    ),
    LookCell(
        "AUROC 0.7, negatives all alike, each run may be the first: the best of all",
        0.7,
        constant_negatives(0.7),
        by_patients,
    ),
    OtherCell("rate 0.7, a run after each patient, names drawn anew before each", anew_each_run, GROWN),
    LookCell(
        "wrong: AUROC 0.7, negatives all alike, each run may be the first and pays as such",
        0.7,
        constant_negatives(0.7),
        first_of_all,
        wrong=True,
    ),
    LookCell(
        "wrong: AUROC 0.7, the fixed-sample test after each patient",
        0.7,
        normal_scores(0.7, 0.5),
        uncorrected,
        wrong=True,
    ),
    OtherCell(
        "refused: rate 0.7, half of those who missed are taken out after each run", who_missed_is_taken_out, GROWN, True
    ),
    OtherCell(
        "refused: rate 0.7, a run each night, references up to fifty nights late", references_come_late, GROWN, True
    ),
    OtherCell("refused: rate 0.7, who missed is taken out and added at the end", who_missed_comes_later, GROWN, True),
    OtherCell(
        "assumption broken: rate 0.7, each of a patient's five studies under a name of its own",
        one_patient_under_five_names,
        wrong=True,
    ),
)
