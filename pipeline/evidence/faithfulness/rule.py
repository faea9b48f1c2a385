"""The locked rule: exact sign tests by patient of a map's areas against random orders, a centre blob and its reverse.

An edge map and a centre blob beat random orders in most models, since both lie on the body: random alone shows nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb
from typing import Final

from pipeline.evidence.sums import sum_in_order
from pipeline.findings.experiments.faithfulness import OPPONENTS, FaithfulnessAnswer, Opponent, SignTest

__all__ = [
    "ALPHA",
    "ENOUGH_PATIENTS",
    "FEWEST_FOR_A_TEST",
    "FaithfulnessTest",
    "PictureAreas",
    "faithfulness_test",
    "sign_p_value",
    "sign_test",
]

ALPHA: Final = 0.05
FEWEST_FOR_A_TEST: Final = 10
"""Of fewer patients nothing is concluded: nine of ten have to be won."""
ENOUGH_PATIENTS: Final = 20
"""Of fewer patients even right maps are rarely shown to beat the centre blob: the answer asks for as many."""


@dataclass(frozen=True)
class PictureAreas:
    """Insertion minus deletion of one picture, in units of the label's score.

    ``own`` is that of the method's map, None where the map has no order; ``random`` are those of the random orders,
    ``centre`` that of the centre blob. The map's own order backwards has the area ``-own``.
    """

    patient: str
    own: float | None
    random: tuple[float, ...]
    centre: float

    def outcome(self, opponent: Opponent) -> int:
        """Return 1 where the map's area exceeds an opponent's, -1 where it falls short; 0 for a tie or no order."""
        if self.own is None:
            return 0
        random = sum_in_order(self.random) / len(self.random)
        against = {"random": random, "centre": self.centre, "inverse": -self.own}
        return int(self.own > against[opponent]) - int(self.own < against[opponent])


@dataclass(frozen=True)
class FaithfulnessTest:
    """What the rule says of a map, and the three tests that it rests on; ``sentence`` may be concluded."""

    answer: FaithfulnessAnswer
    sentence: str
    tests: Mapping[Opponent, SignTest]
    without_order: int


def sign_p_value(wins: int, trials: int) -> float:
    """Return P(at least ``wins`` of ``trials`` tosses of a fair coin), exactly; 1 of no trial.

    Raises:
        ValueError: when ``wins`` is not within 0 and ``trials``.
    """
    if not 0 <= wins <= trials:
        raise ValueError(f"wins lie within 0 and the {trials} trials, not at {wins}")
    return float(Fraction(sum(comb(trials, number) for number in range(wins, trials + 1)), 2**trials))


def sign_test(outcomes: Iterable[tuple[str, int]]) -> SignTest:
    """Return the test of pictures (patient, outcome): more than half of a patient's pictures win or lose him.

    A tie is neither: it counts against whatever is to be shown.
    """
    by_patient: dict[str, list[int]] = defaultdict(list)
    for patient, outcome in outcomes:
        by_patient[patient].append(outcome)
    wins = sum(2 * own.count(1) > len(own) for own in by_patient.values())
    losses = sum(2 * own.count(-1) > len(own) for own in by_patient.values())
    patients = len(by_patient)
    p, p_lost = sign_p_value(wins, patients), sign_p_value(losses, patients)
    return SignTest(wins=wins, losses=losses, patients=patients, p=p, p_lost=p_lost)


def faithfulness_test(pictures: Sequence[PictureAreas]) -> FaithfulnessTest:
    """Hold a map's pictures against the rule."""
    tests: dict[Opponent, SignTest] = {
        opponent: sign_test((picture.patient, picture.outcome(opponent)) for picture in pictures)
        for opponent in OPPONENTS
    }
    answer = _answer(tests)
    return FaithfulnessTest(answer, _sentence(answer, tests), tests, sum(picture.own is None for picture in pictures))


def _answer(tests: Mapping[Opponent, SignTest]) -> FaithfulnessAnswer:
    enough = tests["random"].patients >= FEWEST_FOR_A_TEST
    shown = {opponent: enough and test.p < ALPHA for opponent, test in tests.items()}
    if enough and any(test.p_lost < ALPHA for test in tests.values()):
        # one of them is truly better; against a centre blob a map may lose and still be better than chance
        return "beats random only" if shown["random"] and shown["inverse"] else "loses"
    if not (shown["random"] and shown["inverse"]):
        return "not shown"
    return "beats both" if shown["centre"] else "beats random only"


def _sentence(answer: FaithfulnessAnswer, tests: Mapping[Opponent, SignTest]) -> str:
    patients = tests["random"].patients
    if patients < FEWEST_FOR_A_TEST:
        return f"not shown: {patients} patients, and fewer than {FEWEST_FOR_A_TEST} show nothing"
    won = {opponent: f"in {test.wins} of {patients} patients ({_p(test.p)})" for opponent, test in tests.items()}
    beats = f"blocks that the map ranks high move the answer more than random blocks {won['random']}"
    if answer == "beats both":
        return f"{beats} and than a centre blob's {won['centre']}"
    if answer == "beats random only":
        return f"{beats}; {_of_the_centre(tests['centre'], won['centre'])}"
    if answer == "loses":
        better = [OPPONENTS[opponent] for opponent, test in tests.items() if test.p_lost < ALPHA]
        return f"blocks that the map ranks high move the answer less than those of {' and '.join(better)}"
    return f"not shown that the map orders blocks better than chance: it beats random orders {won['random']}"


def _p(value: float) -> str:
    """Return a probability as people read it: the digits of a smaller one would claim what no cohort gives."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def _of_the_centre(test: SignTest, won: str) -> str:
    if test.p_lost < ALPHA:
        return f"a centre blob beats it in {test.losses} of {test.patients} patients ({_p(test.p_lost)})"
    few = f"; fewer than {ENOUGH_PATIENTS} patients rarely show it" if test.patients < ENOUGH_PATIENTS else ""
    return f"not shown to beat a centre blob ({won}){few}"
