"""What a user asks for with ``camaudit run``, or a schedule every night."""

from dataclasses import dataclass

from pipeline.config_file import LoadedConfig

__all__ = ["AuditRequest"]


@dataclass(frozen=True)
class AuditRequest:
    """A configuration to audit.

    ``command`` stands in the report; ``deep`` hashes every file again. ``only_new``: where nothing is new since the
    newest run, that run is the answer. ``notify`` is a program that is told what somebody has to hear of.
    """

    loaded: LoadedConfig
    command: str
    deep: bool = False
    only_new: bool = False
    notify: tuple[str, ...] = ()
