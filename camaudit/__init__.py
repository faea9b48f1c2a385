"""The door of camaudit: what code outside this project imports, so that it needs no name of ``pipeline``.

``import camaudit`` loads nothing; each name is loaded when it is first used, and reading a finished run needs neither
torch nor MONAI nor Prefect. May import every package of camaudit; none of them imports it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cam.memory import Memory
    from cam.registry import METHODS, Method
    from camaudit.comparing import Comparison, compare
    from camaudit.finished_run import FinishedRun, read_run
    from camaudit.maps.explaining import explain
    from camaudit.maps.images import PlacedImage
    from camaudit.maps.overlap import MapOverlap, OverlapScore, OverlapTable
    from camaudit.maps.placed_map import PlacedMap
    from camaudit.maps.placed_maps import PlacedMaps
    from camaudit.running import audit, measure
    from camaudit.verifying import verify
    from camaudit.version import __version__
    from camaudit.views import EstimateTable, Overlay
    from pipeline.errors import AuditError
    from pipeline.evidence.metrics.declaration import Metric
    from pipeline.findings.estimates import Estimate, Verdict
    from pipeline.findings.pictures.panels import CasePanels, View
    from pipeline.findings.results import Results
    from pipeline.findings.scores import MapScores, Score
    from pipeline.findings.study_audit import StudyAudit
    from pipeline.verify.failure import Verification

__all__ = [
    "METHODS",
    "AuditError",
    "CasePanels",
    "Comparison",
    "Estimate",
    "EstimateTable",
    "FinishedRun",
    "MapOverlap",
    "MapScores",
    "Memory",
    "Method",
    "Metric",
    "OverlapScore",
    "OverlapTable",
    "Overlay",
    "PlacedImage",
    "PlacedMap",
    "PlacedMaps",
    "Results",
    "Score",
    "StudyAudit",
    "Verdict",
    "Verification",
    "View",
    "__version__",
    "audit",
    "compare",
    "explain",
    "measure",
    "read_run",
    "verify",
]

_HOMES = {
    "METHODS": "cam.registry",
    "AuditError": "pipeline.errors",
    "CasePanels": "pipeline.findings.pictures.panels",
    "Comparison": "camaudit.comparing",
    "Estimate": "pipeline.findings.estimates",
    "EstimateTable": "camaudit.views",
    "FinishedRun": "camaudit.finished_run",
    "MapOverlap": "camaudit.maps.overlap",
    "MapScores": "pipeline.findings.scores",
    "Memory": "cam.memory",
    "Method": "cam.registry",
    "Metric": "pipeline.evidence.metrics.declaration",
    "OverlapScore": "camaudit.maps.overlap",
    "OverlapTable": "camaudit.maps.overlap",
    "Overlay": "camaudit.views",
    "PlacedImage": "camaudit.maps.images",
    "PlacedMap": "camaudit.maps.placed_map",
    "PlacedMaps": "camaudit.maps.placed_maps",
    "Results": "pipeline.findings.results",
    "Score": "pipeline.findings.scores",
    "StudyAudit": "pipeline.findings.study_audit",
    "Verdict": "pipeline.findings.estimates",
    "Verification": "pipeline.verify.verify",
    "View": "pipeline.findings.pictures.panels",
    "__version__": "camaudit.version",
    "audit": "camaudit.running",
    "compare": "camaudit.comparing",
    "explain": "camaudit.maps.explaining",
    "measure": "camaudit.running",
    "read_run": "camaudit.finished_run",
    "verify": "camaudit.verifying",
}
"""Where each public name lives."""


def __getattr__(name: str) -> object:
    """Load a public name when it is first used (PEP 562).

    Raises:
        AttributeError: for every other name.
        ModuleNotFoundError: when it needs an extra that is not installed; says which.
    """
    if name not in _HOMES:
        raise AttributeError(f"module 'camaudit' has no attribute {name!r}")
    from pipeline.extras import advised

    with advised(f"camaudit.{name}"):
        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
