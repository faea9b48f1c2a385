"""Rows of a map, packed some at a time: each is found again with its study and its place."""

import numpy as np

from pipeline.evidence.cohort.map_rows import RowsOfMap


def test_rows_are_found_again_in_every_block():
    rows = RowsOfMap()
    for number in range(600):
        rows.put(3 * number, number % 7, (number, number % 5, 70_000))
    assert rows.first == (0, 0)
    assert [rows.starts_at(row) for row in (0, 255, 256, 511, 512, 599)] == [
        (3 * row, row % 7) for row in (0, 255, 256, 511, 512, 599)
    ]
    assert rows.numbers().tolist() == [3 * number for number in range(600)]
    read = np.concatenate(list(rows.blocks()))
    assert read.tolist() == [[number, number % 5, 70_000] for number in range(600)]
