"""What every kept type is: immutable, complete, without numbers that JSON cannot hold."""

from pydantic import BaseModel, ConfigDict

__all__ = ["FrozenModel"]


class FrozenModel(BaseModel):
    """A kept type: its fields never change, unknown ones are refused, as are NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
