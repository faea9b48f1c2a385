import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.evidence.exact.areas import area_cohort, area_draws
from pipeline.evidence.exact.means import p_high, p_low, p_low_of_cohorts
from tests.coverage import rules
from tests.coverage.areas import SEED, AreaCell, areas_of, pairs_won
from tests.coverage.cells import CellRates, MeanCell
from tests.coverage.growing import by_patients, level_of, nightly, refuting_after_each
from tests.coverage.laws import MEANS, RATES, patients_of
from tests.coverage.others import OtherRates
from tests.coverage.table import AREA_CELLS, BEGIN, CELLS, END, MEAN_CELLS, OTHERS, document, simulate, tables

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "evidence.md"
RATE_07, RATE_09 = RATES[5], RATES[6]


@pytest.mark.parametrize(
    "cell", [MeanCell(RATE_07, 10, False), MeanCell(MEANS[2], 10, True), AreaCell(0.8, 5, 5, True)]
)
def test_the_exact_rule_holds_in_a_tiny_simulation(cell):
    rates = cell.simulated(60)
    assert rates.fault is None
    assert rates.coverage + rates.false_met + rates.false_not_met == pytest.approx(100)


@pytest.mark.parametrize("cell", [MeanCell(RATE_07, 10, False), MeanCell(RATE_09, 30, True)])
def test_the_percentile_bootstrap_does_not(cell):
    """The harness can fail: the rule that most papers use is caught in the same cells."""
    assert cell.simulated(1000, rules.percentile_bootstrap).fault.startswith("false MET")
    assert cell.simulated(1000).fault is None


def test_a_rule_that_never_says_met_but_always_the_contrary_is_caught():
    rates = MeanCell(RATE_07, 10, False).simulated(50, lambda scores, bound: (scores[:, 0] < 0, scores[:, 0] >= 0))
    assert rates.fault == "coverage 0.00 % below 85.75 %"


def test_a_cell_errs_beyond_three_standard_errors_only():
    assert CellRates("", 97.0, 2.9, 0.1, (), 10_000).fault is None
    assert CellRates("", 97.0, 3.0, 0.0, (), 10_000).fault.startswith("false MET 3.00 % where 2.97 %")
    assert CellRates("", 94.2, 2.0, 3.8, (), 10_000).fault.startswith("coverage 94.20 % below 94.35 %")
    assert OtherRates("", (2.9, 0.0), 10_000, False).fault is None
    assert OtherRates("", (0.0, 3.1), 10_000, False).fault == "false MET 3.10 % where 2.97 % is the limit"
    assert OtherRates("", (0.0, 3.1), 10_000, True).fault is None


@pytest.mark.parametrize("law", [*RATES, *MEANS], ids=lambda law: law.name)
@pytest.mark.parametrize("repeated", [False, True])
def test_every_law_has_its_mean(law, repeated):
    scores = patients_of(law, np.random.default_rng(0), 400, 100, repeated)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores.mean() == pytest.approx(law.mean, abs=5 * scores.std() / 200)


def test_studies_of_a_patient_correlate_by_one_half():
    generator = np.random.default_rng(1)
    single = patients_of(MEANS[0], generator, 1000, 50, False).var()
    # the mean of m studies of correlation r has the variance (1 + (m - 1) r) / m; m is 1 to 5 alike
    expected = np.mean([(1 + (m - 1) / 2) / m for m in range(1, 6)])
    assert patients_of(MEANS[0], generator, 1000, 50, True).var() / single == pytest.approx(expected, abs=0.01)
    rates = patients_of(RATES[4], generator, 1000, 50, True)
    assert rates.var() / 0.25 == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("law", [RATE_07, MEANS[2], MEANS[4]], ids=lambda law: law.name)
def test_the_batches_ask_what_the_product_asks(law):
    scores = patients_of(law, np.random.default_rng(2), 30, 12, True)
    np.testing.assert_allclose(p_low_of_cohorts(scores, 0.6), [p_low(row, 0.6) for row in scores], atol=1e-9)
    _, not_met = rules.exact(scores, 0.6)
    assert not_met.tolist() == [p_high(row, 0.6) <= 0.025 for row in scores]


@pytest.mark.parametrize(("positives", "negatives"), [(4, 7), (6, 3), (5, 5)])
def test_the_matrices_draw_the_products_areas(positives, negatives):
    cell = AreaCell(0.8, positives, negatives, True)
    positive, negative = cell._cohort(np.random.default_rng(3))
    patients = positives + negatives
    scores, owners = np.concatenate([positive, negative]), np.repeat(np.arange(patients), positive.shape[1])
    seen = ~np.isnan(scores.ravel())
    cohort = area_cohort(
        scores.ravel()[seen].tolist(),
        (owners < positives)[seen].tolist(),
        [f"p{owner:03d}" for owner in owners[seen]],
    )
    drawn = area_draws(cohort, draws=50, seed=SEED)
    weights = np.random.Generator(np.random.PCG64(SEED)).standard_exponential((50, patients + 1))
    low, high = areas_of(pairs_won(positive, negative), weights)
    np.testing.assert_allclose(np.sort(low, axis=1), drawn.low, atol=1e-12)
    np.testing.assert_allclose(np.sort(high, axis=1), drawn.high, atol=1e-12)


BARELY = ("wrong: AUROC 0.7, neg", "wrong: AUROC 0.7, the fixed", "refused: rate 0.7, a run each")
"""Ways that err in 3 to 8 %: what a few hundred cohorts do not show for sure, the table does."""


@pytest.mark.parametrize(
    "cell", [cell for cell in OTHERS if cell.wrong and not cell.name.startswith(BARELY)], ids=lambda cell: cell.name
)
def test_wrong_ways_are_found_wrong(cell):
    assert max(cell.simulated(300).false_met) > 8


def test_the_table_shows_that_wrong_ways_are_wrong():
    rows = [row.split("|") for row in DOCUMENT.read_text(encoding="utf-8").splitlines() if row.startswith("| ")]
    rates = {row[1].split(";")[0].strip(): [float(rate) for rate in row[2:5]] for row in rows if "; n = " in row[1]}
    wrong = [cell.name for cell in OTHERS if cell.wrong]
    assert len(wrong) == 14
    assert all(max(rates[name]) > 3 for name in wrong)
    assert max(max(rates[cell.name]) for cell in OTHERS if not cell.wrong) <= 3


def test_a_look_at_every_patient_draws_the_matrices_areas():
    """What is summed up patient by patient is the area of those who are there, with the same weights."""
    generator = np.random.default_rng(4)
    scores, positive = generator.integers(0, 9, 30) / 8, generator.random(30) < 0.4
    scores = scores + generator.normal(0, 1e-4, 30)  # the matrices of areas know no ties
    weights = generator.standard_exponential((400, 31))
    refuting = refuting_after_each(scores, positive, 0.6, weights)
    for size in (12, 20, 30):
        some, them = positive[:size], weights[:, 1 : 1 + size]
        won = pairs_won(scores[:size][some][:, None], scores[:size][~some][:, None])
        low, _ = areas_of(won, np.concatenate([weights[:, :1], them[:, some], them[:, ~some]], axis=1))
        assert refuting[size - 1] == (low <= 0.6).sum(axis=1).max()


def test_the_levels_of_looks_are_the_products():
    levels = by_patients(200)
    assert [levels[size - 1] for size in (19, 20, 39, 40, 199)] == pytest.approx(
        [0, *(0.025 / spent for spent in (6, 6, 12, 30))]
    )
    assert np.flatnonzero(nightly(200)).tolist() == [19, 39, 79, 159]
    assert level_of(160) == nightly(200)[159]


@pytest.mark.parametrize("cell", [cell for cell in OTHERS if not cell.wrong], ids=lambda cell: cell.name)
def test_other_claims_hold_in_a_tiny_simulation(cell):
    assert cell.simulated(60).fault is None


def test_every_cell_is_in_the_document():
    text = DOCUMENT.read_text(encoding="utf-8")
    table = text.split(BEGIN)[1].split(END)[0]
    entries = re.findall(r"\d+\.\d \d+\.\d \d+\.\d; (?:\d+|-) (?:\d+|-)", table)
    assert len(entries) == len(MEAN_CELLS) + len(AREA_CELLS) == 128
    assert all(cell.name in table for cell in OTHERS)
    assert "10,000 cohorts a cell" in table
    assert min(float(entry.split()[0]) for entry in entries) >= 94
    assert max(float(entry.split()[1]) for entry in entries) <= 3


def test_names_tell_cells_apart():
    assert len({cell.name for cell in CELLS}) == len(CELLS)


def test_the_tables_go_between_their_marks():
    number, rates = simulate(CELLS.index(OTHERS[0]), True)
    made = tables({number: rates})
    assert OTHERS[0].name in made
    assert document(f"a\n{BEGIN}\nold\n{END}\nz", made) == f"a\n{BEGIN}\n\n{made}\n\n{END}\nz"
