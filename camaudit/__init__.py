"""The door of camaudit: what code outside this project imports, so that it needs no name of ``pipeline``.

``import camaudit`` loads nothing; each name is loaded when it is first used, and reading a finished run needs neither
torch nor MONAI nor Prefect. May import every package of camaudit; none of them imports it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cam.explain import explain
    from cam.registry import METHODS, Method
    from camaudit.comparing import Comparison, compare
    from camaudit.finished_run import FinishedRun, read_run
    from camaudit.running import audit, measure
    from camaudit.study_map import StudyMap
    from camaudit.views import EstimateTable, Overlay
    from pipeline.conclusions.cases import CasePanels, View
    from pipeline.errors import AuditError
    from pipeline.evidence.localisation import Metric
    from pipeline.findings.record import Estimate, MapScores, Results, Score, StudyAudit, Verdict

__all__ = [
    "METHODS",
    "AuditError",
    "CasePanels",
    "Comparison",
    "Estimate",
    "EstimateTable",
    "FinishedRun",
    "MapScores",
    "Method",
    "Metric",
    "Overlay",
    "Results",
    "Score",
    "StudyAudit",
    "StudyMap",
    "Verdict",
    "View",
    "audit",
    "compare",
    "explain",
    "measure",
    "read_run",
]

_RECORD = "pipeline.findings.record"
_HOMES = {
    "METHODS": "cam.registry",
    "AuditError": "pipeline.errors",
    "CasePanels": "pipeline.conclusions.cases",
    "Comparison": "camaudit.comparing",
    "Estimate": _RECORD,
    "EstimateTable": "camaudit.views",
    "FinishedRun": "camaudit.finished_run",
    "MapScores": _RECORD,
    "Method": "cam.registry",
    "Metric": "pipeline.evidence.localisation",
    "Overlay": "camaudit.views",
    "Results": _RECORD,
    "Score": _RECORD,
    "StudyAudit": _RECORD,
    "StudyMap": "camaudit.study_map",
    "Verdict": _RECORD,
    "View": "pipeline.conclusions.cases",
    "audit": "camaudit.running",
    "compare": "camaudit.comparing",
    "explain": "cam.explain",
    "measure": "camaudit.running",
    "read_run": "camaudit.finished_run",
}
"""Where each public name lives."""


def __getattr__(name: str) -> object:
    """Load a public name when it is first used (PEP 562).

    Raises:
        AttributeError: for every other name.
    """
    if name not in _HOMES:
        raise AttributeError(f"module 'camaudit' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
