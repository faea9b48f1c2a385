"""Numbers: one way to write each."""

import pytest

from pipeline.errors import OutputError
from reports.numbers import bounds, estimate, moment, number, plural, share, when
from tests.reports.example import estimate as make


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"), (0.0, "0.00"), (0.6234, "0.62"), (0.0621, "0.062"), (0.00314, "0.0031"), (14.83, "14.8"),
        (1234.5, "1,234"), (-0.25, "\u22120.25"), (-0.0, "0.00"), (1.0, "1.00"), (0.999, "1.00"),
    ],
)  # fmt: skip
def test_number(value, text):
    assert number(value) == text


def test_an_estimate_and_its_bounds_share_their_digits():
    found = make("iou", "gradcam", 0.62, low=0.0481, high=0.75)
    assert estimate(found) == "0.62 [0.05, 0.75]"
    assert bounds(found, more=1) == "[0.048, 0.750]"
    assert estimate(make("iou", "gradcam", 0.62, low=None, high=None)) == "0.62"
    assert estimate(make("iou", "gradcam", None)) == "—"


def test_a_small_value_keeps_the_digits_of_its_column():
    assert number(7.89, like=(14.8,)) == "7.9"


def test_times_are_in_utc():
    assert moment("2026-11-21T15:05:59+01:00") == "2026-11-21 14:05 UTC"
    assert moment("2026-11-21T14:05:00") == "2026-11-21 14:05 UTC"
    assert moment(None) == "—"
    with pytest.raises(OutputError, match="'yesterday' is not an ISO 8601 time"):
        when("yesterday")


def test_words_of_numbers():
    assert plural(1, "study", "studies") == "1 study"
    assert plural(1200, "patient") == "1,200 patients"
    assert share(0.95) == "95 %"
    assert share(0.975) == "97.5 %"
