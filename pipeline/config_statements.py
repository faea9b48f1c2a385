"""What an audit states beside its measurements: the cohort, the reference standard, risks, and what may get worse."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from pipeline.config_part import ConfigPart, Share

__all__ = ["ChangeConfig", "StatementsConfig"]


def _listed(value: object) -> object:
    """Take a single text for a list of one."""
    return (value,) if isinstance(value, str) else value


Texts = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=2000)], ...], BeforeValidator(_listed), Field(max_length=20)
]
"""A sentence, or several."""


class StatementsConfig(ConfigPart):
    """Statements for the report, a sentence or a list each; those that are left out are listed as not stated.

    ``selection``: how studies came into the cohort. ``setting``: sites and period, without dates of patients.
    ``acquisition``: scanners and protocols beyond what headers tell. ``readers``, ``experience``, ``protocol`` and
    ``blinding`` are of the reference standard. ``independence``: how it was checked that the model was not trained on
    these patients. ``users``: who is meant to use the model. ``responsible``: persons and roles who answer for the
    audit. ``known_risks``: risks and misuse that are known, with an id of the risk file where there is one.
    """

    selection: Texts = ()
    setting: Texts = ()
    acquisition: Texts = ()
    readers: Texts = ()
    experience: Texts = ()
    protocol: Texts = ()
    blinding: Texts = ()
    independence: Texts = ()
    users: Texts = ()
    responsible: Texts = ()
    known_risks: Texts = ()


class ChangeConfig(ConfigPart):
    """By how much a figure may be less than in the run that it is compared with, and not count as worse.

    ``margins`` goes from a metric (of each map that both runs have, or of the classifier: accuracy, sensitivity,
    specificity) to a difference in its own unit; every one has to hold, for each label. ``missing_at_most``: the share
    of studies that may lack a score in either run, or not be in the second, before nothing is answered.
    """

    margins: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    confidence: Annotated[float, Field(ge=0.9, lt=1)] = 0.95
    missing_at_most: Share = 0.1

    def locked_content(self) -> dict[str, Any]:
        """Return what a lock fixes of it: nothing where no margin is set."""
        return {"change": self.model_dump(mode="json")} if self.margins else {}
