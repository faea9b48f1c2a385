"""What a document's pages and metadata say of it as a whole, whatever it is about."""

from datetime import datetime
from pathlib import Path
from typing import Protocol

from reports.tagged.metadata import Description

__all__ = ["Paper"]


class Paper(Protocol):
    """A document: its title, what stands at the right of each head and in each foot, and what its metadata say."""

    @property
    def run(self) -> Path:
        """The folder that it is about."""

    @property
    def title(self) -> str:
        """The title, at the left of each head."""

    @property
    def running(self) -> str:
        """What stands at the right of each head."""

    @property
    def stamps(self) -> tuple[str, ...]:
        """Words in a frame in each head: what every reader must see."""

    @property
    def foot(self) -> str:
        """What stands at the left of each foot."""

    def described(self, made: datetime) -> Description:
        """Return what the metadata say of a document that is dated ``made``."""
