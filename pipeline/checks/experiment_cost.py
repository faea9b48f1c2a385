"""What the families of experiments will take: maps and answers of the model, counted before they are computed."""

from collections.abc import Mapping

from cam import METHODS
from pipeline.checks.model_check import Probe
from pipeline.checks.run_estimate import ExperimentCost
from pipeline.config import AuditConfig
from pipeline.config_experiments import FaithfulnessConfig, SanityConfig
from pipeline.evidence.sanity.rules import map_plan
from pipeline.findings.experiments.stability import PICTURE_CHANGES
from pipeline.vocabulary import Family

__all__ = ["experiment_cost"]

_COSTLY = 16  # pictures for one map, from which on fewer studies and draws have to do
_BATTERY = 15  # pictures a study and label: as it is, and changed
_LESION = 4  # and for a positive at most, where the lesion is painted over
_CURVES = 14  # pictures for one order of blocks
_OPPONENTS = 58  # and for the opponents that all maps of a study share
_BLOCKS = 4  # along each axis
_ASKED = {"average_drop": 2, "increase": 0, "sensitivity_n": 50, "mean_fill_deletion": 9}  # pictures a map, at most


def experiment_cost(config: AuditConfig, probe: Probe, tried: Mapping[Family, int]) -> ExperimentCost:
    """Return the cost of families on so many studies each (``tried``); one that is not in it was tried before."""
    maps = dict.fromkeys(config.explain.methods, 0)
    answers = 0
    for family in config.experiments.families:
        studies = tried.get(family, 0)
        for method in maps if studies else ():
            maps[method] += _places(probe, method) * _maps(config, probe, method, family, studies)
        all_maps = sum(_places(probe, method) for method in maps)
        answers += studies * _answers(config, probe, family, all_maps)
    seconds = sum(count * probe.seconds[method] for method, count in maps.items())
    return ExperimentCost(sum(maps.values()), answers, seconds + answers * probe.forward_seconds)


def _places(probe: Probe, method: str) -> int:
    return len(METHODS[method].places([layer.name for layer in probe.layers]))


def _maps(config: AuditConfig, probe: Probe, method: str, family: Family, studies: int) -> int:
    """Return how often a family asks for one map of a method, over all of its studies."""
    if family == "sanity":
        settings = config.experiments.sanity or SanityConfig()
        is_costly = method in probe.costs and probe.costs[method].images > _COSTLY
        plan = map_plan(settings, is_costly=is_costly)
        return 3 * studies + plan.draws * min(plan.studies, studies)
    return {"stability": (1 + len(PICTURE_CHANGES)) * studies, "faithfulness": studies}.get(family, 0)


def _answers(config: AuditConfig, probe: Probe, family: Family, maps: int) -> int:
    """Return how many pictures a family shows the model for one study without a map."""
    if family == "shortcuts":
        labels = len(config.model.labels) - (config.model.negative_label in config.model.labels)
        return labels * (_BATTERY + _LESION)
    if family == "stability":
        return 1 + len(PICTURE_CHANGES)
    if family == "faithfulness":
        return _of_faithfulness(config.experiments.faithfulness or FaithfulnessConfig(), probe, maps)
    return 0


def _of_faithfulness(settings: FaithfulnessConfig, probe: Probe, maps: int) -> int:
    curves = _OPPONENTS + _CURVES * maps
    if settings.best_order:
        curves += _CURVES + _BLOCKS ** (len(probe.shape) - 1)
    finer = (_OPPONENTS + _CURVES) * maps * settings.finer_look
    return curves * (1 + settings.second_look) + finer + sum(_ASKED[score] for score in settings.also) * maps
