"""What every kept type is: immutable, complete, without numbers that JSON cannot hold."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

__all__ = ["FrozenModel", "share_names_of_fields"]


class FrozenModel(BaseModel):
    """A kept type: its fields never change, unknown ones are refused, as are NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Model = TypeVar("Model", bound=FrozenModel)


def share_names_of_fields(models: Iterable[Model]) -> Iterator[Model]:
    """Yield models that share one set of the names of their fields: a set of its own is half of a small one."""
    shared: dict[tuple[str, ...], set[str]] = {}
    for model in models:
        names = model.model_fields_set
        object.__setattr__(model, "__pydantic_fields_set__", shared.setdefault(tuple(sorted(names)), names))
        yield model
