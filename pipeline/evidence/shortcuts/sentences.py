"""What may be said of a battery's finding, computed from its numbers and in no stronger words than they support.

An effect with answers that turned "turned" them; one without "moves the score". Texture, contrast and position are
properties of the picture: no scanner and no site is named. Where nothing is named, the smallest effect that could have
been is; "no shortcut" is never said.
"""

from pipeline.findings.experiments.shortcuts import (
    LesionNumbers,
    ShortcutFinding,
    ShortcutTest,
    TurnedAnswers,
    cause_words,
)

__all__ = ["sentences_of"]

_GIVEN = {
    "border": ("the border", "the border"),
    "outside": ("what lies outside the body", "what lies outside the body"),
    "texture": ("the noise texture", "the noise texture"),
    "contrast": ("the contrast", "the contrast"),
    "position": ("the position", "the position"),
}
"""Each transplant's property."""

_FOLLOWS = {
    "texture": "The answer follows the noise texture.",
    "contrast": "The answer follows the contrast.",
    "position": "The answer follows the position of the body in the picture.",
}


def sentences_of(finding: ShortcutFinding, minimum_effect: float) -> tuple[str, ...]:
    """Return the sentences of one finding, the most important first."""
    if finding.refused is not None:
        return (f"No cause may be named: {finding.refused}.",)
    by_name = {test.test: test for test in finding.tests}
    if finding.named:
        said = [_of_cause(by_name[name]) for name in finding.named]
    else:
        said = [_nothing(finding, minimum_effect)]
    said += [_not_done(test) for test in finding.tests if test.effect is None]
    said += [_lowers(test) for test in finding.tests if _is_against(test, minimum_effect)]
    return (*said, *(() if finding.lesion is None else _of_lesion(finding.lesion, finding.named)))


def _of_cause(test: ShortcutTest) -> str:
    moved = f"on average it moves the score by {_percent(test.effect)} of the distance between the classes"
    turned = test.positives
    if turned is None or not turned.changed:
        return f"{_changing(test.test)} moves the score by {_percent(test.effect)} of the distance between the classes."
    follows = _FOLLOWS.get(test.test)
    sentence = f"{_changing(test.test)} turned {turned.changed} of {turned.of} positive answers; {_control(test.test)} "
    return " ".join([f"{sentence}turned {turned.control}; {moved}.", *([follows] if follows else [])])


def _changing(name: str) -> str:
    if name in _GIVEN:
        return f"Giving studies {_GIVEN[name][0]} of studies of the opposite label"
    return f"Painting over {_called(name)}"


def _control(name: str) -> str:
    if name in _GIVEN:
        return f"{_GIVEN[name][1]} of another study of the same label"
    return "painting over equal areas elsewhere"


def _called(name: str) -> str:
    return cause_words(name) if name.startswith("avoid:") else f"the {cause_words(name)}"


def _nothing(finding: ShortcutFinding, minimum_effect: float) -> str:
    tested = [test for test in finding.tests if test.effect is not None]
    bound = max(minimum_effect, finding.smallest or 0.0)
    causes = ", ".join(cause_words(test.test) for test in tested)
    return (
        f"No reliance above {_percent(bound)} of the distance between the classes was found for the "
        f"{len(tested)} causes tested: {causes}."
    )


def _of_lesion(numbers: LesionNumbers, named: tuple[str, ...]) -> tuple[str, ...]:
    """Return what painting over the lesion, the marks beside it and both did, and a lesion given to negatives."""
    said = []
    if numbers.filled is not None and numbers.filled.of:
        said.append(_painted(numbers, numbers.filled))
        marks_stand_in = "body_marks" in named and _most(numbers.both_filled)
        if marks_stand_in and not _most(numbers.filled):
            said.append("The lesion is not needed while the small bright marks are there.")
        elif not named and not _most(numbers.filled):
            kept = numbers.filled.of - numbers.filled.changed
            said.append(
                f"{kept} of {numbers.filled.of} answers stayed without the lesion; no tested cause explains it."
            )
    if numbers.pasted is not None and numbers.pasted.of:
        pasted = numbers.pasted
        said.append(f"Giving negatives the lesion of another study turned {pasted.changed} of {pasted.of} answers.")
    return tuple(said)


def _painted(numbers: LesionNumbers, filled: TurnedAnswers) -> str:
    control = "" if filled.control is None else f", over an equal region elsewhere {filled.control}"
    sentence = f"Painting over the lesion turned {filled.changed} of {filled.of} positive answers{control}"
    if numbers.marks_filled is None or numbers.both_filled is None:
        return f"{sentence}."
    marks, both = numbers.marks_filled, numbers.both_filled
    return (
        f"{sentence}; where there are small bright marks in the body, painting over these turned {marks.changed} of "
        f"{marks.of}, over lesion and marks {both.changed} of {both.of}."
    )


def _most(turned: TurnedAnswers | None) -> bool:
    return turned is not None and 2 * turned.changed > turned.of


def _not_done(test: ShortcutTest) -> str:
    return f"Not tested: {cause_words(test.test)} ({test.reason})."


def _is_against(test: ShortcutTest, minimum_effect: float) -> bool:
    return test.effect is not None and test.effect <= -minimum_effect


def _lowers(test: ShortcutTest) -> str:
    return (
        f"{_changing(test.test)} moves the score by {_percent(-(test.effect or 0.0))} of the distance between the "
        "classes the other way: the study's own class gains. This is reported and names no cause."
    )


def _percent(share: float | None) -> str:
    return f"{100 * (share or 0.0):.0f} %"
