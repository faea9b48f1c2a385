"""Scripts that do not run from left to right one character after the other: joined, ordered, or not shown at all."""

import unicodedata
from bisect import bisect_right

from arabic_reshaper import ArabicReshaper
from bidi import get_display

__all__ = ["joined_up", "runs_right_to_left", "shown_in_order", "unjoinable"]

# first and last characters of scripts whose letters change or move beside each other in a way that nothing here knows:
# Syriac to Mandaic, the scripts of India and South-East Asia, Tibetan, Mongolian, and old ones
_UNJOINABLE = (
    (0x0700, 0x086F), (0x0900, 0x109F), (0x1700, 0x18AF), (0x1900, 0x1CFF), (0xA800, 0xABFF), (0x10A00, 0x10FFF),
    (0x11000, 0x11FFF), (0x1E900, 0x1E95F),
)  # fmt: skip
_STARTS = [first for first, _ in _UNJOINABLE]
_PAIRS = (("(", ")"), ("[", "]"), ("{", "}"), ("«", "»"))
_COMPARISONS = {"<": ">", ">": "<", "≤": "≥", "≥": "≤"}
_STRONG = ("L", "R", "AL")
_FIRST_RIGHT_TO_LEFT = "\u0590"  # no character before it runs so


def unjoinable(character: str) -> bool:
    """Return whether a character is of a script that would be shown wrongly, whatever the font."""
    place = bisect_right(_STARTS, ord(character)) - 1
    return place >= 0 and ord(character) <= _UNJOINABLE[place][1]


def runs_right_to_left(text: str) -> bool:
    """Return whether any of the text runs from right to left."""
    return any(
        character >= _FIRST_RIGHT_TO_LEFT and unicodedata.bidirectional(character) in ("R", "AL", "AN")
        for character in text
    )


def joined_up(text: str) -> str:
    """Return a text with Arabic letters in the forms in which they join their neighbours, in the order of reading."""
    if not any("\u0600" <= character <= "\u06ff" for character in text):
        return text
    # marks of vowels stay: they are part of a name
    return str(ArabicReshaper({"delete_harakat": False, "ARABIC LIGATURE ALLAH": False}).reshape(text))


def shown_in_order(text: str) -> str:
    """Return one line of text in the order in which its characters stand on the page, from the left."""
    if not runs_right_to_left(text):
        return text
    shown = list(str(get_display(joined_up(text), base_dir="L")))
    for pair in _PAIRS:
        _turn_brackets(shown, text, pair)
    _turn_comparisons(shown)
    return "".join(shown)


def _turn_brackets(shown: list[str], text: str, pair: tuple[str, str]) -> None:
    """Turn the brackets that stand around words from right to left: the library moves them and leaves their shape."""
    opening, closing = pair
    depth = 0
    for character in text:
        depth += (character == opening) - (character == closing)
        if depth < 0:
            return
    if depth:
        return
    inside, turned = 0, 0
    for place, character in enumerate(shown):
        if character == closing and not inside:
            shown[place], turned = opening, turned + 1
        elif character == opening and turned:
            shown[place], turned = closing, turned - 1
        else:
            inside += (character == opening) - (character == closing)


def _turn_comparisons(shown: list[str]) -> None:
    """Turn what is smaller or larger where the words at both sides run from right to left."""
    directions = [unicodedata.bidirectional(character) for character in shown]
    for place, character in enumerate(shown):
        if character in _COMPARISONS:
            before = next((way for way in reversed(directions[:place]) if way in _STRONG), "L")
            after = next((way for way in directions[place + 1 :] if way in _STRONG), "L")
            if "L" not in (before, after):
                shown[place] = _COMPARISONS[character]
