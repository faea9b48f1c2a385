"""One cell of the table: a law, a number of patients and a design, simulated under a rule."""

import zlib
from dataclasses import dataclass

import numpy as np

from tests.coverage.laws import Law, patients_of
from tests.coverage.rules import exact

CHUNK = 1000
BEYOND = (0.05, 0.10)
NOMINAL = 2.5
LEAST_COVERAGE = 95.0


@dataclass(frozen=True)
class CellRates:
    """What was counted, in percent; ``power`` where the truth lies 0.05 and 0.10 above the bound, if it can."""

    name: str
    coverage: float
    false_met: float
    false_not_met: float
    power: tuple[float | None, ...]
    replicates: int

    @property
    def noise(self):
        """Three standard errors of a rate of 2.5 %, in percent."""
        return 300 * (0.025 * 0.975 / self.replicates) ** 0.5

    @property
    def fault(self):
        """What is wrong with the cell beyond what its simulation may err by, or None."""
        if self.false_met > NOMINAL + self.noise:
            return f"false MET {self.false_met:.2f} % where {NOMINAL + self.noise:.2f} % is the limit"
        least = LEAST_COVERAGE - 300 * (0.05 * 0.95 / self.replicates) ** 0.5
        return f"coverage {self.coverage:.2f} % below {least:.2f} %" if self.coverage < least else None

    def __str__(self):
        powers = " ".join("-" if power is None else f"{power:.0f}" for power in self.power)
        return f"{self.coverage:.1f} {self.false_met:.1f} {self.false_not_met:.1f}; {powers}"


@dataclass(frozen=True)
class MeanCell:
    """Cohorts of so many patients, with one study each or one to five (``repeated``)."""

    law: Law
    patients: int
    repeated: bool

    @property
    def name(self):
        return f"{self.law.name}, {self.patients} patients, {'1 to 5 studies' if self.repeated else '1 study'} each"

    def simulated(self, replicates, rule=exact):
        """Return the rates of this many cohorts; the seed is the cell's name."""
        generator = np.random.default_rng(zlib.crc32(self.name.encode()))
        truth = self.law.mean
        counts = np.zeros(2 + len(BEYOND))
        for start in range(0, replicates, CHUNK):
            cohorts = min(CHUNK, replicates - start)
            scores = patients_of(self.law, generator, cohorts, self.patients, self.repeated)
            met, not_met = rule(scores, truth)
            shown = [rule(scores, truth - beyond)[0].sum() if truth > beyond + 1e-9 else 0 for beyond in BEYOND]
            counts += [met.sum(), not_met.sum(), *shown]
        return rates_of(self.name, counts, replicates, [truth > beyond + 1e-9 for beyond in BEYOND])


def rates_of(name, counts, replicates, possible):
    """Return the rates of counts of false MET, false NOT MET and MET at each distance beyond the bound."""
    false_met, false_not_met, *shown = 100 * np.asarray(counts, dtype=float) / replicates
    power = tuple(float(rate) if can else None for rate, can in zip(shown, possible, strict=True))
    return CellRates(name, 100 - false_met - false_not_met, false_met, false_not_met, power, replicates)
