"""What every part of the configuration is made of."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["ConfigPart", "Names", "Share", "listed"]


class ConfigPart(BaseModel):
    """A part of ``audit.yaml``: frozen, without keys that nobody knows and without infinite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="strings")


def listed(value: object) -> object:
    """Take a single name for a list of one: ``layers: auto``."""
    return (value,) if isinstance(value, str) else value


Share = Annotated[float, Field(ge=0, le=1)]
Names = Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(listed)]
