"""The locked rule: exact sign tests by patient of a method's areas against those of random orders and of a centre blob.

An edge map and a centre blob beat random orders in most models, since both lie on the body: random alone shows nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb
from types import MappingProxyType
from typing import Final, Literal

__all__ = [
    "ALPHA",
    "ENOUGH_PATIENTS",
    "FEWEST_PATIENTS",
    "OPPONENTS",
    "FaithfulnessAnswer",
    "FaithfulnessTest",
    "Opponent",
    "PictureAreas",
    "SignTest",
    "faithfulness_test",
    "sign_p_value",
    "sign_test",
]

Opponent = Literal["random", "centre", "inverse"]

OPPONENTS: Final[Mapping[Opponent, str]] = MappingProxyType(
    {"random": "random orders", "centre": "a centre blob", "inverse": "its own order backwards"}
)

FaithfulnessAnswer = Literal["beats both", "beats random only", "not shown"]

ALPHA: Final = 0.05
FEWEST_PATIENTS: Final = 10
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

    def beats(self, opponent: Opponent) -> bool:
        """Tell whether the map's area exceeds an opponent's; a tie does not, nor does a map without an order."""
        if self.own is None:
            return False
        against = {"random": sum(self.random) / len(self.random), "centre": self.centre, "inverse": -self.own}
        return self.own > against[opponent]


@dataclass(frozen=True)
class SignTest:
    """How many of ``patients`` were won, and how probable as many or more would be if each were a coin's toss."""

    wins: int
    patients: int
    p: float


@dataclass(frozen=True)
class FaithfulnessTest:
    """What the rule says of a method at a layer, and the three tests that it rests on.

    ``pictures`` were shown, ``without_order`` of them have a map without an order, which wins against nothing.
    ``sentence`` is what a reader may conclude.
    """

    answer: FaithfulnessAnswer
    sentence: str
    tests: Mapping[Opponent, SignTest]
    pictures: int
    without_order: int


def sign_p_value(wins: int, trials: int) -> float:
    """Return P(at least ``wins`` of ``trials`` tosses of a fair coin), exactly; 1 of no trial.

    Raises:
        ValueError: when ``wins`` is not within 0 and ``trials``.
    """
    if not 0 <= wins <= trials:
        raise ValueError(f"wins lie within 0 and the {trials} trials, not at {wins}")
    return float(Fraction(sum(comb(trials, number) for number in range(wins, trials + 1)), 2**trials))


def sign_test(won: Iterable[tuple[str, bool]]) -> SignTest:
    """Return the test of pictures (patient, whether it was won): a patient is won by more than half of his pictures."""
    by_patient: dict[str, list[bool]] = defaultdict(list)
    for patient, is_won in won:
        by_patient[patient].append(is_won)
    wins = sum(2 * sum(pictures) > len(pictures) for pictures in by_patient.values())
    return SignTest(wins, len(by_patient), sign_p_value(wins, len(by_patient)))


def faithfulness_test(pictures: Sequence[PictureAreas]) -> FaithfulnessTest:
    """Hold a method's pictures against the rule."""
    tests: dict[Opponent, SignTest] = {
        opponent: sign_test((picture.patient, picture.beats(opponent)) for picture in pictures)
        for opponent in OPPONENTS
    }
    answer = _answer(tests)
    without = sum(picture.own is None for picture in pictures)
    return FaithfulnessTest(answer, _sentence(answer, tests), MappingProxyType(tests), len(pictures), without)


def _answer(tests: Mapping[Opponent, SignTest]) -> FaithfulnessAnswer:
    shown = {opponent: test.patients >= FEWEST_PATIENTS and test.p < ALPHA for opponent, test in tests.items()}
    if not (shown["random"] and shown["inverse"]):
        return "not shown"
    return "beats both" if shown["centre"] else "beats random only"


def _sentence(answer: FaithfulnessAnswer, tests: Mapping[Opponent, SignTest]) -> str:
    patients = tests["random"].patients
    if patients < FEWEST_PATIENTS:
        return f"not shown: {patients} patients, and fewer than {FEWEST_PATIENTS} show nothing"
    won = {opponent: f"in {test.wins} of {patients} patients (p = {test.p:.2g})" for opponent, test in tests.items()}
    if answer == "beats both":
        return (
            "blocks that the map ranks high move the answer more than random blocks "
            f"{won['random']} and than a centre blob's {won['centre']}"
        )
    if answer == "beats random only":
        centre = f"not shown to beat a centre blob ({won['centre']})"
        if patients < ENOUGH_PATIENTS:
            centre += f"; fewer than {ENOUGH_PATIENTS} patients rarely show it"
        return f"blocks that the map ranks high move the answer more than random blocks {won['random']}; {centre}"
    return f"not shown that the map orders blocks better than chance: it beats random orders {won['random']}"
