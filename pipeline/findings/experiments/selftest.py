"""What a self-test leaves behind: each model with what it leans on and what was named, and the rates of error.

The rates of the last full run are kept beside this module, with the version that made them: reports quote them.
"""

from collections.abc import Mapping
from importlib.resources import files
from typing import Literal

from pipeline.findings.frozen_model import FrozenModel
from pipeline.vocabulary import Decision

__all__ = ["AuditedModel", "KeptRate", "ModelAudit", "SelftestRates", "kept_rates"]

KEPT = "selftest_rates.json"


class ModelAudit(FrozenModel):
    """One audit of a phantom model.

    Attributes:
        confounded_by: the shortcut that all positives of the set carry and the model's training did not tie to the
            label; None for a set like the training's.
        leans: by shortcut that the set holds, the mean change of the logit by it as a share of the class gap, all
            else equal.
        named: the causes that the battery named, the largest effect first.
        refused: why it named none, where it may not.
        effects: by cause, where its test was done.
        map_verdict: of "Grad-CAM's energy in the lesion is better than the centre prior's", by the exact rule.
    """

    confounded_by: str | None
    auroc: float
    gap: float
    leans: Mapping[str, float]
    named: tuple[str, ...]
    refused: str | None
    effects: Mapping[str, float]
    map_verdict: Decision


class AuditedModel(FrozenModel):
    """A phantom model: how it was made, and its audits."""

    number: int
    seed: int
    dimensions: Literal[2, 3]
    role: str
    kinds: tuple[str, ...]
    strength: float
    head: str
    audits: tuple[ModelAudit, ...]


class KeptRate(FrozenModel):
    """How often something happened, with exact 95 % bounds, and what was asked of it.

    Counted are audits, of so many ``models``. ``low`` and ``high`` are None where nothing was counted. ``met`` is None
    where nothing is asked.
    """

    name: str
    title: str
    count: int
    of: int
    models: int
    low: float | None = None
    high: float | None = None
    target: str | None = None
    met: bool | None = None


class SelftestRates(FrozenModel):
    """The rates of one self-test, and what made them.

    ``models`` is how many were trained of ``planned``; ``full`` whether the plan was the full one. Networks trained on
    another ``platform`` may round in another way: a seed gives the same phantoms everywhere, and nearly the same rates.
    """

    program: str
    program_digest: str
    seed: int
    full: bool
    models: int
    planned: int
    platform: str
    rates: tuple[KeptRate, ...]

    def rate(self, name: str) -> KeptRate | None:
        """Return a rate by its name; None where this test has none such."""
        return next((rate for rate in self.rates if rate.name == name), None)


def kept_rates() -> SelftestRates | None:
    """Return the rates that this version of the program comes with; None when there are none."""
    place = files(__package__).joinpath(KEPT)
    return SelftestRates.model_validate_json(place.read_text(encoding="utf-8")) if place.is_file() else None
