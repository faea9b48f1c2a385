"""Means by group, held to the bit against NumPy's own of each group."""

import numpy as np
import pytest

from pipeline.evidence.columns.grouped import Groups, group_means, group_sums


def rows(seed, shape=()):
    generator = np.random.default_rng(seed)
    keys = generator.choice([7, 3, 11, 2], 300, p=[0.9, 0.05, 0.04, 0.01])
    return Groups.of(keys), keys, generator.random((300, *shape)) * 10.0 ** generator.integers(-8, 8, (300, *shape))


def test_groups_are_numbered_in_the_order_in_which_they_come():
    groups = Groups.of(np.array([5, 1, 5, 9, 1]))
    assert (groups.number.tolist(), groups.count) == ([0, 1, 0, 2, 1], 3)
    assert Groups.of(np.empty(0, dtype=np.intp)).count == 0


@pytest.mark.parametrize("seed", range(5))
def test_means_are_numpys_own_to_the_bit(seed):
    groups, keys, values = rows(seed)
    own = [values[keys == key] for key in dict.fromkeys(keys.tolist())]
    assert group_means(groups.number, groups.count, values).tolist() == [float(np.mean(part.tolist())) for part in own]


@pytest.mark.parametrize("seed", range(5))
def test_means_of_columns_are_numpys_own_to_the_bit(seed):
    groups, keys, values = rows(seed, (19,))
    own = [list(values[keys == key]) for key in dict.fromkeys(keys.tolist())]
    assert group_means(groups.number, groups.count, values).tolist() == [np.mean(part, axis=0).tolist() for part in own]


def test_sums_add_one_row_after_the_other():
    values = np.array([1e16, 1.0, 1.0, 1.0, -1e16])
    assert group_sums(np.zeros(5, dtype=np.intp), 1, values).tolist() == [((1e16 + 1.0) + 1.0 + 1.0) - 1e16]


def test_a_group_without_a_row_has_no_mean_and_sums_to_nothing():
    number, values = np.array([0, 2], dtype=np.intp), np.array([1.0, 3.0])
    assert group_means(number, 3, values).tolist() == [1.0, 3.0]
    assert group_sums(number, 3, values).tolist() == [1.0, 0.0, 3.0]
