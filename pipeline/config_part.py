"""What every part of the configuration is made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ConfigPart", "Share"]

Share = Annotated[float, Field(ge=0, le=1)]


class ConfigPart(BaseModel):
    """A part of ``audit.yaml``: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="strings")
