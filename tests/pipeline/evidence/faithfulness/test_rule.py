"""The sign test and the rule, at their edges."""

from itertools import product

import numpy as np
import pytest

from pipeline.evidence.faithfulness.rule import PictureAreas, faithfulness_test, sign_p_value, sign_test


def pictures(random, centre, *, of=10, inverse=None):
    """Return pictures of as many patients, of which so many beat random orders, and so many the centre blob."""
    made = []
    for number in range(of):
        own = 1.0 if inverse is None or number < inverse else -1.0
        made.append(
            PictureAreas(
                f"p{number}",
                own,
                (own - 1 if number < random else own + 1,) * 3,
                own - 1 if number < centre else own + 1,
            )
        )
    return made


def test_p_is_counted_out():
    for trials in range(8):
        tosses = [sum(toss) for toss in product((0, 1), repeat=trials)]
        for wins in range(trials + 1):
            assert sign_p_value(wins, trials) == pytest.approx(np.mean([heads >= wins for heads in tosses]))
    assert sign_p_value(8, 10) == pytest.approx(56 / 1024)
    assert sign_p_value(9, 10) == pytest.approx(11 / 1024)
    assert sign_p_value(5000, 5000) == 0.0  # below the smallest number, not an error
    with pytest.raises(ValueError, match="wins lie within 0 and the 3 trials, not at 4"):
        sign_p_value(4, 3)


@pytest.mark.parametrize(
    ("random", "centre", "of", "answer"),
    [
        (10, 10, 10, "beats both"),
        (9, 9, 10, "beats both"),
        (9, 8, 10, "beats random only"),
        (8, 10, 10, "not shown"),  # p = .055
        (9, 0, 10, "beats random only"),
        (0, 10, 10, "loses"),
        (1, 10, 10, "loses"),  # lost in 9 of 10
        (2, 10, 10, "not shown"),
        (0, 0, 9, "not shown"),
        (9, 9, 9, "not shown"),  # p = .002, of too few patients
        (15, 15, 20, "beats both"),  # p = .021
        (15, 14, 20, "beats random only"),  # p = .058
    ],
)
def test_the_rule_at_its_edges(random, centre, of, answer):
    assert faithfulness_test(pictures(random, centre, of=of)).answer == answer


def test_a_map_that_does_not_beat_its_own_reverse_shows_nothing():
    held = faithfulness_test(pictures(10, 10, inverse=8))
    assert (held.answer, held.tests["random"].wins, held.tests["inverse"].wins) == ("not shown", 10, 8)


def test_a_tie_and_a_map_without_an_order_count_against():
    tied = [PictureAreas(f"p{number}", 1.0, (1.0, 1.0, 1.0), 1.0) for number in range(10)]
    assert faithfulness_test(tied).tests["random"].wins == 0
    empty = [*pictures(9, 9, of=9), PictureAreas("p9", None, (-5.0,) * 3, -5.0)]
    held = faithfulness_test(empty)
    assert (held.without_order, held.tests["random"].patients) == (1, 10)
    assert (held.tests["random"].wins, held.tests["inverse"].wins, held.answer) == (9, 9, "beats both")
    assert (
        faithfulness_test([*empty[:8], *[PictureAreas(f"q{n}", None, (0.0,), 0.0) for n in (1, 2)]]).answer
        == "not shown"
    )


def test_random_orders_count_by_their_mean():
    picture = PictureAreas("p", 1.0, (3.0, 0.0, -0.3), 0.0)
    assert picture.outcome("random") == 1
    assert PictureAreas("p", 1.0, (3.0, 0.0, 0.0), 0.0).outcome("random") == 0
    assert PictureAreas("p", 1.0, (3.0, 0.0, 0.1), 0.0).outcome("random") == -1
    assert PictureAreas("p", None, (-3.0,), 0.0).outcome("random") == 0


def test_many_pictures_of_a_patient_are_one_toss():
    many = [("a", 1)] * 50 + [("b", 1), ("b", -1)] + [("c", 1), ("c", 1), ("c", -1)] + [("d", -1), ("d", -1), ("d", 0)]
    held = sign_test(many)
    assert (held.wins, held.losses, held.patients) == (2, 1, 4)  # b is a tie
    one_patient = [PictureAreas("p", 1.0, (0.0,), 0.0)] * 40
    assert faithfulness_test(one_patient).answer == "not shown"


def test_no_pictures_show_nothing():
    held = faithfulness_test([])
    assert (held.answer, held.tests["random"].p) == ("not shown", 1.0)


def test_what_is_said_names_numbers_and_never_more_than_was_shown():
    few = faithfulness_test(pictures(9, 9, of=9)).sentence
    assert few == "not shown: 9 patients, and fewer than 10 show nothing"
    only = faithfulness_test(pictures(9, 8)).sentence
    assert "not shown to beat a centre blob (in 8 of 10 patients (p = 0.055))" in only
    assert "fewer than 20 patients rarely show it" in only
    assert "rarely" not in faithfulness_test(pictures(15, 14, of=20)).sentence
    both = faithfulness_test(pictures(10, 9)).sentence
    assert "random blocks in 10 of 10 patients (p < 0.001)" in both
    assert "centre blob's in 9 of 10 patients (p = 0.011)" in both
    assert faithfulness_test(pictures(8, 10)).sentence.startswith("not shown that the map orders blocks better")
    lost = faithfulness_test(pictures(10, 1)).sentence
    assert "a centre blob beats it in 9 of 10 patients (p = 0.011)" in lost
    assert faithfulness_test(pictures(0, 0)).sentence == (
        "blocks that the map ranks high move the answer less than those of random orders and a centre blob"
    )


def test_false_positives_stay_within_the_level():
    """Orders by chance against orders by chance: at most 5 %, exactly 1.1 % at ten patients."""
    generator = np.random.default_rng(0)
    runs = 4000
    own, random = generator.normal(size=(runs, 10)), generator.normal(size=(runs, 10, 3))
    answers = [
        faithfulness_test([PictureAreas(str(n), own[run, n], tuple(random[run, n]), -9.0) for n in range(10)]).answer
        for run in range(runs)
    ]
    shown = sum(answer.startswith("beats") for answer in answers)
    assert shown / runs < 0.0107 + 3 * np.sqrt(0.0107 * 0.9893 / runs)
