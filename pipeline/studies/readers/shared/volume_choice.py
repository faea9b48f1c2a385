"""Which of an image's several volumes is meant: by b-value, time and echo, or by its number among those left.

Each key of a choice narrows; one volume has to be left. ``b_value`` is in s/mm2 and may differ by what rounding does
(1 %, or 1), ``time`` is the number of the time point from 0 on, ``echo`` that of the echo from 1 on, by echo time;
``index`` counts from 0 among the volumes that the other keys leave, in the order b-value, echo, time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from pipeline.errors import Reason, Stage, StudyError

__all__ = ["VolumeChoice", "VolumeTraits", "choices_told", "narrowed", "same_b_value"]

_B_SHARE, _B_LEAST = 0.01, 1.0
_SHOWN = 12


@dataclass(frozen=True)
class VolumeChoice:
    """A user's choice among an image's volumes; None: the key is not stated."""

    index: int | None = None
    b_value: float | None = None
    time: int | None = None
    echo: int | None = None

    def __str__(self) -> str:
        stated = {each.name: getattr(self, each.name) for each in fields(self)}
        return ", ".join(f"{name} {value:g}" for name, value in stated.items() if value is not None)


@dataclass(frozen=True)
class VolumeTraits:
    """What a volume is among its image's others; None where the image does not tell its volumes apart by it."""

    b_value: float | None = None
    time: int | None = None
    echo: int | None = None


def same_b_value(first: float, second: float) -> bool:
    """Tell whether two b-values differ by no more than rounding does."""
    return abs(first - second) <= max(_B_SHARE * max(abs(first), abs(second)), _B_LEAST)


def narrowed(volumes: Sequence[VolumeTraits], choice: VolumeChoice, what: str) -> int:
    """Return which of the volumes is chosen.

    Raises:
        StudyError: SEVERAL_VOLUMES when none is, or several are, with what there is to choose from.
    """
    left = [number for number, volume in enumerate(volumes) if _fits(volume, choice)]
    if choice.index is not None:
        left = left[choice.index : choice.index + 1] if choice.index >= 0 else []
    if len(left) == 1:
        return left[0]
    several = f"leaves {len(left)} of" if left else "fits none of"
    message = f"archive.volume ({choice}) {several} the {len(volumes)} {what}: {choices_told(volumes)}"
    raise StudyError(Stage.READ, Reason.SEVERAL_VOLUMES, message)


def choices_told(volumes: Sequence[VolumeTraits]) -> str:
    """Say what there is to choose from."""
    b_values = sorted({volume.b_value for volume in volumes if volume.b_value is not None})
    times = sorted({volume.time for volume in volumes if volume.time is not None})
    echoes = sorted({volume.echo for volume in volumes if volume.echo is not None})
    parts = [f"b_value {_listed(b_values)}"] if b_values else []
    parts += [f"time {times[0]} to {times[-1]}"] if times else []
    parts += [f"echo {echoes[0]} to {echoes[-1]}"] if echoes else []
    return "; ".join([*parts, f"index 0 to {len(volumes) - 1}"])


def _fits(volume: VolumeTraits, choice: VolumeChoice) -> bool:
    b_fits = choice.b_value is None or (volume.b_value is not None and same_b_value(volume.b_value, choice.b_value))
    return b_fits and all(
        wanted is None or own == wanted for wanted, own in ((choice.time, volume.time), (choice.echo, volume.echo))
    )


def _listed(numbers: Sequence[float]) -> str:
    shown = ", ".join(f"{number:g}" for number in numbers[:_SHOWN])
    return f"{shown} and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else shown
