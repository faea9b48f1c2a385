"""Maps of an experiment, of all methods together while none of them fails; one that does is left out from then on."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cam import METHODS
from pipeline.errors import StudyError
from pipeline.evidence.sanity.similarity import in_cells
from pipeline.experiments.bench import Bench

__all__ = ["MapTrial"]

Cells = NDArray[np.floating]


@dataclass
class MapTrial:
    """The maps that are still tried (``methods``, by their names), and why others are not."""

    bench: Bench
    methods: list[str]
    not_done: dict[str, str] = field(default_factory=dict)

    def maps(
        self, pictures: Sequence[Tensor], labels: Sequence[str], methods: Sequence[str] | None = None
    ) -> dict[str, list[Cells]]:
        """Return the pictures' maps for their labels by map, those at the input summed up by the layer's cells.

        A map of these ``methods`` that fails is not in it, and stands in ``not_done``.
        """
        wanted = [name for name in self.methods if methods is None or name in methods]
        try:
            return self._maps(pictures, labels, wanted)
        except StudyError as fault:
            if len(wanted) == 1:
                self._leave_out(wanted[0], fault)
                return {}
        maps: dict[str, list[Cells]] = {}
        for name in wanted:
            try:
                maps |= self._maps(pictures, labels, [name])
            except StudyError as fault:
                self._leave_out(name, fault)
        return maps

    def _maps(self, pictures: Sequence[Tensor], labels: Sequence[str], names: Sequence[str]) -> dict[str, list[Cells]]:
        if not names or not pictures:
            return {name: [] for name in names}
        maps = self.bench.maps(pictures, labels, names)
        return {name: [self._in_cells(name, study[name]) for study in maps] for name in names}

    def _in_cells(self, name: str, values: Cells) -> Cells:
        at_input = METHODS[name.partition("@")[0]].at == "input"
        return in_cells(values, self.bench.cells) if at_input else values

    def _leave_out(self, name: str, fault: StudyError) -> None:
        self.not_done[name] = str(fault)
        self.methods.remove(name)
