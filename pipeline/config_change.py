"""What a run may lose against the one before: the margins of non-inferiority, which are locked."""

from typing import Annotated, Any

from pydantic import Field

from pipeline.config_part import ConfigPart, Share

__all__ = ["ChangeConfig"]


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
