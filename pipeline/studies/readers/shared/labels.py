"""Which of a mask file's labels is meant: a name against the names that the file states."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from pipeline.errors import Reason
from pipeline.studies.readers.shared.base import MaskRequest, refused

__all__ = ["check_distinct", "check_meant", "matching", "name_facts", "same_label"]

Named = Sequence[tuple[str, int]]

# names that say nothing of what they name
_GENERIC = re.compile(
    r"(segment|seg|segmentation|mask|roi|region|label|structure|object|contour|lesion|finding|abnormality|annotation|"
    r"foreground|target|gt|truth|ground ?truth|new|untitled|region of interest|reader|expert|class|value)?[\W_]*\d*",
    re.IGNORECASE,
)
_SIDES = frozenset(("left", "right", "upper", "lower", "middle", "lobe", "area", "region", "with", "the", "and"))
_STEM = 5  # letters that words of one root share: nodule and nodules, metastasis and metastases


def same_label(first: str, second: str) -> bool:
    """Tell whether two names are one label: case and outer blanks do not count."""
    return first.strip().lower() == second.strip().lower()


def matching(named: Named, wanted: MaskRequest, what: str) -> frozenset[int]:
    """Return the numbers that bear the wanted label (several may) or number, or all that there are.

    A file's only number is meant when its name says nothing ("Segment_1") or shares a word with the label; by another
    name, only when the label is the study's own and nobody has said that the file shows it (``name_facts``).

    Raises:
        StudyError: MASK_MISSING_LABEL, excluded, when none is the wanted one; ``what`` names them.
    """
    numbers = frozenset(number for _, number in named)
    if wanted.value is not None:
        if wanted.value not in numbers:
            message = f"none of the mask's {len(numbers)} {what} bears the wanted number {wanted.value}"
            raise refused(Reason.MASK_MISSING_LABEL, message, excluded=True)
        return frozenset((wanted.value,))
    label = wanted.label
    if label is None:
        return numbers
    fitting = frozenset(number for name, number in named if same_label(name, label))
    if fitting:
        return fitting
    if len(numbers) == 1 and (wanted.by_reference or any(_fits(name, label) for name, _ in named)):
        return numbers
    message = f"none of the mask's {len(numbers)} {what} bears the wanted label"
    if len(numbers) == 1:
        message = f"the mask's only one of its {what} has another name than the wanted label"
        message += "; the manifest can state its number, as in mask:<reader>:<label>=1"
    raise refused(Reason.MASK_MISSING_LABEL, message, excluded=True)


def name_facts(named: Named, wanted: MaskRequest) -> dict[str, str]:
    """Return the fact of a file whose only label was taken though it has another name than the study's."""
    label = wanted.label
    if label is None or wanted.value is not None or any(_fits(name, label) for name, _ in named):
        return {}
    return {"label's name": "another one in the mask's file, which holds no other"}


def _fits(name: str, label: str) -> bool:
    if same_label(name, label) or _GENERIC.fullmatch(name.strip()):
        return True
    return any(_related(name_word, label_word) for name_word in _words(name) for label_word in _words(label))


def _words(text: str) -> set[str]:
    return {word.replace("our", "or") for word in re.findall(r"[^\W\d_]{3,}", text.lower())} - _SIDES


def _related(first: str, second: str) -> bool:
    return first == second or (min(len(first), len(second)) >= _STEM and first[:_STEM] == second[:_STEM])


def check_meant(numbers: frozenset[int], wanted: MaskRequest, marked: bool, what: str) -> None:
    """Refuse several of a file's labels as one mask when no label was asked for and something is marked.

    Raises:
        StudyError: MASK_MISSING_LABEL, excluded.
    """
    if len(numbers) > 1 and wanted.label is None and marked:
        message = f"the mask has {len(numbers)} {what}, and nothing tells which is meant"
        raise refused(Reason.MASK_MISSING_LABEL, message, excluded=True)


def check_distinct(keys: Iterable[object], what: str) -> None:
    """Refuse a key that has to be unique and stands twice: nothing tells which of the two is meant.

    Raises:
        StudyError: NOT_READABLE; ``what`` names the key, as in "Segment Number".
    """
    twice = sum(count > 1 for count in Counter(keys).values())
    if twice:
        raise refused(Reason.NOT_READABLE, f"{twice} of the values of {what} stand twice: nothing tells which is meant")
