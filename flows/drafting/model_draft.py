"""What a model tells, as the part ``model`` of a draft, and the steps by which an image is prepared for it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from flows.drafting.guess import Guess, known
from pipeline.config import ModelConfig
from pipeline.errors import ConfigError
from pipeline.models.load import load_model
from pipeline.models.traits.bundle_facts import BundleFacts, facts_of_bundle
from pipeline.models.traits.network_traits import NetworkTraits, traits_of

__all__ = ["ModelDraft", "ModelLook", "ModelSource", "draft_model", "look_at_model", "source_of"]

Step = Mapping[str, Any]
_SIZED = ("Resize", "ResizeWithPadOrCrop", "SpatialPad", "CenterSpatialCrop")
_NO_FACTS = BundleFacts((), None, (), ())


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from: a ``bundle``'s folder or a ``factory``, and which weights are meant."""

    bundle: Path | None
    factory: str | None
    weights: Path | None

    @property
    def name(self) -> str:
        """A name for the model, and for its audit."""
        given = self.bundle.resolve().name if self.bundle is not None else str(self.factory).partition(":")[0]
        return re.sub("[^a-z0-9]+", "-", given.lower()).strip("-")[:60] or "model"


@dataclass(frozen=True)
class ModelDraft:
    """``keys`` of the configuration's ``model`` and the steps of its ``prepare``, in order.

    ``input_note`` says what the network takes; ``notes`` say what could not be taken over.
    """

    name: str
    keys: Mapping[str, Guess]
    steps: tuple[Guess, ...]
    input_note: str
    notes: tuple[str, ...]


def source_of(model: str, weights: Path | None) -> ModelSource:
    """Return what ``--model`` names: a folder is a bundle, ``package.module:function`` a factory.

    Raises:
        ConfigError: when it is neither.
    """
    if Path(model).is_dir():
        return ModelSource(Path(model), None, weights)
    if ":" in model and all(part.isidentifier() for part in re.split("[.:]", model)):
        return ModelSource(None, model, weights)
    raise ConfigError(f"--model: must be a MONAI bundle's folder or package.module:function, not {model!r:.120}")


@dataclass(frozen=True)
class ModelLook:
    """What a bundle says, and what its network shows."""

    facts: BundleFacts
    traits: NetworkTraits


def look_at_model(source: ModelSource, folder: Path) -> ModelLook:
    """Load the network once; ``folder`` is where a factory's module is looked for first.

    Raises:
        AuditError: when the model cannot be loaded.
    """
    facts = _NO_FACTS if source.bundle is None else facts_of_bundle(source.bundle, source.weights)
    config = ModelConfig(
        name=source.name,
        bundle=source.bundle,
        factory=source.factory,
        weights=source.weights,
        labels=("negative", "positive"),
    )
    network = load_model(config, folder, torch.device("cpu")).network
    return ModelLook(facts, traits_of(network, _size_of(facts.steps)))


def draft_model(source: ModelSource, look: ModelLook, labels: Sequence[str], known_labels: Sequence[str]) -> ModelDraft:
    """Say what the model is; ``labels`` are those that the user states, ``known_labels`` those that studies bear."""
    facts, traits = look.facts, look.traits
    keys: dict[str, Guess] = {"name": known(source.name)}
    if facts.version is not None:
        keys["version"] = Guess(facts.version, "as the bundle's metadata.json says")
    keys |= {"labels": _labels(tuple(labels), facts.labels, traits.outputs, known_labels), **_output(traits)}
    note = f"{traits.channels or '?'} channel(s), {traits.axes or '?'} spatial axes, {traits.outputs or '?'} output(s)"
    return ModelDraft(source.name, keys, _steps(facts, traits), note, facts.skipped)


def _size_of(steps: Sequence[Step]) -> list[int] | None:
    sizes = [step.get("spatial_size", step.get("roi_size")) for step in steps if step["_target_"] in _SIZED]
    last = sizes[-1] if sizes else None
    whole = isinstance(last, list) and all(isinstance(length, int) and length > 0 for length in last)
    return last if whole else None


def _labels(stated: tuple[str, ...], by_bundle: tuple[str, ...], outputs: int | None, borne: Sequence[str]) -> Guess:
    """Return the labels in the order of the outputs; a single output has two, the negative one first."""
    count = 2 if outputs in (None, 1) else outputs
    if stated:
        return Guess(list(stated))
    if len(by_bundle) == count:
        return Guess(list(by_bundle), "as the bundle's metadata.json says, in this order; the first is the negative")
    if count is not None and len(borne) == count - 1:
        return Guess(
            ["negative", *borne], "from the archive's labels: look whether the model's outputs have this order"
        )
    if count is not None and len(borne) == count:
        return Guess(
            list(borne), "from the archive's labels: look whether the first is the negative one, and the order"
        )
    names = ["negative", *(f"label_{number}" for number in range(1, count or 2))]
    return Guess(names, "nothing tells the labels: write them in the order of the outputs, the negative one first")


def _output(traits: NetworkTraits) -> dict[str, Guess]:
    if traits.outputs is None:
        return {"output": Guess("softmax", "the network could not be tried: see docs/audit.md, What the model returns")}
    if traits.squashed:
        several = {} if traits.exclusive or traits.outputs == 1 else {"multi_label": Guess(True, "they sum to no one")}
        return {"output": Guess("probability", "shown noise, all outputs lie within 0 and 1"), **several}
    if traits.outputs == 1:
        return {"output": Guess("single_logit", "the network has one output")}
    return {"output": Guess("softmax", "sigmoid instead, where labels do not exclude each other")}


def _steps(facts: BundleFacts, traits: NetworkTraits) -> tuple[Guess, ...]:
    if facts.steps:
        return tuple(Guess(step, "as the bundle prepares images") for step in facts.steps)
    axes = traits.axes or 3
    why = "nothing tells how images were prepared in training: write those very steps here"
    turned = [{"_target_": "Orientation", "axcodes": "RAS", "labels": None}] if axes == 3 else []
    scaled = {
        "_target_": "ScaleIntensityRangePercentiles", "lower": 1, "upper": 99, "b_min": 0, "b_max": 1, "clip": True,
    }  # fmt: skip
    size = [96] * 3 if axes == 3 else [224] * 2
    mode = "trilinear" if axes == 3 else "bilinear"
    repeats = traits.channels or 1
    widened = [{"_target_": "RepeatChannel", "repeats": repeats}] if repeats > 1 else []
    steps: list[Step] = [*turned, {"_target_": "Resize", "spatial_size": size, "mode": mode}, scaled, *widened]
    return tuple(Guess(step, why) for step in steps)
