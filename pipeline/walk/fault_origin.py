"""Whose fault an exception is that came up while a batch was shown to the model, and at which stage.

The network is the user's, and so is what torch raises inside it: that is the study's row. What camaudit's own code
raises without meaning to is nobody's row.
"""

import dis
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import torch
from torch import nn

from cam.out_of_memory import is_out_of_memory
from pipeline.errors import Stage
from pipeline.studies.geometry import GeometryError

__all__ = ["Origin", "origin_of"]

_OURS = ("cam", "pipeline")
_MODULES, _GRADIENTS = ("torch.nn.modules.module", "torch.fx"), ("torch.autograd",)
_RAISES = dis.opmap["RAISE_VARARGS"]
_DID_NOT_CONVERGE = (torch.linalg.LinAlgError, np.linalg.LinAlgError)  # type: ignore[attr-defined]  # public, not in its __all__


@dataclass(frozen=True)
class Origin:
    """Where in the walk of a study something broke, and whether camaudit itself is to blame."""

    stage: Stage
    ours: bool


def origin_of(error: BaseException, network: nn.Module | None) -> Origin:
    """Tell whose fault ``error`` is from the modules that it came through; ``network`` is None where none was loaded.

    It is the network's when the network was running: beneath the last frame of ours is one of torch's machinery for
    modules and gradients, or of a module that one of the network's classes comes from. It is the network's, too, when
    ``cam`` refuses what the network gave it, by a ``raise`` of its own; when a map is not finite; when a decomposition
    does not converge; and when memory runs out. All else is ours.
    """
    modules = _modules(error.__traceback__)
    last = max((number for number, name in enumerate(modules) if _within(name, _OURS)), default=-1)
    below, caller = modules[last + 1 :], modules[last] if last >= 0 else ""
    written_in = {type(module).__module__ for module in network.modules()} if network is not None else set()
    running = [name for name in below if _within(name, (*_MODULES, *_GRADIENTS)) or name in written_in]
    forward = bool(running) and not _within(running[0], _GRADIENTS)  # a forward may hold a Function of torch.autograd
    if forward and (caller == "cam.capture" or _within(caller, ("pipeline",))):
        stage = Stage.INFER
    else:
        stage = Stage.EXPLAIN if any(_within(name, ("cam",)) for name in modules) else Stage.MEASURE
    if isinstance(error, torch.OutOfMemoryError) and stage is Stage.MEASURE:
        stage = Stage.INFER  # a device's memory: what is measured lies in the host's
    excused = is_out_of_memory(error) or isinstance(error, _DID_NOT_CONVERGE) or _is_refused(error, modules)
    return Origin(stage, ours=not (running or excused))


def _modules(traceback: TracebackType | None) -> list[str]:
    """Return the module of each frame, outermost first."""
    modules = []
    while traceback is not None:
        modules.append(str(traceback.tb_frame.f_globals.get("__name__", "")))
        traceback = traceback.tb_next
    return modules


def _is_refused(error: BaseException, modules: Sequence[str]) -> bool:
    """Tell whether ``cam`` itself says that it cannot explain this, or a map is not finite."""
    if not modules or not _is_raised_on_purpose(error):
        return False
    refused = type(error) is ValueError and _within(modules[-1], ("cam",))
    return refused or (isinstance(error, GeometryError) and modules[-1] == "pipeline.studies.volume")


def _is_raised_on_purpose(error: BaseException) -> bool:
    """Tell a ``raise`` statement from an operation that failed: ``one, two = three`` is a ValueError as well."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_code.co_code[traceback.tb_lasti] == _RAISES


def _within(name: str, beginnings: Sequence[str]) -> bool:
    return any(name == beginning or name.startswith(f"{beginning}.") for beginning in beginnings)
