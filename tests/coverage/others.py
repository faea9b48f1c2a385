"""Other claims than a mean of one score each: differences, open cohorts, missing scores, families, distances, lesions.

Each function draws cohorts in which the claim holds at its boundary, and returns how many were called MET: at most
2.5 % may be. The last entries are wrong ways, which are known to err, beside the right one.
"""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from pipeline.evidence.exact.claims import Claim
from pipeline.evidence.exact.families import holm
from pipeline.evidence.exact.looks import log_evidence
from pipeline.evidence.exact.means import p_low_of_cohorts
from pipeline.evidence.exact.measures import capped, within, won
from pipeline.evidence.exact.readers import ReaderScores, judge_readers, usual_interval
from pipeline.evidence.exact.tail import tail
from tests.coverage.cells import NOMINAL
from tests.coverage.laws import KEPT, MEANS, MOST_STUDIES, RATES
from tests.coverage.rules import ALPHA, exact

FALL = (0.05, -0.95)
"""A method that is a little better nineteen times of twenty and fails wholly once: mean difference 0."""


@dataclass(frozen=True)
class OtherRates:
    """False MET in percent, for each number of patients."""

    name: str
    false_met: tuple[float, ...]
    replicates: int
    wrong: bool

    @property
    def fault(self):
        """What is wrong beyond what the simulation may err by, or None; nothing is asked of a wrong way."""
        limit = NOMINAL + 300 * (0.025 * 0.975 / self.replicates) ** 0.5
        over = [f"{rate:.2f}" for rate in self.false_met if rate > limit and not self.wrong]
        return f"false MET {', '.join(over)} % where {limit:.2f} % is the limit" if over else None


@dataclass(frozen=True)
class OtherCell:
    """``met(generator, cohorts, patients)`` returns (cohorts,) whether a claim that is just not true was called MET."""

    name: str
    met: Callable
    patients: tuple[int, ...] = (10, 30, 100)
    wrong: bool = False

    def simulated(self, replicates):
        """Return the rates of this many cohorts of each size; the seed is the cell's name."""
        generator = np.random.default_rng(zlib.crc32(self.name.encode()))
        rates = tuple(float(100 * np.mean(self.met(generator, replicates, patients))) for patients in self.patients)
        return OtherRates(self.name, rates, replicates, self.wrong)


def halved(differences, bound=0.0):
    return exact((capped(differences, 1) + 1) / 2, (bound + 1) / 2)[0]


def rarely_fails(generator, cohorts, patients):
    return halved(generator.choice(FALL, size=(cohorts, patients), p=(0.95, 0.05)))


def normal_differences(generator, cohorts, patients):
    return halved(generator.normal(0, 0.15, (cohorts, patients)))


def at_the_margin(generator, cohorts, patients):
    return halved(generator.choice((0.0, -1.0), size=(cohorts, patients), p=(0.95, 0.05)), -0.05)


def equivalence_at_the_margin(generator, cohorts, patients):
    differences = (generator.normal(0.1, 0.1, (cohorts, patients)).clip(-1, 1) + 1) / 2
    return exact(differences, 0.45)[0] & (p_low_of_cohorts(1 - differences, 0.45) <= ALPHA)


def wins_at_a_tie(generator, cohorts, patients):
    return exact(won(generator.choice((-0.1, 0, 0.1), size=(cohorts, patients), p=(0.35, 0.3, 0.35))), 0.5)[0]


def wins_over_studies(generator, cohorts, patients):
    """One to five studies a patient, correlated by one half: half of them are won, by little, and half lost by much."""
    own = generator.choice((0.02, -0.5), size=(cohorts, patients, 1))
    shape = (cohorts, patients, MOST_STUDIES)
    differences = np.where(generator.random(shape) < KEPT, own, generator.choice((0.02, -0.5), size=shape))
    counted = np.arange(MOST_STUDIES) < generator.integers(1, MOST_STUDIES + 1, (cohorts, patients, 1))
    return exact((won(differences) * counted).sum(axis=-1) / counted.sum(axis=-1), 0.5)[0]


def t_test_of_differences(generator, cohorts, patients):
    from scipy.stats import t

    drawn = generator.choice(FALL, size=(cohorts, patients), p=(0.95, 0.05))
    with np.errstate(divide="ignore"):
        return drawn.mean(axis=1) / (drawn.std(axis=1, ddof=1) / patients**0.5) > t.ppf(1 - ALPHA, patients - 1)


def looks(law):
    def met(generator, cohorts, patients):  # as many looks as there are, up to so many patients
        scores = law.draw(generator, (cohorts, patients))
        evidence = np.array([log_evidence(each, law.mean) for each in scores])
        return (evidence >= -math.log(ALPHA)).any(axis=1)

    return met


def uncorrected_looks(generator, cohorts, patients):
    sizes = np.arange(30, patients + 1, 2)
    hits = (generator.random((cohorts, patients)) < 0.7).cumsum(axis=1)[:, sizes - 1]
    lam = np.broadcast_to([0.3, -0.7], (hits.size, 2))
    counts = np.stack([hits, sizes - hits + 1], axis=-1).reshape(-1, 2).astype(float)
    different, again = np.unique(counts, axis=0, return_inverse=True)
    p = tail(lam[: len(different)], different)[again.ravel()].reshape(hits.shape)
    return (p <= ALPHA).any(axis=1)


def best_of_orders(generator, cohorts, patients):
    """All patients come in one run and each is a look, in the order of names that are drawn twenty times anew."""
    hits = generator.random((cohorts, patients)) < 0.7
    evidence = np.zeros((patients + 1, patients + 1))  # by hits, and patients
    for number in range(patients + 1):
        evidence[number, 1:] = log_evidence((np.arange(patients) < number).astype(float), 0.7)
    met = np.zeros(cohorts, dtype=bool)
    for _ in range(20):
        so_far = generator.permuted(hits, axis=1).cumsum(axis=1)
        met |= (evidence[so_far, np.arange(1, patients + 1)] >= -math.log(ALPHA)).any(axis=1)
    return met


def missing(share, *, counted):
    """Hits at a rate of 0.7; a miss goes missing with a probability, and is counted as the rule says, or left out."""

    def met(generator, cohorts, patients):
        hit = generator.random((cohorts, patients)) < 0.7
        gone = ~hit & (generator.random(hit.shape) < share)
        hits, sizes = hit.sum(axis=1), patients - (0 if counted else gone.sum(axis=1))
        counts = np.stack([hits, sizes - hits + 1], axis=1).astype(float)
        return tail(np.broadcast_to([0.3, -0.7], counts.shape), counts) <= ALPHA

    return met


def any_of_five(generator, cohorts, patients):
    shared = generator.normal(size=(cohorts, patients, 1))
    scores = ((shared + generator.normal(size=(cohorts, patients, 5))) > 0).astype(float)
    p_values = np.stack([p_low_of_cohorts(scores[:, :, number], 0.5) for number in range(5)], axis=1)
    return np.array([min(holm(row.tolist())) <= ALPHA for row in p_values])


def capped_distances(generator, cohorts, patients):
    reference = capped(np.random.default_rng(0).lognormal(2, 1, 4_000_000), 50).mean() / 50
    scores = capped(generator.lognormal(2, 1, (cohorts, patients)), 50) / 50
    return exact(1 - scores, 1 - reference)[0]


def median_distance(generator, cohorts, patients):
    return exact(within(generator.lognormal(2, 1, (cohorts, patients)), math.exp(2)), 0.5)[0]


def lesions_found(generator, cohorts, patients):
    sizes = np.minimum(generator.geometric(1 / 3, (cohorts, patients)), 20)
    own = generator.beta(0.8 * 7 / 3, 0.2 * 7 / 3, (cohorts, patients))  # correlation 0.3
    return exact(generator.binomial(sizes, own) / sizes, 0.8)[0]


def by_study(generator, cohorts, patients):
    """Rate 0.7 over studies, one patient with sixty of them; the worst-case patient weighs as the heaviest."""
    sizes = np.append(60, np.ones(patients - 1))
    own = generator.beta(0.7, 0.3, (cohorts, patients))
    means = generator.binomial(sizes.astype(int), own) / sizes
    return tail(np.pad(sizes * (means - 0.7), ((0, 0), (0, 1)), constant_values=-60 * 0.7)) <= ALPHA


def often_seen_fail(locked):
    """Mean over studies, as many as the score says: every twelfth patient has ten studies, all of them misses.

    The others have one study and hit. Such cohorts have no such patient often, and then only hits.
    """
    often, most = 1 / 12, 10
    truth = (1 - often) / (1 - often + often * most)

    def met(generator, cohorts, patients):
        ill = generator.random((cohorts, patients)) < often
        terms = np.where(ill, -most * truth, 1 - truth)
        worst = -truth * (most if locked else np.where(ill.any(axis=1), most, 1)[:, None])
        return tail(np.concatenate([terms, np.broadcast_to(worst, (cohorts, 1))], axis=1)) <= ALPHA

    return met


def other_readers(readers, spread, mean):
    """Hits by so many readers, whose skill and the patients' difficulty are normal on the probit scale."""

    def met(generator, cohorts, patients):
        size = (spread**2 + 0.5 + 0.4) ** 0.5
        evidence = norm.ppf(mean) * size + generator.normal(0, spread, (cohorts, readers, 1))
        evidence = evidence + generator.normal(0, 0.5**0.5, (cohorts, 1, patients))
        hits = evidence + generator.normal(0, 0.4**0.5, (cohorts, readers, patients)) > 0
        return _met_by_readers(hits.astype(float), mean)

    return met


def one_poor_reader_in_ten(generator, cohorts, patients):
    """Five readers of a population in which nine of ten hit at 0.8 and one at 0.3: no rule for normal readers holds."""
    rates = np.where(generator.random((cohorts, 5, 1)) < 0.1, 0.3, 0.8)
    return _met_by_readers((generator.random((cohorts, 5, patients)) < rates).astype(float), 0.75)


def usual_readers(generator, cohorts, patients):
    """Obuchowski's, Rockette's and Hillis' test of the same hits as above, rate 0.9, readers alike."""
    evidence = norm.ppf(0.9) * 0.9**0.5 + generator.normal(0, 0.5**0.5, (cohorts, 1, patients))
    hits = (evidence + generator.normal(0, 0.4**0.5, (cohorts, 5, patients)) > 0).astype(float)
    return np.array([_usual_bound(scores) >= 0.9 for scores in hits])


def _usual_bound(scores):
    return usual_interval(ReaderScores(scores, scores, (0.0, 1.0), None, scores.shape[1]), 0.95)[0]


def _met_by_readers(hits, bound):
    """Return whether each of (cohorts, readers, patients) hits is MET; the exact test of all, then of the rest both."""
    met = exact(hits.mean(axis=1), bound)[0]
    for number in np.flatnonzero(met):
        scores = hits[number]
        result = judge_readers(
            ReaderScores(scores, scores, (0.0, 1.0), None, scores.shape[1]), Claim("at_least", bound)
        )
        met[number] = result.decision == "MET"
    return met


def unequal_sizes(share, most):
    """A share of the patients has so many studies and the others one; their own rates differ, 0.7 on average."""

    def met(generator, cohorts, patients):
        sizes = np.where(generator.random((cohorts, patients)) < share, most, 1)
        own = generator.beta(0.7, 0.3, (cohorts, patients))
        return exact(generator.binomial(sizes, own) / sizes, 0.7)[0]

    return met


def atoms_at_the_bound(generator, cohorts, patients):
    return exact(generator.choice((0.7, 0.0, 1.0), size=(cohorts, patients), p=(0.9, 0.03, 0.07)), 0.7)[0]


def the_worse_the_more_is_missing(generator, cohorts, patients):
    """One to five studies a patient; a study goes missing with a probability that rises as its score falls."""
    scores = generator.beta(3, 0.3, (cohorts, patients, MOST_STUDIES))
    counted = np.arange(MOST_STUDIES) < generator.integers(1, MOST_STUDIES + 1, (cohorts, patients, 1))
    seen = counted & (generator.random(scores.shape) < scores**0.5)
    low = (scores * seen).sum(axis=-1) / counted.sum(axis=-1)
    return exact(np.clip(low, 0, 1), 3 / 3.3)[0]


def any_of_exclusive_claims(generator, cohorts, patients):
    """Whoever hits for one claim misses for the other: the claims depend on each other as much as claims can."""
    hits = generator.random((cohorts, patients)) < 0.5
    both = [p_low_of_cohorts(scores.astype(float), 0.5) for scores in (hits, ~hits)]
    return np.array([min(holm(list(row))) <= ALPHA for row in zip(*both, strict=True)])


def stopped_at_any_of_three(generator, cohorts, patients):
    """Three criteria of a growing cohort, correlated, of which one has to hold: who looks stops where it suits him."""
    shared = generator.normal(size=(cohorts, 1, patients))
    scores = (shared + generator.normal(size=(cohorts, 3, patients)) > 0).astype(float)
    most = np.array([[log_evidence(each, 0.5).max() for each in cohort] for cohort in scores])
    return np.array([min(holm(row.tolist())) <= ALPHA for row in np.exp(-np.maximum(most, 0))])


def every_label_but_one_is_rare(generator, cohorts, patients):
    """Each of four labels has to hold: one at its bound, in a third of the patients, and three that hit at 0.98."""
    few = max(patients // 3, 3)
    met = exact((generator.random((cohorts, few)) < 0.7).astype(float), 0.7)[0]
    for _ in range(3):
        met &= exact((generator.random((cohorts, patients)) < 0.98).astype(float), 0.7)[0]
    return met


def better_than_an_equal(generator, cohorts, patients):
    """Held against a baseline that scores the same in nine of ten, and as much more as less in the rest."""
    return halved(generator.choice((0.0, 0.4, -0.4), size=(cohorts, patients), p=(0.9, 0.05, 0.05)))


def bound_of_a_baseline(generator, cohorts, patients):
    """A bound that equals the baseline's true mean, and a map that is the baseline in half of the patients."""
    baseline, other = generator.beta(4, 4, (2, cohorts, patients))
    return exact(np.where(generator.random((cohorts, patients)) < 0.5, baseline, other), 0.5)[0]


def versions_with_ties(generator, cohorts, patients):
    """Two versions that agree wholly in half of the patients; in the others one is better by twice the margin."""
    differences = (generator.choice((0.0, 0.2), size=(cohorts, patients)) + 1) / 2
    return exact(differences, 0.45)[0] & (p_low_of_cohorts(1 - differences, 0.45) <= ALPHA)


def normal_at_the_margin(generator, cohorts, patients):
    return halved(generator.normal(-0.05, 0.15, (cohorts, patients)), -0.05)


def margins_of_two_figures(generator, cohorts, patients):
    """Two margins have to hold; one figure lies just at its own, and hits that were lost lower the other a little."""
    lost = generator.random((cohorts, patients)) < 0.05
    overlap = generator.normal(0, 0.05, (cohorts, patients)) - 0.2 * lost
    return halved(-lost.astype(float), -0.05) & halved(overlap, -0.05)


def worsening_of_none(corrected):
    """Five figures of two versions that differ by chance alone; MET stands for "worse", shown of any of them."""

    def met(generator, cohorts, patients):
        common = generator.normal(0, 0.1, (cohorts, patients, 1))
        figures = common + generator.normal(0, 0.1, (cohorts, patients, 5))
        figures[..., 3:] = np.sign(figures[..., 3:]) * (np.abs(figures[..., 3:]) > 0.2)  # hits: few differ
        p = np.ones((cohorts, 5))
        for number in range(5):
            change = capped(figures[..., number], 1)
            means, signs = (p_low_of_cohorts(1 - scores, 0.5) for scores in ((change + 1) / 2, won(change)))
            p[:, number] = np.minimum(means, signs)
        return (p.min(axis=1) * (2 * 5 if corrected else 1)) <= ALPHA

    return met


def readers_of_some(generator, cohorts, patients):
    """Three readers, each of whom read half of the patients; a patient's score is the mean of those who read him."""
    own = generator.beta(2.1, 0.9, (cohorts, patients, 1))
    hits = generator.random((cohorts, patients, 3)) < own
    read = generator.random((cohorts, patients, 3)) < 0.5
    read[..., 0] |= ~read.any(axis=-1)
    return exact((hits & read).sum(axis=-1) / read.sum(axis=-1), 0.7)[0]


def often_seen_hit(generator, cohorts, patients):
    """Mean over studies at most ten of a patient: the often seen are those who hit, one patient in twelve."""
    often, most, rest = 1 / 12, 10, 0.4
    truth = (often * most + (1 - often) * rest) / (often * most + 1 - often)
    ill = generator.random((cohorts, patients)) < often
    hits = generator.random((cohorts, patients)) < rest
    terms = np.where(ill, most * (1 - truth), hits - truth)
    return tail(np.pad(terms, ((0, 0), (0, 1)), constant_values=-most * truth)) <= ALPHA


OTHERS = (
    OtherCell("mean difference 0: better by 0.05 in 95 %, worse by 0.95 in 5 %", rarely_fails),
    OtherCell("mean difference 0, normal, standard deviation 0.15", normal_differences),
    OtherCell("non-inferiority at the margin of 0.05: equal in 95 %, -1 in 5 %", at_the_margin),
    OtherCell("equivalence at the margin of 0.1, normal, standard deviation 0.1", equivalence_at_the_margin),
    OtherCell("as many wins as losses, 30 % ties", wins_at_a_tie),
    OtherCell("as many studies won as lost, one to five a patient", wins_over_studies),
    OtherCell("look at every patient: rate 0.7", looks(RATES[5]), (30, 100, 400)),
    OtherCell("look at every patient: rate 0.9", looks(RATES[6]), (30, 100, 400)),
    OtherCell("look at every patient: beta(4, 4)", looks(MEANS[0]), (30, 100, 400)),
    OtherCell("look at every patient: beta(3, 0.3)", looks(MEANS[2]), (30, 100, 400)),
    OtherCell("a tenth of the misses go missing, rate 0.7", missing(0.1, counted=True)),
    OtherCell("six of ten misses go missing, rate 0.7", missing(0.6, counted=True)),
    OtherCell("any of five correlated rates of 0.5 (Holm)", any_of_five),
    OtherCell("mean of distances capped at 50 mm, lognormal", capped_distances),
    OtherCell("median distance, lognormal", median_distance),
    OtherCell("patient's share of lesions, correlation 0.3", lesions_found),
    OtherCell("by study, one patient with 60", by_study),
    OtherCell("by study, the often seen fail, their most studies locked", often_seen_fail(locked=True)),
    OtherCell("by study, the often seen hit, their most studies locked", often_seen_hit),
    OtherCell("by patient, one in ten with 60 studies, the others with one", unequal_sizes(0.1, 60)),
    OtherCell("by patient, one in five with 20 studies, the others with one", unequal_sizes(0.2, 20)),
    OtherCell("nine of ten score the bound itself", atoms_at_the_bound),
    OtherCell("the worse a study the more often it is missing, beta(3, 0.3)", the_worse_the_more_is_missing),
    OtherCell("any of two claims that exclude each other (Holm)", any_of_exclusive_claims),
    OtherCell("look at every patient, stop at any of three correlated rates of 0.5 (Holm)", stopped_at_any_of_three),
    OtherCell("every label, the one at its bound in a third of patients", every_label_but_one_is_rare),
    OtherCell("better than a baseline that it equals in 90 %", better_than_an_equal),
    OtherCell("a bound that equals the baseline's mean, beta(4, 4)", bound_of_a_baseline),
    OtherCell("equivalence of versions that agree in half, the rest at twice the margin", versions_with_ties),
    OtherCell("non-inferiority at the margin of 0.05, normal, standard deviation 0.15", normal_at_the_margin),
    OtherCell("non-inferiority of two figures, one just at its margin of 0.05", margins_of_two_figures),
    OtherCell(
        "a worsening of any of five figures that differ by chance (two tests each, Holm)", worsening_of_none(True)
    ),
    OtherCell("three readers, each of half of the patients", readers_of_some),
    OtherCell("with other readers too: 3, alike, rate 0.7", other_readers(3, 0.0, 0.7)),
    OtherCell("with other readers too: 3, spread 0.3, rate 0.5", other_readers(3, 0.3, 0.5)),
    OtherCell("with other readers too: 3, spread 0.3, rate 0.9", other_readers(3, 0.3, 0.9)),
    OtherCell("with other readers too: 5, spread 0.3, rate 0.7", other_readers(5, 0.3, 0.7)),
    OtherCell("with other readers too: 10, spread 0.3, rate 0.7", other_readers(10, 0.3, 0.7)),
    OtherCell("assumption broken: 5 readers, one in ten of them poor", one_poor_reader_in_ten, wrong=True),
    OtherCell(
        "assumption broken: by study, the often seen fail, nothing locked", often_seen_fail(locked=False), wrong=True
    ),
    OtherCell("wrong: the usual test of 5 readers, alike, rate 0.9", usual_readers, wrong=True),
    OtherCell("wrong: t-test of the differences of the first line", t_test_of_differences, wrong=True),
    OtherCell(
        "wrong: the fixed-sample test at every second patient, rate 0.7", uncorrected_looks, (30, 100, 400), True
    ),
    OtherCell(
        "wrong: a look at every patient of one run, the best of 20 orders, rate 0.7",
        best_of_orders,
        (30, 100, 400),
        True,
    ),
    OtherCell("wrong: missing misses left out, six of ten", missing(0.6, counted=False), wrong=True),
    OtherCell("wrong: a worsening of any of five figures, uncorrected", worsening_of_none(False), wrong=True),
)
