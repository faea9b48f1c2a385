"""What the authors of an audit state and no file can tell: the cohort, the reference standard, risks, who answers."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from pipeline.config_part import ConfigPart

__all__ = ["StatementsConfig"]


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
