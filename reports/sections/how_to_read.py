"""How to read the report, the words it uses, and what is known of showing such maps to readers."""

from reports.page.layout import Flowable, bullets, small, subheading
from reports.page.text import bold, joined
from reports.registry import Context, section

_STEPS = (
    "The first page answers; what follows is the evidence, in falling importance. A reader may stop anywhere.",
    "A verdict speaks of this cohort and of what was asked before the first look.",
    "A map that does no better than the baselines has shown nothing about where the model looked.",
    "Where a map misses the lesion, look where its peak lies: a marker, the skin or the border points to a shortcut.",
    "The typical case is the one in the middle; the worst and the best show how far the others lie from it.",
)

_WORDS = (
    ("Map", "What an attribution method returns for one label: a value for each place, high where it finds evidence."),
    ("Peak", "The place of a map's highest value."),
    ("Baseline", "A map made without the model: noise, or a blob in the picture's middle."),
    ("Interval", "The values that the data do not rule out; the claim is judged by its nearer end."),
    ("Exploratory", "Not fixed before the first look: a finding to test again, no proof."),
)

_HARMS = (
    "Of mammograms, heat maps raised automation and anchoring bias: readers followed a wrong map (Pesapane and "
    "others).",
    "On chest radiographs each of eight methods failed at least one test of its trustworthiness (Arun and others, "
    "Radiology: Artificial Intelligence).",
    "Seven were weaker than radiologists at finding the lesion, most of all where it is small or of complex shape "
    "(Saporta and others, Nature Machine Intelligence).",
    "This audit does not measure what a reader does with a map. None of these studies was of this model.",
)


@section(148, "How to read this report", in_columns=True)
def build(_context: Context) -> list[Flowable]:
    """Return the order of reading, a glossary, and the known harms of heat maps to readers."""
    return [
        *bullets(_STEPS, compact=True),
        *subheading("Words"),
        small(joined(*(joined(bold(f"{word}: "), meaning) for word, meaning in _WORDS), by=" ")),
        *subheading("What is known of showing heat maps to readers"),
        *bullets(_HARMS, compact=True),
    ]
