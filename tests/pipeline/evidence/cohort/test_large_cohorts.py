"""The descriptive interval of many patients: drawn by bins, and in memory that does not grow with the replicates."""

from collections.abc import Iterator

import numpy as np
import pytest

from pipeline.evidence.cohort import bootstrap
from pipeline.evidence.cohort.bootstrap import mean_interval


def interval(values):
    patients = [str(number) for number in range(len(values))]
    return mean_interval(list(values), patients, confidence=0.95, replicates=1000, seed=3)


@pytest.mark.parametrize("law", ["beta", "rate", "difference"])
def test_bins_give_the_interval_of_the_patients_themselves(monkeypatch, law):
    generator = np.random.default_rng(4)
    values = {
        "beta": generator.beta(0.3, 3, 3000),
        "rate": (generator.random(3000) < 0.8).astype(float),
        "difference": generator.beta(4, 4, 3000) - 0.7,
    }[law]
    by_patient = interval(values)
    monkeypatch.setattr(bootstrap, "_MANY", 100)
    by_bin = interval(values)
    assert by_bin.how == by_patient.how
    width = by_patient.high - by_patient.low
    assert by_bin.low == pytest.approx(by_patient.low, abs=0.1 * width)
    assert by_bin.high == pytest.approx(by_patient.high, abs=0.1 * width)
    assert by_bin != by_patient  # other draws
    assert by_bin == interval(values)


def test_patients_of_several_studies_are_drawn_as_they_are(monkeypatch):
    values, patients = np.random.default_rng(5).random(300), [str(number // 3) for number in range(300)]
    expected = mean_interval(values, patients, confidence=0.95, replicates=200, seed=1)
    monkeypatch.setattr(bootstrap, "_MANY", 10)
    assert mean_interval(values, patients, confidence=0.95, replicates=200, seed=1) == expected


def test_draws_are_made_as_they_are_used():
    assert isinstance(bootstrap.patient_draws(1000, 10, 0), Iterator)
