"""Which function does a family's experiments."""

from collections.abc import Callable, Mapping
from typing import Final

from pipeline.experiments.bench import Bench
from pipeline.experiments.faithfulness import faithfulness
from pipeline.experiments.sanity import sanity
from pipeline.experiments.shortcuts import shortcuts
from pipeline.experiments.stability import stability
from pipeline.findings.experiments.bundle import FamilyRows
from pipeline.vocabulary import Family

__all__ = ["EXPERIMENTS"]

EXPERIMENTS: Final[Mapping[Family, Callable[[Bench], FamilyRows]]] = {
    "sanity": sanity,
    "shortcuts": shortcuts,
    "stability": stability,
    "faithfulness": faithfulness,
}
