"""What a qualification of this installation found: known cases, expected against measured, and what is installed."""

from collections.abc import Mapping

from pipeline.findings.frozen_model import FrozenModel

__all__ = ["Installation", "KnownCase", "Qualification"]


class KnownCase(FrozenModel):
    """One known case: what has to come out, what came out, how far the two may lie apart, and whether they agree."""

    key: str
    area: str
    what: str
    expected: str
    measured: str
    tolerance: str
    agrees: bool


class Installation(FrozenModel):
    """What is installed: versions, and of each of our packages the SHA-256 of every file and of their list."""

    camaudit: str
    program: str
    python: str
    platform: str
    device: str
    libraries: Mapping[str, str]
    packages: Mapping[str, str]
    files: Mapping[str, str]


class Qualification(FrozenModel):
    """``started_at`` and ``finished_at`` are UTC, as ISO 8601 writes them; ``site_key`` is the key's fingerprint."""

    format: str = "camaudit-qualification/1"
    started_at: str
    finished_at: str
    site_key: str
    installation: Installation
    cases: tuple[KnownCase, ...]

    @property
    def differences(self) -> tuple[KnownCase, ...]:
        """The cases that did not come out as they have to."""
        return tuple(case for case in self.cases if not case.agrees)
