"""Lengths are added without a rounding that depends on the Python."""

from reports.page.layout import columns
from reports.signing.boxes import columns_of


def test_shares_of_a_width_are_added_exactly():
    # one by one they come to 0.9999999999999999, as sum() has it before Python 3.12
    assert columns(*[("name", 0.1)] * 10, width=1.0)[0].width == 0.1


def test_boxes_begin_where_those_before_them_end_exactly():
    assert columns_of(451.0)[4][0] == 336.2  # one by one: 336.20000000000005
