"""One model of the self-test: drawn, trained, asked by the oracle, audited by the battery and by its map."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cam.explain import explain
from flows.repeatable import repeatable
from flows.selftest.cohorts import PhantomStudy, draw_cohort, labels_of, pictures_of
from flows.selftest.networks import PhantomNetwork, build_phantom_network
from flows.selftest.oracle import area_under_the_curve, class_gap, lean, logits_of
from flows.selftest.phantom import KINDS, PLANE, SPACE, Phantom, ShortcutKind
from flows.selftest.plan import ModelPlan
from flows.selftest.recipes import Recipe
from flows.selftest.training import effort_for, fool, train
from pipeline.evidence.baselines import centre_prior
from pipeline.evidence.exact.claims import Claim
from pipeline.evidence.exact.means import decide_mean
from pipeline.evidence.exact.measures import won
from pipeline.evidence.exact.scores import one_study_each
from pipeline.evidence.shortcuts import BatterySettings, BatteryStudy, ScoreOfLabel, battery_rows, name_causes
from pipeline.findings.experiments.selftest import AuditedModel, ModelAudit
from pipeline.studies.geometry import Geometry
from pipeline.vocabulary import Decision

__all__ = ["PATIENTS", "run_trial"]

PATIENTS: Final = 80
"""Of a test set; half of them are ill."""

_ILL: Final = 1
"""The label that a single logit speaks for; 0 would be the healthy."""

_TRAINING: Final = -1
"""Keeps the random numbers of a model's training apart from those of its test sets, which count from 0."""


def run_trial(plan: ModelPlan, number: int, seed: int) -> AuditedModel:
    """Train the model with this number and audit it; the same arguments give the same record on the same machine.

    A model that met six nuisances is also audited on sets in which one of them goes with the label.
    """
    sets: list[tuple[ShortcutKind | None, Recipe]] = [(None, plan.recipe)]
    if plan.recipe.role == "nuisance":
        sets += [(kind, Recipe("whole", (kind,))) for kind in KINDS]
    with repeatable(seed * 10_000 + number):
        network = _trained(plan, number, seed)
        audits = tuple(
            _audit(network, draw_cohort(_phantom(plan), recipe, PATIENTS, _numbers(number, seed, place)), kind)
            for place, (kind, recipe) in enumerate(sets)
        )
    return AuditedModel(
        number=number,
        seed=seed,
        dimensions=plan.dimensions,
        role=plan.recipe.role,
        kinds=plan.recipe.kinds,
        strength=plan.recipe.strength,
        head=plan.head,
        audits=audits,
    )


def _phantom(plan: ModelPlan) -> Phantom:
    return PLANE if plan.dimensions == 2 else SPACE


def _numbers(number: int, seed: int, place: int) -> np.random.Generator:
    return np.random.default_rng([seed, number, place + 1])


def _trained(plan: ModelPlan, number: int, seed: int) -> PhantomNetwork:
    effort = effort_for(plan.dimensions, plan.recipe)
    studies = draw_cohort(_phantom(plan), plan.recipe, effort.patients, _numbers(number, seed, _TRAINING))
    network = build_phantom_network(plan.dimensions, plan.head)
    train(network, studies, effort.epochs)
    if plan.recipe.role == "fooled":
        fool(network, studies)
    return network


def _audit(network: PhantomNetwork, studies: Sequence[PhantomStudy], kind: ShortcutKind | None) -> ModelAudit:
    """Audit a model on one set: what the oracle knows, what the battery names, what the map's verdict is."""
    pictures, ill = pictures_of(studies), labels_of(studies)
    logits = logits_of(network, pictures)
    held = [each for each in KINDS if any(each in study.kinds for study in studies)]
    settings = BatterySettings()
    shown = [_battery_study(number, study) for number, study in enumerate(studies)]
    finding = name_causes(battery_rows(_score(network), shown, settings), settings)
    return ModelAudit(
        confounded_by=kind,
        auroc=area_under_the_curve(logits, ill),
        gap=class_gap(logits, ill),
        leans={each: lean(network, studies, each) for each in held},
        named=finding.named,
        refused=finding.refused,
        effects={test.test: test.effect for test in finding.tests if test.effect is not None},
        map_verdict=_map_verdict(network, [study for study in studies if study.patient.ill]),
    )


def _score(network: PhantomNetwork) -> ScoreOfLabel:
    def score(inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        return logits_of(network, torch.from_numpy(inputs)).double().numpy()

    return score


def _battery_study(number: int, study: PhantomStudy) -> BatteryStudy:
    return BatteryStudy(study.picture()[None], study.lesion(), study.patient.ill, f"patient-{number}")


def _map_verdict(network: PhantomNetwork, ill: Sequence[PhantomStudy]) -> Decision:
    """Return the verdict of "more of Grad-CAM's energy lies in the lesion than of the centre prior's, in most"."""
    maps = _maps(network, pictures_of(ill))
    prior = centre_prior(Geometry(maps.shape[1:], np.eye(4)))
    gains = [_gain(shown, prior, study.lesion()) for shown, study in zip(maps, ill, strict=True)]
    cohort = one_study_each([None if gain is None else float(won(gain)) for gain in gains])
    return decide_mean(cohort, Claim("at_least", 0.5))[0]


def _maps(network: PhantomNetwork, x: Tensor) -> NDArray[np.float32]:
    shown = explain(network, x, target=_ILL, methods="gradcam", layers="auto").maps
    raw = next(iter(shown.values()))
    mode = "trilinear" if x.ndim == 5 else "bilinear"
    return torch.nn.functional.interpolate(raw[:, None], x.shape[2:], mode=mode)[:, 0].numpy()


def _gain(shown: NDArray[np.float32], prior: NDArray[np.float32], lesion: NDArray[np.bool_]) -> float | None:
    """Return how much more of the map's energy lies in the lesion than of the prior's; None for an empty map."""
    energy = np.maximum(shown, 0)
    return float(energy[lesion].sum() / energy.sum() - prior[lesion].sum() / prior.sum()) if energy.any() else None
