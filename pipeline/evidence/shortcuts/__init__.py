"""What a classifier leans on beside the lesion: studies changed in one respect at a time, and a locked rule.

``battery_rows`` changes the studies and asks a scoring function, ``name_causes`` is the rule on the answers. May import
the vocabulary, findings and the rest of ``evidence``, numpy and scipy; no model and no file.
"""

from pipeline.evidence.shortcuts.battery import battery_rows
from pipeline.evidence.shortcuts.naming import name_causes
from pipeline.evidence.shortcuts.study import BatterySettings, BatteryStudy, ScoreOfLabel

__all__ = ["BatterySettings", "BatteryStudy", "ScoreOfLabel", "battery_rows", "name_causes"]
